-- where the Parquet files of the attached lake are
SELECT value FROM __ducklake_metadata__lake.ducklake_metadata WHERE key = 'data_path'
