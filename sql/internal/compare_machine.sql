-- what happened on the machine during the runs $1: freezes, hot GPU samples, CPU use of wb; and the GPU's clock in base $2 and head $3.
-- nvml.h: software thermal slowdown 32, hardware thermal slowdown 64, hardware slowdown 8
SELECT
  (SELECT count(*) FROM raw.event WHERE kind = 'frozen' AND list_contains(string_split($1, ','), run_id::VARCHAR)),
  (
    SELECT count(*) FROM raw.gpu_sample
    WHERE throttle_reasons & 104 <> 0 AND list_contains(string_split($1, ','), run_id::VARCHAR)
  ),
  (
    SELECT max(c) FROM (
      SELECT quantile_cont(cpu_cores, 0.9) AS c FROM processes
      WHERE role = 'wb' AND cpu_cores IS NOT NULL AND run_id IN (SELECT run_id FROM raw.run WHERE NOT simulated)
        AND list_contains(string_split($1, ','), run_id::VARCHAR)
      GROUP BY run_id
    )
  ),
  (
    SELECT median(sm_clock_mhz) FROM raw.gpu_sample
    WHERE gpu_util_ratio > 0.1 AND list_contains(string_split($2, ','), run_id::VARCHAR)
  ),
  (
    SELECT median(sm_clock_mhz) FROM raw.gpu_sample
    WHERE gpu_util_ratio > 0.1 AND list_contains(string_split($3, ','), run_id::VARCHAR)
  )
