/* Removes what is past its time. Source: api-behaviour reference, 1.4 (keys), runtime-behaviour
 * reference, 1.7 (logs). */
#include "background/background.h"
#include "options.h"
#include "store/agents.h"
#include "store/api_keys.h"
#include "store/jobs.h"
#include "store/provisioners.h"
#include "store/site.h"

#define DAY          (24 * CM_HOUR)
#define KEYS_KEPT    (7 * DAY) /* expired ones, so that an error can say when they expired */
#define LOGS_KEPT    (7 * DAY)
#define STATS_KEPT   (180 * DAY)
#define DAEMONS_KEPT (7 * DAY)
#define UPLOADS_KEPT CM_HOUR

static struct cm_time ago(cm_usec d)
{
    return cm_time_add(cm_time_now(), -d);
}

enum cm_code purge_run(struct coderd *app, struct cm_db *db, struct cm_err *err)
{
    (void)app;
    CM_AUTO(cm_arena) a = cm_arena_new();
    if (store_api_keys_purge(db, a, ago(KEYS_KEPT), NULL, err) != CM_OK)
        return cm_err_wrap(err, "remove expired keys");
    if (store_crypto_keys_purge(db, a, NULL, err) != CM_OK)
        return cm_err_wrap(err, "remove retired signing keys");
    if (store_agent_logs_purge(db, a, ago(LOGS_KEPT), NULL, err) != CM_OK)
        return cm_err_wrap(err, "remove old agent logs");
    if (store_agent_stats_purge(db, a, ago(STATS_KEPT), NULL, err) != CM_OK)
        return cm_err_wrap(err, "remove old agent statistics");
    if (store_provisioner_daemons_purge(db, a, ago(DAEMONS_KEPT), NULL, err) != CM_OK)
        return cm_err_wrap(err, "remove provisioners that are gone");
    if (store_job_uploads_purge(db, a, ago(UPLOADS_KEPT), NULL, err) != CM_OK)
        return cm_err_wrap(err, "remove broken uploads");
    return CM_OK;
}
