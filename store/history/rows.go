//go:build duckdb_arrow

package history

import (
	"fmt"
	"strings"

	wbsql "wb/sql"
)

// dayOf is the day (UTC) on which a run began. Folders and lakes are partitioned by this day first; folders then by run.
const dayOf = "CAST(r.started_at AS DATE)"

// SQL that reads a source is written in Go and not in sql/, because the names of relations are pasted into it.

// rowsOf returns a SELECT of the rows of a table with two more columns, day and run_id. A message is selected once for each run that
// refers to it. For a run that was told to keep no texts it has no text, even if other runs of the file recorded the text.
func rowsOf(s *source, table string) string {
	if table == "message" && !s.perRun() {
		return fmt.Sprintf(`(SELECT %s AS day, u.run_id, m.* REPLACE (
				CASE WHEN n.run_id IS NULL THEN m.content END AS content, CASE WHEN n.run_id IS NULL THEN m.reasoning END AS reasoning)
			FROM (SELECT run_id, sha256 FROM %s UNION SELECT run_id, reply_sha256 FROM %s WHERE reply_sha256 IS NOT NULL) u
			JOIN (SELECT * FROM %s QUALIFY row_number() OVER (PARTITION BY sha256 ORDER BY content IS NULL) = 1) m USING (sha256)
			JOIN %s r USING (run_id)
			LEFT JOIN (SELECT DISTINCT run_id FROM %s WHERE source = 'plan' AND name = 'no_text' AND value = 'true') n USING (run_id))`,
			dayOf, s.from("turn_message"), s.from("turn"), s.from("message"), s.from("run"), s.from("setting"))
	}
	if table == "message" {
		return s.from(table)
	}
	if table == "run" {
		return fmt.Sprintf("(SELECT %s AS day, r.* FROM %s r)", dayOf, s.from("run"))
	}
	return fmt.Sprintf("(SELECT %s AS day, t.* FROM %s t JOIN (SELECT run_id, started_at FROM %s) r USING (run_id))",
		dayOf, s.from(table), s.from("run"))
}

func inList(ids []string) string {
	quoted := make([]string, len(ids))
	for i, id := range ids {
		quoted[i] = wbsql.Text(id) + "::UUID"
	}
	return "run_id IN (" + strings.Join(quoted, ", ") + ")"
}
