-- group: health
-- answers: Did the machine change during a run?
-- title: Drift
-- about: Whether figures stayed the same during a run.
--   Each measured turn is compared with the median of the same turn over the repeats (at least two), in the order of play.
--   autocorrelation is that of neighbouring turns (lag 1).
--   Beyond 2/√n neighbouring turns are related, and intervals over turns would be too narrow.
--   drift_ratio is the linear trend from the first turn to the last, and drift_t its t statistic.
--   temperature_correlation and clock_correlation are with the GPU's temperature and SM clock during the turn.
--   first_session_ratio: how much slower the first measured session was than the same turns later.
--   A large value means too little warm-up.
--   With several users TTFT is left out, since it depends on who else is served.
--   remark says what matters.
-- var: runs = latest
WITH gpu_turn AS (
  SELECT t.run_id, t.turn_id, avg(g.temperature_c) AS temperature_c, avg(g.sm_clock_mhz) AS sm_clock_mhz
  FROM measured_turns t JOIN raw.gpu_sample g ON g.run_id = t.run_id AND g.t_ns BETWEEN t.submit_ns AND t.done_ns
    AND g.sample_group = 'fast' GROUP BY ALL),
base AS (
  SELECT t.run_id, t.run, t.turn_id, t.submit_ns, t.session_id = min(t.session_id) OVER (PARTITION BY t.run_id) AS first_session,
    count(*) OVER same AS n, min(t.client_user) OVER (PARTITION BY t.run_id) < max(t.client_user) OVER (PARTITION BY t.run_id) AS shared,
    ln(t.ttft_ms / nullif(median(t.ttft_ms) OVER same, 0)) AS ttft,
    ln(nullif(t.tpot_ms, 0) / nullif(median(t.tpot_ms) OVER same, 0)) AS tpot, temperature_c, sm_clock_mhz
  FROM measured_turns t LEFT JOIN gpu_turn USING (run_id, turn_id) WHERE t.ttft_ms > 0
  WINDOW same AS (PARTITION BY t.run_id, t.conversation, t.placement, t.turn)),
long AS (
  SELECT *, 'ttft' AS metric, ttft AS x FROM base WHERE n > 1 AND shared IS NOT TRUE
  UNION ALL SELECT *, 'tpot', tpot FROM base WHERE n > 1 AND tpot > -100),
lagged AS (SELECT *, lag(x) OVER (PARTITION BY run_id, metric ORDER BY turn_id) AS before,
    avg(x) OVER (PARTITION BY run_id, metric) AS mean FROM long),
figures AS (
  SELECT run_id, run, metric, count(*) AS turns,
    sum((x - mean) * (before - mean)) / nullif(sum((x - mean) * (x - mean)), 0) AS autocorrelation,
    exp(regr_slope(x, submit_ns) * (max(submit_ns) - min(submit_ns))) - 1 AS drift_ratio, nullif(corr(x, submit_ns), 'nan'::DOUBLE) AS r,
    nullif(corr(x, temperature_c), 'nan'::DOUBLE) AS temperature_correlation,
    nullif(corr(x, sm_clock_mhz), 'nan'::DOUBLE) AS clock_correlation,
    exp(avg(x) FILTER (WHERE first_session) - avg(x) FILTER (WHERE NOT first_session)) - 1 AS first_session_ratio,
    stddev_samp(x) AS spread, count(*) FILTER (WHERE first_session) AS firsts
  FROM lagged GROUP BY ALL HAVING count(*) > 1),
tested AS (SELECT *, r * sqrt(greatest(turns - 2, 0) / nullif(1 - r * r, 0)) AS drift_t FROM figures)
SELECT run, metric, turns, round(autocorrelation, 3) AS autocorrelation, round(drift_ratio, 4) AS drift_ratio,
  round(drift_t, 2) AS drift_t, round(temperature_correlation, 3) AS temperature_correlation,
  round(clock_correlation, 3) AS clock_correlation,
  round(first_session_ratio, 4) AS first_session_ratio,
  nullif(concat_ws('; ',
    CASE WHEN turns >= 10 AND abs(drift_ratio) > 0.02 AND abs(drift_t) > 3
      THEN format('it got {:.1f} % {} from the first turn to the last', abs(100 * drift_ratio),
        CASE WHEN drift_ratio > 0 THEN 'slower' ELSE 'faster' END)
      || CASE WHEN abs(clock_correlation) > 0.5 THEN ', as the GPU''s clock moved'
        WHEN abs(temperature_correlation) > 0.5 THEN ', as the GPU''s temperature moved' ELSE '' END END,
    CASE WHEN turns >= 10 AND first_session_ratio > 0.05 AND first_session_ratio > 3 * spread / sqrt(firsts)
      THEN format('the first session was {:.0f} % slower than later ones: repeat with a larger --warmup', 100 * first_session_ratio) END,
    CASE WHEN turns >= 20 AND autocorrelation > greatest(0.2, 2 / sqrt(turns)) AND NOT (abs(drift_ratio) > 0.02 AND abs(drift_t) > 3)
      THEN 'neighbouring turns are correlated' END), '') AS remark
FROM tested ORDER BY run, metric;
