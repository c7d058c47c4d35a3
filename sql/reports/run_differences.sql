-- group: comparison
-- answers: In which settings do runs differ?
-- title: What differs between runs
-- about: Settings, versions and hardware that are not the same in all selected runs.
--   (unset) means that a run does not have the setting, and (no value) that it has it as a flag alone.
--   Of more than two runs, the first and the last by start time are shown, and other_values counts the remaining values.
-- var: runs = last:2
WITH r AS (SELECT run_id, run, row_number() OVER (ORDER BY started_at, run) AS n, count(*) OVER () AS runs FROM selected_runs),
grid AS (
  SELECT k.source, k.name, r.n, r.runs, CASE s.value WHEN '' THEN '(no value)' ELSE coalesce(s.value, '(unset)') END AS value
  FROM (SELECT DISTINCT source, name FROM raw.setting WHERE run_id IN (SELECT run_id FROM r)) k CROSS JOIN r
    LEFT JOIN raw.setting s ON s.run_id = r.run_id AND s.source = k.source AND s.name = k.name)
SELECT source, name, max(value) FILTER (WHERE n = 1) AS first_value, max(value) FILTER (WHERE n = runs) AS last_value,
  count(DISTINCT value) - CASE WHEN first_value = last_value THEN 1 ELSE 2 END AS other_values
FROM grid GROUP BY source, name HAVING count(DISTINCT value) > 1
ORDER BY list_position(['plan', 'conversation', 'server', 'engine', 'cache_config', 'gpu', 'host', 'software'], source), name;
