-- Statements for the tests of libcommon/db: every type, there and back.
-- include api/users.h

-- row t_all: b bool, i int, f float, t text, u uuid, at time, raw bytes, j json, m jsonmap,
--     e enum api_user_status, bs bool[], is int[], fs float[], ts text[], us uuid[], ats time[], raws bytes[],
--     es enum api_user_status[], role msg api_slim_role, roles msg api_slim_role[]

-- query t_echo(b bool, i int, f float, t text, u uuid, at time, raw bytes, j json, m jsonmap, e enum api_user_status, bs bool[], is int[], fs float[], ts text[], us uuid[], ats time[], raws bytes[], es text[], role json, roles json) -> one t_all
SELECT $b AS b, $i AS i, $f AS f, $t AS t, $u AS u, $at AS at, $raw AS raw, $j AS j, $m AS m, $e AS e, $bs AS bs,
       $is AS is, $fs AS fs, $ts AS ts, $us AS us, $ats AS ats, $raws AS raws, $es AS es, $role AS role, $roles AS roles;

-- row t_null: b bool?, i int?, f float?, t text?, u uuid?, at time?, raw bytes?, j json?, e enum api_user_status?,
--     never time, m jsonmap, ts text[]

-- query t_echo_null(b bool?, i int?, f float?, t text?, u uuid?, at time?, raw bytes?, j json?, e enum api_user_status?, ts text[]?, m jsonmap?) -> one t_null
SELECT $b AS b, $i AS i, $f AS f, $t AS t, $u AS u, $at AS at, $raw AS raw, $j AS j, $e AS e, NULL::timestamptz AS never,
       $m AS m, $ts AS ts;

-- row t_small: a int, b int, c int, d float, n text, v text, u text

-- Narrow types widen.
-- query t_narrow() -> one t_small
SELECT (-7)::int2 AS a, (-70000)::int4 AS b, 1::int8 AS c, 0.5::float4 AS d, 'x'::name AS n, 'y'::varchar AS v,
       '11111111-2222-4333-8444-555555555555'::uuid AS u;

-- Fills a struct of the API by column name.
-- query t_api_user(id uuid) -> one api_user
SELECT $id AS id, 'ann' AS username, 'suspended' AS status, NULL::timestamptz AS last_seen_at,
       '[{"name": "owner", "display_name": "Owner"}]'::jsonb AS roles, ARRAY[$id] AS organization_ids;

-- query t_count(n int) -> one int
SELECT $n + 1;

-- query t_none() -> one int
SELECT 1 WHERE false;

-- query t_maybe(n int) -> optional text
SELECT 'yes' WHERE $n > 0;

-- query t_two() -> optional int
SELECT generate_series(1, 2);

-- query t_series(n int) -> many int
SELECT generate_series(1, $n);

-- query t_sleep(seconds float) -> one text
SELECT pg_sleep($seconds)::text;

-- query t_kill(pid int) -> one bool
SELECT pg_terminate_backend($pid::int4);

-- query t_pid() -> one int
SELECT pg_backend_pid();

-- query t_serialized(key int, delta int) -> exec
UPDATE counters SET value = value + $delta WHERE key = $key;

-- query t_counter(key int) -> one int
SELECT value FROM counters WHERE key = $key;

-- query t_counter_insert(key int, value int) -> exec
INSERT INTO counters (key, value) VALUES ($key, $value);

-- query t_child_insert(key int) -> exec
INSERT INTO children (key) VALUES ($key);

-- query t_changing() -> one text
SELECT shape FROM changing;
