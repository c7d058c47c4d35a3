-- group: latency
-- answers: Which turns stopped in the middle?
-- title: Stalls inside turns
-- about: Gaps between tokens that are far above the median of their turn, with what wb, the host, the GPU and the server showed then.
--   wb_late_ms is how late wb's clock fired: if it is large, wb itself was frozen and the stall may not be the server's.
-- var: runs = latest
-- var: factor = 5
-- var: min_ms = 20
-- chart: scatter x=elapsed_s y=gap_ms series=conversation
WITH g AS (
  SELECT t.run_id, t.run, t.conversation, t.repeat, t.turn, t.turn_id, g.seq, g.t_ns, g.gap_ms,
    median(g.gap_ms) OVER (PARTITION BY t.run_id, t.turn_id) AS median_ms
  FROM measured_turns t JOIN selected_gaps g ON g.run_id = t.run_id AND g.turn_id = t.turn_id),
s AS (
  SELECT *, t_ns - (gap_ms * 1e6)::BIGINT AS from_ns FROM g
  WHERE gap_ms > coalesce(getvariable('factor')::DOUBLE, 5) * median_ms AND gap_ms > coalesce(getvariable('min_ms')::DOUBLE, 20)),
hosts AS (
  SELECT s.run_id, s.turn_id, s.seq, max(h.late_ns) / 1e6 AS wb_late_ms, max(h.cpu_ratio) AS cpu_ratio
  FROM s JOIN raw.host_sample h ON h.run_id = s.run_id AND h.t_ns BETWEEN s.from_ns - 100000000 AND s.t_ns + 600000000 GROUP BY ALL),
gpus AS (
  SELECT s.run_id, s.turn_id, s.seq, min(u.gpu_util_ratio) AS gpu_util_min_ratio, min(u.sm_clock_mhz) AS sm_clock_min_mhz,
    bit_or(u.throttle_reasons) AS throttle_reasons
  FROM s JOIN raw.gpu_sample u ON u.run_id = s.run_id AND u.t_ns BETWEEN s.from_ns - 50000000 AND s.t_ns + 50000000 GROUP BY ALL),
noted AS (
  SELECT s.run_id, s.turn_id, s.seq, string_agg(DISTINCT e.kind, ' ') AS events
  FROM s JOIN raw.event e ON e.run_id = s.run_id AND e.t_ns BETWEEN s.from_ns AND s.t_ns + 1000000000 GROUP BY ALL)
SELECT s.run, s.conversation, s.repeat, s.turn, s.seq, round(s.from_ns / 1e9, 3) AS elapsed_s, round(s.gap_ms, 2) AS gap_ms,
  round(s.median_ms, 2) AS gap_p50_ms,
  round(s.gap_ms / nullif(s.median_ms, 0), 1) AS times_median, round(h.wb_late_ms, 1) AS wb_late_ms, round(h.cpu_ratio, 3) AS cpu_ratio,
  u.gpu_util_min_ratio, u.sm_clock_min_mhz, u.throttle_reasons, c.server_preemptions, c.server_requests, e.events
FROM s LEFT JOIN hosts h USING (run_id, turn_id, seq) LEFT JOIN gpus u USING (run_id, turn_id, seq)
  LEFT JOIN noted e USING (run_id, turn_id, seq)
  LEFT JOIN selected_turn_counters c ON c.run_id = s.run_id AND c.turn_id = s.turn_id
ORDER BY s.gap_ms DESC, s.turn_id, s.seq;
