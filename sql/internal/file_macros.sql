-- table macros that somebody put into the file, unless their names are DuckDB's
SELECT lower(function_name) FROM duckdb_functions() GROUP BY ALL
HAVING bool_and(NOT internal AND function_type = 'table_macro' AND database_name IN (current_database(), 'temp'))
