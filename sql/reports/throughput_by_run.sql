-- group: throughput
-- answers: How many tokens per second?
-- title: Throughput by run
-- about: Tokens over the time in which turns were under way, without idle time between turns.
--   The figures of decode, prompt and prefill are those of one stream.
--   Decode is tokens after the first read over the time from first to last token.
--   Prompt and prefill are prompt tokens over TTFT, with and without cached ones.
--   Warm-up and failed turns are left out.
-- var: runs = latest
-- chart: bar x=run y=decode_tokens_per_s
WITH busy AS ( -- turns of several users overlap: the time in which at least one was under way
  SELECT run_id, sum(greatest(done_ns - greatest(submit_ns, coalesce(before, submit_ns)), 0)) / 1e6 AS ms
  FROM (
    SELECT run_id, submit_ns, done_ns, max(done_ns) OVER (
      PARTITION BY run_id ORDER BY submit_ns, done_ns ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before
    FROM measured_turns) GROUP BY run_id)
SELECT run, count(*) AS turns, sum(prompt_tokens)::BIGINT AS prompt_total_tokens, sum(cached_tokens)::BIGINT AS cached_total_tokens,
  sum(completion_tokens)::BIGINT AS completion_total_tokens,
  round(any_value(b.ms) / 1e3, 3) AS busy_s,
  round(sum(completion_tokens) * 1e3 / nullif(any_value(b.ms), 0), 2) AS completion_busy_tokens_per_s,
  round(sum(decode_tokens) / nullif(sum(tpot_ms * decode_tokens), 0) * 1e3, 2) AS decode_tokens_per_s,
  round(sum(prompt_tokens) FILTER (WHERE ttft_ms IS NOT NULL) * 1e3
    / nullif(sum(ttft_ms) FILTER (WHERE prompt_tokens IS NOT NULL), 0), 1) AS prompt_tokens_per_s,
  round(sum(uncached_tokens) FILTER (WHERE ttft_ms IS NOT NULL) * 1e3
    / nullif(sum(ttft_ms) FILTER (WHERE uncached_tokens IS NOT NULL), 0), 1) AS prefill_tokens_per_s
FROM measured_turns JOIN busy b USING (run_id) GROUP BY run_id, run ORDER BY min(wall_time), run;
