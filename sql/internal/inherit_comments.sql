-- statements that give each view column without a comment in sql/views the comment of the column it comes from
WITH RECURSIVE shown AS ( -- DuckDB's text of a view, with spaces between all words
  SELECT view_name, regexp_replace(replace(sql, '"', ''), '[();,]', ' ', 'g') || ' ' AS text
  FROM duckdb_views() WHERE schema_name = 'main' AND NOT internal),
relations AS (
  SELECT schema_name, table_name, 'raw.' || table_name AS name FROM duckdb_tables() WHERE schema_name = 'raw'
  UNION ALL SELECT 'main', view_name, view_name FROM shown),
sources AS ( -- what a view reads: selected_X reads X first; then come raw tables, then views, each in the order of the text
  SELECT s.view_name, r.schema_name, r.table_name, s.view_name <> 'selected_' || r.name AS other, r.schema_name = 'main' AS is_view,
    least(nullif(instr(s.text, ' FROM ' || r.name || ' '), 0), nullif(instr(s.text, ' JOIN ' || r.name || ' '), 0)) AS place
  FROM shown s CROSS JOIN relations r WHERE s.view_name <> r.name AND (place IS NOT NULL OR NOT other)),
origins AS (
  SELECT v.table_name, v.column_name, arg_min({'schema': s.schema_name, 'table': s.table_name}, (s.other, s.is_view, s.place)) AS origin
  FROM duckdb_columns() v JOIN sources s ON s.view_name = v.table_name
    JOIN duckdb_columns() x ON x.schema_name = s.schema_name AND x.table_name = s.table_name AND x.column_name = v.column_name
  WHERE v.schema_name = 'main' AND v.comment IS NULL GROUP BY ALL),
commented AS (
  SELECT schema_name, table_name, column_name, comment, false AS inherited FROM duckdb_columns()
  WHERE schema_name IN ('raw', 'main') AND comment IS NOT NULL
  UNION ALL
  SELECT 'main', o.table_name, o.column_name, t.comment, true
  FROM origins o JOIN commented t ON t.schema_name = o.origin.schema AND t.table_name = o.origin.table AND t.column_name = o.column_name)
SELECT format('COMMENT ON COLUMN main."{}"."{}" IS ''{}'';', table_name, column_name, replace(comment, '''', ''''''))
FROM commented WHERE inherited
