-- tables of the attached lake with their columns; views are left out, since whoever made them may have made them read anything
SELECT table_name, column_name FROM duckdb_columns()
WHERE database_name = '_lake' AND schema_name = 'main'
  AND (database_name, schema_name, table_name) IN (SELECT (database_name, schema_name, table_name) FROM duckdb_tables())
ORDER BY table_name, column_index
