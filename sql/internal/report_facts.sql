-- machine, engine, model and settings of each selected run, in words
WITH s AS (
  SELECT run_id, max(value) FILTER (WHERE source = 'plan' AND name = 'users') AS users,
    max(value) FILTER (WHERE source = 'plan' AND name = 'rate') AS rate,
    max(value) FILTER (WHERE source = 'plan' AND name = 'repeat') AS repeats,
    max(value) FILTER (WHERE source = 'plan' AND name = 'max_tokens') AS max_tokens,
    max(value) FILTER (WHERE source = 'plan' AND name = 'max_turns') AS max_turns,
    max(value) FILTER (WHERE source = 'plan' AND name = 'temperature') AS temperature,
    max(value) FILTER (WHERE source = 'plan' AND name = 'replies') AS replies,
    max(value) FILTER (WHERE source = 'plan' AND name = 'api') AS api,
    max(value) FILTER (WHERE source = 'plan' AND name = 'ignore_eos') AS ignore_eos,
    max(value) FILTER (WHERE source = 'cache_config' AND name = 'cache_dtype') AS cache_dtype,
    string_agg(name || '=' || value, ' ' ORDER BY name) FILTER (WHERE source = 'server' AND name NOT IN ('host', 'port')) AS server
  FROM raw.setting WHERE run_id IN (SELECT run_id FROM selected_runs) GROUP BY run_id),
x AS (
  SELECT run_id, count(DISTINCT conversation) AS conversations, count(*) AS sessions,
    string_agg(DISTINCT variant, ', ' ORDER BY variant) AS placements, string_agg(DISTINCT isolation, ', ' ORDER BY isolation) AS isolation
  FROM raw.session WHERE NOT warmup AND status <> 'repeated' GROUP BY run_id),
t AS (
  SELECT run_id, count(*) FILTER (WHERE NOT warmup AND NOT repeated) AS turns, count(*) FILTER (WHERE warmup) AS warmup,
    max(documents) AS documents
  FROM turns WHERE run_id IN (SELECT run_id FROM selected_runs) GROUP BY run_id),
g AS (
  SELECT run_id, string_agg(label, ', ' ORDER BY label) AS gpus FROM (
    SELECT run_id, count(*) || ' × ' || name || coalesce(' ' || round(any_value(memory_total_bytes) / 1073741824.0)::INTEGER || ' GiB', '')
      || coalesce(', driver ' || any_value(driver_version), '') AS label
    FROM raw.gpu GROUP BY run_id, name) GROUP BY run_id),
f AS (
  SELECT r.run_id, r.run, r.started_at,
    concat_ws(', ', r.hostname, h.cpu_model, h.cpu_threads || ' threads',
      round(h.memory_total_bytes / 1073741824.0)::INTEGER || ' GiB memory', h.os, nullif(h.virtualization, '')) AS "Machine",
    coalesce(g.gpus, 'none that wb can read') AS "GPU",
    concat_ws(' ', e.kind, e.version) || CASE WHEN e.kind = 'simulator'
      THEN coalesce(', profile ' || replace(e.model_root, 'simulator:', ''), '') ELSE '' END AS "Engine",
    concat_ws(', ', e.model, CASE WHEN e.model_root <> e.model AND e.kind <> 'simulator' THEN e.model_root END,
      'context ' || e.max_model_len_tokens || ' tokens',
      CASE WHEN e.block_size_tokens = 1 THEN 'prefixes reused token by token' ELSE 'blocks of ' || e.block_size_tokens || ' tokens' END,
      'KV cache of ' || e.kv_cache_size_tokens || ' tokens',
      CASE WHEN s.cache_dtype <> 'auto' THEN 'KV cache as ' || s.cache_dtype END) AS "Model",
    CASE WHEN e.prefix_caching THEN 'on' WHEN NOT e.prefix_caching THEN 'off' END AS "Prefix caching",
    s.server AS "Server settings",
    x.conversations || CASE WHEN x.conversations = 1 THEN ' conversation' ELSE ' conversations' END || ' in '
      || x.sessions || CASE WHEN x.sessions = 1 THEN ' session, ' ELSE ' sessions, ' END
      || t.turns || ' turns and ' || t.warmup || ' for warm-up' AS "Played",
    concat_ws(', ', CASE WHEN s.users <> '1' AND s.rate = '0' THEN s.users || ' users' END,
      CASE WHEN s.rate <> '0' THEN s.rate || ' sessions/s' END, CASE WHEN s.repeats <> '1' THEN 'repeat ' || s.repeats END,
      CASE WHEN s.max_tokens <> '0' THEN 'at most ' || s.max_tokens || ' tokens a turn' END,
      CASE WHEN s.max_turns <> '0' THEN 'at most ' || s.max_turns || ' turns' END, 'temperature ' || s.temperature, s.replies || ' replies',
      CASE WHEN s.ignore_eos = 'true' THEN 'ignore-eos' END, CASE WHEN s.api <> 'chat' THEN 'api ' || s.api END,
      'isolation ' || x.isolation, CASE WHEN t.documents > 0 THEN 'documents in ' || x.placements END) AS "Settings",
    r.tags AS "Tags",
    strftime(r.started_at, '%Y-%m-%d %H:%M UTC')
      || coalesce(', for ' || round(r.duration_s)::BIGINT || ' s', '') AS "When",
    r.argv AS "Command"
  FROM selected_runs r LEFT JOIN raw.host h USING (run_id) LEFT JOIN raw.engine e USING (run_id) LEFT JOIN s USING (run_id)
    LEFT JOIN x USING (run_id) LEFT JOIN t USING (run_id) LEFT JOIN g USING (run_id))
SELECT run, fact, value FROM (UNPIVOT f ON "Machine", "GPU", "Engine", "Model", "Prefix caching", "Server settings",
   "Played", "Settings", "Tags", "When", "Command" INTO NAME fact VALUE value)
WHERE value <> '' ORDER BY started_at, run,
  list_position(['Machine', 'GPU', 'Engine', 'Model', 'Prefix caching', 'Server settings', 'Played', 'Settings', 'Tags', 'When', 'Command'],
    fact)
