-- whether DuckDB or the file has a function of a name
SELECT count(*) > 0 FROM duckdb_functions() WHERE lower(function_name) = ? AND database_name <> 'temp'
