-- title: Figures to compare by
-- about: One row a measured turn with what wb compare holds against each other. nth numbers the passes of a run through the same conversation and placement. energy_per_token_j is the session's energy over its tokens, the same for all of its turns, as is the highest memory reading.
-- var: runs = last:2
WITH itl AS (SELECT run_id, turn_id, quantile_cont(itl_ms, 0.5) AS itl_p50_ms, quantile_cont(itl_ms, 0.99) AS itl_p99_ms FROM gaps WHERE run_id IN (SELECT run_id FROM selected_runs) GROUP BY ALL),
tokens AS (SELECT run_id, session_id, sum(completion_tokens) AS n FROM measured_turns GROUP BY ALL)
SELECT t.run_id, t.run, t.conversation, t.variant, dense_rank() OVER (PARTITION BY t.run_id, t.conversation, t.variant ORDER BY t.session_id) AS nth, t.turn, t.prompt_tokens, t.completion_tokens,
  t.ttft_ms, i.itl_p50_ms, i.itl_p99_ms, t.tpot_ms, t.e2e_ms, t.decode_tokens_per_s, t.hit_ratio, e.energy_j / nullif(k.n, 0) AS energy_per_token_j, m.peak_memory_bytes
FROM measured_turns t LEFT JOIN itl i USING (run_id, turn_id) LEFT JOIN session_energy e ON e.run_id = t.run_id AND e.session_id = t.session_id LEFT JOIN tokens k ON k.run_id = t.run_id AND k.session_id = t.session_id
  LEFT JOIN session_memory m ON m.run_id = t.run_id AND m.session_id = t.session_id
ORDER BY t.wall_time, t.turn_id;
