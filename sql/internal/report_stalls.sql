-- long gaps between tokens in each selected run: more than five times the median of their turn, and more than 20 ms
WITH g AS (
  SELECT t.run_id, t.run, t.conversation, t.turn, g.gap_ms, median(g.gap_ms) OVER (PARTITION BY t.run_id, t.turn_id) AS median_ms
  FROM measured_turns t JOIN selected_gaps g ON g.run_id = t.run_id AND g.turn_id = t.turn_id)
SELECT run, run_id, count(*) AS stalls, max(gap_ms) AS longest_ms, arg_max(median_ms, gap_ms) AS median_ms,
  arg_max(conversation, gap_ms) AS conversation, arg_max(turn, gap_ms) AS turn
FROM g WHERE gap_ms > 5 * median_ms AND gap_ms > 20 GROUP BY ALL ORDER BY run
