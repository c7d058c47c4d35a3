-- why turns of runs may not be equal: settings that leave token counts to the server, and the names of settings that differ
SELECT
  count(*) FILTER (WHERE (name = 'replies' AND value <> 'scripted') OR (name = 'ignore_eos' AND value <> 'true')),
  (
    SELECT string_agg(name, ' and ' ORDER BY name) FROM (
      SELECT name FROM raw.setting
      WHERE source IN ('plan', 'engine')
        AND name IN ('rag_placement', 'max_tokens', 'max_turns', 'conversations', 'api', 'model', 'max_model_len_tokens')
        AND list_contains(string_split($1, ','), run_id::VARCHAR)
      GROUP BY name HAVING count(DISTINCT value) > 1
    )
  )
FROM raw.setting WHERE source = 'plan' AND list_contains(string_split($1, ','), run_id::VARCHAR)
