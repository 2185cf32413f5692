/* Runs a fuzz target over its kept corpus without libFuzzer, so that every build checks the seeds.
 *
 * Usage: PROGRAM FOLDER   fails when the folder has no files */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int main(int argc, char **argv)
{
    size_t files = 0;

    DIR *dir = argc == 2 ? opendir(argv[1]) : NULL;
    if (!dir) {
        fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
        return 2;
    }
    for (struct dirent *e; (e = readdir(dir));) {
        CM_AUTOFREE char *path = cm_xasprintf("%s/%s", argv[1], e->d_name);
        CM_AUTOBUF struct cm_buf data = CM_BUF_INIT(16 << 20);
        FILE *f = e->d_name[0] == '.' ? NULL : fopen(path, "re");
        if (!f)
            continue;
        for (char *at; (at = cm_buf_reserve(&data, 65536));) {
            size_t n = fread(at, 1, 65536, f);
            cm_buf_commit(&data, n);
            if (n == 0)
                break;
        }
        fclose(f);
        LLVMFuzzerTestOneInput((const uint8_t *)cm_buf_view(&data).ptr, data.len);
        files++;
    }
    closedir(dir);
    printf("%zu files\n", files);
    return files > 0 ? 0 : 1;
}
