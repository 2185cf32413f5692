/* In place of services/coderd/api/authorize.c, for the route walk alone: the same, unless the
 * request's header X-Test-Rule says otherwise.
 *
 *   blank   there is no rule: everything is allowed
 *   forget  the handler does not ask: allowed, but nobody has put the rule to may()
 */
#define api_may             real_may
#define api_authorize       real_authorize
#define api_authorize_known real_authorize_known
#define api_authorize_also  real_authorize_also
#define api_authorize_list  real_authorize_list
#define api_not_found       real_not_found
#include "api/authorize.c"
#undef api_may
#undef api_authorize
#undef api_authorize_known
#undef api_authorize_also
#undef api_authorize_list
#undef api_not_found

bool api_may(const struct api_req *r, enum rbac_action action, const struct rbac_object *o);
enum cm_code api_authorize(struct api_req *r, const struct rbac_object *o, struct cm_err *err);
enum cm_code api_authorize_known(struct api_req *r, const struct rbac_object *o,
                                 struct cm_err *err);
enum cm_code api_authorize_also(struct api_req *r, enum rbac_action action,
                                const struct rbac_object *o, struct cm_err *err);
void api_authorize_list(struct api_req *r);
enum cm_code api_not_found(struct cm_err *err);

static bool is_switched(const struct api_req *r, const char *to)
{
    /* Streams ask again later, without the request that began them. */
    return r->http && cm_str_eq_c(cm_http_header(&r->http->head, "x-test-rule"), to);
}

/* Has the switch answered instead of the rule? */
static bool switched(struct api_req *r)
{
    if (is_switched(r, "blank"))
        r->authorized = true;
    return is_switched(r, "blank") || is_switched(r, "forget");
}

bool api_may(const struct api_req *r, enum rbac_action action, const struct rbac_object *o)
{
    return is_switched(r, "blank") || real_may(r, action, o);
}

enum cm_code api_authorize(struct api_req *r, const struct rbac_object *o, struct cm_err *err)
{
    return switched(r) ? CM_OK : real_authorize(r, o, err);
}

enum cm_code api_authorize_known(struct api_req *r, const struct rbac_object *o, struct cm_err *err)
{
    return switched(r) ? CM_OK : real_authorize_known(r, o, err);
}

enum cm_code api_authorize_also(struct api_req *r, enum rbac_action action,
                                const struct rbac_object *o, struct cm_err *err)
{
    return is_switched(r, "blank") ? CM_OK : real_authorize_also(r, action, o, err);
}

void api_authorize_list(struct api_req *r)
{
    if (!switched(r))
        real_authorize_list(r);
}

enum cm_code api_not_found(struct cm_err *err)
{
    return real_not_found(err);
}
