/* Matching by number of segments, then literally. Empty segments collapse (//api//v2 is /api/v2), a
 * trailing slash is part of the path where a row has it, and nothing otherwise: clients of the
 * members of an organization send one. */
#include "api/route.h"

#define SEGMENTS_MAX 16

struct pattern {
    const struct route *route;
    struct cm_str segs[SEGMENTS_MAX];
    size_t n;
    bool rest; /* ends in * */
};

struct router {
    struct pattern *patterns;
    size_t n;
    struct pattern **by_count[SEGMENTS_MAX + 1];
    size_t n_by_count[SEGMENTS_MAX + 1];
};

/* Segments of a path; SIZE_MAX when there are too many. A trailing slash yields a last empty
 * segment. */
static size_t segments(struct cm_str path, struct cm_str *segs)
{
    size_t n = 0, i = 0;
    while (i < path.len) {
        while (i < path.len && path.ptr[i] == '/')
            i++;
        size_t start = i;
        while (i < path.len && path.ptr[i] != '/')
            i++;
        if (n == SEGMENTS_MAX)
            return SIZE_MAX;
        segs[n++] = cm_str_sub(path, start, i - start);
    }
    return n;
}

static bool is_param(struct cm_str seg)
{
    return seg.len > 2 && seg.ptr[0] == '{' && seg.ptr[seg.len - 1] == '}';
}

static enum cm_code check_row(const struct route *t, struct cm_err *err)
{
    const char *missing = NULL;
    if (t->method == CM_HTTP_OTHER)
        missing = "method";
    else if (!t->path)
        missing = "path";
    else if (t->auth == AUTH_UNSET)
        missing = "auth";
    else if (t->rule.kind == RULE_UNSET ||
             (t->rule.kind == RULE_OBJECT && (!t->rule.resource || !t->rule.action)))
        missing = "rule";
    else if (t->kind == ROUTE_UNSET)
        missing = "kind";
    else if (!t->handler)
        missing = "handler";
    else if (!t->summary)
        missing = "summary";
    else if (t->rule.kind == RULE_OBJECT && t->auth != AUTH_SESSION && t->auth != AUTH_OPTIONAL)
        missing = "session for its rule";
    else if (t->kind == ROUTE_LOOP && t->auth != AUTH_NONE)
        missing = "worker for its auth";
    if (missing)
        return cm_err_set(err, CM_INTERNAL, "route %s has no %s", t->path ? t->path : "?", missing);
    return CM_OK;
}

static bool same_pattern(const struct pattern *a, const struct pattern *b)
{
    if (a->n != b->n || a->route->method != b->route->method || a->rest != b->rest)
        return false;
    for (size_t i = 0; i < a->n; i++) {
        if (is_param(a->segs[i]) != is_param(b->segs[i]) ||
            (!is_param(a->segs[i]) && !cm_str_eq(a->segs[i], b->segs[i])))
            return false;
    }
    return true;
}

static enum cm_code add(struct router *r, const struct route *row, struct cm_err *err)
{
    if (check_row(row, err) != CM_OK)
        return err->code;
    struct pattern *p = &r->patterns[r->n];
    *p = (struct pattern){.route = row};
    p->n = segments(cm_str(row->path), p->segs);
    cm_assert(p->n != SIZE_MAX);
    p->rest = p->n && cm_str_eq_c(p->segs[p->n - 1], "*");
    for (size_t i = 0; i < r->n; i++) {
        if (same_pattern(p, &r->patterns[i]))
            return cm_err_set(err, CM_INTERNAL, "two routes for %s", row->path);
    }
    r->n++;
    return CM_OK;
}

enum cm_code router_new(struct router **ret, struct cm_err *err)
{
    CM_AUTO(router) r = cm_xcalloc(1, sizeof(*r));
    size_t total = 0, n_tables;
    const struct route_table *const *tables = route_tables(&n_tables);
    for (size_t i = 0; i < n_tables; i++)
        total += tables[i]->n;
    r->patterns = cm_xcalloc(total, sizeof(struct pattern));
    for (size_t i = 0; i < n_tables; i++) {
        for (size_t k = 0; k < tables[i]->n; k++) {
            if (add(r, &tables[i]->rows[k], err) != CM_OK)
                return err->code;
        }
    }
    for (size_t i = 0; i < r->n; i++) {
        size_t c = r->patterns[i].n;
        r->by_count[c] =
            cm_xrealloc_array(r->by_count[c], r->n_by_count[c] + 1, sizeof(struct pattern *));
        r->by_count[c][r->n_by_count[c]++] = &r->patterns[i];
    }
    *ret = CM_TAKE(r);
    return CM_OK;
}

void router_free(struct router *r)
{
    if (!r)
        return;
    for (size_t i = 0; i <= SEGMENTS_MAX; i++)
        cm_free(r->by_count[i]);
    cm_free(r->patterns);
    cm_free(r);
}

/* How well the pattern fits: the number of literal segments, so that /users/me/x wins over
 * /users/{user}/x; -1: not. */
static int fit(const struct pattern *p, const struct cm_str *segs, size_t n)
{
    int literals = 0;
    size_t fixed = p->rest ? p->n - 1 : p->n;
    if (p->rest ? n < p->n : n != p->n)
        return -1;
    for (size_t i = 0; i < fixed; i++) {
        if (is_param(p->segs[i])) {
            if (segs[i].len == 0)
                return -1;
            continue;
        }
        if (!cm_str_eq(p->segs[i], segs[i]))
            return -1;
        literals++;
    }
    return literals;
}

static void consider(const struct pattern *p, enum cm_http_method method, const struct cm_str *segs,
                     size_t n, struct cm_str path, int *best, struct route_match *ret)
{
    int f = fit(p, segs, n);
    if (f < 0)
        return;
    if (p->route->method != method) {
        ret->other_method = true;
        return;
    }
    if (f <= *best)
        return;
    *best = f;
    ret->route = p->route;
    ret->n_params = 0;
    for (size_t i = 0; i < p->n; i++) {
        if (is_param(p->segs[i]))
            ret->params[ret->n_params++] = segs[i];
    }
    if (p->rest) {
        const char *from = segs[p->n - 1].ptr;
        ret->params[ret->n_params++] = cm_str_n(from, (size_t)(path.ptr + path.len - from));
    }
}

static void match(const struct router *r, enum cm_http_method method, struct cm_str path,
                  const struct cm_str *segs, size_t n, struct route_match *ret)
{
    int best = -1;
    for (size_t i = 0; i < r->n_by_count[n]; i++)
        consider(r->by_count[n][i], method, segs, n, path, &best, ret);
    for (size_t c = 0; c < n && !ret->route; c++) {
        for (size_t i = 0; i < r->n_by_count[c]; i++) {
            if (r->by_count[c][i]->rest)
                consider(r->by_count[c][i], method, segs, n, path, &best, ret);
        }
    }
}

void router_match(const struct router *r, enum cm_http_method method, struct cm_str path,
                  struct route_match *ret)
{
    *ret = (struct route_match){0};
    struct cm_str segs[SEGMENTS_MAX];
    size_t n = segments(path, segs);
    if (n == SIZE_MAX)
        return;
    match(r, method, path, segs, n, ret);
    if (!ret->route && !ret->other_method && n > 1 && !segs[n - 1].len)
        match(r, method, path, segs, n - 1, ret);
}
