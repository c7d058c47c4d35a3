-- group: GPU and energy
-- answers: How much energy does a turn take?
-- title: GPU energy by turn
-- about: Joules from the GPU's energy counter during each turn, all GPUs together, as means over repeats.
--   They are approximate: the counter is read about twice a second, and readings across the end of a turn count in proportion to time.
--   A turn of less than a second therefore says little.
--   idle_energy_mean_j is the part that the GPUs take anyway: the lowest power reading of the run times the turn's time.
--   With several users, turns overlap, and each has the whole energy of its time.
--   Warm-up and failed turns are left out.
--   The report is empty without an NVIDIA GPU.
-- var: runs = latest
-- chart: bar x=conversation_turn y=energy_mean_j,idle_energy_mean_j
SELECT CASE WHEN (SELECT count(DISTINCT run_id) FROM measured_turns) > 1 THEN t.run || ' ' ELSE '' END || t.conversation || ' '
  || CASE WHEN (SELECT count(DISTINCT placement) FROM measured_turns) > 1 THEN t.placement || ' ' ELSE '' END || t.turn
    AS conversation_turn,
  t.run, t.conversation, t.placement, t.turn, count(*) AS turns, round(avg(t.e2e_ms), 1) AS e2e_mean_ms,
  round(avg(e.energy_j), 2) AS energy_mean_j, round(avg(e.idle_energy_j), 2) AS idle_energy_mean_j,
  round(sum(e.energy_j) / nullif(sum(t.completion_tokens), 0), 4) AS energy_per_token_j,
  round(min(e.covered_ratio), 3) AS covered_min_ratio
FROM measured_turns t JOIN turn_energy e USING (run_id, turn_id)
GROUP BY t.run_id, t.run, t.conversation, t.placement, t.turn
ORDER BY t.run, t.conversation, t.placement, t.turn;
