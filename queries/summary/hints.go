package summary

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"wb/data/plain"
	"wb/queries"
	"wb/queries/compare"
	"wb/queries/table"
	wbsql "wb/sql"
	"wb/store"
)

const (
	longCommand = 48              // characters; a longer command has no room for its reason, and does not move those of the others
	mostHints   = 4               // beside the line that names wb query --list
	longest     = 4 * time.Second // for all reports that are tried; after a very large run there are fewer hints
)

// hint is a command that shows more of a run, and why.
type hint struct{ command, why string }

// finding is a report that may be worth a look after a run.
type finding struct {
	report string
	why    func(t *table.Table) string // of a table with rows; "" when it is not worth a line
}

// findings are the reports that are tried after a run, the most important first.
func findings() []finding {
	return []finding{
		{"stalls", func(t *table.Table) string {
			return plain.Count(len(t.Rows), "stall") + measure(", the longest %v ms", t.Value(0, "gap_ms"))
		}},
		{"first_divergence", func(t *table.Table) string {
			turns := 0
			for i := range t.Rows {
				n, _ := t.Value(i, "repeats").(int64)
				turns += max(int(n), 1)
			}
			return plain.Count(turns, "turn") + " computed again what was sent before"
		}},
		{"cache_miss_causes", func(t *table.Table) string {
			for i := range t.Rows {
				if cause, _ := t.Value(i, "cause").(string); slices.Contains([]string{"evicted", "unknown"}, cause) {
					return "cached tokens were lost"
				}
			}
			return ""
		}},
		{"rag_placement", func(*table.Table) string { return "what documents in prompts cost" }},
		{"energy_by_turn", func(*table.Table) string { return "what each turn took from the GPU" }},
	}
}

// measure writes a value that may be unknown: then it gives "".
func measure(format string, v any) string {
	if v == nil {
		return ""
	}
	return fmt.Sprintf(format, v)
}

// hints gives the commands that show more of this run. A report is named only if it has rows.
func (c Call) hints(ctx context.Context, db *store.DB, r Run, reported bool) []hint {
	ctx, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	var found []hint
	most := mostHints
	if !reported { // a place is kept for it
		most--
	}
	if r.Failed > 0 {
		found = append(found, hint{"query failed_turns", plain.Count(r.Failed, "turn") + " failed"})
	}
	if r.Failed < r.Played {
		if base, head := comparableRun(ctx, db, r.ID); base != "" {
			found = append(found, hint{"compare " + plain.Quote(base, head), "what changed since the run before it"})
		}
		for _, f := range findings() {
			if len(found) == most {
				break
			}
			if why := tried(ctx, db, r.ID, f); why != "" {
				found = append(found, hint{"query " + f.report, why})
			}
		}
		if r.Users != 1 && len(found) < most {
			found = append(found, hint{"query load", "what several users at once got"})
		}
		if len(found) < mostHints-1 {
			found = append(found, hint{"query ttft_by_turn", "time to first token"})
		}
		if len(found) < mostHints-1 {
			found = append(found, hint{"query cache_hit_by_turn", "what came from the prefix cache"})
		}
	}
	for i := range found {
		found[i].command += c.DBFlag
	}
	if !reported {
		found = append(found, hint{"report" + c.DBFlag, "its results as files: results/*.html, *.csv, *.json, *.md, *_system.json"})
	}
	return append(found, hint{"query --list", "all reports"})
}

// tried runs a report over a run and says why it is worth a look, or "". A report that takes too long or fails gets no line.
func tried(ctx context.Context, db *store.DB, run string, f finding) string {
	q, err := queries.Builtin(f.report)
	if err != nil {
		return ""
	}
	t, err := q.Run(ctx, db, queries.Options{Runs: run})
	if err != nil || len(t.Rows) == 0 {
		return ""
	}
	return f.why(t)
}

// comparableRun gives the names of the newest earlier run that can be compared with this one, and of this one; "" where there is none.
func comparableRun(ctx context.Context, db *store.DB, run string) (base, head string) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return "", ""
	}
	defer conn.Close()
	if err := conn.QueryRowContext(ctx, wbsql.Statement("comparable_run"), run, compare.LeastSessions(1)).Scan(&base, &head); err != nil {
		return "", "" // mostly sql.ErrNoRows
	}
	return base, head
}

// aligned writes hints one below the other. What follows the # is a comment for the shell.
func (c Call) aligned(hints []hint) (lines []string) {
	widest := 0
	for _, h := range hints {
		if n := utf8.RuneCountInString(h.command); n <= longCommand {
			widest = max(widest, n)
		}
	}
	for _, h := range hints {
		line := "  " + c.Self + " " + h.command
		if n := utf8.RuneCountInString(h.command); n <= longCommand {
			line += strings.Repeat(" ", widest-n) + "  # " + h.why
		}
		lines = append(lines, line)
	}
	return lines
}
