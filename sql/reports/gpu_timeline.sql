-- title: GPU over time
-- about: Means over steps of bucket_s seconds.
--   The report is empty if the machine has no NVIDIA GPU that wb could read.
-- var: runs = latest
-- var: bucket_s = 0.5
-- chart: line x=elapsed_s y=power_mean_w series=series title="Power"
-- chart: line x=elapsed_s y=gpu_util_mean_ratio series=series title="Utilisation"
-- chart: line x=elapsed_s y=sm_clock_mean_mhz series=series title="SM clock"
-- chart: line x=elapsed_s y=dram_active_mean_ratio series=series title="DRAM bandwidth used"
SELECT CASE WHEN (SELECT count(*) FROM selected_runs) > 1 THEN run || ' · ' ELSE '' END || 'GPU ' || gpu AS series, run, gpu,
  floor(elapsed_s / coalesce(getvariable('bucket_s')::DOUBLE, 0.5)) * coalesce(getvariable('bucket_s')::DOUBLE, 0.5) AS elapsed_s,
  round(avg(coalesce(power_instant_w, power_w)), 2) AS power_mean_w, round(avg(gpu_util_ratio), 4) AS gpu_util_mean_ratio,
  round(avg(memory_util_ratio), 4) AS memory_util_mean_ratio,
  round(avg(sm_clock_mhz)) AS sm_clock_mean_mhz, max(memory_used_bytes) AS memory_used_max_bytes, max(temperature_c) AS temperature_max_c,
  round(avg(sm_active_ratio), 4) AS sm_active_mean_ratio, round(avg(tensor_active_ratio), 4) AS tensor_active_mean_ratio,
  round(avg(dram_active_ratio), 4) AS dram_active_mean_ratio,
  bit_or(throttle_reasons) AS throttle_reasons
FROM gpu WHERE run_id IN (SELECT run_id FROM selected_runs)
GROUP BY run_id, run, gpu, floor(gpu.elapsed_s / coalesce(getvariable('bucket_s')::DOUBLE, 0.5))
ORDER BY run, gpu, elapsed_s;
