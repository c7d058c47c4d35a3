-- group: health
-- answers: How exact are the figures of wb itself?
-- title: Fidelity
-- about: Runs against a server that wrote down what it really did (wb selftest): how far the client's figures are from that.
--   TTFT as the client sees it: from the last written byte of the request to the read that brought the first token.
--   The true TTFT: from the arrival of the request at the server to the sending of the first token.
--   ITL is the gap between two tokens.
--   Errors are those of the mean, the median and the 99th percentile of all turns or gaps: client over server, less 1.
--   load_kept_ratio: tokens per second of each stream, as the server could send them, over the rate that it was to keep.
--   kept_ratio: the time that turns take at that rate, over the time from each stream's first request to its last token.
--   Pauses between turns therefore lower it.
--   bare_kept_ratio: the same for a client that records nothing.
--   late_p99_ms: from the sending of a token to wb's time stamp.
--   late_limit_p99_ms: what the report client_overhead gives for that.
-- var: runs = latest
WITH sent AS (
  SELECT run_id, request_id, min(t_ns) FILTER (WHERE seq = 0) AS received_ns, min(t_ns) FILTER (WHERE tokens > 0) AS first_ns,
    max(t_ns) FILTER (WHERE tokens > 0) AS last_ns, sum(tokens) AS tokens
  FROM raw.truth WHERE run_id IN (SELECT run_id FROM selected_runs) GROUP BY ALL),
turn AS (
  SELECT t.run_id, t.run, t.turn_id, t.request_id, t.ttft_ms, (s.first_ns - s.received_ns) / 1e6 AS true_ttft_ms, s.tokens,
    (s.last_ns - s.first_ns) / 1e9 AS streaming_s
  FROM measured_turns t JOIN sent s USING (run_id, request_id)),
ttft AS (
  SELECT run_id, run, count(*) AS turns, avg(true_ttft_ms) AS true_ms, avg(ttft_ms) / avg(true_ttft_ms) - 1 AS mean,
    quantile_cont(ttft_ms, 0.5) / quantile_cont(true_ttft_ms, 0.5) - 1 AS p50,
    quantile_cont(ttft_ms, 0.99) / quantile_cont(true_ttft_ms, 0.99) - 1 AS p99, sum(tokens) AS tokens,
    sum(tokens - 1) / nullif(sum(streaming_s), 0) AS stream_rate
  FROM turn GROUP BY ALL),
seen AS (SELECT g.run_id, g.gap_ms FROM selected_gaps g JOIN turn t USING (run_id, turn_id)),
true_gap AS (
  SELECT run_id, gap_ms FROM (
    SELECT r.run_id, (r.t_ns - lag(r.t_ns) OVER (PARTITION BY r.run_id, r.request_id ORDER BY r.seq)) / 1e6 AS gap_ms
    FROM raw.truth r JOIN turn t USING (run_id, request_id) WHERE r.tokens > 0)
  WHERE gap_ms IS NOT NULL),
itl AS (
  SELECT a.run_id, b.mean AS true_ms, a.mean / b.mean - 1 AS mean, a.p50 / b.p50 - 1 AS p50, a.p99 / b.p99 - 1 AS p99, a.top AS max_ms,
    b.top AS true_max_ms
  FROM (
      SELECT run_id, avg(gap_ms) AS mean, quantile_cont(gap_ms, 0.5) AS p50, quantile_cont(gap_ms, 0.99) AS p99, max(gap_ms) AS top
      FROM seen GROUP BY ALL) a
    JOIN (
      SELECT run_id, avg(gap_ms) AS mean, quantile_cont(gap_ms, 0.5) AS p50, quantile_cont(gap_ms, 0.99) AS p99, max(gap_ms) AS top
      FROM true_gap GROUP BY ALL) b USING (run_id)),
wb AS (
  SELECT run_id, max(cpu_s) - min(cpu_s) AS cpu_s, max(rss_bytes) AS rss_bytes FROM raw.process_sample WHERE role = 'wb' GROUP BY ALL),
chosen AS (
  SELECT run_id, any_value(try_cast(value AS DOUBLE)) FILTER (WHERE source = 'selftest' AND name = 'pace_tokens_per_s') AS pace,
    any_value(try_cast(value AS DOUBLE)) FILTER (WHERE source = 'selftest' AND name = 'turn_ms') AS turn_ms,
    any_value(try_cast(value AS DOUBLE)) FILTER (WHERE source = 'selftest' AND name = 'bare_kept_ratio') AS bare,
    bool_or(source = 'selftest' AND name = 'truth_clock' AND value = 'run') AS one_clock,
    any_value(try_cast(value AS INTEGER)) FILTER (WHERE source = 'plan' AND name = 'users') AS users
  FROM raw.setting WHERE (source, name) IN (('selftest', 'pace_tokens_per_s'), ('selftest', 'turn_ms'), ('selftest', 'bare_kept_ratio'),
    ('selftest', 'truth_clock'), ('plan', 'users')) GROUP BY ALL),
stream AS (
  SELECT run_id, client_user, count(*) AS turns, (max(done_ns) - min(submit_ns)) / 1e6 AS ms FROM measured_turns GROUP BY ALL),
pause AS (
  SELECT run_id, quantile_cont(ms, [0.5, 0.99]) AS q
  FROM (SELECT run_id, (submit_ns - lag(done_ns) OVER (PARTITION BY run_id, client_user ORDER BY submit_ns)) / 1e6 AS ms
      FROM measured_turns)
  WHERE ms IS NOT NULL GROUP BY ALL),
loop AS (
  SELECT s.run_id, sum(s.turns * c.turn_ms) / nullif(sum(s.ms), 0) AS kept
  FROM stream s JOIN chosen c USING (run_id) GROUP BY ALL),
late AS (
  SELECT a.run_id, quantile_cont((a.t_ns - b.t_ns) / 1e6, 0.99) AS p99, quantile_cont(a.read_delay_ns / 1e6, 0.99) AS limit_p99
  FROM (SELECT c.run_id, t.request_id, c.t_ns, c.read_delay_ns, row_number() OVER (PARTITION BY c.run_id, c.turn_id ORDER BY c.seq) AS n
      FROM raw.chunk c JOIN turn t USING (run_id, turn_id) WHERE c.tokens > 0) a
    JOIN (SELECT run_id, request_id, t_ns, row_number() OVER (PARTITION BY run_id, request_id ORDER BY seq) AS n
      FROM raw.truth WHERE tokens > 0 AND run_id IN (SELECT run_id FROM selected_runs)) b USING (run_id, request_id, n)
    JOIN chosen c ON c.run_id = a.run_id AND c.one_clock GROUP BY ALL)
SELECT t.run, c.users AS streams, c.pace AS pace_tokens_per_s, t.turns, round(t.true_ms, 2) AS ttft_true_mean_ms,
  round(t.mean, 5) AS ttft_error_mean_ratio, round(t.p50, 5) AS ttft_error_p50_ratio, round(t.p99, 5) AS ttft_error_p99_ratio,
  round(i.true_ms, 3) AS itl_true_mean_ms, round(i.mean, 5) AS itl_error_mean_ratio, round(i.p50, 5) AS itl_error_p50_ratio,
  round(i.p99, 5) AS itl_error_p99_ratio, round(i.max_ms, 2) AS itl_max_ms, round(i.true_max_ms, 2) AS itl_true_max_ms,
  round(t.stream_rate / c.pace, 4) AS load_kept_ratio, round(l.kept, 4) AS kept_ratio, round(c.bare, 4) AS bare_kept_ratio,
  round(p.q[1], 2) AS pause_p50_ms, round(p.q[2], 2) AS pause_p99_ms,
  round(d.p99, 3) AS late_p99_ms, round(d.limit_p99, 3) AS late_limit_p99_ms, t.tokens::BIGINT AS completion_total_tokens,
  round(o.cpu_s, 3) AS wb_cpu_s, o.rss_bytes AS wb_rss_peak_bytes
FROM ttft t LEFT JOIN itl i USING (run_id) LEFT JOIN wb o USING (run_id) LEFT JOIN chosen c USING (run_id)
  LEFT JOIN loop l USING (run_id) LEFT JOIN pause p USING (run_id) LEFT JOIN late d USING (run_id)
  JOIN raw.run r USING (run_id) ORDER BY r.started_at, t.run;
