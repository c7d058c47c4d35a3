package compare

import (
	"context"
	"database/sql"
	"fmt"

	"wb/queries"
	wbsql "wb/sql"
	"wb/store"
)

// loadEngines reads what the servers of each side say about themselves.
func loadEngines(ctx context.Context, db *store.DB, sides ...*Side) error {
	conn, err := db.Conn(ctx)
	if err != nil {
		return fmt.Errorf("compare engines: %w", err)
	}
	defer conn.Close()
	for _, s := range sides {
		if s.Said, err = said(ctx, conn, s.ids()); err != nil {
			return fmt.Errorf("compare engines: %w", err)
		}
	}
	return nil
}

func said(ctx context.Context, conn *sql.Conn, runs string) (Said, error) {
	rows, err := conn.QueryContext(ctx, wbsql.Statement("compare_engines"), runs)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := Said{}
	for rows.Next() {
		var name string
		var value sql.NullString
		if err := rows.Scan(&name, &value); err != nil {
			return nil, err
		}
		out[name] = append(out[name], value.String)
	}
	return out, rows.Err()
}

// loadTexts reads what was asked in each turn of a side.
func loadTexts(ctx context.Context, db *store.DB, sides ...*Side) error {
	for _, s := range sides {
		t, err := queries.Internal("compare_texts", "compare_texts", "Texts that were asked").Run(ctx, db, queries.Options{Runs: s.ids()})
		if err != nil {
			return fmt.Errorf("compare texts: %w", err)
		}
		type place struct {
			run, conversation, variant string
			nth, turn                  int64
		}
		asked := map[place][2]string{}
		for i := range t.Rows {
			get := func(name string) any { return t.Value(i, name) }
			at := place{run: fmt.Sprint(get("run_id")), conversation: fmt.Sprint(get("conversation")), variant: fmt.Sprint(get("placement"))}
			at.nth, _ = get("nth").(int64)
			at.turn, _ = get("turn").(int64)
			script, _ := get("script").(string)
			history, _ := get("history").(string)
			asked[at] = [2]string{script, history}
		}
		for i := range s.Turns {
			x := &s.Turns[i]
			text := asked[place{x.Run, x.Conversation, x.Variant, x.Nth, x.Turn}]
			x.Script, x.History = text[0], text[1]
		}
	}
	return nil
}
