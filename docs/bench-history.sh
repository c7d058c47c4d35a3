#!/usr/bin/env bash
# What a history costs: reports of one run among 300 others against the run alone, and a comparison by its sessions. usage: make bench
set -euo pipefail
cd "$(dirname "$0")/.."
wb=$PWD/bin/wb shell=$PWD/.venv/bin/duckdb runs=${RUNS:-300}
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
cd "$dir"
best() { # best COMMAND…: milliseconds, of five
  local least=1000000 t0 d
  for _ in 1 2 3 4 5; do
    t0=$(date +%s%N); "$@" >out 2>err || { cat err >&2; exit 1; }
    d=$((($(date +%s%N) - t0) / 1000000)); if [ "$d" -lt "$least" ]; then least=$d; fi
  done
  echo "$least"
}
record() { "$wb" run --sim-profile instant --conversations simple_qa,rag_simulation --max-tokens 8 --quiet "$@" >/dev/null 2>&1; }

record --db alone.duckdb --repeat 20
cp alone.duckdb history.duckdb
"$shell" history.duckdb >/dev/null <<SQL
CREATE TEMP TABLE r AS SELECT uuid() AS new_id, i FROM range($runs) t(i);
INSERT INTO raw.run BY NAME SELECT r.new_id AS run_id, x.name || i AS name, x.started_at - to_days((i + 1)::INTEGER) AS started_at,
  x.* EXCLUDE (run_id, name, started_at) FROM raw.run x, r;
INSERT INTO raw.session BY NAME SELECT r.new_id AS run_id, x.* EXCLUDE (run_id) FROM raw.session x, r;
INSERT INTO raw.turn BY NAME SELECT r.new_id AS run_id, x.* EXCLUDE (run_id) FROM raw.turn x, r;
INSERT INTO raw.scrape BY NAME SELECT r.new_id AS run_id, x.* EXCLUDE (run_id) FROM raw.scrape x, r;
INSERT INTO raw.engine_metric BY NAME SELECT r.new_id AS run_id, x.* EXCLUDE (run_id) FROM raw.engine_metric x, r ORDER BY r.i;
CHECKPOINT;
SQL
rows=$("$shell" -readonly -csv -noheader history.duckdb -c "SELECT count(*) FROM raw.engine_metric")
for report in ttft_split client_overhead turn_details cache_counters_agree roofline; do
  a=$(best "$wb" query "$report" --db alone.duckdb --format csv) b=$(best "$wb" query "$report" --db history.duckdb --format csv)
  awk -v r="$report" -v n="$rows" -v a="$a" -v b="$b" \
    'BEGIN { printf "%-22s alone %5d ms  among %d counters of others %5d ms  ratio %.2f (limit 4)\n", r, a, n, b, b / a }'
done

for repeat in 6 100; do
  for name in a b; do record --db "compare$repeat.duckdb" --name "$name" --users 8 --sample-hz 0 --repeat "$repeat"; done
done
a=$(best "$wb" compare a b --db compare6.duckdb) b=$(best "$wb" compare a b --db compare100.duckdb)
awk -v a="$a" -v b="$b" \
  'BEGIN { printf "compare                96 sessions a side %d ms  1,600 sessions %d ms  ratio %.2f (limit 10)\n", a, b, b / a }'
