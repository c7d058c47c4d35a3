//go:build duckdb_arrow

package history

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"wb/store"
	"wb/store/storetest"
)

// oneRun makes a file with one run, which has one turn and one text.
func oneRun(t *testing.T) string {
	t.Helper()
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "one.duckdb")
	db, err := store.Open(ctx, path)
	if err != nil {
		t.Fatal(err)
	}
	rec, err := db.NewRecorder(ctx, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	id := uuid.New()
	var texts store.Together
	texts.PutMessages(store.Message{SHA256: "aa", Role: "user", Content: new("x")})
	if err := rec.AddTogether(ctx, &texts); err != nil {
		t.Fatal(err)
	}
	err = errors.Join(store.Add(ctx, rec, store.Run{RunID: id, Name: "one", Status: "ok",
		StartedAt: time.Date(2026, 2, 3, 23, 59, 0, 0, time.UTC)}),
		store.Add(ctx, rec, store.Turn{RunID: id, TurnID: 1, SessionID: 1, Turn: 1, Status: "ok"}),
		store.Add(ctx, rec, store.TurnMessage{RunID: id, TurnID: 1, Position: 1, SHA256: "aa"}), rec.Flush(ctx), rec.Close(), db.Close())
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func copyOf(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(t.TempDir(), "copy.duckdb")
	if err := os.WriteFile(to, text, 0o644); err != nil {
		t.Fatal(err)
	}
	return to
}

// hashes returns the paths and the hashes of all files in a folder.
func hashes(t *testing.T, dir string) string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(dir, func(p string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(p)
		all = append(all, fmt.Sprintf("%s %x", p, sha256.Sum256(b)))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(all, "\n")
}

// cellOf returns the only value of a query over a history.
func cellOf(t *testing.T, path, q string) (s string) {
	t.Helper()
	d, err := OpenRead(context.Background(), path)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(storetest.Scan(d, q, &s), d.Close()); err != nil {
		t.Fatal(err)
	}
	return s
}

// alter runs a statement on a file that wb itself never runs.
func alter(db *store.DB, q string, args ...any) (err error) {
	c, err := db.Conn(context.Background())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	_, err = c.ExecContext(context.Background(), q, args...)
	return err
}
