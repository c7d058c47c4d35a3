-- whether a file says which schema it has: 1, or 0 for a new one
SELECT count(*) FROM duckdb_tables() WHERE schema_name = 'raw' AND table_name = 'migration'
