/* The provider block: one argument, the deployment's URL. */
#include "schema/checks.h"
#include "schema/gourl.h"
#include "schema/types.h"

static const struct field fields[] = {
    {
        .name = "url",
        .kind = FIELD_STRING,
        .flags = F_OPTIONAL,
        .about = "URL of the Coder deployment. Defaults to CODER_AGENT_URL.",
        .check = check_url,
    },
};

const struct block provider_block = BLOCK_OF(fields);

struct cm_str provider_configure(struct call *c, const struct value *config)
{
    const struct value *url = value_get(config, "url");
    struct cm_str text = url->kind == VALUE_NULL
                             ? call_env_or(c, "CODER_AGENT_URL", "https://mydeployment.coder.com")
                             : value_str(config, "url");
    if (!text.len) {
        call_error(c, PATH_ROOT, "CODER_AGENT_URL must not be empty; got \"\"");
        return text;
    }
    struct gourl u;
    struct cm_str why;
    if (!gourl_parse(c, text, &u, &why)) {
        struct cm_str quoted = call_quote(c, text);
        call_error(c, PATH_ROOT, "parse %.*s: %.*s", CM_STR_ARG(quoted), CM_STR_ARG(why));
        return CM_STR("");
    }
    return text;
}
