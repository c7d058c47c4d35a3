#!/usr/bin/env bash
# Do two builds of wb say the same about the same history?
#   same-reports.sh OLD NEW [FILE.duckdb]
# compares what the two say: the rows of every saved report, of the latest run and of all runs; of wb compare; and of wb report.
# Without a file OLD makes one on the simulator. Exit 1 when something differs.
set -euo pipefail
old=$(realpath "${1:?usage: same-reports.sh OLD NEW [FILE.duckdb]}")
new=$(realpath "${2:?usage: same-reports.sh OLD NEW [FILE.duckdb]}")
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
if [ $# -gt 2 ]; then
  file=$(realpath "$3")
else
  file=$dir/history.duckdb
fi
cd "$dir"

record() { "$old" run --db "$file" --sim-profile instant --max-tokens 12 --seed 1 --quiet "$@"; }

# Several runs, documents in every placement, repeats, several users, sessions at a rate, a plan, and runs whose turns fail.
make_history() {
  record --name base --conversations simple_qa,code_discussion --repeat 6 --tag side=old
  record --name head --conversations simple_qa,code_discussion --repeat 6 --tag side=new --isolation none --token-ids all
  record --name places --conversations rag_simulation,rag_topk --rag-placement all --replies scripted
  record --name users --conversations simple_qa,rag_topk --users 4 --repeat 2 --ignore-eos
  record --name rate --conversations simple_qa --rate 20 --arrival constant --repeat 3 --no-text
  record --name cut --conversations simple_qa,code_discussion --sim-fault cut@4:3 --warmup 0
  record --name damage --conversations simple_qa --sim-fault damage@3:2 --warmup 0
  record --name busy --conversations simple_qa --sim-fault 429@2 --warmup 0
  cat >plan.yaml <<PLAN
name: p
conversations: [simple_qa]
max_turns: 2
max_tokens: 4
repeats: 3
seed: 1
sim_profile: instant
matrix:
  rag_placement: [system, append]
PLAN
  "$old" run plan.yaml --db "$file" --quiet
}
if [ ! -e "$file" ]; then
  make_history
  failed=$("$old" query --db "$file" --format csv -c "SELECT count(*) FROM turns WHERE status NOT IN ('ok', 'interrupted')" | tail -n 1)
  [ "${failed%%,*}" -gt 2 ] || { echo "no turns failed as they were meant to" >&2; exit 1; }
fi

# Each works on a copy: opening a file may bring it up to date.
for side in old new again; do
  mkdir "$side"
  cp "$file" "$side/history.duckdb"
  if [ -e "$file.wal" ]; then cp "$file.wal" "$side/history.duckdb.wal"; fi
done

# rows keeps the rows of a JSON document, however deep they stand: titles, SQL and versions may change.
rows() {
  python3 -c '
import json, sys
def rows(o):
    if isinstance(o, dict):
        for key, value in o.items():
            if key == "rows":
                print(*(json.dumps(row) for row in value), sep="\n")
            else:
                rows(value)
    elif isinstance(o, list):
        for value in o:
            rows(value)
rows(json.load(sys.stdin))'
}

ask() { # ask SIDE WB COMMAND…: what it says, rows only, and how it ends
  local side=$1 wb=$2 code=0
  shift 2
  (cd "$side" && "$wb" "$@" --db history.duckdb --format json >answer.json 2>answer.err) || code=$?
  if [ -s "$side/answer.json" ]; then rows <"$side/answer.json"; fi
  echo "exit $code"
  if [ "$code" != 0 ]; then cat "$side/answer.err"; fi
}

compared=0 different=0
hold() { # hold COMMAND…
  compared=$((compared + 1))
  ask old "$old" "$@" >old.txt
  ask new "$new" "$@" >new.txt
  if cmp -s old.txt new.txt; then return; fi
  ask again "$old" "$@" >again.txt
  if ! cmp -s old.txt again.txt; then
    echo "not the same twice: wb $*"
    return
  fi
  different=$((different + 1))
  if cmp -s <(sort old.txt) <(sort new.txt); then echo "another order: wb $*"; else echo "different: wb $*"; fi
  diff old.txt new.txt | cut -c 1-300 | head -n 6 || true
}

names() { (cd "$1" && "$2" query --list --format csv) | tail -n +2 | cut -d, -f1; }
names old "$old" >old.names
names new "$new" >new.names
if [ ! -s old.names ]; then
  echo "OLD lists no saved report" >&2
  exit 1
fi
while read -r name; do
  hold query "$name"
  hold query "$name" --runs all
done <old.names
comm -13 <(sort old.names) <(sort new.names) | sed 's/^/only NEW has: /'

(cd old && "$old" query --db history.duckdb --format csv -c "SELECT run_id FROM runs ORDER BY started_at") | tail -n +2 | cut -d, -f1 >ids
mapfile -t ids <ids
for ((i = 1; i < ${#ids[@]}; i++)); do
  hold compare "${ids[i - 1]}" "${ids[i]}"
  hold compare "${ids[i - 1]}" "${ids[i]}" --by turn
done

# wb report writes files: their rows, too
report() { # report SIDE WB SELECTOR
  rm -rf "$1/report"
  (cd "$1" && "$2" report "$3" --db history.duckdb --out report >/dev/null 2>report.err) || { echo "exit $?"; cat "$1/report.err"; }
  for f in "$1"/report/*; do
    echo "== ${f##*/}"
    case $f in
      *.csv) cat "$f" ;;
      *_system.json) ;; # versions and the machine's state
      *.json) rows <"$f" ;;
    esac
  done
}
for selector in latest "$(IFS=,; echo "${ids[*]:0:2}")"; do
  compared=$((compared + 1))
  report old "$old" "$selector" >old.txt
  report new "$new" "$selector" >new.txt
  if ! cmp -s old.txt new.txt; then
    different=$((different + 1))
    echo "different: wb report $selector"
    diff old.txt new.txt | cut -c 1-300 | head -n 6 || true
  fi
done

echo "$compared answers compared, $different differ"
[ "$different" = 0 ]
