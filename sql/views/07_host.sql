-- Views: readings of the host and of processes, and memory.

CREATE OR REPLACE VIEW host AS
SELECT h.run_id, r.run, h.t_ns, h.t_ns / 1e9 AS elapsed_s, r.started_at + to_microseconds(h.t_ns // 1000) AS wall_time,
  h.* EXCLUDE (run_id, t_ns)
FROM raw.host_sample h JOIN runs r USING (run_id);
COMMENT ON VIEW host IS 'host readings over time';
COMMENT ON COLUMN host.elapsed_s IS 'seconds since run start';
COMMENT ON COLUMN host.wall_time IS 'wall clock, UTC';

CREATE OR REPLACE VIEW processes AS
SELECT p.run_id, r.run, p.t_ns, p.t_ns / 1e9 AS elapsed_s, r.started_at + to_microseconds(p.t_ns // 1000) AS wall_time,
  p.* EXCLUDE (run_id, t_ns),
  (p.cpu_s - lag(p.cpu_s) OVER w) * 1e9 / nullif(p.t_ns - lag(p.t_ns) OVER w, 0) AS cpu_cores
FROM raw.process_sample p JOIN runs r USING (run_id)
WINDOW w AS (PARTITION BY p.run_id, p.pid ORDER BY p.t_ns);
COMMENT ON VIEW processes IS 'readings of wb and of the server''s processes over time';
COMMENT ON COLUMN processes.elapsed_s IS 'seconds since run start';
COMMENT ON COLUMN processes.wall_time IS 'wall clock, UTC';
COMMENT ON COLUMN processes.cpu_cores IS 'CPU time over wall time since the last reading: 1 is one core kept busy';

CREATE OR REPLACE VIEW session_memory AS
WITH gpus AS (
  SELECT run_id, session_id, sum(peak)::BIGINT AS gpu_peak_bytes FROM (
    SELECT s.run_id, s.session_id, g.gpu, max(g.memory_used_bytes) AS peak FROM raw.session s
      JOIN raw.gpu_sample g ON g.run_id = s.run_id AND g.t_ns BETWEEN s.started_ns AND s.ended_ns WHERE g.memory_used_bytes > 0
      GROUP BY ALL) GROUP BY ALL),
processes AS (
  SELECT run_id, session_id, sum(peak)::BIGINT AS engine_peak_bytes FROM (
    SELECT s.run_id, s.session_id, p.pid, max(p.rss_bytes) AS peak FROM raw.session s
      JOIN raw.process_sample p ON p.run_id = s.run_id AND p.t_ns BETWEEN s.started_ns AND s.ended_ns WHERE p.role = 'engine'
        GROUP BY ALL)
      GROUP BY ALL)
SELECT run_id, session_id, gpu_peak_bytes, engine_peak_bytes, coalesce(gpu_peak_bytes, engine_peak_bytes) AS peak_memory_bytes FROM gpus
  FULL JOIN processes USING (run_id, session_id);
COMMENT ON VIEW session_memory IS 'highest memory readings during each session';
COMMENT ON COLUMN session_memory.gpu_peak_bytes IS 'device memory in use: the sum of the peaks of all GPUs';
COMMENT ON COLUMN session_memory.engine_peak_bytes IS 'resident memory of the server''s processes: the sum of their peaks';
COMMENT ON COLUMN session_memory.peak_memory_bytes IS 'that of the GPUs where there are any, else that of the processes';

CREATE OR REPLACE VIEW memory_bandwidths AS
SELECT h.hostname, h.cpu_model, arg_max(h.memory_read_bytes_per_s, (r.started_at, r.run_id)) AS memory_read_bytes_per_s,
  arg_max(r.run_id, (r.started_at, r.run_id)) AS run_id, max(r.started_at)::DATE AS day
FROM raw.host h JOIN raw.run r USING (run_id) WHERE h.memory_read_bytes_per_s > 0 AND h.hostname IS NOT NULL GROUP BY ALL;
COMMENT ON VIEW memory_bandwidths IS 'bandwidth of main memory, by the newest wb calibrate of each machine';
COMMENT ON COLUMN memory_bandwidths.run_id IS 'run before which it was measured';
COMMENT ON COLUMN memory_bandwidths.day IS 'day on which it was measured, UTC';
