-- Views for people. Definitions are here, so that a correction holds for every run that is already recorded.
-- All files of sql/views are applied in the order of their names, and again whenever one of them changes.
-- A view reads only what is defined before it.
-- A column without a comment here gets the comment of the column that it comes from (sql/internal/inherit_comments.sql).

-- Views: runs, what was chosen for them, and what a reader of them must know.

CREATE OR REPLACE VIEW runs AS
SELECT run_id, CASE WHEN count(*) OVER (PARTITION BY r.name) > 1 THEN r.name || ' ' || left(run_id::VARCHAR, 8) ELSE r.name END AS run,
  r.name, status, r.error, simulated, started_at, ended_at, date_diff('millisecond', started_at, ended_at) / 1000.0 AS duration_s,
  e.kind AS engine, e.version AS engine_version, e.model, e.block_size_tokens, e.max_model_len_tokens,
  (SELECT string_agg(t.key || '=' || t.value, ' ' ORDER BY t.key, t.value) FROM raw.run_tag t WHERE t.run_id = r.run_id) AS tags,
  r.seed, r.argv, r.wb_version, r.hostname, r.plan_id, r.cell
FROM raw.run r LEFT JOIN raw.engine e USING (run_id);
COMMENT ON VIEW runs IS 'one row per run';
COMMENT ON COLUMN runs.run_id IS 'random UUID, unique across machines';
COMMENT ON COLUMN runs.run IS 'name of the run, with the start of its id where two runs share the name';
COMMENT ON COLUMN runs.duration_s IS 'from start to end, wall clock';
COMMENT ON COLUMN runs.engine IS 'vllm, llamacpp, openai or simulator';
COMMENT ON COLUMN runs.engine_version IS 'version that the server reports';
COMMENT ON COLUMN runs.tags IS 'tags as key=value, in key order';

CREATE OR REPLACE VIEW selected_runs AS
SELECT * FROM runs
WHERE CASE WHEN getvariable('runs') IS NULL
  THEN run_id = (SELECT run_id FROM raw.run ORDER BY started_at DESC, run_id LIMIT 1)
  ELSE list_contains(getvariable('runs')::VARCHAR[], run_id::VARCHAR) END;
COMMENT ON VIEW selected_runs IS 'the runs a query is about: SET VARIABLE runs = [''<run id>'', …]; the latest run when unset';

CREATE OR REPLACE VIEW settings AS
SELECT s.run_id, r.run, s.source, s.name, s.value FROM raw.setting s JOIN runs r USING (run_id);
COMMENT ON VIEW settings IS 'everything that was chosen or found and could explain a difference between two runs';

CREATE OR REPLACE VIEW events AS
SELECT e.run_id, r.run, e.t_ns, r.started_at + to_microseconds(e.t_ns // 1000) AS wall_time, e.kind, e.source, e.turn_id, e.message
FROM raw.event e JOIN runs r USING (run_id);
COMMENT ON VIEW events IS 'things a reader of a run must know';
COMMENT ON COLUMN events.wall_time IS 'wall clock, UTC';
