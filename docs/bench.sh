#!/usr/bin/env bash
# Start-up, first request and memory of the built wb, as docs/design/performance.md reports them. usage: make bench
set -euo pipefail
cd "$(dirname "$0")/.."
wb=$PWD/bin/wb
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
cd "$dir"
ms() { echo $(( ($2 - $1) / 1000000 )); }

best=1000000
for _ in 1 2 3 4 5 6 7 8 9 10; do
  t0=$(date +%s%N); "$wb" --help >/dev/null; t1=$(date +%s%N)
  d=$(ms "$t0" "$t1"); [ "$d" -lt "$best" ] && best=$d
done
echo "wb --help: $best ms (best of 10; limit 30)"

declare -A first
for kind in "new file" "existing file"; do
  best=1000000
  for _ in 1 2 3 4 5; do
    [ "$kind" = "new file" ] && rm -f first.duckdb
    "$wb" run --db first.duckdb --sim-profile instant --conversations simple_qa --max-turns 1 --warmup 0 --quiet
    d=$("$wb" query --db first.duckdb -c "SELECT (min(submit_ns) / 1e6)::INT AS ms FROM raw.turn WHERE run_id = (SELECT run_id FROM selected_runs)" --format csv | tail -n 1 | cut -d, -f1)
    [ "$d" -lt "$best" ] && best=$d
  done
  echo "first request after start, $kind: $best ms (best of 5; limit 150)"
  first[$kind]=$best
done
awk -v a="${first[new file]}" -v b="${first[existing file]}" \
  'BEGIN { printf "first request, new file over existing one: %.2f (limit 1.6)\n", a / b }'

/usr/bin/env python3 - "$wb" <<'PY'
import resource, subprocess, sys
subprocess.run([sys.argv[1], "run", "--db", "memory.duckdb", "--quiet"], check=True)
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
print(f"peak memory of a default run: {peak:.0f} MB (limit 200)")
PY
