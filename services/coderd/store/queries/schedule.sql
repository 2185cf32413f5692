-- When workspaces start, stop, sleep and go by themselves. Time zones are PostgreSQL's business.

-- The first time after `after` at which the clock of the zone shows one of these minutes and hours on one of these
-- weekdays (0: Sunday) that is also one of the named days. NULL: not within nine days.
-- query store_schedule_next(zone text, minutes int[], hours int[], weekdays int[], days text[], after time) -> optional time
SELECT min(c.at)
FROM generate_series(0, 9) AS n
CROSS JOIN LATERAL (SELECT ($after::timestamptz AT TIME ZONE $zone)::date + n AS day) d
CROSS JOIN unnest($hours) AS h
CROSS JOIN unnest($minutes) AS m
CROSS JOIN LATERAL (SELECT (d.day + make_time(h::integer, m::integer, 0)) AT TIME ZONE $zone AS at) c
WHERE extract(dow FROM d.day)::int8 = ANY ($weekdays) AND lower(to_char(d.day, 'FMDay')) = ANY ($days)
  AND c.at > $after
HAVING count(*) > 0;

-- query store_time_zone_known(zone text) -> one bool
SELECT EXISTS (SELECT FROM pg_timezone_names WHERE name = $zone);

-- row store_due: id uuid, action text

-- Workspaces whose time has come, longest ago first. stop: the deadline of a running one is over; cleanup: a start
-- failed longer ago than the template allows; dormant: nobody used it; delete: dormant for too long; start: by its
-- schedule, if the executor finds that its time has come.
-- query store_schedule_due(limit int) -> many store_due
SELECT w.id, x.action
FROM workspaces w
JOIN users u ON u.id = w.owner_id AND NOT u.is_system
JOIN templates t ON t.id = w.template_id
JOIN workspace_builds b ON b.id = w.latest_build_id
JOIN provisioner_jobs j ON j.id = b.job_id
CROSS JOIN LATERAL (
    SELECT CASE
        WHEN w.dormant_at IS NOT NULL AND w.deleting_at <= now() AND j.completed_at IS NOT NULL
             AND NOT (b.transition = 'delete' AND j.completed_at > now() - interval '1 hour') THEN 'delete'
        WHEN w.status = 'running' AND b.deadline <= now() THEN 'stop'
        WHEN b.transition = 'start' AND j.status = 'failed' AND t.failure_ttl_ms > 0
             AND j.completed_at + make_interval(secs => t.failure_ttl_ms / 1000.0) <= now() THEN 'cleanup'
        WHEN w.dormant_at IS NULL AND t.time_til_dormant_ms > 0 AND j.completed_at IS NOT NULL
             AND w.last_used_at + make_interval(secs => t.time_til_dormant_ms / 1000.0) <= now() THEN 'dormant'
        WHEN w.status = 'stopped' AND w.dormant_at IS NULL AND w.autostart_schedule <> ''
             AND t.allow_user_autostart AND u.status = 'active'
             AND (w.next_start_at IS NULL OR w.next_start_at <= now()) THEN 'start'
    END AS action
) x
WHERE NOT w.deleted AND x.action IS NOT NULL
ORDER BY coalesce(b.deadline, w.next_start_at, j.completed_at)
LIMIT $limit;

-- When the autostart comes next, as the executor and clients see it. NULL: the executor finds out.
-- query store_workspace_set_next_start(id uuid, next_start_at time?) -> exec
UPDATE workspaces SET next_start_at = $next_start_at WHERE id = $id AND NOT deleted;

-- Schedules of the template's workspaces are to be computed again.
-- query store_template_forget_next_starts(template_id uuid) -> exec
UPDATE workspaces SET next_start_at = NULL WHERE template_id = $template_id AND next_start_at IS NOT NULL;

-- The deadline of a start that has just succeeded: now and the time until stop, from the template's where users may
-- not set one. If that passes the next autostart, it counts from there.
-- query store_build_begin_deadline(id uuid) -> exec
UPDATE workspace_builds b
SET deadline = CASE WHEN w.next_start_at > now() AND w.next_start_at < now() + x.ttl THEN w.next_start_at + x.ttl
                    ELSE now() + x.ttl END
FROM workspaces w
JOIN users u ON u.id = w.owner_id AND NOT u.is_system
JOIN templates t ON t.id = w.template_id
CROSS JOIN LATERAL (
    SELECT make_interval(secs => CASE WHEN t.allow_user_autostop THEN w.ttl_ms ELSE t.default_ttl_ms END / 1000.0) AS ttl
) x
WHERE b.id = $id AND w.id = b.workspace_id AND b.transition = 'start' AND x.ttl > interval '0';

-- Activity puts the deadline off, once a twentieth of the last bump is used up; never past max_deadline, and not when
-- it is over already.
-- query store_workspace_bump(workspace_id uuid) -> exec
UPDATE workspace_builds b
SET deadline = least(b.max_deadline, x.deadline), updated_at = now()
FROM workspaces w
JOIN users u ON u.id = w.owner_id AND NOT u.is_system
JOIN templates t ON t.id = w.template_id
CROSS JOIN LATERAL (SELECT make_interval(secs => t.activity_bump_ms / 1000.0) AS bump,
                           make_interval(secs => CASE WHEN t.allow_user_autostop THEN w.ttl_ms
                                                      ELSE t.default_ttl_ms END / 1000.0) AS ttl) d
CROSS JOIN LATERAL (SELECT CASE WHEN w.next_start_at > now() AND w.next_start_at < now() + d.bump
                                THEN w.next_start_at + d.ttl ELSE now() + d.bump END AS deadline) x
WHERE w.id = $workspace_id AND b.id = w.latest_build_id AND w.status = 'running' AND b.deadline > now()
  AND t.activity_bump_ms > 0 AND b.deadline < now() + d.bump * 0.95 AND x.deadline > b.deadline;

-- Without a time until stop there is no deadline but the one that must be.
-- query store_workspace_drop_deadline(id uuid) -> exec
UPDATE workspace_builds b SET deadline = b.max_deadline, updated_at = now()
FROM workspaces w
WHERE w.id = $id AND b.id = w.latest_build_id AND b.transition = 'start' AND b.deadline IS NOT NULL;
