-- Views: streamed events and the time between them.

CREATE OR REPLACE VIEW chunks AS
SELECT c.run_id, c.turn_id, c.seq, c.read_seq, c.t_ns, r.started_at + to_microseconds(c.t_ns // 1000) AS wall_time, c.kind, c.tokens,
  c.text_bytes, c.read_delay_ns
FROM raw.chunk c JOIN raw.run r USING (run_id);
COMMENT ON VIEW chunks IS 'one row per streamed event';
COMMENT ON COLUMN chunks.wall_time IS 'arrival, wall clock, UTC';

CREATE OR REPLACE VIEW gaps AS
SELECT run_id, turn_id, seq, read_seq, t_ns, tokens, gap_ns / 1e6 AS gap_ms,
  CASE WHEN gap_ns > 0 THEN read_tokens::INTEGER END AS read_tokens, CASE WHEN gap_ns > 0 THEN gap_ns / 1e6 / read_tokens END AS itl_ms
-- all events of one read have the same time
FROM (SELECT *, t_ns - lag(t_ns) OVER (same ORDER BY t_ns, seq) AS gap_ns,
    sum(coalesce(tokens, 1)) OVER (same ORDER BY t_ns RANGE BETWEEN CURRENT ROW AND CURRENT ROW) AS read_tokens
  FROM (SELECT * REPLACE (CASE WHEN tokens <= 65536 THEN tokens END AS tokens) FROM raw.chunk)
    WHERE tokens > 0 OR (tokens IS NULL AND kind IN ('content', 'reasoning', 'tool')) WINDOW same AS (PARTITION BY run_id, turn_id))
WHERE gap_ns IS NOT NULL;
COMMENT ON VIEW gaps IS 'time between an event that carried tokens and the one before it in the same turn; the first event has no row';
COMMENT ON COLUMN gaps.gap_ms IS 'time since the event before; 0 when both came with one read';
COMMENT ON COLUMN gaps.read_tokens IS
  'tokens that the read brought, counted as one per event where events do not say (tokens is NULL); given in one row of each read, NULL in '
  'its other rows and in the first read';
COMMENT ON COLUMN gaps.itl_ms IS 'inter-token latency: the time since the read before, over read_tokens';

-- A window keeps DuckDB from reading only the runs that are asked for, so the choice of runs is inside.
CREATE OR REPLACE VIEW selected_gaps AS
SELECT run_id, turn_id, seq, read_seq, t_ns, tokens, gap_ns / 1e6 AS gap_ms,
  CASE WHEN gap_ns > 0 THEN read_tokens::INTEGER END AS read_tokens, CASE WHEN gap_ns > 0 THEN gap_ns / 1e6 / read_tokens END AS itl_ms
-- all events of one read have the same time
FROM (SELECT *, t_ns - lag(t_ns) OVER (same ORDER BY t_ns, seq) AS gap_ns,
    sum(coalesce(tokens, 1)) OVER (same ORDER BY t_ns RANGE BETWEEN CURRENT ROW AND CURRENT ROW) AS read_tokens
  FROM (SELECT * REPLACE (CASE WHEN tokens <= 65536 THEN tokens END AS tokens) FROM raw.chunk
    WHERE run_id IN (SELECT run_id FROM selected_runs)) WHERE tokens > 0 OR (tokens IS NULL AND kind IN ('content', 'reasoning', 'tool'))
    WINDOW same AS (PARTITION BY run_id, turn_id))
WHERE gap_ns IS NOT NULL;
COMMENT ON VIEW selected_gaps IS 'the gaps of the selected runs; much faster than gaps in a history of many runs';
