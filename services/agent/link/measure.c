#include "link/measure.h"

#include "base/list.h"

#define CHUNK      ((size_t)64 * 1024)
#define SPEED_TIME (30 * CM_SECOND)

enum kind { ECHO, SINK, SOURCE };

struct measure {
    struct cm_link link;
    struct cm_stream *stream;
    enum kind kind;
    struct cm_timer limit;
    bool finished;
};

struct measures {
    struct cm_loop *loop;
    struct cm_link list;
};

static void measure_free(struct measure *m)
{
    cm_list_unlink(&m->link);
    cm_timer_done(&m->limit);
    cm_stream_close(m->stream);
    cm_free(m);
}

static void move(struct measure *m)
{
    static char chunk[CHUNK];
    size_t n;
    switch (m->kind) {
    case ECHO:
        while (cm_stream_unsent(m->stream) < CM_STREAM_HIGH &&
               (n = cm_stream_read(m->stream, chunk, CHUNK)) > 0)
            cm_stream_write(m->stream, chunk, n);
        break;
    case SINK:
        while (cm_stream_read(m->stream, chunk, CHUNK) > 0)
            ;
        break;
    case SOURCE:
        while (!m->finished && cm_stream_unsent(m->stream) < CM_STREAM_HIGH)
            cm_stream_write(m->stream, chunk, CHUNK);
        break;
    }
}

static void on_stream(struct cm_stream *s, enum cm_stream_event ev, void *ctx)
{
    struct measure *m = ctx;
    if (ev == CM_STREAM_FAILED) {
        measure_free(m);
        return;
    }
    move(m);
    if (s->eof && !m->finished && cm_stream_unsent(s) < CM_STREAM_HIGH) {
        m->finished = true;
        cm_stream_finish(s);
    }
    if (m->finished && s->eof && cm_stream_unsent(s) == 0)
        measure_free(m);
}

static void on_limit(void *ctx)
{
    struct measure *m = ctx;
    m->finished = true;
    cm_stream_finish(m->stream);
}

static void start(struct measures *list, struct cm_stream *s, enum kind kind)
{
    struct measure *m = cm_xcalloc(1, sizeof(*m));
    m->stream = s;
    m->kind = kind;
    cm_list_push(&list->list, &m->link);
    cm_timer_init(&m->limit, list->loop, on_limit, m);
    if (kind == SOURCE)
        cm_timer_start(&m->limit, SPEED_TIME);
    cm_stream_set_fn(s, on_stream, m);
    if (s->eof || s->failed)
        measure_free(m);
    else
        move(m);
}

void measure_echo(struct measures *m, struct cm_stream *s)
{
    start(m, s, ECHO);
}

void measure_speed(struct measures *m, struct cm_stream *s, bool down)
{
    start(m, s, down ? SOURCE : SINK);
}

struct measures *measures_new(struct cm_loop *loop)
{
    struct measures *m = cm_xcalloc(1, sizeof(*m));
    m->loop = loop;
    cm_list_init(&m->list);
    return m;
}

void measures_free(struct measures *m)
{
    if (!m)
        return;
    CM_LIST_EACH(l, &m->list)
    measure_free(cm_container_of(l, struct measure, link));
    cm_free(m);
}
