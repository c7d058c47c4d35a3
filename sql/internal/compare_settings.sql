-- names of the settings that differ between the runs $1 and $2, of which there are $3 and $4
WITH s AS (
  SELECT source, name, value, run_id, list_contains(string_split($1, ','), run_id::VARCHAR) AS base
  FROM raw.setting
  WHERE source IN ('plan', 'conversation', 'server', 'engine', 'cache_config', 'gpu', 'host')
    AND list_contains(string_split($1 || ',' || $2, ','), run_id::VARCHAR)
)
SELECT source || '.' || name
FROM s
GROUP BY source, name
HAVING (
    list_sort(list(DISTINCT value) FILTER (WHERE base)) IS DISTINCT FROM list_sort(list(DISTINCT value) FILTER (WHERE NOT base))
    AND (source IN ('plan', 'server', 'conversation') OR count(DISTINCT base) = 2)
  )
  OR (
    source IN ('plan', 'server', 'conversation')
    AND (count(DISTINCT run_id) FILTER (WHERE base) < $3) <> (count(DISTINCT run_id) FILTER (WHERE NOT base) < $4)
  )
ORDER BY 1
