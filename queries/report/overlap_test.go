//go:build duckdb_arrow

package report

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"

	"wb/queries"
	"wb/queries/internal/fixture"
	"wb/store"
)

// recordUsers records a run of two users. A turn of rag is sent while one of qa is under way, and qa is played once more with other
// processes of the server. The GPU takes 100 W for 16 s.
func recordUsers(ctx context.Context, r *store.Recorder) error {
	id := uuid.New()
	began := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	errs := []error{
		store.Add(ctx, r, store.Run{RunID: id, Name: "users", Status: "ok", StartedAt: began, EndedAt: new(began.Add(16 * time.Second))}),
		store.Add(ctx, r, store.Engine{RunID: id, Kind: "vllm", Model: "m"}),
		store.Add(ctx, r, store.GPU{RunID: id, Name: new("G")}),
	}
	for i, s := range []struct {
		conversation string
		from, to     float64
		pids         []int64
		rss          []int64 // bytes, in the middle of the session
	}{
		{"qa", 0, 10, []int64{11, 12}, []int64{400, 100}}, {"rag", 2, 3, nil, nil}, {"qa", 12, 14, []int64{31, 32}, []int64{500, 100}},
	} {
		n := int32(i + 1)
		errs = append(errs,
			store.Add(ctx, r, store.Session{RunID: id, SessionID: n, Conversation: s.conversation, Variant: "file", Repeat: 1 + n/3,
				StartedNs: fixture.Sec(s.from), EndedNs: new(fixture.Sec(s.to)), Status: "ok"}),
			store.Add(ctx, r, fixture.Turn(id, n, n, 1, "ok", s.from, s.from, s.from+0.5, s.to, s.to, 100, 0, 10)))
		for p, pid := range s.pids {
			errs = append(errs, store.Add(ctx, r, store.ProcessSample{RunID: id, PID: pid, Role: "engine", RSSBytes: &s.rss[p],
				TNs: fixture.Sec((s.from + s.to) / 2)}))
		}
	}
	for second := range 17 {
		errs = append(errs, store.Add(ctx, r, store.GPUSample{RunID: id, TNs: fixture.Sec(float64(second)), SampleGroup: "slow",
			PowerW: new(100.0), EnergyMJ: new(int64(second) * 100_000)}))
	}
	return errors.Join(errs...)
}

// Turns of several users share the energy of their time, and sessions that follow each other do not share the memory of their servers.
func TestSeveralUsers(t *testing.T) {
	db := fixture.Record(t, fixture.Path(t), recordUsers)
	ctx := context.Background()
	figures, err := queries.Internal("report_figures", "figures", "").Run(ctx, db, queries.Options{Runs: "latest"})
	if err != nil {
		t.Fatal(err)
	}
	// the turns take 12 s together, in which 30 tokens come
	if got := fixture.Text(t, figures, "turns", "busy_s", "energy_j", "energy_per_token_j"); got != "3 12 1200 40" {
		t.Errorf("figures %s", got)
	}
	for name, want := range map[string]struct {
		set     map[string]string
		columns []string
		text    string
	}{
		"conversation_metrics": {
			nil, []string{"conversation", "server_rss_mean_bytes", "server_rss_peak_bytes"}, "qa 550 600\nrag NULL NULL",
		},
		"gpu_timeline": {
			map[string]string{"bucket_s": "1"}, []string{"elapsed_s", "turn_label"}, "0 qa 1\n1 qa 1\n2 rag 1\n3 qa 1\n" +
				"4 qa 1\n5 qa 1\n6 qa 1\n7 qa 1\n8 qa 1\n9 qa 1\n10 NULL\n11 NULL\n12 qa 1\n13 qa 1\n14 NULL\n15 NULL\n16 NULL",
		},
	} {
		q, err := queries.Builtin(name)
		if err != nil {
			t.Fatal(err)
		}
		found, err := q.Run(ctx, db, queries.Options{Runs: "latest", Set: want.set})
		if err != nil {
			t.Fatal(err)
		}
		if got := fixture.Text(t, found, want.columns...); got != want.text {
			t.Errorf("%s:\n%s\nwant\n%s", name, got, want.text)
		}
	}
}
