-- tokens per second of a run, and the rate up to which the last self-test on its machine was exact; NULL where unknown
SELECT
  (SELECT sum(completion_tokens) FROM turns WHERE run_id = $1::UUID AND status = 'ok' AND NOT warmup AND NOT repeated) * 1e9
    / (SELECT nullif(sum(to_ns - from_ns), 0) FROM segments WHERE run_id = $1::UUID),
  (SELECT try_cast(s.value AS DOUBLE) FROM raw.setting s JOIN raw.run r USING (run_id)
    WHERE s.source = 'selftest' AND s.name = 'holds_to_tokens_per_s'
      AND r.hostname IS NOT DISTINCT FROM (SELECT hostname FROM raw.run WHERE run_id = $1::UUID)
    ORDER BY r.started_at DESC LIMIT 1)
