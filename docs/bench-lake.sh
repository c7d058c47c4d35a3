#!/usr/bin/env bash
# 300 runs and 30 million chunk rows: reports over one file, over a folder of Parquet and over a lake, in turns. usage: make bench; RUNS=3000 REPEATS=1 docs/bench-lake.sh for 300 million
set -euo pipefail
cd "$(dirname "$0")/.."
wb=$PWD/bin/wb shell=$PWD/.venv/bin/duckdb runs=${RUNS:-300} turns=${TURNS:-200}
export WB_EXTENSION_DIR=${WB_EXTENSION_DIR:-$PWD/.tools/extensions}
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
cd "$dir"
"$wb" run --db big.duckdb --sim-profile instant --conversations simple_qa --max-turns 2 --quiet >/dev/null 2>&1
"$shell" big.duckdb >/dev/null <<SQL
CREATE TEMP TABLE r0 AS SELECT * FROM raw.run;
CREATE TEMP TABLE e0 AS SELECT * FROM raw.engine;
CREATE TEMP TABLE c0 AS SELECT * FROM raw.setting;
CREATE TEMP TABLE t0 AS SELECT * FROM raw.turn WHERE status = 'ok' AND turn = 2 LIMIT 1;
CREATE TEMP TABLE s0 AS SELECT * FROM raw.session WHERE session_id = (SELECT session_id FROM t0);
CREATE TEMP TABLE ids AS SELECT i, uuid() AS id FROM range($runs) r(i);
DELETE FROM raw.run; DELETE FROM raw.engine; DELETE FROM raw.setting; DELETE FROM raw.session; DELETE FROM raw.turn; DELETE FROM raw.chunk; DELETE FROM raw.engine_metric; DELETE FROM raw.scrape; DELETE FROM raw.turn_message; DELETE FROM raw.turn_token; DELETE FROM raw.cache_turn; DELETE FROM raw.cache_miss; DELETE FROM raw.event; DELETE FROM raw.host; DELETE FROM raw.host_sample; DELETE FROM raw.process_sample; DELETE FROM raw.message;
INSERT INTO raw.run BY NAME SELECT r0.* REPLACE (id AS run_id, 'run' || i AS name, 'box' || i % 20 AS hostname, started_at - to_hours((($runs - i) * 2)::INTEGER) AS started_at, ended_at - to_hours((($runs - i) * 2)::INTEGER) AS ended_at) FROM r0, ids;
INSERT INTO raw.engine BY NAME SELECT e0.* REPLACE (id AS run_id) FROM e0, ids;
INSERT INTO raw.setting BY NAME SELECT c0.* REPLACE (id AS run_id) FROM c0, ids;
INSERT INTO raw.session BY NAME SELECT s0.* REPLACE (id AS run_id, (1 + k)::INTEGER AS session_id, (1 + k)::INTEGER AS repeat, k * 50000000000 AS started_ns, (k + 1) * 50000000000 AS ended_ns) FROM s0, ids, range($turns // 10) g(k) ORDER BY i, k;
INSERT INTO raw.turn BY NAME SELECT t0.* REPLACE (id AS run_id, (1 + k)::INTEGER AS turn_id, (1 + k // 10)::INTEGER AS session_id, (1 + k % 10)::INTEGER AS turn, 500 AS completion_tokens, (1000 + k % 10 * 500) AS prompt_tokens, k * 5000000000 AS submit_ns, k * 5000000000 AS written_ns,
  k * 5000000000 + 90000000 AS headers_ns, k * 5000000000 + 100000000 + (i * 7919 + k) % 3000000 AS first_chunk_ns, k * 5000000000 + 100000000 + (i * 7919 + k) % 3000000 AS first_ns, k * 5000000000 + 100000000 + (i * 7919 + k) % 3000000 AS first_content_ns, k * 5000000000 + 4092000000 AS last_ns, k * 5000000000 + 4093000000 AS done_ns) FROM t0, ids, range($turns) g(k) ORDER BY i, k;
INSERT INTO raw.chunk BY NAME SELECT id AS run_id, (1 + k // 500)::INTEGER AS turn_id, (1 + k % 500)::INTEGER AS seq, (1 + k % 500)::INTEGER AS read_seq, (k // 500) * 5000000000 + 104000000 + (k % 500) * 8000000 + (hash(i * 1000003 + k) % 400000)::BIGINT AS t_ns, 'content' AS kind, 1 AS tokens, 4 AS text_bytes,
  (20000 + hash(k) % 30000)::BIGINT AS read_delay_ns FROM ids, range($turns * 500) g(k) ORDER BY i, k;
CHECKPOINT;
SQL
now() { date +%s%N; }
t0=$(now); "$wb" push lake --db big.duckdb 2>/dev/null; t1=$(now)
"$wb" export --parquet folder --db big.duckdb 2>/dev/null; t2=$(now)
mb() { echo $(($(du -sb "$1" | cut -f1) / 1000000)); }
awk -v r="$runs" -v n="$((runs * turns * 500))" -v p="$((t1 - t0))" -v e="$((t2 - t1))" -v f="$(mb big.duckdb)" -v l="$(mb lake)" -v d="$(mb folder)" 'BEGIN {
  printf "%d runs, %d chunk rows: file %d MB, lake %d MB, folder %d MB; push %.1f s (%.0f ms a run), export %.1f s\n", r, n, f, l, d, p / 1e9, p / 1e6 / r, e / 1e9 }'
once() { # once PLACE REPORT RUNS: milliseconds
  local t; t=$(now); "$wb" query "$2" --db "$1" --runs "$3" --format csv >out.csv 2>err.txt || { cat err.txt >&2; exit 1; }; echo $((($(now) - t) / 1000000))
}
for case in "itl_percentiles latest" "itl_percentiles last:20" "itl_percentiles all" "ttft_by_turn latest" "fleet_overview all" "regressions_over_time all" "stalls last:20"; do
  read -r report which <<<"$case"
  for place in big.duckdb lake folder; do
    best=10000000
    for _ in $(seq "${REPEATS:-2}"); do x=$(once "$place" "$report" "$which"); if [ "$x" -lt "$best" ]; then best=$x; fi; done
    eval "t_${place%%.*}=$best"
  done
  awk -v c="$case" -v a="$t_big" -v b="$t_lake" -v d="$t_folder" 'BEGIN { printf "%-28s file %6d ms  lake %6d ms (%.2f)  folder %6d ms (%.2f)\n", c, a, b, b / a, d, d / a }'
done
