-- the newest calibration on the machine of a run, with its server, settings and model: ids of its two runs, and its day
WITH like_base AS (
  SELECT r.hostname, e.kind, e.model, (SELECT any_value(name) FROM raw.gpu g WHERE g.run_id = r.run_id AND g.gpu = 0) AS gpu
  FROM raw.run r JOIN raw.engine e USING (run_id) WHERE r.run_id = ?::UUID
)
SELECT arg_min(r.run_id::VARCHAR, r.cell), arg_max(r.run_id::VARCHAR, r.cell), strftime(min(r.started_at), '%Y-%m-%d')
FROM raw.run r
JOIN raw.engine e USING (run_id)
JOIN raw.run_tag t ON t.run_id = r.run_id AND t.key = ? AND t.value = ?
JOIN like_base l ON l.hostname IS NOT DISTINCT FROM r.hostname AND l.kind = e.kind AND l.model = e.model
  AND l.gpu IS NOT DISTINCT FROM (SELECT any_value(name) FROM raw.gpu g WHERE g.run_id = r.run_id AND g.gpu = 0)
WHERE r.status = 'ok' AND r.plan_id IS NOT NULL
  AND NOT EXISTS (
    SELECT 1 FROM (
      SELECT source, name, value, run_id FROM raw.setting
      WHERE (source = 'server' AND name NOT IN ('--port', '--host'))
        OR (source = 'engine' AND name IN ('version', 'model_root'))
        OR (source = 'plan' AND name IN ('users', 'rate', 'arrival'))
    ) s
    WHERE s.run_id IN (r.run_id, ?::UUID)
    GROUP BY s.source, s.name HAVING count(DISTINCT s.value) > 1 OR count(DISTINCT s.run_id) < 2
  )
GROUP BY r.plan_id HAVING count(*) = 2 ORDER BY min(r.started_at) DESC LIMIT 1
