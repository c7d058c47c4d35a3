-- group: comparison
-- answers: With which settings was a run recorded?
-- title: Settings
-- about: Everything that was chosen or found: plan, server, cache, machine and software.
-- var: runs = latest
SELECT run, source, name, value FROM settings WHERE run_id IN (SELECT run_id FROM selected_runs)
ORDER BY run, list_position(['plan', 'conversation', 'engine', 'cache_config', 'gpu', 'host', 'software'], source), name;
