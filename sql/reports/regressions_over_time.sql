-- group: comparison
-- answers: Did a day differ from the days before?
-- title: Each day compared with the days before
-- about: Compares each day (UTC) with the earlier days within the window, by machine, model, GPU and settings.
--   The figure is the median over conversation turns of each turn's median on that day over its median on the earlier days.
--   A change_ratio above 0 is slower.
--   Turns are used only if both sides played them with equal settings and about equally long prompts.
--   settings is a hash of how the server was started and what the runs asked of it, without the server's version.
--   engine_versions says which versions served them.
-- var: runs = all
-- var: days = 14
-- chart: line x=day y=ttft_change_ratio series=series
WITH settings AS ( -- what must be equal. A new vLLM reports more about its cache than an old one: only what all report counts
  SELECT r.run_id, (SELECT any_value(g.name) FROM raw.gpu g WHERE g.run_id = r.run_id AND g.gpu = 0) AS gpu_name,
    left(md5(coalesce(string_agg(s.source || s.name || '=' || s.value, ' ' ORDER BY s.source, s.name) FILTER (WHERE
      (s.source = 'server' AND s.name NOT IN ('--port', '--host'))
      OR (s.source = 'cache_config' AND s.name IN ('block_size', 'cache_dtype', 'enable_prefix_caching'))
      OR (s.source = 'plan' AND s.name IN (
        'users', 'rate', 'arrival', 'max_tokens', 'isolation', 'rag_placement', 'replies', 'ignore_eos', 'api'))), '')), 8) AS settings
  FROM selected_runs r LEFT JOIN raw.setting s USING (run_id) GROUP BY r.run_id),
turn AS (
  SELECT coalesce(r.hostname, 'unknown') AS machine, r.model, x.gpu_name, x.settings, r.simulated, r.started_at::DATE AS day,
    r.engine_version, r.run_id, t.conversation, t.placement, t.turn, round(t.prompt_tokens, -2) AS around_tokens, t.ttft_ms, t.tpot_ms
  FROM selected_runs r JOIN settings x USING (run_id) JOIN measured_turns t USING (run_id)),
by_day AS (
  SELECT machine, model, gpu_name, settings, simulated, day, conversation, placement, turn, around_tokens, median(ttft_ms) AS ttft_ms,
    median(tpot_ms) AS tpot_ms
  FROM turn GROUP BY ALL),
held AS (
  SELECT a.machine, a.model, a.gpu_name, a.settings, a.simulated, a.day, a.ttft_ms, a.tpot_ms, median(b.ttft_ms) AS ttft_before_ms,
    median(b.tpot_ms) AS tpot_before_ms
  FROM by_day a JOIN by_day b ON b.machine = a.machine AND b.model = a.model AND b.gpu_name IS NOT DISTINCT FROM a.gpu_name
    AND b.settings = a.settings AND b.simulated = a.simulated AND b.conversation = a.conversation AND b.placement = a.placement
    AND b.turn = a.turn AND b.around_tokens = a.around_tokens AND b.day < a.day
    AND b.day >= a.day - coalesce(getvariable('days')::INTEGER, 14)
  GROUP BY a.machine, a.model, a.gpu_name, a.settings, a.simulated, a.day, a.conversation, a.placement, a.turn, a.around_tokens, a.ttft_ms,
    a.tpot_ms),
days AS (
  SELECT h.machine, h.model, h.gpu_name, h.settings, h.simulated, h.day, count(*) AS compared_turns,
    round(exp(median(ln(nullif(h.ttft_ms, 0) / nullif(h.ttft_before_ms, 0)))) - 1, 4) AS ttft_change_ratio,
    round(exp(median(ln(nullif(h.tpot_ms, 0) / nullif(h.tpot_before_ms, 0)))) - 1, 4) AS tpot_change_ratio
  FROM held h GROUP BY ALL),
versions AS (
  SELECT machine, model, gpu_name, settings, simulated, day,
    string_agg(DISTINCT engine_version, ' ' ORDER BY engine_version) AS engine_versions
  FROM turn GROUP BY ALL)
SELECT d.machine || CASE WHEN max(d.model) OVER m = min(d.model) OVER m THEN '' ELSE ' · ' || d.model END
  || CASE WHEN max(coalesce(d.gpu_name, '')) OVER m = min(coalesce(d.gpu_name, '')) OVER m THEN ''
    ELSE ' · ' || coalesce(d.gpu_name, 'no GPU') END
  || CASE WHEN max(d.settings) OVER m = min(d.settings) OVER m THEN '' ELSE ' · ' || d.settings END
  || CASE WHEN max(d.simulated) OVER m = min(d.simulated) OVER m OR NOT d.simulated THEN '' ELSE ' · simulated' END AS series,
  d.*, v.engine_versions
FROM days d LEFT JOIN versions v ON v.machine = d.machine AND v.model = d.model AND v.gpu_name IS NOT DISTINCT FROM d.gpu_name
  AND v.settings = d.settings AND v.simulated = d.simulated AND v.day = d.day
WINDOW m AS (PARTITION BY d.machine) ORDER BY d.machine, d.model, d.gpu_name, d.settings, d.simulated, d.day;
