package queries

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"wb/queries/internal/fixture"
	"wb/store"
)

// A run can be selected by any name and any tag, alone and together with others.
func TestSelectOddNames(t *testing.T) {
	names := []string{"plain", "a, b", " ", " edge ", `q"uote`, `"all"`, "tag:x=y", "last:", "la,test", "caf\u00e9 \U0001f600", "deadbeef"}
	db := fixture.Record(t, fixture.Path(t), func(ctx context.Context, r *store.Recorder) error {
		for i, n := range names {
			id := uuid.MustParse(fmt.Sprintf("%08x-0000-4000-8000-000000000000", i+1))
			run := store.Run{RunID: id, Name: n, Status: "ok", StartedAt: time.Date(2026, 1, 1+i, 0, 0, 0, 0, time.UTC)}
			if err := store.Add(ctx, r, run); err != nil {
				return err
			}
			if err := store.Add(ctx, r, store.RunTag{RunID: id, Key: "k", Value: fmt.Sprintf("%d,%d", i, i+1)}); err != nil {
				return err
			}
		}
		return nil
	})
	ctx := context.Background()
	conn := fixture.Conn(t, db)
	chosen := func(selector string) string {
		refs, err := Select(ctx, conn, selector)
		if err != nil {
			return "! " + err.Error()
		}
		var ids []string
		for _, r := range refs {
			ids = append(ids, strings.TrimLeft(r.ID[:8], "0"))
		}
		return strings.Join(ids, " ")
	}
	for i, n := range names {
		want := fmt.Sprintf("%x", i+1)
		quoted := `"` + strings.ReplaceAll(n, `"`, `""`) + `"`
		for _, s := range []string{n, quoted, fmt.Sprintf("tag:k=%d,%d", i, i+1), fmt.Sprintf(`"tag:k=%d,%d"`, i, i+1)} {
			if got := chosen(s); got != want {
				t.Errorf("%s: got %s, want %s", s, got, want)
			}
		}
		if i > 0 {
			if got := chosen("plain , " + quoted + " "); got != "1 "+want {
				t.Errorf("plain and %s: got %s", quoted, got)
			}
		}
	}
	for s, want := range map[string]string{
		`"open`:    `! select runs "\"open": the quote is not closed`,
		`"a", x`:   `! select runs "a": no such run`,
		"latest":   "b",
		`"latest"`: "b",
		"last:2":   "a b",
		"plain,,":  `! select runs "": no such run`,
	} {
		if got := chosen(s); got != want {
			t.Errorf("%s: got %s, want %s", s, got, want)
		}
	}
}

func TestCheckName(t *testing.T) {
	const (
		selector = "could be taken for a selector of runs"
		unseen   = "has characters that cannot be seen"
		spaces   = "begins or ends with a space"
	)
	for name, want := range map[string]string{
		"a": "", "a b": "", "caf\u00e9": "", "x/y=1": "", "a\U0001f600": "", "latests": "",
		"": "is empty", " ": "is empty", "\t": "is empty", " a": spaces, "a ": spaces,
		"a\nb": unseen, "a\x1b[0m": unseen, "a\u202eb": unseen, "a\u200bb": unseen, "a\xff": "is not UTF-8",
		"a,b": selector, `a"b`: selector, "latest": selector, "latest~1": selector, "last:3": selector, "tag:a=b": selector,
		"plan:x": selector, "all": selector,
	} {
		if got := CheckName(name); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}
