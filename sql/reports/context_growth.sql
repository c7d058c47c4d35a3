-- group: latency
-- answers: How does the context grow, turn by turn?
-- title: Context growth by turn
-- about: Prompt tokens of each turn, and how much of the server's context they take: the largest value over repeats.
-- var: runs = latest
-- chart: line x=turn y=longest_prompt_tokens series=series
SELECT t.conversation || CASE WHEN (SELECT count(DISTINCT placement) FROM measured_turns) > 1 THEN ' · ' || t.placement ELSE '' END
  || CASE WHEN (SELECT count(*) FROM selected_runs) > 1 THEN ' · ' || t.run ELSE '' END AS series,
  t.run, t.conversation, t.placement, t.turn, max(t.prompt_tokens) AS longest_prompt_tokens,
  max(t.completion_tokens) AS longest_completion_tokens, max(t.messages) AS messages,
  max(t.documents) AS documents, any_value(r.max_model_len_tokens) AS max_model_len_tokens,
  round(max(t.prompt_tokens + t.completion_tokens) / nullif(any_value(r.max_model_len_tokens), 0), 4) AS context_used_ratio
FROM measured_turns t JOIN runs r ON r.run_id = t.run_id
GROUP BY t.run_id, t.run, t.conversation, t.placement, t.turn
ORDER BY min(t.wall_time), t.turn;
