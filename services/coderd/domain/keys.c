#include "domain/keys.h"

#include "base/random.h"
#include "base/secret.h"
#include "store/site.h"

#define DAY       (24 * CM_HOUR)
#define KEY_LIFE  (90 * DAY)
#define KEY_LEAD  DAY /* from a key's making to its first use */
#define KEY_GRACE DAY /* from its last use to its end; tickets live for an hour */

enum cm_code deployment_keys_load(struct cm_db *db, const char *feature, struct deployment_key *ret,
                                  size_t *ret_n, struct cm_err *err)
{
    CM_AUTO(cm_arena) a = cm_arena_new();
    struct store_crypto_key *rows = NULL;
    size_t n = 0;
    if (store_crypto_keys(db, a, cm_str(feature), &rows, &n, err) != CM_OK)
        return err->code;
    if (n == 0) {
        uint8_t fresh[DEPLOYMENT_KEY_LEN];
        cm_random_bytes(fresh, sizeof(fresh));
        enum cm_code code = store_crypto_key_insert(
            db, a, cm_str(feature), 1, cm_str_n(fresh, sizeof(fresh)), cm_time_now(), NULL, err);
        cm_secret_wipe(fresh, sizeof(fresh));
        if (code != CM_OK || store_crypto_keys(db, a, cm_str(feature), &rows, &n, err) != CM_OK)
            return err->code;
    }
    *ret_n = 0;
    for (size_t i = 0; i < n && *ret_n < DEPLOYMENT_KEYS_MAX; i++) {
        if (rows[i].secret.len != DEPLOYMENT_KEY_LEN)
            return cm_err_set(err, CM_INTERNAL, "key %s/%lld has not %d bytes", feature,
                              (long long)rows[i].sequence, DEPLOYMENT_KEY_LEN);
        ret[*ret_n].sequence = (uint32_t)rows[i].sequence;
        memcpy(ret[*ret_n].secret, rows[i].secret.ptr, DEPLOYMENT_KEY_LEN);
        (*ret_n)++;
    }
    if (*ret_n == 0)
        return cm_err_set(err, CM_INTERNAL, "there is no key for %s", feature);
    return CM_OK;
}

enum cm_code deployment_keys_renew(struct cm_db *db, const char *feature, struct cm_err *err)
{
    CM_AUTO(cm_arena) a = cm_arena_new();
    struct cm_time now = cm_time_now(), start = cm_time_add(now, KEY_LEAD);
    uint8_t fresh[DEPLOYMENT_KEY_LEN];
    cm_random_bytes(fresh, sizeof(fresh));
    enum cm_code code = store_crypto_key_succeed(
        db, a, cm_str(feature), cm_str_n(fresh, sizeof(fresh)), cm_time_add(now, -KEY_LIFE), start,
        cm_time_add(start, KEY_GRACE), NULL, err);
    cm_secret_wipe(fresh, sizeof(fresh));
    return code;
}
