/* JSON of a page of 25 whole workspaces: our encoder and decoder beside cJSON, in one run.
 *
 * Usage: bench_json [SECONDS]   each row is the best of the rounds that fit into SECONDS (1) */
#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>

#include "api/workspaces.h"
#include "api/agents.h"
#include "api/builds.h"
#include "codec/json.h"

#define PAGE 25

struct bench {
    struct cm_arena *a;
    struct api_workspaces_response *page;
    const struct cm_json *tree;
    struct cm_str text;
    struct cm_buf out;
};

static void fail(const char *what)
{
    fprintf(stderr, "bench_json: %s\n", what);
    exit(1);
}

/* The example of one workspace, as often as a page has it, with a second agent each. */
static void load(struct bench *b)
{
    size_t size = 1 << 20;
    char *file = cm_arena_alloc(b->a, size);
    FILE *f = fopen(CM_SOURCE_DIR "/tests/data/http-examples.txt", "re");
    struct cm_str schema, line;
    struct cm_err err = {0};
    void *v = NULL;

    if (!f)
        fail("tests/data/http-examples.txt is missing");
    struct cm_str rest = cm_str_n(file, fread(file, 1, size, f));
    fclose(f);
    while (rest.ptr) {
        rest = cm_str_split(rest, '\n', &line);
        struct cm_str text = cm_str_split(line, ' ', &schema);
        if (cm_str_eq(schema, CM_STR("WorkspacesResponse")) &&
            cm_json_decode_answer(&api_workspaces_response_msg, b->a, text, &v, &err) != CM_OK)
            fail(err.text);
    }
    if (!v)
        fail("no example of a page");
    b->page = v;
    struct api_workspace one = b->page->workspaces[0];
    struct api_workspace_resource *r = &one.latest_build->resources[0];
    struct api_workspace_agent *agents = CM_NEW_ARRAY(b->a, struct api_workspace_agent, 2);
    agents[0] = agents[1] = r->agents[0];
    r->agents = agents;
    r->n_agents = 2;
    b->page->workspaces = CM_NEW_ARRAY(b->a, struct api_workspace, PAGE);
    b->page->n_workspaces = PAGE;
    for (size_t i = 0; i < PAGE; i++)
        b->page->workspaces[i] = one;
    cm_buf_init(&b->out, 16 << 20);
    cm_json_encode(&b->out, &api_workspaces_response_msg, b->page);
    b->text = cm_arena_str(b->a, cm_buf_view(&b->out));
    if (cm_json_parse(b->a, b->text, NULL, &b->tree, &err) != CM_OK)
        fail(err.text);
}

static size_t run_encode(struct bench *b)
{
    cm_buf_reset(&b->out);
    cm_json_encode(&b->out, &api_workspaces_response_msg, b->page);
    return b->out.len;
}

/* What a handler without tables does, call by call. */
static cJSON *build(const struct cm_json *n)
{
    cJSON *made = NULL;

    switch (cm_json_type(n)) {
    case CM_JSON_ABSENT:
    case CM_JSON_NULL:
        return cJSON_CreateNull();
    case CM_JSON_BOOL:
        return cJSON_CreateBool(cm_json_bool(n));
    case CM_JSON_NUMBER:
        return cJSON_CreateNumber((double)cm_json_i64(n));
    case CM_JSON_STRING:
        return cJSON_CreateString(cm_json_str(n).ptr);
    case CM_JSON_ARRAY:
        made = cJSON_CreateArray();
        for (size_t i = 0; i < cm_json_count(n); i++)
            cJSON_AddItemToArray(made, build(cm_json_at(n, i)));
        return made;
    case CM_JSON_OBJECT:
        made = cJSON_CreateObject();
        for (size_t i = 0; i < cm_json_count(n); i++)
            cJSON_AddItemToObject(made, cm_json_key(cm_json_at(n, i)).ptr, build(cm_json_at(n, i)));
        return made;
    }
    return NULL;
}

static size_t run_cjson_print(struct bench *b)
{
    cJSON *made = build(b->tree);
    char *text = cJSON_PrintUnformatted(made);
    size_t n = text ? strlen(text) : 0;

    cJSON_free(text);
    cJSON_Delete(made);
    return n;
}

static size_t run_decode(struct bench *b)
{
    CM_AUTO(cm_arena) a = cm_arena_new();
    struct cm_err err;
    void *v = NULL;

    if (cm_json_decode_answer(&api_workspaces_response_msg, a, b->text, &v, &err) != CM_OK)
        fail(err.text);
    return b->text.len;
}

static size_t run_cjson_parse(struct bench *b)
{
    cJSON *made = cJSON_ParseWithLength(b->text.ptr, b->text.len);

    if (!made)
        fail("cJSON refuses the page");
    cJSON_Delete(made);
    return b->text.len;
}

static const struct {
    const char *name;
    size_t (*run)(struct bench *);
} rows[] = {
    {"encode by table", run_encode},
    {"build and print with cJSON", run_cjson_print},
    {"decode by table", run_decode},
    {"parse with cJSON", run_cjson_parse},
};

int main(int argc, char **argv)
{
    struct bench b = {.a = cm_arena_new()};
    double best[CM_COUNT_OF(rows)] = {0}, seconds = argc > 1 ? strtod(argv[1], NULL) : 1;

    load(&b);
    printf("a page of %d workspaces, %zu bytes\n", PAGE, b.text.len);
    for (size_t i = 0; i < CM_COUNT_OF(rows); i++) {
        cm_usec end = cm_monotonic_now() + (cm_usec)(seconds * (double)CM_SECOND), start;
        size_t bytes = 0;
        while ((start = cm_monotonic_now()) < end) {
            for (int k = 0; k < 10; k++)
                bytes = rows[i].run(&b);
            double us = (double)(cm_monotonic_now() - start) / 10;
            if (best[i] <= 0 || us < best[i])
                best[i] = us;
        }
        printf("%-28s %8.0f us %8.1f MB/s\n", rows[i].name, best[i], (double)bytes / best[i]);
    }
    printf("encode: %.1f times cJSON; decode: %.2f times\n", best[1] / best[0], best[3] / best[2]);
    cm_buf_done(&b.out);
    cm_arena_free(b.a);
    return 0;
}
