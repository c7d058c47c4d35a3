-- group: GPU and energy
-- answers: How much energy does a turn take?
-- title: GPU energy by turn
-- about: Joules from the GPU's energy counter during each turn, all GPUs together, as means over repeats.
--   They are approximate: the counter is read about twice a second, and readings across the end of a turn count in proportion to time.
--   A turn of less than a second therefore says little.
--   idle_energy_j is the part that the GPUs take anyway: the lowest power reading of the run times the turn's time.
--   Warm-up and failed turns are left out.
--   The report is empty without an NVIDIA GPU.
-- var: runs = latest
-- chart: bar x=turn y=energy_j,idle_energy_j
SELECT CASE WHEN (SELECT count(DISTINCT run_id) FROM measured_turns) > 1 THEN t.run || ' ' ELSE '' END || t.conversation || ' '
  || CASE WHEN (SELECT count(DISTINCT variant) FROM measured_turns) > 1 THEN t.variant || ' ' ELSE '' END || t.turn AS turn,
  t.run, t.conversation, t.variant, t.turn AS turn_number, count(*) AS turns, round(avg(t.e2e_ms), 1) AS e2e_mean_ms,
  round(avg(e.energy_j), 2) AS energy_j, round(avg(e.idle_energy_j), 2) AS idle_energy_j,
  round(sum(e.energy_j) / nullif(sum(t.completion_tokens), 0), 4) AS completion_token_energy_j,
  round(min(e.covered_ratio), 3) AS covered_ratio
FROM measured_turns t JOIN turn_energy e USING (run_id, turn_id)
GROUP BY t.run_id, t.run, t.conversation, t.variant, t.turn
ORDER BY t.run, t.conversation, t.variant, t.turn;
