-- progress of the run that was begun last
SELECT r.run, r.status, count(t.turn_id) FILTER (WHERE NOT t.warmup AND NOT t.repeated) AS turns,
  count(t.turn_id) FILTER (WHERE t.status NOT IN ('ok', 'interrupted') AND NOT t.warmup) AS failed,
  arg_max(t.conversation || ' turn ' || t.turn, t.done_ns) AS last, round(arg_max(t.ttft_ms, t.done_ns), 1) AS ttft_ms,
  round(arg_max(t.hit_ratio, t.done_ns), 2) AS hit_ratio
FROM runs r LEFT JOIN turns t USING (run_id)
WHERE r.run_id = (SELECT run_id FROM raw.run ORDER BY started_at DESC, run_id LIMIT 1) GROUP BY ALL
