-- what a reader must know about runs that did not end well, or that have turns which do not count
SELECT r.run, r.status, coalesce(r.error, ''), t.turns, t.failed, t.uncounted, e.disagreeing, e.impossible,
  e.unanswered, e.truncated, t.warm, t.sessions, t.isolation
FROM runs r
LEFT JOIN (
  SELECT run_id, count(*) AS turns, count(*) FILTER (WHERE status NOT IN ('ok', 'interrupted')) AS failed,
    count(*) FILTER (WHERE status = 'ok' AND completion_tokens > 1 AND tpot_ms IS NULL) AS uncounted,
    count(DISTINCT session_id) FILTER (WHERE began_warm) AS warm, count(DISTINCT session_id) AS sessions,
      any_value(isolation) AS isolation
  FROM turns WHERE NOT warmup AND NOT repeated GROUP BY run_id
) t USING (run_id)
LEFT JOIN (
  SELECT run_id, count(DISTINCT turn_id) FILTER (WHERE kind = 'usage_disagrees') AS disagreeing,
    count(DISTINCT turn_id) FILTER (WHERE kind = 'usage_refused') AS impossible,
    count(DISTINCT turn_id) FILTER (WHERE kind = 'no_answer') AS unanswered,
    count(DISTINCT turn_id) FILTER (WHERE kind = 'context_truncated') AS truncated
  FROM raw.event GROUP BY run_id
) e USING (run_id)
WHERE list_contains(string_split(?, ','), r.run_id::VARCHAR)
  AND (r.status <> 'ok' OR t.failed > 0 OR t.uncounted > 0 OR t.warm > 0 OR e.disagreeing + e.impossible + e.unanswered + e.truncated > 0)
ORDER BY r.started_at, r.run_id DESC
