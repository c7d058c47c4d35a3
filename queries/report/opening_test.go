//go:build duckdb_arrow

package report

import (
	"context"
	"strings"
	"testing"

	"wb/queries/internal/fixture"
	"wb/queries/table"
)

// Every table of the opening has rows for every selected run, and its figures are those of the saved queries.
func TestOpening(t *testing.T) {
	ctx := context.Background()
	db := fixture.History(t)
	for _, selector := range []string{"latest", "all"} {
		tables, _, err := Tables(ctx, db, selector, "")
		if err != nil {
			t.Fatal(err)
		}
		opening, err := Opening(ctx, db, selector, tables, " --db x")
		if err != nil {
			t.Fatal(err)
		}
		names := []string{}
		for _, o := range opening {
			names = append(names, o.Name)
			if len(o.Runs) != len(tables[0].Runs) || o.SQL == "" {
				t.Errorf("%s of %s: %d runs, SQL %q", o.Name, selector, len(o.Runs), o.SQL)
			}
		}
		if s := strings.Join(names, " "); s != "answer facts slowest_turns advice" {
			t.Errorf("tables %s", s)
		}
		checkFigures(t, tables, opening[0])
		for _, r := range rows(opening[3]) {
			if c := r.text("command"); c != "" && (!strings.HasPrefix(c, "wb query ") || !strings.HasSuffix(c, " --db x")) {
				t.Errorf("command %q", c)
			}
		}
	}
	if _, err := Opening(ctx, db, "nosuch", nil, ""); err == nil {
		t.Error("an unknown run has an opening")
	}
}

// checkFigures compares the figures of each run with those of the report run_overview.
func checkFigures(t *testing.T, tables []*table.Table, answer *table.Table) {
	t.Helper()
	figures := map[string]row{}
	for _, r := range rows(answer) {
		figures[r.text("run")+" "+r.text("figure")] = r
	}
	if len(figures) != 6*len(tables[0].Rows) {
		t.Errorf("%d figures of %d runs", len(figures), len(tables[0].Rows))
	}
	known := 0
	for _, r := range rows(tables[0]) {
		for name, column := range map[string]string{"TTFT p50": "ttft_p50_ms", "Hit ratio": "hit_ratio", "Time per token": "tpot_p50_ms"} {
			f := figures[r.text("run")+" "+name]
			want, ok := r.number(column)
			got, has := f.number("value")
			if ok != has || ok && (got < want-0.01 || got > want+0.01) || f.text("remark") == "" || has == (f.text("shown") == "") {
				t.Errorf("%s of %s: %v, and the report says %v", name, r.text("run"), f, r[column])
			}
			if ok {
				known++
			}
		}
	}
	if known == 0 {
		t.Error("no figure is known: nothing was compared")
	}
}

// A figure that is not known says why.
func TestUnknownFigures(t *testing.T) {
	remarks := func(r row) (out string) {
		for _, f := range figuresOf(r) {
			if f.known {
				t.Errorf("%s is known", f.name)
			}
			out += f.remark + "\n"
		}
		return out
	}
	if s := remarks(row{"turns": int64(0)}); s != strings.Repeat("no measured turn\n", 6) {
		t.Errorf("without turns:\n%s", s)
	}
	want := "no turn has a first token\nno turn has a first token\nhow many tokens came when is not known\n" +
		"the server does not report cached tokens\nthe server does not report completion tokens\nno samples (--sample-hz 0)\n"
	if s := remarks(row{"turns": int64(3), "gpus": int64(1), "sample_hz": "0"}); s != want {
		t.Errorf("without figures:\n%s", s)
	}
}

func TestCauseOf(t *testing.T) {
	base := row{
		"ttft_ms": 100.0, "typical_ttft_ms": 95.0, "plays": int64(4), "turn": int64(5), "prompt_tokens": int64(2075),
		"uncached_tokens": int64(1995), "cause": "changed_text", "other_turns": int64(0), "freezes": int64(0), "server_queue_ms": 1.0,
	}
	for _, c := range []struct {
		change      row
		cause, word string
	}{
		{row{}, "changed_text", "changed text"},
		{row{"cause": "block_rounding"}, "block_rounding", "not whole blocks"},
		{row{"turn": int64(1), "uncached_tokens": int64(2075)}, "cold", "cold cache at the first turn"},
		{row{"uncached_tokens": int64(100)}, "unknown", "most of it was cached, and no cause was observed"},
		{row{"prefix_caching": false, "cause": nil}, "caching_off", "prefix caching is off"},
		{row{"cause": nil}, "unknown", "the causes of misses are not known without token ids"},
		{row{"uncached_tokens": nil}, "unknown", "the server does not report cached tokens"},
		{row{"typical_ttft_ms": 40.0}, "stall", "the median of its 4 repeats is 40.0 ms"},
		{row{"typical_ttft_ms": 40.0, "plays": int64(2)}, "changed_text", "changed text"},
		{row{"other_turns": int64(2)}, "changed_text", "changed text, beside 2 other turns"},
		{row{"other_turns": int64(1), "uncached_tokens": int64(75)}, "load", "beside 1 other turn"},
		{row{"other_turns": int64(2), "typical_ttft_ms": 40.0}, "load", "beside 2 other turns, the median of its 4 repeats is 40.0 ms"},
		{row{"server_queue_ms": 60.0, "other_turns": int64(2)}, "queue", "waited 60.0 ms in the server's queue, beside 2 other turns"},
		{row{"freezes": int64(1), "server_queue_ms": 60.0}, "frozen", "wb itself did not run for a moment"},
	} {
		r := row{}
		for k, v := range base {
			r[k] = v
		}
		for k, v := range c.change {
			r[k] = v
		}
		if cause, words := causeOf(r); cause != c.cause || words != c.word {
			t.Errorf("%v: %s, %q", c.change, cause, words)
		}
	}
	found := &table.Table{Rows: [][]any{{"a", "rag", "system", int64(2), int64(5), 98.8, int64(2075), int64(1995), "changed_text", int64(1)}}}
	for _, name := range []string{
		"run", "conversation", "placement", "repeat", "turn", "ttft_ms", "prompt_tokens", "uncached_tokens", "cause", "plays",
	} {
		found.Columns = append(found.Columns, table.Column{Name: name})
	}
	if s := fixture.Text(t, slowest(found), "summary"); s != "rag turn 5: 98.8 ms, 1,995 of 2,075 tokens computed, changed text" {
		t.Errorf("summary %q", s)
	}
}

func TestAdvice(t *testing.T) {
	fine := row{
		"run": "a", "status": "ok", "turns": int64(8), "sessions": int64(2), "placed_conversations": int64(1), "hit_ratio": 0.8,
		"block_ideal_ratio": 0.8, "achieved_ratio": 0.8,
	}
	with := func(r row) []row {
		out := row{}
		for k, v := range fine {
			out[k] = v
		}
		for k, v := range r {
			out[k] = v
		}
		return []row{out}
	}
	cause := func(name string, share float64) []row {
		return []row{{
			"run": "a", "cause": name, "tokens": int64(1316), "of_prompt_ratio": share, "turns": int64(4), "conversation": "rag",
			"turn": int64(5), "with_documents": true,
		}}
	}
	for _, c := range []struct {
		name                                   string
		figures, causes, events, stalls, drift []row
		want                                   string // kinds
		evidence                               string // of the first
	}{
		{"fine", with(row{}), nil, nil, nil, nil, "", ""},
		{"failed", with(row{"failed_turns": int64(1), "played_turns": int64(13), "first_error": "cut"}), nil, nil, nil, nil, "failed_turns",
			"1 of 13 turns, the first with: cut"},
		{"interrupted", with(row{"status": "interrupted"}), nil, nil, nil, nil, "not_finished", "it is interrupted"},
		{"warm", with(row{"warm_sessions": int64(6), "played_sessions": int64(8), "isolation": "none"}), nil, nil, nil, nil, "began_warm",
			"6 of 8 sessions found their first prompt in the prefix cache (isolation none)"},
		{"unknown hits", with(row{"hit_ratio": nil}), nil, nil, nil, nil, "no_cached_tokens", "the server does not report cached tokens"},
		{"below what blocks allow", with(row{"achieved_ratio": 0.0}), nil, nil, nil, nil, "below_ideal",
			"hit ratio 0 %, and whole blocks allow 80 %"},
		{"caching off on purpose", with(row{"prefix_caching": false,
			"sent_tokens": int64(1300), "cached_tokens": int64(0)}), nil, nil, nil, nil,
			"caching_off", "1,300 prompt tokens were computed"},
		{"queue", with(row{"queued_turns": int64(3), "queue_max_ms": 250.0}), nil, nil, nil, nil, "queue",
			"3 turns with more than a fifth of the TTFT there, at most 250 ms"},
		{"preempted", with(row{"preemptions": int64(2)}), nil, nil, nil, nil, "preemptions", "2 times"},
		{"once", with(row{"sessions": int64(1)}), nil, nil, nil, nil, "one_repeat", "8 turns in 1 session, and none was repeated"},
		{"changed text", with(row{}), cause("changed_text", 0.026), nil, nil, nil, "changed_text",
			"1,316 prompt tokens, 2.6 % of all, in 4 turns; most in rag turn 5"},
		{"little changed text", with(row{}), cause("changed_text", 0.009), nil, nil, nil, "", ""},
		{"blocks", with(row{}), cause("block_rounding", 0.05), nil, nil, nil, "block_rounding", ""},
		{"few blocks", with(row{}), cause("block_rounding", 0.04), nil, nil, nil, "", ""},
		{"new text", with(row{}), cause("new_text", 0.9), nil, nil, nil, "", ""},
		{"frozen", with(row{}), nil, []row{{"run": "a", "kind": "frozen", "times": int64(2), "first_message": "for 3 s"}}, nil, nil, "frozen",
			"2 times; the first: for 3 s"},
		{"no GPU", with(row{}), nil, []row{{"run": "a", "kind": "no_gpu", "times": int64(1)}}, nil, nil, "", ""},
		{"stalls", with(row{}), nil, nil, []row{{"run": "a", "stalls": int64(1), "longest_ms": 132.0, "median_ms": 14.3, "conversation": "rag",
			"turn": int64(4)}}, nil, "stalls", "1 long gap between tokens, the longest of 132 ms in rag turn 4, where the median is 14.3 ms"},
		{"drift", with(row{}), nil, nil, nil, []row{
			{"run": "a", "metric": "ttft", "remark": "it got 5.0 % slower"}, {"run": "a", "metric": "tpot"},
			{"run": "a", "metric": "e2e", "remark": "neighbouring turns are correlated"},
		}, "drift", "TTFT: it got 5.0 % slower"},
		{"order", with(row{"failed_turns": int64(1), "queued_turns": int64(1)}), cause("evicted", 0.5),
			[]row{{"run": "a", "kind": "not_steady", "first_message": "x"}}, nil, nil, "failed_turns not_steady evicted queue", ""},
	} {
		a := adviser{runs: []table.RunRef{{Name: "a"}}}
		a.advise(c.figures, c.causes, c.events, c.stalls, c.drift)
		var got []string
		for _, f := range a.found {
			got = append(got, f.kind)
			if f.title == "" || f.evidence == "" || f.run != "a" {
				t.Errorf("%s: %+v", c.name, f)
			}
		}
		if s := strings.Join(got, " "); s != c.want {
			t.Errorf("%s: %s", c.name, s)
		}
		if c.evidence != "" && len(a.found) > 0 && a.found[0].evidence != c.evidence {
			t.Errorf("%s: %q", c.name, a.found[0].evidence)
		}
	}
}

// Findings of one kind stand together, and a command names its run by the id where a shell would not take the name.
func TestAdviceTable(t *testing.T) {
	a := adviser{runs: []table.RunRef{{ID: "0a1b2c3d-1111", Name: "a b"}, {ID: "1a1b2c3d-1111", Name: "plain"}}}
	for _, run := range []string{"a b", "plain"} {
		a.add(row{"run": run}, "x", "X", "stalls", "", "1")
		a.add(row{"run": run}, "y", "Y", "", "", "2")
	}
	got := fixture.Text(t, a.table(&table.Table{}), "run", "kind", "command")
	want := "a b x wb query stalls --runs 0a1b2c3d\nplain x wb query stalls --runs plain\na b y NULL\nplain y NULL"
	if got != want {
		t.Errorf("got\n%s", got)
	}
}

func TestShown(t *testing.T) {
	for want, got := range map[string]string{
		"0.537 ms": shown(0.5371, "ms"), "2.68 ms": shown(2.68, "ms"), "57.7 ms": shown(57.68, "ms"), "146 ms": shown(145.9, "ms"),
		"40,784 tokens/s": shown(40784.2, "tokens/s"), "77 %": shown(0.7745, "ratio"), "2.6 %": percent(0.0257), "99.6 %": percent(0.9962),
		"100 %": percent(1), "0 %": percent(0),
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestChoose(t *testing.T) {
	ctx := context.Background()
	db := fixture.History(t)
	selector, first, err := Choose(ctx, db, []string{"base", "tuned"}, "")
	if err != nil || !strings.HasPrefix(selector, first+",") || strings.Count(selector, ",") != 2 {
		t.Errorf("%q %q %v", selector, first, err)
	}
	if selector, first, err := Choose(ctx, db, nil, "x"); selector != "latest" || first != "x" || err != nil {
		t.Errorf("%q %q %v", selector, first, err)
	}
	if selector, first, err := Choose(ctx, db, []string{"nosuch"}, ""); selector != "nosuch" || first != "" || err != nil {
		t.Errorf("%q %q %v", selector, first, err)
	}
	for _, c := range [][4]string{
		{"tuned", "base", "", `report: BASE "tuned" selects 2 runs, and one is needed: wb compare compares groups of runs`},
		{"base", "all", "", "report: run base is both in BASE and in HEAD"},
		{"base", "tuned", "base", "report: with BASE and HEAD, --base has no meaning"},
		{"base", "nosuch", "", `select runs "nosuch": no such run`},
	} {
		if _, _, err := Choose(ctx, db, c[:2], c[2]); err == nil || err.Error() != c[3] {
			t.Errorf("%v: %v", c, err)
		}
	}
}
