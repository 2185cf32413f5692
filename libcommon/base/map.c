/* Open addressing with linear probing and tombstones; grows at 3/4. */
#include "base/map.h"

struct slot {
    char *key; /* NULL: free; tombstone: deleted */
    size_t len;
    uint64_t hash;
    void *value;
};

struct cm_map {
    struct slot *slots;
    size_t cap, used, live; /* used counts tombstones too */
};

static char tombstone[1];

struct cm_map *cm_map_new(void)
{
    return cm_xcalloc(1, sizeof(struct cm_map));
}

void cm_map_free(struct cm_map *m)
{
    if (!m)
        return;
    for (size_t i = 0; i < m->cap; i++) {
        if (m->slots[i].key != tombstone)
            cm_free(m->slots[i].key);
    }
    cm_free(m->slots);
    cm_free(m);
}

static struct slot *find(const struct cm_map *m, struct cm_str key, uint64_t hash)
{
    if (!m->cap)
        return NULL;
    for (size_t i = hash & (m->cap - 1);; i = (i + 1) & (m->cap - 1)) {
        struct slot *s = &m->slots[i];
        if (!s->key)
            return NULL;
        if (s->key != tombstone && s->hash == hash && s->len == key.len &&
            (key.len == 0 || memcmp(s->key, key.ptr, key.len) == 0))
            return s;
    }
}

static void rehash(struct cm_map *m, size_t cap)
{
    struct slot *old = m->slots;
    size_t old_cap = m->cap;
    m->slots = cm_xcalloc(cap, sizeof(struct slot));
    m->cap = cap;
    m->used = m->live;
    for (size_t i = 0; i < old_cap; i++) {
        if (!old[i].key || old[i].key == tombstone)
            continue;
        size_t at = old[i].hash & (cap - 1);
        while (m->slots[at].key)
            at = (at + 1) & (cap - 1);
        m->slots[at] = old[i];
    }
    cm_free(old);
}

void *cm_map_get(const struct cm_map *m, struct cm_str key)
{
    const struct slot *s = find(m, key, cm_str_hash(key));
    return s ? s->value : NULL;
}

void *cm_map_put(struct cm_map *m, struct cm_str key, void *value)
{
    uint64_t hash = cm_str_hash(key);
    struct slot *s = find(m, key, hash);
    if (s) {
        void *old = s->value;
        s->value = value;
        return old;
    }
    if ((m->used + 1) * 4 > m->cap * 3)
        rehash(m, m->live * 4 < m->cap && m->cap ? m->cap : CM_MAX(m->cap * 2, (size_t)16));
    size_t at = hash & (m->cap - 1);
    while (m->slots[at].key && m->slots[at].key != tombstone)
        at = (at + 1) & (m->cap - 1);
    if (!m->slots[at].key)
        m->used++;
    m->slots[at] = (struct slot){cm_str_xdup(key), key.len, hash, value};
    m->live++;
    return NULL;
}

void *cm_map_remove(struct cm_map *m, struct cm_str key)
{
    struct slot *s = find(m, key, cm_str_hash(key));
    if (!s)
        return NULL;
    void *old = s->value;
    cm_free(s->key);
    s->key = tombstone;
    m->live--;
    return old;
}

size_t cm_map_count(const struct cm_map *m)
{
    return m->live;
}

bool cm_map_next(const struct cm_map *m, size_t *it, struct cm_str *key, void **value)
{
    for (; *it < m->cap; (*it)++) {
        const struct slot *s = &m->slots[*it];
        if (!s->key || s->key == tombstone)
            continue;
        *key = cm_str_n(s->key, s->len);
        *value = s->value;
        (*it)++;
        return true;
    }
    return false;
}
