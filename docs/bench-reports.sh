#!/usr/bin/env bash
# Reports over 10 million chunk rows: wb against the DuckDB shell over the same SQL and file, in turns. usage: make bench
set -euo pipefail
cd "$(dirname "$0")/.."
wb=$PWD/bin/wb shell=$PWD/.venv/bin/duckdb reports=$PWD/sql/reports rows=${ROWS:-10000000}
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
cd "$dir"
"$wb" run --db big.duckdb --sim-profile instant --conversations simple_qa --quiet >/dev/null 2>&1
"$shell" big.duckdb >/dev/null <<SQL
CREATE TEMP TABLE t AS SELECT * FROM raw.turn WHERE status = 'ok' AND turn = 2 LIMIT 1;
CREATE TEMP TABLE s AS SELECT * FROM raw.session WHERE session_id = (SELECT session_id FROM t);
INSERT INTO raw.session BY NAME SELECT s.* REPLACE ((1000 + i)::INTEGER AS session_id, (1 + i)::INTEGER AS repeat, i * 50000000000 AS started_ns, (i + 1) * 50000000000 AS ended_ns) FROM s, range($rows // 5000) r(i);
INSERT INTO raw.turn BY NAME SELECT t.* REPLACE ((1000 + i)::INTEGER AS turn_id, (1000 + i // 10)::INTEGER AS session_id, (1 + i % 10)::INTEGER AS turn, 500 AS completion_tokens, 1000 AS prompt_tokens, 500 AS token_events, 500 AS token_reads, 1 AS first_read_events, 500 AS streamed_tokens, 1 AS first_read_tokens,
  i * 5000000000 AS submit_ns, i * 5000000000 AS written_ns, i * 5000000000 + 90000000 AS headers_ns, i * 5000000000 + 100000000 + i % 1000 AS first_chunk_ns, i * 5000000000 + 100000000 + i % 1000 AS first_ns, i * 5000000000 + 100000000 + i % 1000 AS first_content_ns,
  i * 5000000000 + 4092000000 AS last_ns, i * 5000000000 + 4093000000 AS done_ns) FROM t, range($rows // 500) r(i);
INSERT INTO raw.chunk BY NAME SELECT t.run_id, (1000 + i // 500)::INTEGER AS turn_id, (1 + i % 500)::INTEGER AS seq, (1 + i % 500)::INTEGER AS read_seq,
  (i // 500) * 5000000000 + 100000000 + (i % 500) * 8000000 + (hash(i) % 400000)::BIGINT + CASE WHEN i % 50021 = 7 THEN 6000000 ELSE 0 END AS t_ns, 'content' AS kind, 1 AS tokens, 4 AS text_bytes, (20000 + hash(i) % 30000)::BIGINT AS read_delay_ns
  FROM t, range($rows) r(i);
CHECKPOINT;
SQL
echo "$rows chunk rows, $(($(stat -c %s big.duckdb) / 1000000)) MB"
once() { # once COMMAND…: milliseconds
  local t0; t0=$(date +%s%N); "$@" >out.csv 2>err.txt || { cat err.txt >&2; exit 1; }; echo $((($(date +%s%N) - t0) / 1000000))
}
by_wb() { "$wb" query "$1" --db big.duckdb --format csv; }
by_shell() { printf "SET threads = 2;\nSET memory_limit = '1GB';\n.mode csv\n.read %s/%s.sql\n" "$reports" "$1" | "$shell" -readonly big.duckdb; }
for r in ${REPORTS:-itl_percentiles stalls throughput_by_run ttft_by_turn turn_details client_overhead compare_turns conversation_summary}; do
  a=1000000 b=1000000
  for _ in 1 2 3; do
    x=$(once by_wb "$r"); y=$(once by_shell "$r")
    if [ "$x" -lt "$a" ]; then a=$x; fi
    if [ "$y" -lt "$b" ]; then b=$y; fi
  done
  awk -v r="$r" -v a="$a" -v b="$b" 'BEGIN { printf "%-22s wb %6d ms  shell %6d ms  ratio %.2f (limit 1.1)\n", r, a, b, a / b }'
done
