-- group: cache
-- answers: Where does a prompt differ from earlier ones?
-- title: Where prompts differ from what was sent before
-- about: Each turn whose prompt does not simply extend what the server had seen.
--   The report gives the message and character where the prompt changes, and the text around that place before and now.
--   recomputed_tokens had to be computed again because of it, and advice says what to do.
--   Warm-up and failed turns are left out.
-- var: runs = latest
WITH again AS (SELECT run_id, turn_id, sum(tokens) AS tokens, arg_max(cause, tokens) AS cause FROM raw.cache_miss
    WHERE cause IN ('changed_text', 'template_rewrote_history', 'retokenized') GROUP BY ALL)
SELECT c.run, c.conversation, c.placement, c.repeat, c.turn, a.cause, a.tokens::BIGINT AS recomputed_tokens,
  c.divergence_message AS divergence_message, c.divergence_role AS divergence_role, c.divergence_character AS divergence_character,
  c.divergence_before AS divergence_before, c.divergence_now AS divergence_now,
  CASE
    WHEN a.cause = 'template_rewrote_history' THEN 'the chat template renders earlier messages differently: ' || a.tokens
      || ' tokens are computed again in each such turn; a template that keeps the history as it was generated would not'
    WHEN a.cause = 'retokenized' THEN 'the reply is cut into other tokens when it comes back as history: ' || a.tokens
      || ' tokens are computed again; sending it back as token ids would not'
    WHEN c.divergence_reference = 'session' THEN 'the ' || coalesce(c.divergence_role, 'prompt')
      || ' message differs from one session to the next at "' || coalesce(c.divergence_now, '…') || '": ' || a.tokens
      || ' tokens are computed again in each session; put what changes behind everything that stays the same'
    WHEN c.divergence_role = 'system' THEN 'the system prompt changes at "' || coalesce(c.divergence_now, '…') || '": ' || a.tokens
      || ' tokens of what follows are computed again; put what changes behind what stays. '
      || 'For documents, wb run --rag-placement all measures which place costs least'
    WHEN c.placement IN ('first-user', 'before-last', 'append') AND c.divergence_role = 'user' 
      THEN 'the documents move from message to message, here out of or into message ' || c.divergence_message || ': ' || a.tokens
      || ' tokens are computed again; wb run --rag-placement all measures which place costs least'
    ELSE 'message ' || coalesce(c.divergence_message::VARCHAR, '?') || ' changes after it was sent: ' || a.tokens
      || ' tokens of what follows are computed again; leave the history as it was sent'
  END AS advice
FROM cache_turns c JOIN again a USING (run_id, turn_id)
WHERE c.status = 'ok' AND NOT c.warmup AND NOT c.repeated AND c.run_id IN (SELECT run_id FROM selected_runs)
ORDER BY a.tokens DESC, c.wall_time;
