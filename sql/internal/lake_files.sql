-- how many Parquet files count in the attached lake
SELECT count(*) FROM __ducklake_metadata__lake.ducklake_data_file WHERE end_snapshot IS NULL
