"""Read a folder of wb export --parquet with ClickHouse (chdb) and Spark.
Print, for each table and reader, the number of rows and the sum of each numeric column.

usage: readers.py DIR, which prints JSON: {reader: {table: {"rows": n, column: sum}}}
"""
import csv, glob, json, os, sys

folder = sys.argv[1]
numeric = {"INTEGER", "BIGINT", "DOUBLE"}
tables = {}
with open(os.path.join(folder, "dictionary.csv"), newline="") as f:
    for row in csv.DictReader(f):
        if glob.glob(os.path.join(folder, row["table"], "*", "*", "*.parquet")):
            tables.setdefault(row["table"], [])
            if row["type"] in numeric:
                tables[row["table"]].append(row["column"])
out = {"clickhouse": {}, "spark": {}}

import chdb

for t, columns in tables.items():
    sums = "".join(f", sum(toFloat64(`{c}`))" for c in columns)
    cells = json.loads(chdb.query(f"SELECT count(){sums} FROM file('{folder}/{t}/*/*/*.parquet', Parquet)", "JSONCompact").bytes())["data"][0]
    out["clickhouse"][t] = {"rows": int(cells[0]), **{c: None if v is None else float(v) for c, v in zip(columns, cells[1:])}}

from pyspark.sql import SparkSession

spark = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false").config("spark.log.level", "ERROR").getOrCreate()
for t, columns in tables.items():
    frame = spark.read.parquet(os.path.join(folder, t))
    assert {"day", "run_id"} <= set(frame.columns), (t, frame.columns)  # the partitions are columns
    cells = frame.selectExpr("count(*)", *[f"sum(cast(`{c}` AS DOUBLE))" for c in columns]).collect()[0]
    out["spark"][t] = {"rows": int(cells[0]), **dict(zip(columns, cells[1:]))}
spark.stop()
print(json.dumps(out))
