/* Two counters per key, for this minute and the one before; the sliding count weighs the older one
 * by what is left of it. The table has a fixed number of slots: when a slot is taken by another key
 * whose minute has passed it is reused, and under a flood of keys the newcomer shares the slot, so
 * memory stays bounded and an attacker only slows himself. */
#include "api/ratelimit.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>

#include "app.h"

#define SLOTS 16384
#define LOCKS 64

struct slot {
    uint64_t key;
    int64_t minute;
    uint32_t now, before;
};

struct ratelimit {
    bool enabled;
    pthread_mutex_t locks[LOCKS];
    struct slot slots[SLOTS];
};

static const struct {
    uint32_t per_minute;
} limits[] = {[LIMIT_API] = {512}, [LIMIT_LOGIN] = {60}, [LIMIT_FILES] = {12}, [LIMIT_NONE] = {0}};

struct ratelimit *ratelimit_new(bool enabled)
{
    struct ratelimit *l = cm_xcalloc(1, sizeof(*l));
    l->enabled = enabled;
    for (size_t i = 0; i < LOCKS; i++)
        pthread_mutex_init(&l->locks[i], NULL);
    return l;
}

void ratelimit_free(struct ratelimit *l)
{
    if (!l)
        return;
    for (size_t i = 0; i < LOCKS; i++)
        pthread_mutex_destroy(&l->locks[i]);
    cm_free(l);
}

/* Whoever has an address of IPv6 mostly has a whole /64 of them. */
static uint64_t address_hash(const char *ip)
{
    struct in6_addr v6;
    if (inet_pton(AF_INET6, ip, &v6) == 1)
        return cm_str_hash(cm_str_n(v6.s6_addr, 8));
    return cm_str_hash(cm_str(ip));
}

/* By the route and what stands for the names in its path, not by the path as it was written, which
 * may vary in slashes and escapes. Where passwords are tried, by the route alone: a user has
 * several names. */
static uint64_t key_of(const struct api_req *r)
{
    uint64_t key =
        r->who ? cm_str_hash(cm_str_n(r->who->user_id.b, 16)) : address_hash(r->client_ip);
    key = key * 31 + cm_str_hash(cm_str(r->route->path));
    for (size_t i = 0; i < API_PARAMS_MAX && r->route->limit != LIMIT_LOGIN; i++)
        key = key * 31 + cm_str_hash(r->params[i]);
    return key;
}

/* Counts one and yields the sliding count. */
static uint32_t count(struct ratelimit *l, uint64_t key, cm_usec now)
{
    int64_t minute = now / CM_MINUTE;
    struct slot *s = &l->slots[key % SLOTS];
    pthread_mutex_t *lock = &l->locks[key % LOCKS];
    pthread_mutex_lock(lock);
    if (s->minute < minute - 1 || (s->key != key && s->minute < minute))
        *s = (struct slot){.key = key, .minute = minute};
    if (s->minute == minute - 1) {
        s->before = s->now;
        s->now = 0;
        s->minute = minute;
    }
    s->now++;
    uint32_t left = (uint32_t)(CM_MINUTE - now % CM_MINUTE);
    uint32_t total = s->now + (uint32_t)((uint64_t)s->before * left / (uint64_t)CM_MINUTE);
    pthread_mutex_unlock(lock);
    return total;
}

bool ratelimit_pass(struct api_req *r, cm_usec now)
{
    struct ratelimit *l = r->app->limits;
    uint32_t max = limits[r->route->limit].per_minute;
    if (!l->enabled || !max)
        return true;
    if (cm_str_eq_nocase(cm_http_header(&r->http->head, "x-coder-bypass-ratelimit"),
                         CM_STR("true"))) {
        if (r->who && subject_has_role(r->who, "owner"))
            return true;
        api_reply_message(
            r, 428, "X-Coder-Bypass-Ratelimit may be sent by owners of the deployment only.", NULL);
        return false;
    }
    uint32_t used = count(l, key_of(r), now);
    if (used <= max)
        return true;
    int64_t wait = (CM_MINUTE - now % CM_MINUTE) / CM_SECOND + 1;
    char *text = cm_arena_printf(
        r->arena, "You've been rate limited for sending more than %u requests in 1m0s.", max);
    api_reply_message(r, 429, text, NULL);
    api_reply_header(r, "X-RateLimit-Limit", cm_arena_fmt(r->arena, "%u", max));
    api_reply_header(r, "X-RateLimit-Remaining", CM_STR("0"));
    api_reply_header(
        r, "X-RateLimit-Reset",
        cm_arena_fmt(r->arena, "%lld", (long long)(cm_time_now().us / CM_SECOND + wait)));
    api_reply_header(r, "Retry-After", cm_arena_fmt(r->arena, "%lld", (long long)wait));
    return false;
}
