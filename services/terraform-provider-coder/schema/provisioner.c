/* data coder_provisioner: the machine that runs this build. */
#include "schema/types.h"

static const struct field fields[] = {
    FIELD_IMPLICIT_ID,
    {.name = "os",
     .kind = FIELD_STRING,
     .flags = F_COMPUTED,
     .about = "Operating system of the provisioner."},
    {.name = "arch",
     .kind = FIELD_STRING,
     .flags = F_COMPUTED,
     .about = "Processor architecture of the provisioner."},
};

static void provisioner_read(struct call *c, const struct value *config CM_UNUSED,
                             struct value *state)
{
#if defined(__x86_64__)
    const char *arch = "amd64";
#elif defined(__aarch64__)
    const char *arch = "arm64";
#elif defined(__arm__)
    const char *arch = "armv7";
#elif defined(__riscv) && __riscv_xlen == 64
    const char *arch = "riscv64";
#elif defined(__powerpc64__) && defined(__LITTLE_ENDIAN__)
    const char *arch = "ppc64le";
#else
#error "name this architecture as templates do"
#endif
    value_set(state, "id", call_new_uuid(c));
    value_set(state, "os", value_of_cstr("linux"));
    value_set(state, "arch", value_of_cstr(arch));
}

const struct type data_provisioner = {
    .name = "coder_provisioner",
    .about = "The machine that runs the build.",
    .version = 1,
    .block = BLOCK_OF(fields),
    .data = true,
    .read = provisioner_read,
};
