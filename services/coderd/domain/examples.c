#include "domain/examples.h"

#include <sys/stat.h>

#include <archive.h>
#include <archive_entry.h>

#include "codec/yaml.h"
#include "starters.h"

static const char README[] = "README.md";

static struct cm_str content(const struct cm_embedded_file *f)
{
    return cm_str_n(f->data, f->len);
}

/* "local/main.tf" is main.tf of local. */
static struct cm_str file_of(const struct cm_embedded_file *f, struct cm_str *ret_id)
{
    return cm_str_split(cm_str(f->name), '/', ret_id);
}

/* Cuts the README at its front matter: two lines of three dashes. */
static bool split_readme(struct cm_str text, struct cm_str *head, struct cm_str *body)
{
    static const struct cm_str mark = {"---\n", 4};
    if (!cm_str_starts(text, mark))
        return false;
    struct cm_str rest = cm_str_sub(text, mark.len, text.len);
    for (size_t at = 0; at < rest.len;) {
        struct cm_str tail = cm_str_sub(rest, at, rest.len);
        if (cm_str_starts(tail, mark)) {
            *head = cm_str_sub(rest, 0, at);
            *body = cm_str_trim(cm_str_sub(tail, mark.len, tail.len));
            return true;
        }
        ptrdiff_t line = cm_str_find(tail, '\n');
        if (line < 0)
            return false;
        at += (size_t)line + 1;
    }
    return false;
}

static enum cm_code describe(struct cm_arena *a, struct cm_str id, struct cm_str readme,
                             struct api_template_example *out, struct cm_err *err)
{
    struct cm_str head = {0}, body = readme;
    const struct cm_json *m = NULL;
    if (split_readme(readme, &head, &body) && cm_yaml_parse(a, head, NULL, &m, err) != CM_OK)
        return cm_err_wrap(err, "README.md of the starter template %.*s", CM_STR_ARG(id));
    const struct cm_json *tags = cm_json_get(m, "tags");
    *out =
        (struct api_template_example){.id = id,
                                      .url = CM_STR(""),
                                      .name = cm_json_str(cm_json_get(m, "display_name")),
                                      .description = cm_json_str(cm_json_get(m, "description")),
                                      .icon = cm_json_str(cm_json_get(m, "icon")),
                                      .tags = CM_NEW_ARRAY(a, struct cm_str, cm_json_count(tags)),
                                      .n_tags = cm_json_count(tags),
                                      .markdown = body};
    for (size_t i = 0; i < out->n_tags; i++)
        out->tags[i] = cm_json_str(cm_json_at(tags, i));
    if (!out->name.len)
        out->name = id;
    return CM_OK;
}

enum cm_code examples_list(struct cm_arena *a, struct api_template_example **ret, size_t *ret_n,
                           struct cm_err *err)
{
    size_t n = 0;
    for (const struct cm_embedded_file *f = starter_files; f->name; f++)
        n++;
    *ret = CM_NEW_ARRAY(a, struct api_template_example, n);
    *ret_n = 0;
    for (const struct cm_embedded_file *f = starter_files; f->name; f++) {
        struct cm_str id;
        if (cm_str_eq_c(file_of(f, &id), README) &&
            describe(a, id, content(f), &(*ret)[(*ret_n)++], err) != CM_OK)
            return err->code;
    }
    return CM_OK;
}

static la_ssize_t put(struct archive *w, void *ctx, const void *data, size_t len)
{
    (void)w;
    cm_buf_append(ctx, data, len);
    return (la_ssize_t)len;
}

static bool add(struct archive *w, struct cm_str name, const struct cm_embedded_file *f)
{
    char path[256];
    if (name.len >= sizeof(path))
        return false;
    memcpy(path, name.ptr, name.len);
    path[name.len] = '\0';
    struct archive_entry *e = archive_entry_new();
    archive_entry_set_pathname(e, path);
    archive_entry_set_size(e, (la_int64_t)f->len);
    archive_entry_set_filetype(e, AE_IFREG);
    archive_entry_set_perm(e, 0644);
    archive_entry_set_mtime(e, 0, 0);
    bool ok = archive_write_header(w, e) == ARCHIVE_OK &&
              archive_write_data(w, f->data, f->len) == (la_ssize_t)f->len;
    archive_entry_free(e);
    return ok;
}

enum cm_code examples_tar(struct cm_str id, struct cm_buf *out, struct cm_err *err)
{
    struct archive *w = archive_write_new();
    cm_assert(w);
    bool found = false;
    bool ok = archive_write_set_format_ustar(w) == ARCHIVE_OK &&
              archive_write_open(w, out, NULL, put, NULL) == ARCHIVE_OK;
    for (const struct cm_embedded_file *f = starter_files; ok && f->name; f++) {
        struct cm_str of;
        struct cm_str name = file_of(f, &of);
        if (!cm_str_eq(of, id))
            continue;
        found = true;
        ok = add(w, name, f);
    }
    ok = ok && archive_write_close(w) == ARCHIVE_OK && !out->failed;
    archive_write_free(w);
    if (!ok)
        return cm_err_set(err, CM_INTERNAL, "the starter template cannot be packed");
    return found ? CM_OK : cm_err_set(err, CM_NOT_FOUND, "Example not found.");
}
