//go:build duckdb_arrow

package queries

import (
	"context"
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/google/uuid"

	"wb/queries/internal/fixture"
	"wb/store"
)

// machineRun is a run on a machine, and what was measured there before it.
type machineRun struct {
	name, host, cpu string // cpu "": the system does not say
	onCPU           *bool
	bytesPerS       int64 // 0: not measured
	tpotMs          float64
	cached          int64 // -1: the server does not say
	ttft            float64
}

// Phi-3.5-mini with a context of 991: a token reads 7,834,435,584 bytes. Over 20 GB/s this takes 391.7 ms.
const phiTokenBytes = 7444758528 + 393216*991

// runsOnMachines records runs of one turn with a prompt of 959 tokens and 64 of completion. Each begins a day after the one before.
func runsOnMachines(t *testing.T, runs []machineRun) *store.DB {
	t.Helper()
	model := phi35Model(t)
	return fixture.Record(t, fixture.Path(t), func(ctx context.Context, r *store.Recorder) error {
		var errs []error
		for i, x := range runs {
			id := uuid.NewSHA1(uuid.Nil, []byte(x.name))
			m := model(id, "")
			m.GPUName, m.OnCPU = nil, x.onCPU
			host := store.Host{RunID: id, Hostname: &x.host}
			if x.cpu != "" {
				host.CPUModel = &x.cpu
			}
			if x.bytesPerS > 0 {
				host.MemoryReadBytesPerS = &x.bytesPerS
			}
			end := x.ttft + 63*x.tpotMs/1e3
			started := time.Date(2026, 3, 1+i, 0, 0, 0, 0, time.UTC)
			errs = append(errs, store.Add(ctx, r, store.Run{RunID: id, Name: x.name, Status: "ok", StartedAt: started}),
				store.Add(ctx, r, host), store.Add(ctx, r, m),
				store.Add(ctx, r, store.Session{RunID: id, SessionID: 1, Conversation: "c", Repeat: 1, Status: "ok"}),
				store.Add(ctx, r, fixture.Turn(id, 1, 1, 1, "ok", 0, 0, x.ttft, end, end, 959, x.cached, 64)))
		}
		return errors.Join(errs...)
	})
}

// Where the processors run the model, the newest measurement of the same machine gives the limit of decode, and prefill has none.
func TestLimitsOnCPU(t *testing.T) {
	const unmeasured = "unknown: the memory bandwidth of this machine is not measured; run wb calibrate once"
	yes, no := new(true), new(false)
	runs := []struct {
		machineRun
		bandwidth float64 // bytes/s; 0: no limit
		limitedBy any
		limitsOf  string
	}{
		{machineRun{"before", "a", "X", yes, 0, 500, 0, 4}, 20e9, "decode: memory bandwidth", "X: memory, 20.0 GB/s"},
		{machineRun{"old", "a", "X", yes, 10e9, 500, 0, 4}, 20e9, "decode: memory bandwidth", "X: memory, 20.0 GB/s"},
		{machineRun{"new", "a", "X", yes, 20e9, 1200, 0, 4}, 20e9, "decode: overhead", "X: memory, 20.0 GB/s"},
		{machineRun{"prefill", "a", "X", yes, 0, 500, 0, 40}, 20e9, nil, "X: memory, 20.0 GB/s"},
		{machineRun{"no cached tokens", "a", "X", yes, 0, 500, -1, 4}, 20e9, "decode: memory bandwidth", "X: memory, 20.0 GB/s"},
		{machineRun{"other processor", "a", "Y", yes, 0, 500, 0, 4}, 0, nil, unmeasured},
		{machineRun{"other host", "b", "X", yes, 0, 500, 0, 4}, 0, nil, unmeasured},
		{machineRun{"no name", "c", "", yes, 40e9, 500, 0, 4}, 40e9, "decode: memory bandwidth", "c: memory, 40.0 GB/s"},
		{machineRun{"caches", "a", "X", yes, 0, 300, 0, 4}, 20e9, nil,
			"unknown: tokens came in 0.77 of the time that memory with 20.0 GB/s needs: a part of the model stays in the processors' caches, " +
				"or the model's size, the bandwidth or the tokens per step (1.0) must be wrong"},
		{machineRun{"GPU without a name", "a", "X", no, 0, 500, 0, 4}, 0, nil, "unknown: the server's GPU is not known"},
		{machineRun{"older wb", "a", "X", nil, 0, 500, 0, 4}, 0, nil, "unknown: the server's GPU is not known"},
	}
	var recorded []machineRun
	for _, x := range runs {
		recorded = append(recorded, x.machineRun)
	}
	db := runsOnMachines(t, recorded)
	for _, x := range runs {
		tb, err := find(t, "roofline").Run(context.Background(), db, Options{Runs: x.name})
		if err != nil || len(tb.Rows) != 1 {
			t.Fatalf("%s: %d rows (%v)", x.name, len(tb.Rows), err)
		}
		get := func(column string) any { return tb.Rows[0][tb.ColumnIndex(column)] }
		if get("limited_by") != x.limitedBy || get("limits_of") != x.limitsOf {
			t.Errorf("%s: limited by %v, limits of %v", x.name, get("limited_by"), get("limits_of"))
		}
		for _, column := range []string{"prefill_limit_p50_ms", "mfu_p50_ratio", "times_limit_p50"} {
			if get(column) != nil {
				t.Errorf("%s: %s is %v", x.name, column, get(column))
			}
		}
		limit, has := get("decode_limit_p50_ms").(float64)
		if want := phiTokenBytes / x.bandwidth * 1e3; has != (x.bandwidth > 0) || (has && math.Abs(limit-want) > 0.001) {
			t.Errorf("%s: a token takes at least %v ms, want %v", x.name, get("decode_limit_p50_ms"), want)
		}
		mbu, has := get("mbu_p50_ratio").(float64)
		if want := limit / x.tpotMs; has != (x.bandwidth > 0 && want < 1) || (has && math.Abs(mbu-want) > 0.0001) {
			t.Errorf("%s: MBU is %v, want %v", x.name, get("mbu_p50_ratio"), want)
		}
	}
}

// Each machine has one row: its newest measurement, the run that it was made for, and the day.
func TestMemoryBandwidths(t *testing.T) {
	db := runsOnMachines(t, []machineRun{{"first", "a", "X", nil, 10e9, 5, 0, 4}, {"second", "a", "X", nil, 20e9, 5, 0, 4},
		{"unmeasured", "a", "X", nil, 0, 5, 0, 4}, {"another", "a", "Y", nil, 30e9, 5, 0, 4}, {"never", "b", "X", nil, 0, 5, 0, 4}})
	tb, err := AdHoc(`SELECT b.hostname, cpu_model, memory_read_bytes_per_s, r.name, day::VARCHAR
		FROM memory_bandwidths b JOIN runs r USING (run_id) ORDER BY cpu_model`).Run(context.Background(), db, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(tb.Rows); got != "[[a X 20000000000 second 2026-03-02] [a Y 30000000000 another 2026-03-04]]" {
		t.Error(got)
	}
}
