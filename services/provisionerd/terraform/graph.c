#include "terraform/graph.h"

#include <stdlib.h>

#include "base/map.h"

#define NODES_MAX ((size_t)50000)
#define EDGES_MAX ((size_t)400000)

struct edge {
    uint32_t from, to; /* from depends on to */
};

struct node {
    struct cm_str label;
    bool is_resource;
    /* Slices of the two sorted edge lists. */
    uint32_t out_first, out_n, in_first, in_n;
};

struct tf_graph {
    struct node *nodes;
    uint32_t n;
    struct edge *by_from, *by_to;
    uint32_t edges;
    struct cm_map *index; /* label -> node index + 1 */
};

/* Where the reader grows its lists; freed at the end. */
struct builder {
    struct cm_arena *a;
    struct tf_graph *g;
    size_t nodes_cap, edges_cap;
};

/* "[root] module.m.docker_image.x (expand)" -> module.m.docker_image.x */
static struct cm_str node_label(struct cm_str s)
{
    if (cm_str_starts(s, CM_STR("[root] ")))
        s = cm_str_sub(s, 7, s.len);
    if (cm_str_ends(s, CM_STR(" (expand)")))
        s.len -= 9;
    return s;
}

/* A DOT string at the start of s: its content without the escapes. False when there is none. */
static bool take_string(struct cm_arena *a, struct cm_str *s, struct cm_str *ret)
{
    *s = cm_str_trim(*s);
    if (s->len < 2 || s->ptr[0] != '"')
        return false;
    char *out = cm_arena_alloc(a, s->len);
    size_t n = 0, i = 1;
    for (; i < s->len && s->ptr[i] != '"'; i++) {
        if (s->ptr[i] == '\\' && i + 1 < s->len)
            i++;
        out[n++] = s->ptr[i];
    }
    if (i == s->len)
        return false;
    *ret = cm_str_n(out, n);
    *s = cm_str_sub(*s, i + 1, s->len);
    return true;
}

static enum cm_code node_of(struct builder *b, struct cm_str label, uint32_t *ret,
                            struct cm_err *err)
{
    struct tf_graph *g = b->g;
    uintptr_t known = (uintptr_t)cm_map_get(g->index, label);
    if (known) {
        *ret = (uint32_t)(known - 1);
        return CM_OK;
    }
    if (g->n >= NODES_MAX)
        return cm_err_set(err, CM_TOO_LARGE, "terraform's graph has more than %zu nodes",
                          NODES_MAX);
    if (g->n == b->nodes_cap) {
        size_t cap = b->nodes_cap ? b->nodes_cap * 2 : 64;
        struct node *v = CM_NEW_ARRAY(b->a, struct node, cap);
        if (g->n)
            memcpy(v, g->nodes, g->n * sizeof *v);
        g->nodes = v;
        b->nodes_cap = cap;
    }
    g->nodes[g->n] = (struct node){.label = label};
    *ret = g->n++;
    cm_map_put(g->index, label, (void *)(uintptr_t)g->n);
    return CM_OK;
}

static enum cm_code add_edge(struct builder *b, uint32_t from, uint32_t to, struct cm_err *err)
{
    struct tf_graph *g = b->g;
    if (g->edges >= EDGES_MAX)
        return cm_err_set(err, CM_TOO_LARGE, "terraform's graph has more than %zu edges",
                          EDGES_MAX);
    if (g->edges == b->edges_cap) {
        size_t cap = b->edges_cap ? b->edges_cap * 2 : 128;
        struct edge *v = CM_NEW_ARRAY(b->a, struct edge, cap);
        if (g->edges)
            memcpy(v, g->by_from, g->edges * sizeof *v);
        g->by_from = v;
        b->edges_cap = cap;
    }
    g->by_from[g->edges++] = (struct edge){from, to};
    return CM_OK;
}

static enum cm_code read_line(struct builder *b, struct cm_str line, struct cm_err *err)
{
    struct cm_str first, second;
    uint32_t from, to;
    if (!take_string(b->a, &line, &first))
        return CM_OK; /* digraph, subgraph, braces, attributes of the graph */
    enum cm_code code = node_of(b, node_label(first), &from, err);
    if (code != CM_OK)
        return code;
    line = cm_str_trim(line);
    if (cm_str_starts(line, CM_STR("->"))) {
        line = cm_str_sub(line, 2, line.len);
        if (!take_string(b->a, &line, &second))
            return cm_err_set(err, CM_INVALID, "terraform's graph has an edge without an end");
        code = node_of(b, node_label(second), &to, err);
        return code == CM_OK ? add_edge(b, from, to, err) : code;
    }
    /* Resources and data sources are the boxes. */
    if (cm_str_contains(line, CM_STR("shape = \"box\"")))
        b->g->nodes[from].is_resource = true;
    return CM_OK;
}

static int cmp_u32(uint32_t a, uint32_t b)
{
    return (a > b) - (a < b);
}

static int cmp_from(const void *pa, const void *pb)
{
    const struct edge *a = pa, *b = pb;
    int c = cmp_u32(a->from, b->from);
    return c ? c : cmp_u32(a->to, b->to);
}

static int cmp_to(const void *pa, const void *pb)
{
    const struct edge *a = pa, *b = pb;
    int c = cmp_u32(a->to, b->to);
    return c ? c : cmp_u32(a->from, b->from);
}

static void index_edges(struct cm_arena *a, struct tf_graph *g)
{
    g->by_to = CM_NEW_ARRAY(a, struct edge, g->edges ? g->edges : 1);
    if (g->edges == 0)
        return;
    memcpy(g->by_to, g->by_from, g->edges * sizeof *g->by_to);
    qsort(g->by_from, g->edges, sizeof *g->by_from, cmp_from);
    qsort(g->by_to, g->edges, sizeof *g->by_to, cmp_to);
    for (uint32_t i = 0; i < g->edges; i++) {
        struct node *from = &g->nodes[g->by_from[i].from], *to = &g->nodes[g->by_to[i].to];
        if (from->out_n++ == 0)
            from->out_first = i;
        if (to->in_n++ == 0)
            to->in_first = i;
    }
}

static void free_index(void *index)
{
    cm_map_free(index);
}

enum cm_code tf_graph_read(struct cm_arena *a, struct cm_str dot, struct tf_graph **ret,
                           struct cm_err *err)
{
    struct builder b = {.a = a, .g = CM_NEW(a, struct tf_graph)};
    b.g->index = cm_map_new();
    cm_arena_defer(a, free_index, b.g->index);
    while (dot.len > 0) {
        struct cm_str line;
        dot = cm_str_split(dot, '\n', &line);
        enum cm_code code = read_line(&b, line, err);
        if (code != CM_OK)
            return code;
    }
    index_edges(a, b.g);
    *ret = b.g;
    return CM_OK;
}

/* The neighbours of a node in one direction: calls visit for each. */
static uint32_t neighbour_count(const struct node *n, enum tf_graph_way way)
{
    return way == TF_GRAPH_DEPENDENTS ? n->in_n : n->out_n;
}

static uint32_t neighbour(const struct tf_graph *g, const struct node *n, enum tf_graph_way way,
                          uint32_t i)
{
    return way == TF_GRAPH_DEPENDENTS ? g->by_to[n->in_first + i].from
                                      : g->by_from[n->out_first + i].to;
}

/* Breadth first, level by level. stop_at_resources: resources end the walk. Yields the smallest
 * accepted label of the first level that has one. */
static bool search(const struct tf_graph *g, struct cm_str label, enum tf_graph_way way,
                   bool stop_at_resources, bool (*accept)(void *ctx, struct cm_str label),
                   void *ctx, struct cm_str *ret)
{
    uintptr_t start = (uintptr_t)cm_map_get(g->index, label);
    if (!start)
        return false;
    CM_AUTO(cm_arena) a = cm_arena_new();
    uint32_t *queue = CM_NEW_ARRAY(a, uint32_t, g->n);
    bool *seen = CM_NEW_ARRAY(a, bool, g->n);
    uint32_t head = 0, tail = 0, level_end;
    struct cm_str best = CM_STR_NONE;
    queue[tail++] = (uint32_t)(start - 1);
    seen[start - 1] = true;
    while (head < tail && !best.ptr) {
        for (level_end = tail; head < level_end; head++) {
            const struct node *n = &g->nodes[queue[head]];
            if (stop_at_resources && head > 0 && n->is_resource)
                continue;
            for (uint32_t i = 0; i < neighbour_count(n, way); i++) {
                uint32_t next = neighbour(g, n, way, i);
                if (seen[next])
                    continue;
                seen[next] = true;
                queue[tail++] = next;
                struct cm_str l = g->nodes[next].label;
                if (g->nodes[next].is_resource && accept(ctx, l) &&
                    (!best.ptr || cm_str_cmp(l, best) < 0))
                    best = l;
            }
        }
    }
    if (!best.ptr)
        return false;
    *ret = best;
    return true;
}

bool tf_graph_nearest(const struct tf_graph *g, struct cm_str label, enum tf_graph_way way,
                      bool (*accept)(void *ctx, struct cm_str label), void *ctx, struct cm_str *ret)
{
    return search(g, label, way, false, accept, ctx, ret);
}

static bool is_label(void *ctx, struct cm_str label)
{
    const struct cm_str *wanted = ctx;
    return cm_str_eq(*wanted, label);
}

bool tf_graph_depends(const struct tf_graph *g, struct cm_str from, struct cm_str to)
{
    struct cm_str found;
    return search(g, from, TF_GRAPH_DEPENDENCIES, true, is_label, &to, &found);
}
