/* What the statements of the store promise beyond parsing: leases and fences, logs that arrive
 * once, the first user, a workspace's status, the order of lists. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

#include "domain/keys.h"
#include "pg_test.h"
#include "store/agents.h"
#include "store/api_keys.h"
#include "store/auth.h"
#include "store/builds.h"
#include "store/files.h"
#include "store/jobs.h"
#include "store/organizations.h"
#include "store/provisioners.h"
#include "store/site.h"
#include "store/template_versions.h"
#include "store/templates.h"
#include "store/users.h"
#include "store/workspace_list.h"

static char conninfo[PG_TEST_CONNINFO];
static struct cm_db *db;
static struct cm_arena *arena;
static struct cm_uuid org, ann, bob, template_id, version_id;

#define assert_str(s, text) assert_true(cm_str_eq_c((s), (text)))
#define must(call)                                                                                 \
    do {                                                                                           \
        struct cm_err err = {0};                                                                   \
        if ((call) != CM_OK)                                                                       \
            fail_msg("%s: %s", #call, err.text);                                                   \
    } while (0)

static const struct cm_pair untagged[] = {{CM_STR("scope"), CM_STR("organization")},
                                          {CM_STR("owner"), CM_STR("")}};
static const struct cm_pair gpu[] = {{CM_STR("scope"), CM_STR("organization")},
                                     {CM_STR("owner"), CM_STR("")},
                                     {CM_STR("gpu"), CM_STR("1")}};
static const struct cm_str terraform[] = {CM_STR("terraform")};

static struct cm_uuid make_user(const char *name)
{
    struct cm_uuid id = cm_uuid_random();
    char email[64];
    snprintf(email, sizeof(email), "%s@example.com", name);
    must(store_user_insert(db, arena,
                           &(struct store_user_insert_args){.id = id,
                                                            .email = cm_str(email),
                                                            .username = cm_str(name),
                                                            .status = API_USER_STATUS_ACTIVE,
                                                            .login_type = API_LOGIN_TYPE_PASSWORD},
                           NULL, &err));
    must(store_member_insert(db, arena, org, id, NULL, 0, NULL, &err));
    return id;
}

static struct cm_uuid make_job(enum api_provisioner_job_type type, const struct cm_pair *tags,
                               size_t n_tags)
{
    struct cm_uuid id = cm_uuid_random();
    must(store_job_insert(
        db, arena,
        &(struct store_job_insert_args){.id = id,
                                        .organization_id = org,
                                        .initiator_id = ann,
                                        .type = type,
                                        .provisioner = API_PROVISIONER_TYPE_TERRAFORM,
                                        .file_id = cm_uuid_random(),
                                        .tags = tags,
                                        .n_tags = n_tags,
                                        .input = CM_STR("{}")},
        NULL, &err));
    return id;
}

static struct store_lease *acquire(const struct cm_pair *tags, size_t n_tags, const char *request)
{
    static const struct cm_uuid worker = {{1}};
    struct store_lease *lease = NULL;
    must(store_job_acquire(db, arena, org, terraform, 1, tags, n_tags, worker, 300, cm_str(request),
                           &lease, &err));
    return lease;
}

static void finish(const struct store_lease *lease, const char *error)
{
    int64_t n = 0;
    must(store_job_complete(db, arena, lease->id, lease->fencing_token, cm_str(error), CM_STR(""),
                            &n, &err));
    assert_int_equal(n, 1);
}

static struct cm_uuid make_workspace(struct cm_uuid owner, const char *name)
{
    struct cm_uuid id = cm_uuid_random();
    must(store_workspace_insert(
        db, arena,
        &(struct store_workspace_insert_args){.id = id,
                                              .owner_id = owner,
                                              .organization_id = org,
                                              .template_id = template_id,
                                              .name = cm_str(name),
                                              .automatic_updates = API_AUTOMATIC_UPDATES_NEVER},
        NULL, &err));
    return id;
}

/* The number of the new build, or 0 when it was refused. */
static int64_t make_build(struct cm_uuid workspace, enum api_workspace_transition transition,
                          struct cm_uuid *ret_job)
{
    int64_t *number = NULL;
    struct cm_uuid job = make_job(API_PROVISIONER_JOB_TYPE_WORKSPACE_BUILD, untagged, 2);
    must(store_build_insert(db, arena,
                            &(struct store_build_insert_args){.id = cm_uuid_random(),
                                                              .workspace_id = workspace,
                                                              .template_version_id = version_id,
                                                              .job_id = job,
                                                              .initiator_id = ann,
                                                              .transition = transition,
                                                              .reason = API_BUILD_REASON_INITIATOR},
                            &number, &err));
    if (ret_job)
        *ret_job = job;
    if (!number)
        must(store_job_fail(db, arena, job, CM_STR("not built"), NULL, &err));
    return number ? *number : 0;
}

static enum api_workspace_status status_of(struct cm_uuid workspace)
{
    struct store_workspace *w = NULL;
    must(store_workspace_by_id(db, arena, workspace, &w, &err));
    return w->status;
}

static void run(struct cm_uuid workspace, enum api_workspace_transition transition)
{
    assert_true(make_build(workspace, transition, NULL) > 0);
    struct store_lease *lease = acquire(untagged, 2, "run");
    assert_non_null(lease);
    finish(lease, "");
}

/* ---- tests ---- */

struct first {
    pthread_t thread;
    struct cm_db *db;
    char name[16];
    enum cm_code code;
    bool made;
};

static void *create_first(void *ctx)
{
    struct first *f = ctx;
    CM_AUTO(cm_arena) a = cm_arena_new();
    struct store_user_first *row = NULL;
    f->code = store_user_create_first(f->db, a, cm_str(f->name), cm_str(f->name), CM_STR(""),
                                      CM_STR("hash"), API_LOGIN_TYPE_PASSWORD, &row, NULL);
    f->made = row;
    return NULL;
}

static void of_many_first_users_one_wins(void **state CM_UNUSED)
{
    char other[PG_TEST_CONNINFO];
    struct first f[8] = {{.db = pg_test_migrated(other)}};
    int made = 0;
    for (size_t i = 0; i < CM_COUNT_OF(f); i++) {
        if (i)
            f[i].db = pg_test_connect(other);
        snprintf(f[i].name, sizeof(f[i].name), "first%zu", i);
        assert_int_equal(pthread_create(&f[i].thread, NULL, create_first, &f[i]), 0);
    }
    for (size_t i = 0; i < CM_COUNT_OF(f); i++) {
        pthread_join(f[i].thread, NULL);
        assert_int_equal(f[i].code, CM_OK);
        made += f[i].made;
    }
    assert_int_equal(made, 1);
    int64_t n = 0;
    must(store_user_count(f[0].db, arena, &n, &err));
    assert_int_equal(n, 1);
    for (size_t i = 0; i < CM_COUNT_OF(f); i++)
        cm_db_free(f[i].db);
}

static void a_key_stands_for_its_user_with_roles(void **state CM_UNUSED)
{
    const struct cm_str ids[] = {CM_STR("0123456789"), CM_STR("absentkey0")};
    const struct cm_str scopes[] = {CM_STR("coder:all")};
    const struct cm_str roles[] = {CM_STR("organization-auditor")};
    struct store_auth *rows = NULL;
    size_t n = 0;
    must(store_member_update_roles(db, arena, org, ann, roles, 1, NULL, &err));
    must(store_api_key_insert(
        db, arena,
        &(struct store_api_key_insert_args){.id = ids[0],
                                            .hashed_secret = CM_STR("\x01\x02"),
                                            .user_id = ann,
                                            .login_type = CM_STR("token"),
                                            .token_name = CM_STR("ci"),
                                            .scopes = scopes,
                                            .n_scopes = 1,
                                            .lifetime_seconds = 60,
                                            .expires_at = cm_time_now()},
        NULL, &err));
    must(store_auth_by_keys(db, arena, ids, 2, &rows, &n, &err));
    assert_int_equal(n, 1);
    assert_str(rows->username, "ann");
    assert_true(cm_str_eq(rows->hashed_secret, CM_STR("\x01\x02")));
    assert_str(rows->allow_list, "[{\"id\": \"*\", \"type\": \"*\"}]");
    assert_int_equal(rows->n_org_ids, 1);
    assert_int_equal(rows->n_org_roles, 2);
    assert_int_equal(rows->n_org_role_orgs, 2);
    assert_str(rows->org_roles[0], "organization-auditor");
    assert_str(rows->org_roles[1], "organization-workspace-access");
    assert_int_equal(rows->last_used.us, 0);

    struct cm_time now = cm_time_now(), later = cm_time_add(now, CM_HOUR);
    must(store_auth_touch(db, arena, ids[0], ann, now, CM_STR("10.0.0.1"), &later, NULL, &err));
    must(store_auth_by_keys(db, arena, ids, 1, &rows, &n, &err));
    assert_int_equal(rows->last_used.us, now.us);
    assert_int_equal(rows->expires_at.us, later.us);
    assert_int_equal(rows->last_seen_at.us, now.us);

    /* A deleted user's keys are unknown. */
    struct cm_uuid gone = make_user("gone");
    must(store_user_delete(db, arena, gone, NULL, &err));
    make_user("gone"); /* the name is free again */
}

static void jobs_go_to_daemons_by_tags(void **state CM_UNUSED)
{
    static const struct cm_pair more[] = {{CM_STR("scope"), CM_STR("organization")},
                                          {CM_STR("owner"), CM_STR("")},
                                          {CM_STR("gpu"), CM_STR("1")},
                                          {CM_STR("region"), CM_STR("eu")}};
    struct cm_uuid plain = make_job(API_PROVISIONER_JOB_TYPE_TEMPLATE_VERSION_IMPORT, untagged, 2);
    struct cm_uuid tagged = make_job(API_PROVISIONER_JOB_TYPE_TEMPLATE_VERSION_IMPORT, gpu, 3);
    /* A daemon with more tags takes the tagged job, but never the one without tags. */
    struct store_lease *lease = acquire(more, 4, "a");
    assert_non_null(lease);
    assert_true(cm_uuid_eq(lease->id, tagged));
    assert_null(acquire(more, 4, "b"));
    finish(lease, "");
    lease = acquire(untagged, 2, "c");
    assert_non_null(lease);
    assert_true(cm_uuid_eq(lease->id, plain));
    finish(lease, "");
}

static void a_repeated_acquire_gets_the_same_job(void **state CM_UNUSED)
{
    make_job(API_PROVISIONER_JOB_TYPE_TEMPLATE_VERSION_IMPORT, untagged, 2);
    make_job(API_PROVISIONER_JOB_TYPE_TEMPLATE_VERSION_IMPORT, untagged, 2);
    struct store_lease *first = acquire(untagged, 2, "same"), *again = acquire(untagged, 2, "same");
    struct store_lease *other = acquire(untagged, 2, "other");
    assert_true(cm_uuid_eq(first->id, again->id));
    assert_int_equal(first->fencing_token, again->fencing_token);
    assert_false(cm_uuid_eq(first->id, other->id));
    finish(first, "");
    finish(other, "");
}

static void a_lost_lease_changes_nothing(void **state CM_UNUSED)
{
    make_job(API_PROVISIONER_JOB_TYPE_TEMPLATE_VERSION_IMPORT, untagged, 2);
    struct store_lease *lease = acquire(untagged, 2, "lost");
    struct store_job_state *st = NULL;
    int64_t n = 0;
    must(store_job_renew(db, arena, lease->id, lease->fencing_token, 300, &st, &err));
    assert_non_null(st);
    /* The reaper ends the job; its holder comes back late. */
    must(store_job_fail(db, arena, lease->id, CM_STR("reaped"), &n, &err));
    assert_int_equal(n, 1);
    must(store_job_renew(db, arena, lease->id, lease->fencing_token, 300, &st, &err));
    assert_null(st);
    must(store_job_complete(db, arena, lease->id, lease->fencing_token, CM_STR(""), CM_STR(""), &n,
                            &err));
    assert_int_equal(n, 0);
    struct store_job *job = NULL;
    must(store_jobs_by_ids(db, arena, &lease->id, 1, &job, &(size_t){0}, &err));
    assert_int_equal(job->status, API_PROVISIONER_JOB_STATUS_FAILED);
    assert_str(job->error, "reaped");
}

static void cancel_ends_a_pending_job_and_asks_a_running_one(void **state CM_UNUSED)
{
    struct cm_uuid id = make_job(API_PROVISIONER_JOB_TYPE_TEMPLATE_VERSION_IMPORT, untagged, 2);
    struct store_job *job = NULL;
    size_t one;
    int64_t n = 0;
    must(store_job_cancel(db, arena, id, CM_STR("running"), &n, &err));
    assert_int_equal(n, 0);
    must(store_jobs_by_ids(db, arena, &id, 1, &job, &one, &err));
    assert_int_equal(job->status, API_PROVISIONER_JOB_STATUS_PENDING);
    assert_int_equal(job->queue_position, 1);
    must(store_job_cancel(db, arena, id, CM_STR_NONE, &n, &err));
    assert_int_equal(n, 1);
    must(store_jobs_by_ids(db, arena, &id, 1, &job, &one, &err));
    assert_int_equal(job->status, API_PROVISIONER_JOB_STATUS_CANCELED);

    make_job(API_PROVISIONER_JOB_TYPE_TEMPLATE_VERSION_IMPORT, untagged, 2);
    struct store_lease *lease = acquire(untagged, 2, "cancel");
    must(store_job_cancel(db, arena, lease->id, CM_STR_NONE, &n, &err));
    must(store_jobs_by_ids(db, arena, &lease->id, 1, &job, &one, &err));
    assert_int_equal(job->status, API_PROVISIONER_JOB_STATUS_CANCELING);
    finish(lease, "");
    must(store_jobs_by_ids(db, arena, &lease->id, 1, &job, &one, &err));
    assert_int_equal(job->status, API_PROVISIONER_JOB_STATUS_CANCELED);
}

static struct store_job_state *append(const struct store_lease *lease, int64_t first, size_t n,
                                      int64_t max)
{
    static const struct cm_str lines[] = {CM_STR("0"), CM_STR("1"), CM_STR("2"), CM_STR("3"),
                                          CM_STR("4")};
    const struct cm_str source[] = {CM_STR("provisioner"), CM_STR("provisioner"),
                                    CM_STR("provisioner")};
    const struct cm_str level[] = {CM_STR("info"), CM_STR("info"), CM_STR("info")};
    const struct cm_time at[] = {{0}, {0}, {0}};
    struct store_job_state *st = NULL;
    must(store_job_logs_append(
        db, arena,
        &(struct store_job_logs_append_args){.id = lease->id,
                                             .fencing_token = lease->fencing_token,
                                             .lease_seconds = 300,
                                             .first_seq = first,
                                             .max_bytes = max,
                                             .times = at,
                                             .n_times = n,
                                             .sources = source,
                                             .n_sources = n,
                                             .levels = level,
                                             .n_levels = n,
                                             .stages = level,
                                             .n_stages = n,
                                             .outputs = lines + first,
                                             .n_outputs = n},
        &st, &err));
    return st;
}

/* Whoever calls his daemon by the name of another key's daemon does not come by that one's id, and
 * so not by its jobs. */
static void daemons_are_known_by_key_and_name(void **state CM_UNUSED)
{
    static const struct cm_uuid builtin = {{[15] = 1}}, psk = {{[15] = 3}};
    struct cm_uuid first, again, other;
    struct store_provisioner_daemon_upsert_args row = {.organization_id = org,
                                                       .key_id = builtin,
                                                       .name = CM_STR("host-0"),
                                                       .version = CM_STR("v1"),
                                                       .api_version = CM_STR("1.0"),
                                                       .provisioners = terraform,
                                                       .n_provisioners = 1,
                                                       .tags = untagged,
                                                       .n_tags = 2};
    must(store_provisioner_daemon_upsert(db, arena, &row, &first, &err));
    row.name = CM_STR("HOST-0");
    must(store_provisioner_daemon_upsert(db, arena, &row, &again, &err));
    row.key_id = psk;
    must(store_provisioner_daemon_upsert(db, arena, &row, &other, &err));
    assert_true(cm_uuid_eq(first, again));
    assert_false(cm_uuid_eq(first, other));
}

static void log_lines_arrive_once_and_up_to_the_cap(void **state CM_UNUSED)
{
    make_job(API_PROVISIONER_JOB_TYPE_TEMPLATE_VERSION_IMPORT, untagged, 2);
    struct store_lease *lease = acquire(untagged, 2, "logs");
    /* Lines of one byte, and each one's end is another: empty ones are not for nothing. */
    assert_int_equal(append(lease, 0, 2, 8)->logs_next_seq, 2);
    assert_int_equal(append(lease, 0, 2, 8)->logs_next_seq, 2);
    assert_int_equal(append(lease, 1, 2, 8)->logs_next_seq, 3);
    struct api_provisioner_job_log *logs = NULL;
    size_t n = 0;
    must(store_job_logs(db, arena, lease->id, 0, 0, 0, &logs, &n, &err));
    assert_int_equal(n, 3);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(logs[i].output.ptr[0], '0' + (int)i);
    assert_int_equal(logs[0].log_source, API_LOG_SOURCE_PROVISIONER);
    /* Room for one more line. */
    struct store_job_state *st = append(lease, 3, 2, 8);
    assert_true(st->logs_overflowed);
    must(store_job_logs(db, arena, lease->id, logs[0].id, 0, 0, &logs, &n, &err));
    assert_int_equal(n, 3);
    assert_str(logs[2].output, "3");
    lease->fencing_token--;
    assert_null(append(lease, 0, 1, 100));
    lease->fencing_token++;
    finish(lease, "");
}

static void a_workspace_follows_its_latest_build(void **state CM_UNUSED)
{
    struct cm_uuid w = make_workspace(ann, "follower"), job;
    assert_int_equal(status_of(w), API_WORKSPACE_STATUS_PENDING);
    assert_int_equal(make_build(w, API_WORKSPACE_TRANSITION_START, &job), 1);
    assert_int_equal(status_of(w), API_WORKSPACE_STATUS_PENDING);
    /* No second build beside an active one. */
    assert_int_equal(make_build(w, API_WORKSPACE_TRANSITION_STOP, NULL), 0);
    struct store_lease *lease = acquire(untagged, 2, "follow");
    assert_int_equal(status_of(w), API_WORKSPACE_STATUS_STARTING);
    finish(lease, "");
    assert_int_equal(status_of(w), API_WORKSPACE_STATUS_RUNNING);
    assert_int_equal(make_build(w, API_WORKSPACE_TRANSITION_STOP, &job), 2);
    lease = acquire(untagged, 2, "follow2");
    assert_int_equal(status_of(w), API_WORKSPACE_STATUS_STOPPING);
    finish(lease, "terraform failed");
    assert_int_equal(status_of(w), API_WORKSPACE_STATUS_FAILED);

    must(store_user_update_profile(db, arena, ann, CM_STR("anna"), CM_STR("Ann"), NULL, &err));
    struct store_workspace *row = NULL;
    must(store_workspace_by_id(db, arena, w, &row, &err));
    assert_str(row->owner_username, "anna");
    must(store_user_update_profile(db, arena, ann, CM_STR("ann"), CM_STR("Ann"), NULL, &err));
    must(store_workspace_delete(db, arena, w, NULL, &err));
}

static void upload(struct cm_uuid job, int64_t offset, struct cm_str data)
{
    must(store_job_upload_put(db, arena, job, CM_STR("state"), offset, data, NULL, &err));
}

static void state_arrives_in_parts_and_late_but_not_over_a_newer_build(void **state CM_UNUSED)
{
    struct cm_uuid w = make_workspace(ann, "stateful"), first, second;
    int64_t n = 0;
    struct cm_str *bytes = NULL;
    struct store_build *b = NULL;
    make_build(w, API_WORKSPACE_TRANSITION_START, &first);
    struct store_lease *lease = acquire(untagged, 2, "state");
    upload(first, 3, CM_STR("def"));
    must(store_job_upload_size(db, arena, first, CM_STR("state"), &n, &err));
    assert_int_equal(n, 0);
    upload(first, 0, CM_STR("abc"));
    upload(first, 0, CM_STR("abc"));
    must(store_job_upload_size(db, arena, first, CM_STR("state"), &n, &err));
    assert_int_equal(n, 6);
    /* The lease is lost before the state is in: it counts all the same. */
    must(store_job_fail(db, arena, lease->id, CM_STR("reaped"), NULL, &err));
    must(store_build_take_state(db, arena, first, &n, &err));
    assert_int_equal(n, 1);
    must(store_build_by_job(db, arena, first, &b, &err));
    must(store_build_state(db, arena, b->id, &bytes, &err));
    assert_str(*bytes, "abcdef");
    /* The next build starts from it; from then on, the old one's is refused. */
    make_build(w, API_WORKSPACE_TRANSITION_STOP, &second);
    must(store_build_by_job(db, arena, second, &b, &err));
    must(store_build_state(db, arena, b->id, &bytes, &err));
    assert_str(*bytes, "abcdef");
    must(store_build_take_state(db, arena, first, &n, &err));
    assert_int_equal(n, 0);
    finish(acquire(untagged, 2, "state2"), "");
    must(store_workspace_delete(db, arena, w, NULL, &err));
}

static void list(struct store_workspace_filter f, const char *expected, int64_t expected_total)
{
    struct store_workspace *rows = NULL;
    size_t n = 0;
    int64_t total = -1;
    char names[256] = "";
    must(store_workspaces_list(db, arena, &f, &rows, &n, &total, &err));
    size_t at = 0;
    for (size_t i = 0; i < n; i++)
        at += (size_t)snprintf(names + at, sizeof(names) - at, "%s%.*s", i ? " " : "",
                               CM_STR_ARG(rows[i].name));
    assert_string_equal(names, expected);
    assert_int_equal(total, expected_total);
}

static void lists_show_what_the_caller_may_see_in_order(void **state CM_UNUSED)
{
    struct cm_uuid a1 = make_workspace(ann, "a1"), a2 = make_workspace(ann, "A2"),
                   b1 = make_workspace(bob, "b1");
    struct cm_uuid b2 = make_workspace(bob, "b2"), b3 = make_workspace(bob, "b3");
    struct cm_str org_text = cm_arena_str(arena, cm_str(cm_uuid_text(org).s));
    run(a1, API_WORKSPACE_TRANSITION_STOP);
    run(a2, API_WORKSPACE_TRANSITION_START);
    run(b1, API_WORKSPACE_TRANSITION_START);
    run(b2, API_WORKSPACE_TRANSITION_STOP);
    struct store_workspace_filter all = {.caller = ann, .see_all = true};
    /* Running ones first, then by owner and name. */
    list(all, "A2 b1 a1 b2 b3", 5);
    must(store_workspace_set_favorite(db, arena, b2, true, NULL, &err));
    list(all, "A2 b1 a1 b2 b3", 5);
    all.caller = bob;
    list(all, "b2 A2 b1 a1 b3", 5);
    for (int64_t offset = 0; offset < 5; offset++) {
        static const char *const pages[] = {"b2 A2", "A2 b1", "b1 a1", "a1 b3", "b3"};
        all.limit = 2;
        all.offset = offset;
        list(all, pages[offset], 5);
    }
    all.limit = all.offset = 0;
    /* Those who see nothing by role see their own, and what is shared with them or their groups. */
    struct store_workspace_filter own = {.caller = ann};
    list(own, "A2 a1", 2);
    struct cm_str acl = cm_arena_fmt(arena, "{\"%s\": \"use\"}", cm_uuid_text(ann).s);
    must(store_workspace_set_acl(db, arena, b3, acl, CM_STR("{}"), NULL, &err));
    list(own, "A2 a1 b3", 3);
    acl = cm_arena_fmt(arena, "{\"%s\": \"use\"}", cm_uuid_text(org).s);
    must(store_workspace_set_acl(db, arena, b2, CM_STR("{}"), acl, NULL, &err));
    own.groups = &org_text;
    own.n_groups = 1;
    list(own, "A2 a1 b2 b3", 4);
    own.owner_id = &bob;
    list(own, "b2 b3", 2);
    struct store_workspace_filter by_org = {.caller = ann, .see_orgs = &org, .n_see_orgs = 1};
    list(by_org, "A2 b1 a1 b2 b3", 5);
    struct cm_uuid elsewhere = cm_uuid_random();
    by_org.see_orgs = &elsewhere;
    list(by_org, "A2 a1 b3", 3);
    /* Filters. */
    const struct cm_str stopped[] = {CM_STR("stopped")};
    all.statuses = stopped;
    all.n_statuses = 1;
    list(all, "b2 a1", 2);
    all.statuses = NULL;
    all.name = CM_STR("B");
    list(all, "b2 b1 b3", 3);
    all.name = CM_STR_NONE;
    all.owner_username = CM_STR("ANN");
    list(all, "A2 a1", 2);
    all.owner_username = CM_STR_NONE;
    must(store_workspace_delete(db, arena, b3, NULL, &err));
    list(all, "b2 A2 b1 a1", 4);
    all.deleted = true;
    all.exact_name = CM_STR("b3");
    list(all, "b3", 1);
}

static void an_agent_is_known_by_the_latest_builds_token_only(void **state CM_UNUSED)
{
    struct cm_uuid w = make_workspace(ann, "agentful"), job, resource = cm_uuid_random(),
                   agent = cm_uuid_random();
    struct store_agent_auth *who = NULL;
    struct store_agent *row = NULL;
    struct cm_uuid *changed = NULL;
    size_t n = 0;
    int64_t rows = 0;
    make_build(w, API_WORKSPACE_TRANSITION_START, &job);
    must(store_resource_insert(
        db, arena,
        &(struct store_resource_insert_args){.id = resource,
                                             .job_id = job,
                                             .transition = API_WORKSPACE_TRANSITION_START,
                                             .type = CM_STR("docker"),
                                             .name = CM_STR("main")},
        NULL, &err));
    must(store_agent_insert(
        db, arena,
        &(struct store_agent_insert_args){.id = agent,
                                          .resource_id = resource,
                                          .name = CM_STR("main"),
                                          .hashed_token = CM_STR("hash of a token"),
                                          .connection_timeout_seconds = 120,
                                          .startup_script_behavior = CM_STR("non-blocking"),
                                          .api_key_scope = CM_STR("all"),
                                          .resources_monitoring = CM_STR("{}")},
        NULL, &err));
    must(store_agent_by_token(db, arena, CM_STR("hash of a token"), &who, &err));
    assert_true(cm_uuid_eq(who->workspace_id, w));
    must(store_agent_by_token(db, arena, CM_STR(""), &who, &err));
    assert_null(who);

    must(store_agent_by_id(db, arena, agent, &row, &err));
    assert_int_equal(row->status, API_WORKSPACE_AGENT_STATUS_CONNECTING);
    must(store_agents_alive(db, arena, &agent, 1, cm_time_now(), &changed, &n, &err));
    assert_int_equal(n, 1);
    assert_true(cm_uuid_eq(changed[0], agent));
    must(store_agent_by_id(db, arena, agent, &row, &err));
    assert_int_equal(row->status, API_WORKSPACE_AGENT_STATUS_CONNECTED);
    must(store_agents_alive(db, arena, &agent, 1, cm_time_now(), &changed, &n, &err));
    assert_int_equal(n, 0);
    must(store_agent_disconnected(db, arena, agent, cm_time_now(), NULL, &err));
    must(store_agent_by_id(db, arena, agent, &row, &err));
    assert_int_equal(row->status, API_WORKSPACE_AGENT_STATUS_DISCONNECTED);

    /* States only move forwards. */
    must(store_agent_set_lifecycle(db, arena, agent, API_WORKSPACE_AGENT_LIFECYCLE_READY,
                                   cm_time_now(), &rows, &err));
    assert_int_equal(rows, 1);
    must(store_agent_set_lifecycle(db, arena, agent, API_WORKSPACE_AGENT_LIFECYCLE_START_ERROR,
                                   cm_time_now(), &rows, &err));
    assert_int_equal(rows, 0);

    /* Lines arrive once. */
    const struct cm_time at[] = {{0}, {0}};
    const struct cm_str level[] = {CM_STR("info"), CM_STR("error")},
                        lines[] = {CM_STR("x"), CM_STR("y")};
    struct store_logs_state *st = NULL;
    struct store_agent_logs_append_args args = {.agent_id = agent,
                                                .log_source_id = resource,
                                                .max_bytes = 100,
                                                .times = at,
                                                .n_times = 2,
                                                .levels = level,
                                                .n_levels = 2,
                                                .outputs = lines,
                                                .n_outputs = 2};
    struct api_workspace_agent_log *logs = NULL;
    for (int i = 0; i < 2; i++) {
        must(store_agent_logs_append(db, arena, &args, &st, &err));
        assert_int_equal(st->next_seq, 2);
    }
    must(store_agent_logs(db, arena, agent, 0, 0, 0, &logs, &n, &err));
    assert_int_equal(n, 2);
    assert_int_equal(logs[1].level, API_LOG_LEVEL_ERROR);

    finish(acquire(untagged, 2, "agent"), "");
    run(w, API_WORKSPACE_TRANSITION_STOP);
    must(store_agent_by_token(db, arena, CM_STR("hash of a token"), &who, &err));
    assert_null(who);
}

static int set_up(void **state CM_UNUSED)
{
    db = pg_test_migrated(conninfo);
    arena = cm_arena_new();
    struct store_organization *o = NULL;
    must(store_organization_default(db, arena, &o, &err));
    assert_str(o->name, "coder");
    org = o->id;
    ann = make_user("ann");
    bob = make_user("bob");
    template_id = cm_uuid_random();
    version_id = cm_uuid_random();
    struct cm_uuid job = make_job(API_PROVISIONER_JOB_TYPE_TEMPLATE_VERSION_IMPORT, untagged, 2);
    must(store_template_insert(
        db, arena,
        &(struct store_template_insert_args){.id = template_id,
                                             .organization_id = org,
                                             .created_by = ann,
                                             .name = CM_STR("docker"),
                                             .provisioner = API_PROVISIONER_TYPE_TERRAFORM,
                                             .active_version_id = version_id,
                                             .group_acl = CM_STR("{}"),
                                             .max_port_share_level =
                                                 API_WORKSPACE_AGENT_PORT_SHARE_LEVEL_OWNER,
                                             .cors_behavior = API_CORS_BEHAVIOR_SIMPLE},
        NULL, &err));
    must(store_template_version_insert(
        db, arena,
        &(struct store_template_version_insert_args){.id = version_id,
                                                     .template_id = &template_id,
                                                     .organization_id = org,
                                                     .job_id = job,
                                                     .created_by = ann,
                                                     .name = CM_STR("v1")},
        NULL, &err));
    finish(acquire(untagged, 2, "import"), "");
    return 0;
}

/* ---- keys of the deployment ---- */

static void insert_key(const char *feature, int64_t sequence, cm_usec age)
{
    const uint8_t secret[DEPLOYMENT_KEY_LEN] = {(uint8_t)sequence};
    must(store_crypto_key_insert(db, arena, cm_str(feature), sequence,
                                 cm_str_n(secret, sizeof(secret)), cm_time_add(cm_time_now(), -age),
                                 NULL, &err));
}

static void keys_follow_one_another_without_a_gap(void **state CM_UNUSED)
{
    struct deployment_key keys[DEPLOYMENT_KEYS_MAX];
    size_t n = 0;
    insert_key("young", 1, 89 * 24 * CM_HOUR);
    must(deployment_keys_renew(db, "young", &err));
    must(deployment_keys_load(db, "young", keys, &n, &err));
    assert_int_equal(n, 1);
    /* The next one is known before it is used, and made once, whoever asks again. */
    insert_key("aged", 1, 91 * 24 * CM_HOUR);
    must(deployment_keys_renew(db, "aged", &err));
    must(deployment_keys_renew(db, "aged", &err));
    must(deployment_keys_load(db, "aged", keys, &n, &err));
    assert_int_equal(n, 2);
    assert_int_equal(keys[0].sequence, 1);
    assert_int_equal(keys[1].sequence, 2);
    assert_memory_not_equal(keys[0].secret, keys[1].secret, DEPLOYMENT_KEY_LEN);
    /* Once it has begun it comes first, and the one before is still read. */
    insert_key("aged", 3, CM_SECOND);
    must(deployment_keys_load(db, "aged", keys, &n, &err));
    assert_int_equal(n, 3);
    assert_int_equal(keys[0].sequence, 3);
    assert_int_equal(keys[1].sequence, 1);
}

static void keys_past_their_end_are_not_read_and_removed(void **state CM_UNUSED)
{
    struct deployment_key keys[DEPLOYMENT_KEYS_MAX];
    const uint8_t secret[DEPLOYMENT_KEY_LEN] = {9};
    struct cm_time now = cm_time_now(), begun = cm_time_add(now, -CM_MINUTE);
    size_t n = 0;
    int64_t removed = 0, made = 0;
    insert_key("ended", 7, CM_HOUR);
    must(store_crypto_key_succeed(db, arena, CM_STR("ended"), cm_str_n(secret, sizeof(secret)), now,
                                  begun, begun, &made, &err));
    assert_int_equal(made, 1);
    must(deployment_keys_load(db, "ended", keys, &n, &err));
    assert_int_equal(n, 1);
    assert_int_equal(keys[0].sequence, 8);
    must(store_crypto_keys_purge(db, arena, &removed, &err));
    assert_int_equal(removed, 1);
}

static int tear_down(void **state CM_UNUSED)
{
    cm_arena_free(arena);
    cm_db_free(db);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(of_many_first_users_one_wins),
        cmocka_unit_test(a_key_stands_for_its_user_with_roles),
        cmocka_unit_test(jobs_go_to_daemons_by_tags),
        cmocka_unit_test(a_repeated_acquire_gets_the_same_job),
        cmocka_unit_test(a_lost_lease_changes_nothing),
        cmocka_unit_test(cancel_ends_a_pending_job_and_asks_a_running_one),
        cmocka_unit_test(daemons_are_known_by_key_and_name),
        cmocka_unit_test(log_lines_arrive_once_and_up_to_the_cap),
        cmocka_unit_test(a_workspace_follows_its_latest_build),
        cmocka_unit_test(state_arrives_in_parts_and_late_but_not_over_a_newer_build),
        cmocka_unit_test(lists_show_what_the_caller_may_see_in_order),
        cmocka_unit_test(an_agent_is_known_by_the_latest_builds_token_only),
        cmocka_unit_test(keys_follow_one_another_without_a_gap),
        cmocka_unit_test(keys_past_their_end_are_not_read_and_removed),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
