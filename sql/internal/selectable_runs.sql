-- the runs that a selector may pick, in the order they started
SELECT r.run_id::VARCHAR, r.run, r.name, coalesce(r.simulated, false),
  coalesce(r.plan_id::VARCHAR, ''), list(t.key || '=' || t.value) FILTER (WHERE t.key IS NOT NULL)
FROM runs r LEFT JOIN raw.run_tag t USING (run_id)
GROUP BY r.run_id, r.run, r.name, r.simulated, r.plan_id, r.started_at ORDER BY r.started_at, r.run_id DESC
