-- group: throughput
-- answers: What happens when several users play at once?
-- title: Under load
-- about: One row per run: how many streams there were, what they did together, and what each of them got.
--   played_s is the time from the first turn to the last, added up over the segments of a plan.
--   streams_mean is the time of all turns together over played_s.
--   wait is the time from when a turn was to be sent until it was sent.
--   There is a wait with --rate only; ttft_with_wait counts from the intended time, and without a wait it is TTFT.
--   Warm-up and failed turns are left out.
-- var: runs = latest
WITH span AS (SELECT run_id, sum(to_ns - from_ns) AS ns FROM segments GROUP BY run_id)
SELECT t.run, count(DISTINCT t.client_user) AS users, count(DISTINCT t.session_id) AS sessions, count(*) AS turns,
  round(any_value(s.ns) / 1e9, 2) AS played_s, round(sum(t.done_ns - t.submit_ns) / nullif(any_value(s.ns), 0), 2) AS streams_mean,
  round(count(*) * 1e9 / nullif(any_value(s.ns), 0), 2) AS turns_per_s,
  round(sum(t.completion_tokens) * 1e9 / nullif(any_value(s.ns), 0), 1) AS completion_tokens_per_s,
  round(quantile_cont(t.ttft_with_wait_ms, 0.5), 2) AS ttft_with_wait_p50_ms,
  round(quantile_cont(t.ttft_with_wait_ms, 0.9), 2) AS ttft_with_wait_p90_ms,
  round(quantile_cont(t.ttft_with_wait_ms, 0.99), 2) AS ttft_with_wait_p99_ms,
  round(quantile_cont(t.tpot_ms, 0.5), 3) AS tpot_p50_ms, round(quantile_cont(t.tpot_ms, 0.99), 3) AS tpot_p99_ms,
  round(quantile_cont(t.wait_ms, 0.5), 2) AS wait_p50_ms, round(quantile_cont(t.wait_ms, 0.99), 2) AS wait_p99_ms
FROM measured_turns t JOIN span s USING (run_id) GROUP BY t.run_id, t.run ORDER BY min(t.wall_time);
