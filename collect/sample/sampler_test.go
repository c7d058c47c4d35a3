package sample

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock"
	"github.com/google/uuid"

	"wb/collect/gpu/gputest"
	"wb/store"
	"wb/store/storetest"
)

func TestDrive(t *testing.T) {
	type told struct{ kind, message string }
	drive := func(samples int, f func(n int) error) (events []told) {
		ctx, cancel := context.WithCancel(context.Background())
		n := 0
		drive(ctx, samplerFunc(func() error {
			n++
			if n == samples {
				cancel()
			}
			return f(n)
		}), 2*time.Millisecond, func(kind store.EventKind, source, message string) {
			if source != "fake" {
				t.Errorf("source %q", source)
			}
			events = append(events, told{string(kind), message})
		})
		if n != samples+1 { // there is one more at the end
			t.Errorf("%d samples, want %d", n, samples+1)
		}
		return events
	}
	// The same failure is reported once, another failure is reported too, and sampling goes on.
	got := drive(6, func(n int) error {
		if n == 5 {
			return errors.New("two")
		}
		return errors.New("one")
	})
	if fmt.Sprint(got) != "[{sampler_failed one} {sampler_failed two}]" {
		t.Errorf("events %v", got)
	}
	for late, want := range map[time.Duration]bool{0: false, 350 * time.Millisecond: false, 351 * time.Millisecond: true, time.Minute: true} {
		if frozen(late, 100*time.Millisecond) != want {
			t.Errorf("a tick that is %v late: frozen is %v", late, !want)
		}
	}
}

type samplerFunc func() error

func (samplerFunc) Name() string                                  { return "fake" }
func (samplerFunc) MostHz() float64                               { return 1000 }
func (f samplerFunc) Sample(context.Context, time.Duration) error { return f() }

// testEnv makes an environment that records into a new file.
func testEnv(t *testing.T) (*Env, *store.DB) {
	t.Helper()
	ctx := context.Background()
	db, err := store.Open(ctx, filepath.Join(t.TempDir(), "a.duckdb"))
	if err != nil {
		t.Fatal(err)
	}
	rec, err := db.NewRecorder(ctx, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(rec.Close(), db.Close()); err != nil {
			t.Error(err)
		}
	})
	start := time.Now()
	e := &Env{RunID: uuid.New(), Rec: rec, Now: func() int64 { return int64(time.Since(start)) }}
	e.Tell = func(kind store.EventKind, source, message string) {
		if err := store.Add(ctx, rec, store.Event{RunID: e.RunID, TNs: e.Now(), Kind: kind, Source: source, Message: message}); err != nil {
			t.Error(err)
		}
	}
	e.Note = e.Tell
	return e, db
}

func one(t *testing.T, db *store.DB, q string) string {
	t.Helper()
	var s string
	if err := storetest.Scan(db, q, &s); err != nil {
		t.Fatalf("%s: %v", q, err)
	}
	return s
}

func TestHostAndProcessSamples(t *testing.T) {
	ctx := context.Background()
	r, db := testEnv(t)
	h, p := &hostSampler{env: r}, &processSampler{env: r}
	r.ServerPID.Store(int32(os.Getppid()))
	for range 2 {
		if err := errors.Join(h.Sample(ctx, 3*time.Millisecond), p.Sample(ctx, 0)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Millisecond) // processor shares need time to pass, in ticks of 10 ms
	}
	if err := r.Rec.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	got := one(t, db, `SELECT concat_ws(' ', count(*), count(cpu_ratio), min(late_ns),
		bool_and(cpu_ratio IS NULL OR cpu_ratio BETWEEN 0 AND 1), bool_and(cost_ns > 0 AND t_ns > 0),
		bool_and(memory_used_bytes > 0 AND memory_available_bytes > 0)) FROM raw.host_sample`)
	if got != "2 1 3000000 true true true" {
		t.Errorf("host samples: %s", got)
	}
	// Only wb and its parent are asked for. The parent is the go command, whose children come and go, and a child that has just ended has
	// no memory.
	got = one(t, db, `SELECT string_agg(DISTINCT role, ' ' ORDER BY role) || ' ' ||
		bool_and(rss_bytes > 0 AND cpu_s >= 0 AND threads > 0) || ' ' || count(gc_pause_ns)
		FROM raw.process_sample WHERE pid IN (`+fmt.Sprint(os.Getpid(), ", ", os.Getppid())+")")
	if got != "engine wb true 2" {
		t.Errorf("process samples: %s", got)
	}
	if err := p.engine(ctx, int32(os.Getppid()), []int32{int32(os.Getppid()), 1 << 30}); err != nil {
		t.Errorf("a child that ended since it was listed: %v", err)
	}
	r.ServerPID.Store(1 << 30)
	if err := p.Sample(ctx, 0); err == nil || !strings.Contains(err.Error(), "engine process 1073741824") {
		t.Errorf("a server that is gone: %v", err)
	}
}

// A wall clock that is set during a run is an event, and changes no duration.
func TestClockStep(t *testing.T) {
	ctx := context.Background()
	r, db := testEnv(t)
	h := &hostSampler{env: r}
	for i := range 3 {
		if i == 1 { // as if the wall clock had been three seconds earlier at the last reading
			h.lastWall = h.lastWall.Add(-3 * time.Second)
		}
		if err := h.Sample(ctx, 0); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.Rec.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	got := one(t, db, `SELECT string_agg(kind || ': ' || regexp_replace(message, '\d+', 'N'), '; ') || ' ' ||
		(SELECT bool_and(t_ns < 1e9) FROM raw.host_sample) FROM raw.event`)
	if got != "clock_step: the wall clock moved by N ms; durations are not affected true" {
		t.Errorf("%s", got)
	}
}

func TestGPUSamples(t *testing.T) {
	ctx := context.Background()
	for name, c := range map[string]struct {
		unsupported bool
		fast, slow  string
	}{
		"all":            {false, "0.87 0.4 412.5 1001 1002 58 4 60", "1500,2000|400|70|0|2048|2048|0.1|0.2|-|0.4"},
		"some supported": {true, "0.87 0.4 412.5 - - 58 - 60", "-|-|-|0|-|-|0.1|0.2|-|0.4"},
	} {
		t.Run(name, func(t *testing.T) {
			r, db := testEnv(t)
			g := gputest.FakeGPU(c.unsupported)
			for range 2 {
				if err := errors.Join((&fastGPU{r, g}).Sample(ctx, 0), (&slowGPU{r, g}).Sample(ctx, 0)); err != nil {
					t.Error(err)
				}
			}
			if err := r.Rec.Flush(ctx); err != nil {
				t.Fatal(err)
			}
			got := one(t, db, `SELECT concat_ws(' ', gpu_util_ratio, memory_util_ratio, power_w, coalesce(sm_clock_mhz::VARCHAR, '-'),
				coalesce(memory_clock_mhz::VARCHAR, '-'), temperature_c::INT, coalesce(throttle_reasons::VARCHAR, '-'), memory_used_bytes)
				FROM raw.gpu_sample WHERE sample_group = 'fast' LIMIT 1`)
			if got != c.fast {
				t.Errorf("fast: %s, want %s", got, c.fast)
			}
			got = one(t, db, `SELECT concat_ws('|', coalesce(string_agg(energy_mj::VARCHAR, ',' ORDER BY energy_mj), '-'),
				coalesce(max(power_instant_w)::INT::VARCHAR, '-'), coalesce(max(memory_temperature_c)::INT::VARCHAR, '-'),
				max(performance_state),
				coalesce(max(pcie_tx_bytes_per_s)::INT::VARCHAR, '-'), coalesce(max(pcie_rx_bytes_per_s)::INT::VARCHAR, '-'),
				max(sm_active_ratio), max(sm_occupancy_ratio), coalesce(max(tensor_active_ratio)::VARCHAR, '-'), max(dram_active_ratio))
				FROM raw.gpu_sample WHERE sample_group = 'slow'`)
			if got != c.slow {
				t.Errorf("slow: %s, want %s", got, c.slow)
			}
			if got := one(t, db, "SELECT count(sm_active_ratio)::VARCHAR FROM raw.gpu_sample"); got != "1" {
				t.Errorf("%s samples with GPM: the first has nothing before it to compare with", got)
			}
			if w := r.GPUWatts(); w != 412.5 {
				t.Errorf("power for the live line: %v", w)
			}
		})
	}
	// A GPU that is lost during a run gives an error that names the reading, and no crash.
	r, _ := testEnv(t)
	g := gputest.FakeGPU(false)
	g.Devices[0].Device.(*mock.Device).GetPowerUsageFunc = func() (uint32, nvml.Return) { return 0, nvml.ERROR_GPU_IS_LOST }
	if err := (&fastGPU{r, g}).Sample(ctx, 0); err == nil || !strings.Contains(err.Error(), "gpu 0: power: NVML error 15") {
		t.Errorf("a lost GPU: %v", err)
	}
}
