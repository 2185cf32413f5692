-- include api/jobs.h

-- input is JSON of our own; metadata is not in it.
-- row store_job: id uuid, organization_id uuid, initiator_id uuid, type enum api_provisioner_job_type,
--     provisioner enum api_provisioner_type, file_id uuid, tags jsonmap, input json,
--     created_at time, updated_at time, started_at time?, canceled_at time?, completed_at time?,
--     error text, error_code text, status enum api_provisioner_job_status, worker_id uuid?, worker_name text,
--     lease_until time?, fencing_token int, logs_next_seq int, logs_length int, logs_overflowed bool,
--     queue_position int, queue_size int

-- queue_position counts from 1 among the pending jobs that wait for the same kind of daemon; else both are 0.
-- query store_jobs_by_ids(ids uuid[]) -> many store_job
SELECT {j - worker_name, queue_position, queue_size}, coalesce(d.name, '') AS worker_name,
       coalesce(q.before, 0) AS queue_position, coalesce(q.size, 0) AS queue_size
FROM provisioner_jobs j
LEFT JOIN provisioner_daemons d ON d.id = j.worker_id
LEFT JOIN LATERAL (
    SELECT count(*) FILTER (WHERE (p.created_at, p.id) <= (j.created_at, j.id)) AS before, count(*) AS size
    FROM provisioner_jobs p
    WHERE p.organization_id = j.organization_id AND p.status = 'pending' AND p.tags = j.tags
) q ON j.status = 'pending'
WHERE j.id = ANY ($ids);

-- row store_job_listed: id uuid, organization_id uuid, initiator_id uuid, type enum api_provisioner_job_type,
--     file_id uuid, tags jsonmap, input json, created_at time, started_at time?, canceled_at time?,
--     completed_at time?, error text, error_code text, status enum api_provisioner_job_status, worker_id uuid?,
--     worker_name text, logs_overflowed bool, queue_position int, queue_size int, available_workers uuid[],
--     template_version_id uuid?, workspace_build_id uuid?, template_version_name text, template_id uuid,
--     template_name text, template_display_name text, template_icon text, workspace_id uuid?,
--     workspace_name text, workspace_build_transition text

-- Newest first, with what the job is about; filters may be absent.
-- query store_jobs_list(organization_id uuid, ids uuid[]?, statuses text[]?, tags json?, initiator_id uuid?, limit int) -> many store_job_listed
WITH found AS (
    SELECT * FROM provisioner_jobs j
    WHERE j.organization_id = $organization_id
      AND ($ids::uuid[] IS NULL OR j.id = ANY ($ids))
      AND ($statuses::text[] IS NULL OR j.status = ANY ($statuses))
      AND ($tags::jsonb IS NULL OR j.tags @> $tags)
      AND ($initiator_id::uuid IS NULL OR j.initiator_id = $initiator_id)
    ORDER BY j.created_at DESC, j.id DESC
    LIMIT nullif($limit, 0)
)
SELECT j.id, j.organization_id, j.initiator_id, j.type, j.file_id, j.tags, j.input, j.created_at, j.started_at,
       j.canceled_at, j.completed_at, j.error, j.error_code, j.status, j.worker_id, coalesce(d.name, '') AS worker_name,
       j.logs_overflowed, coalesce(q.before, 0) AS queue_position, coalesce(q.size, 0) AS queue_size,
       CASE WHEN j.status = 'pending' THEN ARRAY(
           SELECT a.id FROM provisioner_daemons a
           WHERE a.organization_id = j.organization_id AND j.provisioner = ANY (a.provisioners)
             AND provisioner_tags_match(j.tags, a.tags) AND a.last_seen_at > now() - interval '90 seconds'
       ) END AS available_workers,
       v.id AS template_version_id, b.id AS workspace_build_id, coalesce(v.name, '') AS template_version_name,
       t.id AS template_id, coalesce(t.name, '') AS template_name,
       coalesce(t.display_name, '') AS template_display_name, coalesce(t.icon, '') AS template_icon,
       w.id AS workspace_id, coalesce(w.name, '') AS workspace_name,
       coalesce(b.transition, '') AS workspace_build_transition
FROM found j
LEFT JOIN provisioner_daemons d ON d.id = j.worker_id
LEFT JOIN workspace_builds b ON b.job_id = j.id
LEFT JOIN workspaces w ON w.id = b.workspace_id
LEFT JOIN template_versions v ON v.id = b.template_version_id OR v.job_id = j.id
       OR (j.type = 'template_version_dry_run' AND v.id = (j.input ->> 'template_version_id')::uuid)
LEFT JOIN templates t ON t.id = v.template_id
LEFT JOIN LATERAL (
    SELECT count(*) FILTER (WHERE (p.created_at, p.id) <= (j.created_at, j.id)) AS before, count(*) AS size
    FROM provisioner_jobs p
    WHERE p.organization_id = j.organization_id AND p.status = 'pending' AND p.tags = j.tags
) q ON j.status = 'pending'
ORDER BY j.created_at DESC, j.id DESC;

-- query store_job_insert(id uuid, organization_id uuid, initiator_id uuid, type enum api_provisioner_job_type, provisioner enum api_provisioner_type, file_id uuid, tags jsonmap, input json) -> exec
INSERT INTO provisioner_jobs (id, organization_id, initiator_id, type, provisioner, file_id, tags, input)
VALUES ($id, $organization_id, $initiator_id, $type, $provisioner, $file_id, $tags, $input);

-- ---- leases ----

-- row store_lease: id uuid, organization_id uuid, initiator_id uuid, type enum api_provisioner_job_type,
--     file_id uuid, tags jsonmap, input json, fencing_token int

-- The oldest job that the daemon may run, its lease begun; nobody waits for another. Prebuilds come last. A
-- repeated request, known by its id, gets the job that it got.
-- query store_job_acquire(organization_id uuid, provisioners text[], tags jsonmap, worker_id uuid, lease_seconds int, request_id text) -> optional store_lease
WITH again AS (
    SELECT id FROM provisioner_jobs
    WHERE worker_id = $worker_id AND acquire_request_id = $request_id AND status IN ('running', 'canceling')
), next AS (
    SELECT j.id
    FROM provisioner_jobs j
    WHERE j.status = 'pending' AND j.organization_id = $organization_id AND j.provisioner = ANY ($provisioners)
      AND provisioner_tags_match(j.tags, $tags)
      AND NOT EXISTS (SELECT FROM again)
    ORDER BY j.initiator_id = 'c42fdf75-3097-471c-8c33-fb52454d81c0', j.created_at, j.id
    LIMIT 1
    FOR UPDATE SKIP LOCKED
), chosen AS (
    SELECT id, false AS fresh FROM again
    UNION ALL
    SELECT id, true FROM next
)
UPDATE provisioner_jobs j
SET started_at = coalesce(j.started_at, now()), updated_at = now(), worker_id = $worker_id,
    lease_until = now() + make_interval(secs => $lease_seconds), acquire_request_id = $request_id,
    fencing_token = j.fencing_token + chosen.fresh::integer
FROM chosen
WHERE j.id = chosen.id
RETURNING {j};

-- row store_job_state: status enum api_provisioner_job_status, canceled_at time?, logs_next_seq int,
--     logs_overflowed bool

-- Renews the lease. No row: the lease is lost, and what the holder does counts no more.
-- query store_job_renew(id uuid, fencing_token int, lease_seconds int) -> optional store_job_state
UPDATE provisioner_jobs
SET lease_until = now() + make_interval(secs => $lease_seconds), updated_at = now()
WHERE id = $id AND fencing_token = $fencing_token AND status IN ('running', 'canceling')
RETURNING status, canceled_at, logs_next_seq, logs_overflowed;

-- The final word of a lease's holder; 0 rows when the lease is lost. error '' is success, or canceled.
-- query store_job_complete(id uuid, fencing_token int, error text, error_code text) -> exec
UPDATE provisioner_jobs
SET completed_at = now(), updated_at = now(), error = $error, error_code = $error_code, lease_until = NULL
WHERE id = $id AND fencing_token = $fencing_token AND status IN ('running', 'canceling');

-- Ends a job from outside, fencing its holder off; 0 rows when it has ended already.
-- query store_job_fail(id uuid, error text) -> exec
UPDATE provisioner_jobs
SET completed_at = now(), updated_at = now(), error = $error, lease_until = NULL, fencing_token = fencing_token + 1
WHERE id = $id AND completed_at IS NULL;

-- Ends a job that needed no daemon, as one that orphans resources.
-- query store_job_succeed(id uuid) -> exec
UPDATE provisioner_jobs
SET started_at = coalesce(started_at, now()), completed_at = now(), updated_at = now(),
    fencing_token = fencing_token + 1
WHERE id = $id AND status = 'pending';

-- Asks for the end: a pending job is canceled at once. expect_status NULL: whatever it is. 0 rows: the status is
-- another, or the job has ended or was asked already.
-- query store_job_cancel(id uuid, expect_status text?) -> exec
UPDATE provisioner_jobs
SET canceled_at = now(), updated_at = now(), completed_at = CASE WHEN started_at IS NULL THEN now() END
WHERE id = $id AND status IN ('pending', 'running') AND ($expect_status::text IS NULL OR status = $expect_status);

-- row store_job_hung: id uuid, type enum api_provisioner_job_type, status enum api_provisioner_job_status,
--     lost bool

-- fragment hung
((status IN ('running', 'canceling') AND lease_until < now())
 OR (status = 'canceling' AND canceled_at < $cancel_before)
 OR (status = 'pending' AND created_at < $pending_before))

-- Jobs to be reaped: the lease is over, the cancel went unheard, or nobody took the job in time. In random order, so
-- that one that cannot be reaped holds up no other.
-- query store_jobs_hung(cancel_before time, pending_before time, limit int) -> many store_job_hung
SELECT id, type, status, coalesce(lease_until < now(), false) AS lost
FROM provisioner_jobs
WHERE {{hung}}
ORDER BY random()
LIMIT $limit;

-- Ends such a job, fencing its holder off; 0 rows when it has been heard of meanwhile.
-- query store_job_reap(id uuid, cancel_before time, pending_before time, error text) -> exec
UPDATE provisioner_jobs
SET completed_at = now(), updated_at = now(), error = $error, lease_until = NULL, fencing_token = fencing_token + 1
WHERE id = $id AND {{hung}};

-- Lines of the server's own at the end of a job's log, in the stage of the last line.
-- query store_job_notice(id uuid, outputs text[]) -> exec
INSERT INTO provisioner_job_logs (job_id, created_at, source, level, stage, output)
SELECT $id, now() + make_interval(secs => x.n / 1000.0), 'provisioner_daemon', 'error',
       coalesce((SELECT l.stage FROM provisioner_job_logs l WHERE l.job_id = $id ORDER BY l.id DESC LIMIT 1), ''),
       x.output
FROM unnest($outputs) WITH ORDINALITY AS x (output, n)
ORDER BY x.n;

-- Parts of uploads that were never completed.
-- query store_job_uploads_purge(completed_before time) -> exec
DELETE FROM provisioner_job_uploads u USING provisioner_jobs j
WHERE j.id = u.job_id AND j.completed_at < $completed_before;

-- ---- logs ----

-- Renews the lease and appends lines, the first of which has position first_seq in the job's sequence: those that
-- have arrived already are left out. Lines past max_bytes of output in all, of which each line's end is one, are dropped.
-- No row: the lease is lost.
-- query store_job_logs_append(id uuid, fencing_token int, lease_seconds int, first_seq int, max_bytes int, times time[], sources text[], levels text[], stages text[], outputs text[]) -> optional store_job_state
WITH job AS (
    SELECT id, logs_next_seq, logs_length, logs_overflowed FROM provisioner_jobs
    WHERE id = $id AND fencing_token = $fencing_token AND status IN ('running', 'canceling')
    FOR UPDATE
), lines AS (
    SELECT x.*, sum(octet_length(x.output) + 1) OVER (ORDER BY x.n) AS upto
    FROM job, unnest($times, $sources, $levels, $stages, $outputs) WITH ORDINALITY
         AS x (created_at, source, level, stage, output, n)
    WHERE $first_seq + x.n - 1 >= job.logs_next_seq
), fit AS (
    SELECT lines.* FROM job, lines
    WHERE NOT job.logs_overflowed AND job.logs_length + lines.upto <= $max_bytes
), kept AS (
    INSERT INTO provisioner_job_logs (job_id, created_at, source, level, stage, output)
    SELECT $id, created_at, source, level, stage, output FROM fit ORDER BY n
)
UPDATE provisioner_jobs j
SET lease_until = now() + make_interval(secs => $lease_seconds), updated_at = now(),
    logs_next_seq = greatest(job.logs_next_seq, $first_seq + cardinality($outputs)),
    logs_length = job.logs_length + coalesce((SELECT max(upto) FROM fit), 0),
    logs_overflowed = job.logs_overflowed OR (SELECT count(*) FROM fit) < (SELECT count(*) FROM lines)
FROM job
WHERE j.id = job.id
RETURNING j.status, j.canceled_at, j.logs_next_seq, j.logs_overflowed;

-- A line of the server's own.
-- query store_job_log_add(id uuid, level text, stage text, output text) -> exec
INSERT INTO provisioner_job_logs (job_id, created_at, source, level, stage, output)
VALUES ($id, now(), 'provisioner_daemon', $level, $stage, $output);

-- after and before are ids, 0: no bound. limit 0: all.
-- query store_job_logs(job_id uuid, after int, before int, limit int) -> many api_provisioner_job_log
SELECT id, created_at, source AS log_source, level AS log_level, stage, output
FROM provisioner_job_logs
WHERE job_id = $job_id AND id > $after AND ($before = 0 OR id < $before)
ORDER BY id
LIMIT nullif($limit, 0);

-- ---- timings ----

-- query store_job_timings_insert(job_id uuid, started_at time[], ended_at time[], stages text[], sources text[], actions text[], resources text[]) -> exec
INSERT INTO provisioner_job_timings (job_id, started_at, ended_at, stage, source, action, resource)
SELECT $job_id, * FROM unnest($started_at, $ended_at, $stages, $sources, $actions, $resources);

-- row store_job_timing: job_id uuid, started_at time, ended_at time, stage text, source text, action text,
--     resource text

-- query store_job_timings(job_id uuid) -> many store_job_timing
SELECT {t} FROM provisioner_job_timings t WHERE t.job_id = $job_id ORDER BY t.started_at;

-- ---- uploads in parts ----

-- query store_job_upload_put(job_id uuid, what text, byte_offset int, data bytes) -> exec
INSERT INTO provisioner_job_uploads (job_id, what, byte_offset, data) VALUES ($job_id, $what, $byte_offset, $data)
ON CONFLICT (job_id, what, byte_offset) DO UPDATE SET data = excluded.data;

-- Bytes that are there without a gap from 0.
-- query store_job_upload_size(job_id uuid, what text) -> one int
SELECT coalesce(sum(length(data)) FILTER (WHERE gapless), 0)::int8
FROM (SELECT data, byte_offset = coalesce(sum(length(data)) OVER before, 0) AS gapless
      FROM provisioner_job_uploads
      WHERE job_id = $job_id AND what = $what
      WINDOW before AS (ORDER BY byte_offset ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)) x;

-- query store_job_upload_get(job_id uuid, what text) -> optional bytes
SELECT string_agg(data, '' ORDER BY byte_offset) FROM provisioner_job_uploads
WHERE job_id = $job_id AND what = $what
HAVING count(*) > 0;

-- query store_job_upload_drop(job_id uuid, what text) -> exec
DELETE FROM provisioner_job_uploads WHERE job_id = $job_id AND what = $what;
