-- title: Fidelity
-- about: Runs against a server that wrote down what it really did (wb selftest): how far the client's figures are from the truth. TTFT counts from the request's last written byte to the read that brought the first token, in truth from the request's arrival to the first token's sending; ITL is the gap between two tokens. Errors are of the mean, the median and the 99th percentile of all turns or gaps, client over truth less 1. load_kept_ratio: tokens a second of each stream, as the server could send them, over the rate it was to keep.
-- var: runs = latest
WITH sent AS (
  SELECT run_id, request_id, min(t_ns) FILTER (WHERE seq = 0) AS received_ns, min(t_ns) FILTER (WHERE tokens > 0) AS first_ns, max(t_ns) FILTER (WHERE tokens > 0) AS last_ns, sum(tokens) AS tokens
  FROM raw.truth WHERE run_id IN (SELECT run_id FROM selected_runs) GROUP BY ALL),
turn AS (
  SELECT t.run_id, t.run, t.turn_id, t.request_id, t.ttft_ms, (s.first_ns - s.received_ns) / 1e6 AS true_ttft_ms, s.tokens, (s.last_ns - s.first_ns) / 1e9 AS streaming_s
  FROM measured_turns t JOIN sent s USING (run_id, request_id)),
ttft AS (
  SELECT run_id, run, count(*) AS turns, avg(true_ttft_ms) AS true_ms, avg(ttft_ms) / avg(true_ttft_ms) - 1 AS mean, quantile_cont(ttft_ms, 0.5) / quantile_cont(true_ttft_ms, 0.5) - 1 AS p50,
    quantile_cont(ttft_ms, 0.99) / quantile_cont(true_ttft_ms, 0.99) - 1 AS p99, sum(tokens) AS tokens, sum(tokens - 1) / nullif(sum(streaming_s), 0) AS stream_rate
  FROM turn GROUP BY ALL),
seen AS (SELECT g.run_id, g.gap_ms FROM selected_gaps g JOIN turn t USING (run_id, turn_id)),
true_gap AS (
  SELECT run_id, gap_ms FROM (SELECT r.run_id, (r.t_ns - lag(r.t_ns) OVER (PARTITION BY r.run_id, r.request_id ORDER BY r.seq)) / 1e6 AS gap_ms FROM raw.truth r JOIN turn t USING (run_id, request_id) WHERE r.tokens > 0) WHERE gap_ms IS NOT NULL),
itl AS (
  SELECT a.run_id, b.mean AS true_ms, a.mean / b.mean - 1 AS mean, a.p50 / b.p50 - 1 AS p50, a.p99 / b.p99 - 1 AS p99, a.top AS max_ms, b.top AS true_max_ms
  FROM (SELECT run_id, avg(gap_ms) AS mean, quantile_cont(gap_ms, 0.5) AS p50, quantile_cont(gap_ms, 0.99) AS p99, max(gap_ms) AS top FROM seen GROUP BY ALL) a
    JOIN (SELECT run_id, avg(gap_ms) AS mean, quantile_cont(gap_ms, 0.5) AS p50, quantile_cont(gap_ms, 0.99) AS p99, max(gap_ms) AS top FROM true_gap GROUP BY ALL) b USING (run_id)),
own AS (
  SELECT run_id, max(cpu_s) - min(cpu_s) AS cpu_s, max(rss_bytes) AS rss_bytes FROM raw.process_sample WHERE role = 'wb' GROUP BY ALL),
chosen AS (
  SELECT run_id, any_value(value::DOUBLE) FILTER (WHERE source = 'selftest' AND name = 'pace_tokens_per_s') AS pace, any_value(value::INTEGER) FILTER (WHERE source = 'plan' AND name = 'users') AS users FROM raw.setting WHERE (source, name) IN (('selftest', 'pace_tokens_per_s'), ('plan', 'users')) GROUP BY ALL)
SELECT t.run, c.users AS streams, c.pace AS pace_tokens_per_s, t.turns, round(t.true_ms, 2) AS ttft_true_ms, round(t.mean, 5) AS ttft_error_mean_ratio, round(t.p50, 5) AS ttft_error_p50_ratio, round(t.p99, 5) AS ttft_error_p99_ratio,
  round(i.true_ms, 3) AS itl_true_ms, round(i.mean, 5) AS itl_error_mean_ratio, round(i.p50, 5) AS itl_error_p50_ratio, round(i.p99, 5) AS itl_error_p99_ratio, round(i.max_ms, 2) AS itl_max_ms, round(i.true_max_ms, 2) AS itl_true_max_ms,
  round(t.stream_rate / c.pace, 4) AS load_kept_ratio, t.tokens::BIGINT AS completion_tokens, round(o.cpu_s, 3) AS client_cpu_s, o.rss_bytes AS client_rss_peak_bytes
FROM ttft t LEFT JOIN itl i USING (run_id) LEFT JOIN own o USING (run_id) LEFT JOIN chosen c USING (run_id) JOIN raw.run r USING (run_id) ORDER BY r.started_at, t.run;
