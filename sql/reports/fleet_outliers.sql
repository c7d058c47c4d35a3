-- group: comparison
-- answers: Which machines are unlike the others?
-- title: Machines unlike the others
-- about: Compares machines that ran the same turns with the same server settings, model, GPU and prompt length.
--   One row per machine and metric whose median differs from that of the other machines by more than the limit.
--   The limit is a share of the median of the others.
--   The report needs three machines with equal settings.
--   settings is a hash of the settings that are equal.
-- var: runs = all
-- var: limit = 0.1
-- chart: bar x=machine y=change_ratio series=metric
WITH settings AS ( -- what must be equal: how the server was started and what it reports about itself
  SELECT r.run_id, left(md5(
      coalesce(string_agg(s.source || s.name || '=' || s.value, ' ' ORDER BY s.source, s.name) FILTER (WHERE
        (s.source = 'server' AND s.name NOT IN ('--port', '--host'))
        OR s.source = 'cache_config'
        OR (s.source = 'engine' AND s.name IN ('kind', 'version', 'model', 'max_model_len_tokens', 'block_size_tokens'))
        OR (s.source = 'plan' AND s.name IN (
          'users', 'rate', 'arrival', 'max_tokens', 'isolation', 'rag_placement', 'replies', 'ignore_eos', 'api'))), '')
      || coalesce((SELECT any_value(g.name) FROM raw.gpu g WHERE g.run_id = r.run_id AND g.gpu = 0), '')), 8) AS settings
  FROM selected_runs r LEFT JOIN raw.setting s USING (run_id) GROUP BY r.run_id),
turn AS (
  SELECT coalesce(r.hostname, 'unknown') AS machine, x.settings, t.conversation, t.placement, t.turn,
    round(t.prompt_tokens, -2) AS around_tokens, t.ttft_ms, t.tpot_ms
  FROM selected_runs r JOIN settings x USING (run_id) JOIN measured_turns t USING (run_id)),
figures AS (UNPIVOT turn ON ttft_ms, tpot_ms INTO NAME metric VALUE ms),
of_machine AS (
  SELECT machine, settings, metric, conversation, placement, turn, around_tokens, median(ms) AS ms, count(*) AS turns
  FROM figures GROUP BY ALL),
others AS ( -- the same turn on every machine
  SELECT a.machine, a.settings, a.metric, a.turns, a.ms,
    (SELECT median(b.ms) FROM of_machine b
      WHERE b.settings = a.settings AND b.metric = a.metric AND b.conversation = a.conversation AND b.placement = a.placement
        AND b.turn = a.turn AND b.around_tokens = a.around_tokens AND b.machine <> a.machine) AS others_ms,
    (SELECT count(DISTINCT b.machine) FROM of_machine b
      WHERE b.settings = a.settings AND b.metric = a.metric AND b.conversation = a.conversation AND b.placement = a.placement
        AND b.turn = a.turn AND b.around_tokens = a.around_tokens) AS machines
  FROM of_machine a)
SELECT machine, settings, metric, max(machines) AS machines, sum(turns)::BIGINT AS turns, round(median(ms), 3) AS p50_ms,
  round(median(others_ms), 3) AS others_p50_ms, round(exp(median(ln(ms / others_ms))) - 1, 4) AS change_ratio
FROM others WHERE machines >= 3 AND ms > 0 AND others_ms > 0 GROUP BY machine, settings, metric
HAVING abs(exp(median(ln(ms / others_ms))) - 1) > coalesce(getvariable('limit')::DOUBLE, 0.1)
ORDER BY abs(exp(median(ln(ms / others_ms))) - 1) DESC, machine, metric;
