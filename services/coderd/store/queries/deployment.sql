-- Figures of the deployment as a whole.

-- row store_deployment_stats: pending int, building int, running int, failed int, stopped int,
--     rx_bytes int, tx_bytes int, latency_p50 float, latency_p95 float,
--     vscode int, ssh int, jetbrains int, reconnecting_pty int

-- Traffic and latency since then, sessions as of each agent's last report of the last minutes. Latency -1: unknown.
-- query store_deployment_stats_get(since time) -> one store_deployment_stats
WITH w AS (
    SELECT count(*) FILTER (WHERE status = 'pending') AS pending,
           count(*) FILTER (WHERE status = 'starting') AS building,
           count(*) FILTER (WHERE status = 'running') AS running,
           count(*) FILTER (WHERE status = 'failed') AS failed,
           count(*) FILTER (WHERE status IN ('stopped', 'stopping')) AS stopped
    FROM workspaces WHERE NOT deleted
), traffic AS (
    SELECT coalesce(sum(rx_bytes), 0)::int8 AS rx_bytes, coalesce(sum(tx_bytes), 0)::int8 AS tx_bytes,
           coalesce(percentile_cont(0.5) WITHIN GROUP (ORDER BY connection_median_latency_ms)
                    FILTER (WHERE connection_median_latency_ms >= 0), -1) AS latency_p50,
           coalesce(percentile_cont(0.95) WITHIN GROUP (ORDER BY connection_median_latency_ms)
                    FILTER (WHERE connection_median_latency_ms >= 0), -1) AS latency_p95
    FROM workspace_agent_stats WHERE created_at > $since
), newest AS (
    SELECT DISTINCT ON (agent_id) * FROM workspace_agent_stats
    WHERE created_at > now() - interval '2 minutes'
    ORDER BY agent_id, created_at DESC
), sessions AS (
    SELECT coalesce(sum(session_count_vscode), 0)::int8 AS vscode, coalesce(sum(session_count_ssh), 0)::int8 AS ssh,
           coalesce(sum(session_count_jetbrains), 0)::int8 AS jetbrains,
           coalesce(sum(session_count_reconnecting_pty), 0)::int8 AS reconnecting_pty
    FROM newest
)
SELECT * FROM w, traffic, sessions;
