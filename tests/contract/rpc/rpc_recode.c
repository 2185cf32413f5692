/* Reads messages as our programs do and writes them again, for rpc_messages_test.py, which holds
 * another implementation of the format beside it.
 *
 * Lines in: the symbol of a message's descriptor, a space, its bytes in hexadecimal.
 * Lines out: the bytes as they were written again, or "refused". */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <protobuf-c/protobuf-c.h>

#include "base/arena.h"
#include "base/enc.h"
#include "net/rpc/wire.h"

static void recode(struct cm_arena *a, const char *symbol, struct cm_str hex)
{
    const ProtobufCMessageDescriptor *d = dlsym(RTLD_DEFAULT, symbol);
    CM_AUTOBUF struct cm_buf out = CM_BUF_INIT(1 << 20);
    ProtobufCMessage *m = NULL;
    if (!d) {
        fprintf(stderr, "no message %s\n", symbol);
        exit(2);
    }
    uint8_t *bytes = cm_arena_alloc(a, hex.len / 2 + 1);
    cm_assert(cm_hex_decode(hex, bytes, hex.len / 2));
    if (cm_rpc_unpack(a, d, cm_str_n(bytes, hex.len / 2), &m, NULL) != CM_OK) {
        puts("refused");
        return;
    }
    size_t len = protobuf_c_message_get_packed_size(m);
    uint8_t *packed = cm_arena_alloc(a, len + 1);
    cm_assert(protobuf_c_message_pack(m, packed) == len);
    cm_hex_encode(&out, packed, len);
    printf("%.*s\n", (int)out.len, len ? out.ptr : "");
}

int main(void)
{
    char *line = NULL;
    size_t size = 0;
    while (getline(&line, &size, stdin) > 0) {
        CM_AUTO(cm_arena) a = cm_arena_new();
        char *space = strchr(line, ' ');
        cm_assert(space);
        *space = '\0';
        space[1 + strcspn(space + 1, "\n")] = '\0';
        recode(a, line, cm_str(space + 1));
    }
    free(line);
    return 0;
}
