/* Debian's libssh.a is built with Kerberos (GSSAPI) authentication, for which there is no static
 * library. Neither the agent's server, which asks for no authentication, nor the CLI's client,
 * which has its session by then, offers that method, so these symbols only satisfy the linker; each
 * says that the mechanism is unavailable. */
#include <stdint.h>

#define GSS_UNAVAILABLE (UINT32_C(16) << 16) /* GSS_S_UNAVAILABLE, RFC 2744 */

#define GSS_FUNCTIONS(X)                                                                           \
    X(gss_accept_sec_context)                                                                      \
    X(gss_acquire_cred)                                                                            \
    X(gss_add_oid_set_member)                                                                      \
    X(gss_create_empty_oid_set)                                                                    \
    X(gss_display_name)                                                                            \
    X(gss_display_status)                                                                          \
    X(gss_get_mic)                                                                                 \
    X(gss_import_name)                                                                             \
    X(gss_indicate_mechs)                                                                          \
    X(gss_init_sec_context)                                                                        \
    X(gss_inquire_cred)                                                                            \
    X(gss_inquire_cred_by_mech)                                                                    \
    X(gss_release_buffer)                                                                          \
    X(gss_release_cred)                                                                            \
    X(gss_release_name)                                                                            \
    X(gss_release_oid_set)                                                                         \
    X(gss_test_oid_set_member)                                                                     \
    X(gss_verify_mic)

#define GSS_DEFINE(name)                                                                           \
    uint32_t name(void);                                                                           \
    uint32_t name(void)                                                                            \
    {                                                                                              \
        return GSS_UNAVAILABLE;                                                                    \
    }
GSS_FUNCTIONS(GSS_DEFINE)

extern const void *const GSS_C_NT_HOSTBASED_SERVICE;
extern const void *const GSS_C_NT_USER_NAME;
const void *const GSS_C_NT_HOSTBASED_SERVICE = 0;
const void *const GSS_C_NT_USER_NAME = 0;
