/* Uploaded archives. The first byte says of which kind. Whatever is taken from a zip is a tar that
 * would be taken as well, and what is taken as a tar can be shown as a zip. */
#include <stdint.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "domain/archive.h"
#include "sys/fd.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cm_err err;
    struct stat st;
    if (size < 1)
        return 0;
    CM_AUTOFD int in = memfd_create("in", MFD_CLOEXEC);
    CM_AUTOFD int out = memfd_create("out", MFD_CLOEXEC);
    cm_assert(in >= 0 && out >= 0 && cm_fd_write_all(in, data + 1, size - 1, &err) == CM_OK);
    if (data[0] % 2) {
        if (archive_zip_to_tar(in, out, &err) == CM_OK)
            cm_assert(archive_check_tar(out, &err) == CM_OK);
    } else if (archive_check_tar(in, &err) == CM_OK && size > 1) {
        cm_ignore(archive_tar_to_zip(in, out, &err) != CM_OK, "a zip holds less than a tar may");
    }
    struct cm_pair *texts = NULL;
    size_t n = 0;
    CM_AUTO(cm_arena) a = cm_arena_new();
    if (archive_texts(a, cm_str_n(data + 1, size - 1), 4096, 65536, &texts, &n, &err) == CM_OK)
        for (size_t i = 0; i < n; i++)
            cm_assert(texts[i].value.len <= 4096);
    cm_assert(fstat(out, &st) == 0 && (uint64_t)st.st_size < 2 * ARCHIVE_BYTES_MAX);
    return 0;
}
