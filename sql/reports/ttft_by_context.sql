-- group: latency
-- answers: How does TTFT grow with the context?
-- title: Time to first token by context length
-- about: One point per turn, by how much of its prompt came from the prefix cache: cold is below a tenth, cached is from a half.
-- var: runs = latest
-- chart: scatter x=prompt_tokens y=ttft_ms series=series title="TTFT by prompt length"
-- chart: scatter x=uncached_tokens y=ttft_ms series=series title="TTFT by tokens to prefill"
SELECT CASE WHEN hit_ratio IS NULL THEN 'unknown' WHEN hit_ratio < 0.1 THEN 'cold' WHEN hit_ratio < 0.5 THEN 'partly' ELSE 'cached' END
    || CASE WHEN (SELECT count(*) FROM selected_runs) > 1 THEN ' · ' || run ELSE '' END AS series,
  run, conversation, repeat, turn, prompt_tokens, cached_tokens, uncached_tokens, round(ttft_ms, 3) AS ttft_ms
FROM measured_turns
ORDER BY run, prompt_tokens, turn_id;
