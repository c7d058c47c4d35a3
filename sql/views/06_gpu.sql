-- Views: GPU readings over time, and energy.

CREATE OR REPLACE VIEW gpu AS
SELECT g.run_id, r.run, g.t_ns, g.t_ns / 1e9 AS elapsed_s, r.started_at + to_microseconds(g.t_ns // 1000) AS wall_time,
  g.* EXCLUDE (run_id, t_ns)
FROM raw.gpu_sample g JOIN runs r USING (run_id);
COMMENT ON VIEW gpu IS 'GPU readings over time';
COMMENT ON COLUMN gpu.elapsed_s IS 'seconds since run start';
COMMENT ON COLUMN gpu.wall_time IS 'wall clock, UTC';

CREATE OR REPLACE VIEW energy AS
SELECT run_id, gpu, prev_ns AS from_ns, t_ns AS to_ns, (energy_mj - prev_mj) / 1e3 AS energy_j
FROM (SELECT run_id, gpu, t_ns, energy_mj, lag(t_ns) OVER w AS prev_ns, lag(energy_mj) OVER w AS prev_mj
  FROM raw.gpu_sample WHERE energy_mj IS NOT NULL WINDOW w AS (PARTITION BY run_id, gpu ORDER BY t_ns))
WHERE prev_ns IS NOT NULL AND energy_mj >= prev_mj
  AND t_ns - prev_ns < 30e9; -- a longer time is a pause, such as between segments of a plan
COMMENT ON VIEW energy IS 'energy between two readings of the GPU''s counter, which itself moves every 100 ms';
COMMENT ON COLUMN energy.from_ns IS 'earlier reading, ns since run start';
COMMENT ON COLUMN energy.to_ns IS 'later reading, ns since run start';
COMMENT ON COLUMN energy.energy_j IS 'energy between them';

CREATE OR REPLACE VIEW session_energy AS
SELECT s.run_id, s.session_id,
  sum(e.energy_j * (least(e.to_ns, s.ended_ns) - greatest(e.from_ns, s.started_ns)) / (e.to_ns - e.from_ns)) AS energy_j,
  sum(least(e.to_ns, s.ended_ns) - greatest(e.from_ns, s.started_ns)) / nullif((s.ended_ns - s.started_ns) * count(DISTINCT e.gpu),
    0) AS covered_ratio
FROM raw.session s JOIN energy e ON e.run_id = s.run_id AND e.to_ns > s.started_ns AND e.from_ns < s.ended_ns
GROUP BY s.run_id, s.session_id, s.started_ns, s.ended_ns;
COMMENT ON VIEW session_energy IS
  'energy of all GPUs during each session; approximate, as readings across its start or end count in proportion to time';
COMMENT ON COLUMN session_energy.energy_j IS 'energy, joules';
COMMENT ON COLUMN session_energy.covered_ratio IS 'share of the session that readings cover, 0 to 1';

CREATE OR REPLACE VIEW idle_power AS
SELECT run_id, sum(power_w) AS idle_power_w FROM (SELECT run_id, gpu,
  min(power_w) AS power_w FROM raw.gpu_sample WHERE power_w > 0 GROUP BY ALL) GROUP BY run_id;
COMMENT ON VIEW idle_power IS 'power of the GPUs of a run while idle, as far as the run shows it';
COMMENT ON COLUMN idle_power.idle_power_w IS 'lowest power reading of each GPU, added up';

CREATE OR REPLACE VIEW turn_energy AS
SELECT t.run_id, t.turn_id,
  sum(e.energy_j * (least(e.to_ns, t.done_ns) - greatest(e.from_ns, t.submit_ns)) / (e.to_ns - e.from_ns)) AS energy_j,
  any_value(i.idle_power_w) * (t.done_ns - t.submit_ns) / 1e9 AS idle_energy_j,
  sum(least(e.to_ns, t.done_ns) - greatest(e.from_ns, t.submit_ns)) / nullif((t.done_ns - t.submit_ns) * count(DISTINCT e.gpu),
    0) AS covered_ratio
FROM raw.turn t JOIN energy e ON e.run_id = t.run_id AND e.to_ns > t.submit_ns AND e.from_ns < t.done_ns
  LEFT JOIN idle_power i ON i.run_id = t.run_id
GROUP BY t.run_id, t.turn_id, t.submit_ns, t.done_ns;
COMMENT ON VIEW turn_energy IS
  'energy of all GPUs during each turn; approximate, as the counter is read about twice a second and readings across the start or end '
  'of a turn count in proportion to time';
COMMENT ON COLUMN turn_energy.energy_j IS 'energy, joules';
COMMENT ON COLUMN turn_energy.idle_energy_j IS
  'the part of it that the GPUs take anyway: the lowest power reading of the run times the turn''s time';
COMMENT ON COLUMN turn_energy.covered_ratio IS 'share of the turn that readings cover, 0 to 1';
