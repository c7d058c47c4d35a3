-- group: GPU and energy
-- answers: How much energy does a conversation take?
-- title: GPU energy by conversation
-- about: Joules from the GPU's energy counter during the sessions of each conversation, all GPUs together.
--   They are approximate: the counter moves every 100 ms, and readings across the end of a session count in proportion to time.
--   idle_energy_total_j is the part that the GPUs take anyway: the lowest power reading of the run times the sessions' time.
--   With several users, sessions overlap, and each has the whole energy of its time.
--   Warm-up and sessions with a failed turn are left out.
--   The report is empty without an NVIDIA GPU.
-- var: runs = latest
-- chart: bar x=conversation y=energy_total_j series=run
SELECT s.run, s.conversation, count(*) AS sessions, round(sum(e.energy_j), 2) AS energy_total_j,
  round(sum(i.idle_power_w * s.duration_s), 2) AS idle_energy_total_j, round(sum(e.energy_j) / sum(s.duration_s), 2) AS power_mean_w,
  round(sum(e.energy_j) / nullif(sum(t.turns), 0), 3) AS energy_per_turn_j,
  round(sum(e.energy_j) / nullif(sum(t.completion_tokens), 0), 4) AS energy_per_token_j,
  round(min(e.covered_ratio), 3) AS covered_min_ratio
FROM sessions s JOIN session_energy e ON e.run_id = s.run_id AND e.session_id = s.session_id
  JOIN (
    SELECT run_id, session_id, count(*) AS turns, sum(completion_tokens) AS completion_tokens
    FROM turns GROUP BY ALL HAVING bool_and(status = 'ok')) t ON t.run_id = s.run_id AND t.session_id = s.session_id
  LEFT JOIN idle_power i ON i.run_id = s.run_id
WHERE NOT s.warmup AND s.status <> 'repeated' AND s.run_id IN (SELECT run_id FROM selected_runs)
GROUP BY s.run_id, s.run, s.conversation ORDER BY s.run, s.conversation;
