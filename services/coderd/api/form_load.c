#include "api/form_load.h"

#include "domain/archive.h"
#include "store/files.h"
#include "store/groups.h"
#include "store/template_versions.h"
#include "store/users.h"

/* Of the archive, and of what is looked at of it. Larger ones are shown as the import found them.
 */
#define ARCHIVE_MAX ((size_t)8 << 20)
#define FILE_MAX    ((size_t)256 << 10)
#define TEXT_MAX    ((size_t)4 << 20)

static enum cm_code load_files(struct cm_db *db, struct cm_arena *a, struct cm_uuid file_id,
                               struct form_input *in, struct cm_err *err)
{
    CM_AUTOBUF struct cm_buf tar = CM_BUF_INIT(ARCHIVE_MAX);
    struct cm_pair *files = NULL;
    struct store_file *f = NULL;
    enum cm_code code = store_file_by_id(db, a, file_id, &f, err);
    if (code != CM_OK || f->size_bytes > (int64_t)ARCHIVE_MAX)
        return code == CM_NOT_FOUND ? CM_OK : code;
    for (int64_t n = 0;; n++) {
        CM_AUTO(cm_arena) scratch = cm_arena_new();
        struct cm_str *piece = NULL;
        if (store_file_chunk_get(db, scratch, file_id, n, &piece, err) != CM_OK)
            return err->code;
        if (!piece)
            break;
        cm_buf_str(&tar, *piece);
    }
    struct cm_err broken;
    if (archive_texts(a, cm_buf_view(&tar), FILE_MAX, TEXT_MAX, &files, &in->n_files, &broken) ==
        CM_OK)
        in->files = files;
    else
        in->n_files = 0;
    return CM_OK;
}

/* Those that are not the template's own defaults, which the files say better. */
static enum cm_code load_variables(struct cm_db *db, struct cm_arena *a, struct cm_uuid version_id,
                                   struct form_input *in, struct cm_err *err)
{
    struct api_template_version_variable *v = NULL;
    size_t n = 0;
    if (store_template_version_variables(db, a, version_id, &v, &n, err) != CM_OK)
        return err->code;
    struct cm_pair *pairs = CM_NEW_ARRAY(a, struct cm_pair, n);
    for (size_t i = 0; i < n; i++)
        if (v[i].required || !cm_str_eq(v[i].value, v[i].default_value))
            pairs[in->n_variables++] = (struct cm_pair){v[i].name, v[i].value};
    in->variables = pairs;
    return CM_OK;
}

static enum cm_code load_owner(struct cm_db *db, struct cm_arena *a, struct cm_uuid id,
                               struct form_input *in, struct cm_err *err)
{
    struct store_user *u = NULL;
    struct store_group *groups = NULL;
    struct form_owner *o = CM_NEW(a, struct form_owner);
    if (store_user_by_id(db, a, id, &u, err) != CM_OK)
        return err->code;
    if (store_groups(db, a, NULL, &id, NULL, 0, CM_STR_NONE, &groups, &o->n_groups, err) != CM_OK)
        return err->code;
    struct cm_str *names = CM_NEW_ARRAY(a, struct cm_str, o->n_groups);
    for (size_t i = 0; i < o->n_groups; i++)
        names[i] = groups[i].name;
    o->id = cm_arena_str(a, cm_str(cm_uuid_text(id).s));
    o->name = u->username;
    o->full_name = u->name;
    o->email = u->email;
    o->login_type = cm_str(api_login_type_enum.texts[u->login_type]);
    o->groups = names;
    in->owner = o;
    return CM_OK;
}

enum cm_code form_load(struct cm_db *db, struct cm_arena *a, const struct form_request *q,
                       struct form_result *ret, struct cm_err *err)
{
    struct form_input in = {.values = q->values, .n_values = q->n_values};
    struct api_template_version_parameter *imported = NULL;
    if (load_files(db, a, q->file_id, &in, err) != CM_OK)
        return err->code;
    in.variables = q->variables;
    in.n_variables = q->n_variables;
    if (!cm_uuid_is_nil(q->version_id) &&
        (store_template_version_parameters(db, a, q->version_id, &imported, &in.n_imported, err) !=
             CM_OK ||
         load_variables(db, a, q->version_id, &in, err) != CM_OK))
        return err->code;
    in.imported = imported;
    if (!cm_uuid_is_nil(q->owner_id) && load_owner(db, a, q->owner_id, &in, err) != CM_OK)
        return err->code;
    form_compute(a, &in, ret);
    return CM_OK;
}

static void set_tag(struct cm_pair *list, size_t *n, struct cm_pair tag)
{
    size_t i = 0;
    while (i < *n && !cm_str_eq(list[i].key, tag.key))
        i++;
    list[i] = tag;
    *n += i == *n;
}

struct cm_pair *form_tags(struct cm_arena *a, const struct form_result *f,
                          const struct cm_pair *base, size_t n, bool over, size_t *ret_n)
{
    struct cm_pair *ret = CM_NEW_ARRAY(a, struct cm_pair, n + f->n_tags);
    *ret_n = 0;
    for (size_t i = 0; over && i < n; i++)
        set_tag(ret, ret_n, base[i]);
    for (size_t i = 0; i < f->n_tags; i++)
        if (!cm_str_eq_c(f->tags[i].key, "scope") && !cm_str_eq_c(f->tags[i].key, "owner"))
            set_tag(ret, ret_n, f->tags[i]);
    for (size_t i = 0; !over && i < n; i++)
        set_tag(ret, ret_n, base[i]);
    return ret;
}
