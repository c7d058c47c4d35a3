-- Views: requests, their texts, and what counts in reports.
-- TTFT, ITL and TPOT are defined as in the vLLM and MLPerf documentation, but come from time stamps of the client's socket.

CREATE OR REPLACE VIEW turns AS
WITH counted AS ( -- token counts of a server are used only if they are possible: an older wb recorded whatever the server reported
  SELECT * REPLACE (CASE WHEN prompt_tokens BETWEEN 1 AND 16777216 THEN prompt_tokens END AS prompt_tokens,
    CASE WHEN prompt_tokens BETWEEN 1 AND 16777216 AND cached_tokens BETWEEN 0 AND prompt_tokens THEN cached_tokens END AS cached_tokens,
    CASE WHEN completion_tokens BETWEEN 0 AND 16777216 THEN completion_tokens END AS completion_tokens,
    CASE WHEN completion_tokens BETWEEN 0 AND 16777216 AND reasoning_tokens BETWEEN 0 AND completion_tokens
      THEN reasoning_tokens END AS reasoning_tokens)
  FROM raw.turn),
flow AS ( -- tokens that came after the first read, in the time last_ns - first_ns
  SELECT *, CASE WHEN streamed_tokens IS NOT NULL THEN streamed_tokens - first_read_tokens
      WHEN abs(completion_tokens - token_events) <= greatest(1, completion_tokens // 50)
        THEN token_events - first_read_events END AS after_tokens,
    CASE WHEN streamed_tokens IS NOT NULL THEN 'tokens'
      WHEN abs(completion_tokens - token_events) <= greatest(1, completion_tokens // 50) THEN 'events' END AS counted_by
  FROM counted)
SELECT t.run_id, r.run, r.simulated, t.session_id, s.conversation, s.variant AS placement, s.repeat, s.warmup,
  s.status = 'repeated' AS repeated, s.isolation, w.began_warm, t.turn_id, t.turn, t.status, t.error,
  t.http_status, t.finish_reason, t.prompt_tokens, t.cached_tokens, t.prompt_tokens - t.cached_tokens AS uncached_tokens,
  t.cached_tokens / nullif(t.prompt_tokens, 0) AS hit_ratio, t.completion_tokens, t.reasoning_tokens, t.max_tokens,
  (t.first_ns - coalesce(t.written_ns, t.submit_ns)) / 1e6 AS ttft_ms,
  (t.first_content_ns - coalesce(t.written_ns, t.submit_ns)) / 1e6 AS first_content_ms,
  CASE WHEN t.after_tokens > 0 AND t.last_ns > t.first_ns THEN t.after_tokens END AS decode_tokens, t.counted_by,
  CASE WHEN t.after_tokens > 0 AND t.last_ns > t.first_ns THEN (t.last_ns - t.first_ns) / 1e6 / t.after_tokens END AS tpot_ms,
  CASE WHEN t.after_tokens > 0 AND t.last_ns > t.first_ns THEN t.after_tokens * 1e9 / (t.last_ns - t.first_ns) END AS decode_tokens_per_s,
  (t.done_ns - t.submit_ns) / 1e6 AS e2e_ms, (t.submit_ns - t.intended_ns) / 1e6 AS wait_ms,
  (t.first_ns - coalesce(t.intended_ns, t.submit_ns)) / 1e6 AS ttft_with_wait_ms,
  t.messages, t.documents, t.request_bytes, t.connection_reused, t.checks, t.checks_passed, t.prompt_sha256, t.reply_sha256, t.request_id,
  t.intended_ns, t.submit_ns, t.written_ns, t.first_ns, t.last_ns, t.done_ns, s.client_user,
  r.started_at + to_microseconds(t.submit_ns // 1000) AS wall_time
FROM flow t JOIN runs r USING (run_id) JOIN raw.session s ON s.run_id = t.run_id AND s.session_id = t.session_id
  LEFT JOIN session_starts w ON w.run_id = t.run_id AND w.session_id = t.session_id;
COMMENT ON VIEW turns IS 'one row per request, failed ones and warm-up included';
COMMENT ON COLUMN turns.placement IS
  'where the documents of its session stand: system, first-user, before-last or append; without documents, the first placement of the run';
COMMENT ON COLUMN turns.repeated IS 'its session was cut short, and a resumed plan played it again';
COMMENT ON COLUMN turns.began_warm IS 'the first prompt of its session was in the prefix cache; NULL where cached tokens are not reported';
COMMENT ON COLUMN turns.uncached_tokens IS 'prompt tokens the server had to prefill';
COMMENT ON COLUMN turns.hit_ratio IS 'prefix-cache hit ratio: cached over prompt tokens, 0 to 1';
COMMENT ON COLUMN turns.ttft_ms IS 'time to first token: from the request''s last written byte to the read that brought the first token';
COMMENT ON COLUMN turns.first_content_ms IS 'the same to the first content that is not reasoning';
COMMENT ON COLUMN turns.decode_tokens IS
  'tokens that came after the first read, so in the time from the first token to the last; NULL where that is not known';
COMMENT ON COLUMN turns.counted_by IS
  'how decode_tokens are counted: tokens (each event says how many it carried) or events (one per event, since there are as many events '
  'as completion tokens); NULL where an event carries an unknown number';
COMMENT ON COLUMN turns.tpot_ms IS
  'time per output token: from the read that brought the first token to the read that brought the last, over the tokens that came after '
  'the first read; NULL where those are not known, or all tokens came at once';
COMMENT ON COLUMN turns.decode_tokens_per_s IS 'decode_tokens over the same time';
COMMENT ON COLUMN turns.e2e_ms IS 'from submit to the end of the response';
COMMENT ON COLUMN turns.wait_ms IS 'how much later it was sent than --rate intended; NULL in a closed loop';
COMMENT ON COLUMN turns.ttft_with_wait_ms IS
  'time to first token from the intended time, so that it includes the wait; in a closed loop from submit';
COMMENT ON COLUMN turns.wall_time IS 'submit, wall clock, UTC';

CREATE OR REPLACE VIEW measured_turns AS
SELECT t.* FROM turns t WHERE t.status = 'ok' AND NOT t.warmup AND NOT t.repeated AND t.run_id IN (SELECT run_id FROM selected_runs);
COMMENT ON VIEW measured_turns IS
  'turns that count in reports: of the selected runs, ended well, not warm-up, not played again by a resumed plan';

CREATE OR REPLACE VIEW segments AS
SELECT t.run_id, coalesce(s.segment, 0) AS segment, min(t.submit_ns) AS from_ns, max(t.done_ns) AS to_ns, count(*) AS turns
FROM raw.turn t JOIN raw.session x ON x.run_id = t.run_id AND x.session_id = t.session_id AND NOT x.warmup AND x.status <> 'repeated'
  ASOF LEFT JOIN (SELECT run_id, t_ns, row_number() OVER (PARTITION BY run_id ORDER BY t_ns) AS segment FROM raw.scrape
    WHERE phase = 'start') s ON s.run_id = t.run_id AND s.t_ns <= t.submit_ns
GROUP BY ALL;
COMMENT ON VIEW segments IS
  'when a run was played: a plan comes back to each of its cells several times, and the time in between belongs to other cells';
COMMENT ON COLUMN segments.segment IS 'number of the segment, by the reading of /metrics at its start; 0 where the server has no /metrics';
COMMENT ON COLUMN segments.from_ns IS 'first turn sent, warm-up left out';
COMMENT ON COLUMN segments.to_ns IS 'last turn ended';
COMMENT ON COLUMN segments.turns IS 'turns, failed ones included';

CREATE OR REPLACE VIEW messages AS
SELECT sha256, any_value(role) AS role, max(content) AS content, max(reasoning) AS reasoning,
  max(content_bytes) AS content_bytes
FROM raw.message GROUP BY sha256;
COMMENT ON VIEW messages IS 'texts by hash';

CREATE OR REPLACE VIEW prompts AS
SELECT t.run_id, t.turn_id, t.position, m.role, m.content, m.content_bytes, t.sha256
FROM raw.turn_message t LEFT JOIN messages m USING (sha256);
COMMENT ON VIEW prompts IS 'the messages of each turn''s prompt, in order';
