-- what happened in each selected run, by kind
SELECT r.run, r.run_id, e.kind, count(*) AS times, arg_min(e.message, e.t_ns) AS first_message
FROM selected_runs r JOIN raw.event e USING (run_id) GROUP BY ALL ORDER BY r.run, e.kind
