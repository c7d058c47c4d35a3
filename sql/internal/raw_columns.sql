-- raw tables of a database with their columns in order; views are left out
SELECT table_name, column_name, data_type, coalesce(comment, '') FROM duckdb_columns()
WHERE database_name = ? AND schema_name = 'raw' AND table_name <> 'migration'
  AND (database_name, schema_name, table_name) IN (SELECT (database_name, schema_name, table_name) FROM duckdb_tables())
ORDER BY table_name, column_index
