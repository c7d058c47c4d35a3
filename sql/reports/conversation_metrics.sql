-- group: latency
-- answers: What did each conversation take of the machine?
-- title: Conversations with system resources
-- about: One row per conversation, and per placement of documents: means over its turns, and what the machine did while it was played.
--   It is the CSV file of a report, for other programs; conversation_summary is the same to read.
--   cpu is the host's, from 0 to 1 over all threads; memory is the host's in use.
--   server_rss is the sum over the server's processes, which each session may have started anew.
--   GPU figures are over all GPUs: the mean of utilisation, and the sum of memory and power; a sum of peaks is at least the peak.
--   A mean is over all readings between the first turn sent and the last turn ended of each session.
--   energy_total_j leaves out sessions with a failed turn.
--   With several users, sessions overlap, and each has the whole energy of its time.
--   A figure that was not measured is empty.
--   Warm-up and failed turns are left out.
-- var: runs = latest
WITH played AS (
  SELECT t.run_id, t.conversation, t.placement, t.session_id, min(t.submit_ns) AS from_ns, max(t.done_ns) AS to_ns,
    min(t.wall_time) AS wall_time
  FROM measured_turns t GROUP BY ALL),
figures AS (
  SELECT t.run_id, t.run, t.conversation, t.placement, count(DISTINCT t.session_id) AS sessions, count(*) AS turns,
    max(t.prompt_tokens) AS longest_prompt_tokens, avg(t.prompt_tokens) AS prompt_mean_tokens,
    sum(t.prompt_tokens)::BIGINT AS prompt_total_tokens, sum(t.cached_tokens)::BIGINT AS cached_total_tokens,
    sum(t.completion_tokens)::BIGINT AS completion_total_tokens,
    sum(t.cached_tokens) / nullif(sum(t.prompt_tokens) FILTER (WHERE t.cached_tokens IS NOT NULL), 0) AS hit_ratio,
    avg(t.ttft_ms) AS ttft_mean_ms, median(t.ttft_ms) AS ttft_p50_ms, max(t.ttft_ms) AS ttft_max_ms, avg(t.tpot_ms) AS tpot_mean_ms,
    median(t.tpot_ms) AS tpot_p50_ms, avg(t.decode_tokens_per_s) AS decode_mean_tokens_per_s, avg(t.e2e_ms) AS e2e_mean_ms,
    sum(t.e2e_ms) / 1e3 AS e2e_total_s, count(DISTINCT t.session_id) FILTER (WHERE t.began_warm) AS warm_sessions
  FROM measured_turns t GROUP BY ALL),
energy AS (
  SELECT p.run_id, p.conversation, p.placement, sum(x.energy_j) AS energy_total_j
  FROM played p JOIN session_energy x USING (run_id, session_id)
  WHERE NOT EXISTS (FROM raw.turn t WHERE t.run_id = p.run_id AND t.session_id = p.session_id AND t.status <> 'ok') GROUP BY ALL),
host AS (
  SELECT p.run_id, p.conversation, p.placement, avg(h.cpu_ratio) AS cpu_mean_ratio, max(h.cpu_ratio) AS cpu_peak_ratio,
    avg(h.memory_used_bytes)::BIGINT AS memory_mean_bytes, max(h.memory_used_bytes) AS memory_peak_bytes
  FROM played p JOIN raw.host_sample h ON h.run_id = p.run_id AND h.t_ns BETWEEN p.from_ns AND p.to_ns GROUP BY ALL),
server AS (
  SELECT run_id, conversation, placement, avg(mean)::BIGINT AS server_rss_mean_bytes, max(peak)::BIGINT AS server_rss_peak_bytes FROM (
    SELECT run_id, conversation, placement, session_id, sum(mean) AS mean, sum(peak) AS peak FROM (
      SELECT p.run_id, p.conversation, p.placement, p.session_id, s.pid, avg(s.rss_bytes) AS mean, max(s.rss_bytes) AS peak
      FROM played p JOIN raw.process_sample s ON s.run_id = p.run_id AND s.t_ns BETWEEN p.from_ns AND p.to_ns
      WHERE s.role = 'engine' GROUP BY ALL) GROUP BY ALL) GROUP BY ALL),
gpu AS (
  SELECT run_id, conversation, placement, avg(util_mean) AS gpu_util_mean_ratio, max(util_peak) AS gpu_util_peak_ratio,
    sum(memory_mean)::BIGINT AS gpu_memory_mean_bytes, sum(memory_peak)::BIGINT AS gpu_memory_peak_bytes,
    sum(power_mean) AS gpu_power_mean_w, sum(power_peak) AS gpu_power_peak_w FROM (
    SELECT p.run_id, p.conversation, p.placement, g.gpu, avg(g.gpu_util_ratio) AS util_mean, max(g.gpu_util_ratio) AS util_peak,
      avg(g.memory_used_bytes) AS memory_mean, max(g.memory_used_bytes) AS memory_peak, avg(g.power_w) AS power_mean,
      max(g.power_w) AS power_peak
    FROM played p JOIN raw.gpu_sample g ON g.run_id = p.run_id AND g.t_ns BETWEEN p.from_ns AND p.to_ns GROUP BY ALL) GROUP BY ALL)
SELECT f.* EXCLUDE (run_id), e.energy_total_j, h.* EXCLUDE (run_id, conversation, placement), s.* EXCLUDE (run_id, conversation, placement),
  g.* EXCLUDE (run_id, conversation, placement)
FROM figures f LEFT JOIN energy e USING (run_id, conversation, placement) LEFT JOIN host h USING (run_id, conversation, placement)
  LEFT JOIN server s USING (run_id, conversation, placement) LEFT JOIN gpu g USING (run_id, conversation, placement)
ORDER BY (
  SELECT min(p.wall_time) FROM played p
  WHERE p.run_id = f.run_id AND p.conversation = f.conversation AND p.placement = f.placement);
