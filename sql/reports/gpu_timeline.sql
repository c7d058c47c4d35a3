-- group: GPU and energy
-- answers: What did the GPU do, moment by moment?
-- title: GPU over time
-- about: Means over steps of bucket_s seconds.
--   turn_label is the turn that was under way in a step, the one sent last where there were several; the charts mark it.
--   The report is empty if the machine has no NVIDIA GPU that wb could read.
-- var: runs = latest
-- var: bucket_s = 0.5
-- chart: line x=elapsed_s y=power_mean_w series=series marks=turn_label title="Power"
-- chart: line x=elapsed_s y=gpu_util_mean_ratio series=series marks=turn_label title="Utilisation"
-- chart: line x=elapsed_s y=memory_used_max_bytes series=series marks=turn_label title="Memory"
-- chart: line x=elapsed_s y=sm_clock_mean_mhz series=series marks=turn_label title="SM clock"
-- chart: line x=elapsed_s y=dram_active_mean_ratio series=series marks=turn_label title="DRAM bandwidth used"
WITH steps AS (
  SELECT run_id, run, gpu,
    floor(elapsed_s / coalesce(getvariable('bucket_s')::DOUBLE, 0.5)) * coalesce(getvariable('bucket_s')::DOUBLE, 0.5) AS elapsed_s,
    round(avg(coalesce(power_instant_w, power_w)), 2) AS power_mean_w, round(avg(gpu_util_ratio), 4) AS gpu_util_mean_ratio,
    round(avg(memory_util_ratio), 4) AS memory_util_mean_ratio,
    round(avg(sm_clock_mhz)) AS sm_clock_mean_mhz, max(memory_used_bytes) AS memory_used_max_bytes,
    max(temperature_c) AS temperature_max_c,
    round(avg(sm_active_ratio), 4) AS sm_active_mean_ratio, round(avg(tensor_active_ratio), 4) AS tensor_active_mean_ratio,
    round(avg(dram_active_ratio), 4) AS dram_active_mean_ratio,
    bit_or(throttle_reasons) AS throttle_reasons
  FROM gpu WHERE run_id IN (SELECT run_id FROM selected_runs)
  GROUP BY run_id, run, gpu, floor(gpu.elapsed_s / coalesce(getvariable('bucket_s')::DOUBLE, 0.5))),
sent AS (
  SELECT run_id, submit_ns / 1e9 AS from_s, done_ns / 1e9 AS to_s, conversation || ' ' || turn AS turn_label
  FROM turns WHERE run_id IN (SELECT run_id FROM selected_runs)),
marks AS (
  SELECT s.run_id, s.elapsed_s, arg_max(t.turn_label, t.from_s) AS turn_label
  FROM (SELECT DISTINCT run_id, elapsed_s FROM steps) s
  JOIN sent t ON t.run_id = s.run_id AND t.from_s < s.elapsed_s + coalesce(getvariable('bucket_s')::DOUBLE, 0.5) AND t.to_s > s.elapsed_s
  GROUP BY ALL)
SELECT CASE WHEN (SELECT count(*) FROM selected_runs) > 1 THEN s.run || ' · ' ELSE '' END || 'GPU ' || s.gpu AS series, s.run, s.gpu,
  s.elapsed_s, s.power_mean_w, s.gpu_util_mean_ratio, s.memory_util_mean_ratio, s.sm_clock_mean_mhz, s.memory_used_max_bytes,
  s.temperature_max_c, s.sm_active_mean_ratio, s.tensor_active_mean_ratio, s.dram_active_mean_ratio, s.throttle_reasons,
  m.turn_label
FROM steps s LEFT JOIN marks m USING (run_id, elapsed_s)
ORDER BY s.run, s.gpu, s.elapsed_s;
