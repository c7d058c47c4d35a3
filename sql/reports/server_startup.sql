-- group: health
-- answers: How long did the server take to start?
-- title: Server start-up
-- about: One row per server process that wb started: how long it took to answer and to give its first token, and where the time went.
--   first_ttft_ms is the TTFT of its very first request, warm-up included.
--   The report is empty for servers that wb did not start.
-- var: runs = latest
-- chart: bar x=start y=import_s,engine_s,load_s,compile_phase_s,profile_s,capture_s,warm_s
SELECT CASE WHEN (SELECT count(*) FROM selected_runs) > 1 THEN run || ' · ' || start_id ELSE start_id::VARCHAR END AS start, run,
  start_id, conversations, status,
  round(startup_s, 2) AS startup_s, round(first_token_s, 2) AS first_token_s, round(first_ttft_ms, 1) AS first_ttft_ms,
  round(import_s, 2) AS import_s, round(engine_s, 2) AS engine_s,
  round(load_s, 2) AS load_s, round(compile_phase_s, 2) AS compile_phase_s, round(profile_s, 2) AS profile_s,
  round(capture_s, 2) AS capture_s, round(warm_s, 2) AS warm_s,
  round(stop_s, 2) AS stop_s, round(release_s, 2) AS release_s, kv_cache_size_tokens, weights_bytes, error
FROM server_starts WHERE run_id IN (SELECT run_id FROM selected_runs)
ORDER BY run, start_id;
