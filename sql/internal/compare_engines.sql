-- what the servers of the runs $1 say about themselves: one row per name and value, NULL where a run's server does not say
WITH r AS (SELECT run_id FROM raw.run WHERE list_contains(string_split($1, ','), run_id::VARCHAR)),
n AS (
  SELECT unnest(['kind', 'version', 'model', 'tokenizer', 'template', 'quantization', 'max_model_len_tokens', 'weights_bytes']) AS name
)
SELECT DISTINCT n.name, nullif(coalesce(s.value, CASE n.name
    WHEN 'kind' THEN e.kind
    WHEN 'version' THEN e.version
    WHEN 'model' THEN e.model
    WHEN 'quantization' THEN e.quantization
    WHEN 'max_model_len_tokens' THEN e.max_model_len_tokens::VARCHAR
    WHEN 'weights_bytes' THEN e.weights_bytes::VARCHAR
  END), '') AS value
FROM r CROSS JOIN n
  LEFT JOIN raw.setting s ON s.run_id = r.run_id AND s.source = 'engine' AND s.name = n.name
  LEFT JOIN raw.engine e ON e.run_id = r.run_id
ORDER BY n.name, value NULLS LAST
