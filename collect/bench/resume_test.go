package bench

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"wb/data/plain"
	"wb/store"
)

// A plan that was cut short is resumed with its recorded spec. Finished sessions are not played again.
func TestResume(t *testing.T) {
	s := newStage(t)
	ctx, cancel := context.WithCancel(t.Context())
	given := Given{"max-tokens": {"7"}, "": {"--kv-tokens", "5000"}, "url": nil}
	delete(given, "url")
	s.fail = func(s *stage, _ Job) error {
		if len(s.jobs) == 3 {
			cancel()
			return ErrInterrupted
		}
		return nil
	}
	if err := s.execute(ctx, twoCells, given); !errors.Is(err, ErrInterrupted) {
		t.Fatal(err)
	}
	first := slices.Clone(s.jobs)
	s.jobs, s.fail = nil, nil

	found, err := Find(t.Context(), s, "x.duckdb", nil, Given{"timeout": {"3s"}}, anyRules())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range found.Spec.Cells {
		if c.MaxTokens != 7 || c.Timeout != 3*time.Second || !slices.Equal(c.Target.Words, given[""]) {
			t.Errorf("cell %s is resumed with %d tokens, a timeout of %v and %q", c.Cell, c.MaxTokens, c.Timeout, c.Target.Words)
		}
	}
	if err := s.playSpec(t.Context(), found.Spec, found); err != nil {
		t.Fatal(err)
	}
	if s.reopened != 2 {
		t.Errorf("%d runs were reopened", s.reopened)
	}
	played := map[string]int{}
	for _, j := range slices.Concat(first[:2], s.jobs) {
		f := strings.Fields(j)
		played[f[0]+f[1]]++
	}
	if want := map[string]int{"a1": 1, "a2": 1, "a3": 1, "b1": 1, "b2": 1, "b3": 1}; !maps.Equal(played, want) {
		t.Errorf("%q, then %q", first, s.jobs)
	}
	// after that nothing is left to play
	if found, err = Find(t.Context(), s, "x.duckdb", mustPlan(t, twoCells), nil, anyRules()); err != nil {
		t.Fatal(err)
	}
	s.jobs, s.lines = nil, nil
	err = s.playSpec(t.Context(), found.Spec, found)
	if err != nil || len(s.jobs) > 0 || !slices.Equal(s.lines, []string{"nothing left"}) {
		t.Errorf("played %q, told %q (%v)", s.jobs, s.lines, err)
	}
}

// A resumed plan refuses settings that would make its sessions differ from the finished ones. Repeats and timeouts may change.
func TestResumeAsBegun(t *testing.T) {
	for _, c := range []struct {
		name  string
		given Given
		err   string
	}{
		{"nothing", nil, ""},
		{"the same", Given{"seed": {"5"}}, ""},
		{"another", Given{"seed": {"6"}}, "flag --seed: a resumed plan keeps its settings, and it was begun with 5"},
		{"one more", Given{"max-tokens": {"6"}}, "flag --max-tokens: a resumed plan keeps its settings, and it was begun without it"},
		{"other words", Given{"": {"--jitter", "1"}}, `read server arguments: a resumed plan keeps its settings, and it was begun with ""`},
		{"repeats", Given{"repeat": {"9"}}, ""},
	} {
		s := newStage(t)
		s.fail = func(*stage, Job) error { return ErrInterrupted }
		plan := "name: two\nconversations: [simple_qa]\nrepeats: 2\nvariants: {a: {}, b: {}}\n"
		_ = s.execute(t.Context(), plan, Given{"seed": {"5"}})
		found, err := Find(t.Context(), s, "x.duckdb", nil, c.given, anyRules())
		if got := errText(err); got != c.err {
			t.Errorf("%s: %q, want %q", c.name, got, c.err)
		}
		if c.name == "repeats" && (found.Spec.Repeats != 9 || found.Spec.MaxRepeats < 9) {
			t.Errorf("%+v", found.Spec.Repetition)
		}
	}
	none := newStage(t)
	_, err := Find(t.Context(), none, "x.duckdb", nil, nil, anyRules())
	if plain.Hint(err) == "" || !strings.Contains(err.Error(), "x.duckdb holds no plan") {
		t.Errorf("%v, hint %q", err, plain.Hint(err))
	}
}

// A plan that was begun before schema 12 has no recorded spec. It is resumed from its text and the flags in the first line of that.
func TestResumeOfOlderPlans(t *testing.T) {
	flags, err := json.Marshal(Given{"max-tokens": {"9"}, "": {"--jitter", "0.5"}})
	if err != nil {
		t.Fatal(err)
	}
	for row, tokens := range map[store.Execution]int{
		{Plan: twoCells}: 64, {Plan: flagsMark + string(flags) + "\n" + twoCells}: 9,
		// the spec of a plan whose first run is in another file has no cells
		{Plan: twoCells, Spec: `{"given":{"max-tokens":["8"]}}`}: 8,
	} {
		e, err := recorded(row)
		if err != nil {
			t.Fatal(err)
		}
		s, err := e.spec(Given{"timeout": {"9s"}}, anyRules())
		if err != nil {
			t.Fatal(err)
		}
		if s.Text != twoCells || s.Plan != "two" || len(s.Cells) != 2 || s.Repeats != 3 {
			t.Fatalf("%+v", s)
		}
		if s.Cells[1].MaxTokens != tokens || s.Cells[1].Timeout != 9*time.Second {
			t.Errorf("%+v", s)
		}
	}
}

// A plan whose API key this machine lacks does not keep other plans from being resumed.
func TestResumeBesideOthers(t *testing.T) {
	s := newStage(t)
	const keyed = "name: other\napi_key_env: WB_TEST_NO_SUCH_KEY\nvariants: {a: {}, b: {}}\n"
	s.older = []store.Execution{{ID: uuid.New(), Plan: keyed, Runs: 1, Unended: 1}}
	s.fail = func(*stage, Job) error { return ErrInterrupted }
	_ = s.execute(t.Context(), twoCells, nil)
	if found, err := Find(t.Context(), s, "x.duckdb", mustPlan(t, twoCells), nil, anyRules()); err != nil || found.Spec.Plan != "two" {
		t.Errorf("%+v (%v)", found, err)
	}
	other := mustPlan(t, keyed)
	_, err := Find(t.Context(), s, "x.duckdb", other, nil, anyRules())
	if err == nil || !strings.Contains(err.Error(), "WB_TEST_NO_SUCH_KEY") {
		t.Errorf("without a key: %v", err)
	}
	t.Setenv("WB_TEST_A_KEY", "k")
	if _, err := Find(t.Context(), s, "x.duckdb", other, Given{"api-key-env": {"WB_TEST_A_KEY"}}, anyRules()); err != nil {
		t.Errorf("with another key: %v", err)
	}
}
