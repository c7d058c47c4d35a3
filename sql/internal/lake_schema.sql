-- schema of the attached lake
SELECT coalesce(max(version), 0) FROM _lake.main.wb_schema
