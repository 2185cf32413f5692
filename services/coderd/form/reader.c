#include "form/reader.h"

void expr_space(struct reader *r)
{
    cm_hcl_skip_space(&r->h, r->inside == 0);
}

bool expr_at(struct reader *r, const char *text)
{
    size_t n = strlen(text);
    expr_space(r);
    return (size_t)(r->h.end - r->h.p) >= n && memcmp(r->h.p, text, n) == 0;
}

bool expr_take(struct reader *r, const char *text)
{
    if (!expr_at(r, text))
        return false;
    r->h.p += strlen(text);
    return true;
}

struct form_value expr_give_up(struct reader *r)
{
    r->broken = true;
    return FORM_UNKNOWN_VALUE;
}

void expr_expect(struct reader *r, const char *text)
{
    if (!expr_take(r, text))
        r->broken = true;
}

bool expr_take_word(struct reader *r, const char *word)
{
    struct cm_hcl before = r->h;
    struct cm_str name;
    expr_space(r);
    if (cm_hcl_take_name(&r->h, &name) && cm_str_eq_c(name, word))
        return true;
    r->h = before;
    return false;
}

bool expr_step(struct reader *r)
{
    if (*r->scope->steps == 0 || r->broken) {
        r->broken = true;
        return false;
    }
    --*r->scope->steps;
    return true;
}

struct reader expr_nested(const struct reader *r, struct cm_str text)
{
    struct reader in = *r;
    in.h = (struct cm_hcl){text.ptr, text.ptr + text.len, r->a};
    in.depth++;
    in.inside = 1;
    return in;
}
