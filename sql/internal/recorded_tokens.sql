-- token ids of a run by turn, the prompt before the output, and what is known of each turn
SELECT k.turn_id, k.kind, coalesce(k.part, 0), k.shared_turn_id, k.shared_tokens, k.tokens,
  t.session_id, s.isolation, s.warmup, coalesce(t.completion_tokens, 0),
  t.status = 'ok' AND NOT s.warmup AND s.status <> 'repeated',
  NOT EXISTS (
    SELECT 1 FROM raw.setting x WHERE x.run_id = k.run_id AND x.source = 'plan' AND x.name = 'replies' AND x.value = 'scripted'
  ) AND NOT EXISTS (
    SELECT 1 FROM raw.message m
    WHERE m.sha256 = t.reply_sha256 AND (m.reasoning IS NOT NULL OR contains(m.content, '</think>'))
  )
FROM raw.turn_token k JOIN raw.turn t USING (run_id, turn_id) JOIN raw.session s USING (run_id, session_id)
WHERE k.run_id = ?::UUID AND (t.status = 'ok' OR t.first_ns IS NOT NULL)
ORDER BY k.turn_id, k.kind DESC, k.part
