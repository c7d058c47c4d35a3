package collect

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock"
	"github.com/google/uuid"

	"wb/store"
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
		}), 2*time.Millisecond, func(kind, source, message string) {
			if source != "fake" {
				t.Errorf("source %q", source)
			}
			events = append(events, told{kind, message})
		})
		if n != samples+1 { // and one at the end
			t.Errorf("%d samples, want %d", n, samples+1)
		}
		return events
	}
	// the same failure is told once, another one again, and sampling goes on
	got := drive(6, func(n int) error {
		if n == 5 {
			return errors.New("two")
		}
		return errors.New("one")
	})
	if fmt.Sprint(got) != "[{sampler_failed one} {sampler_failed two}]" {
		t.Errorf("events %v", got)
	}
	// a sampler that held the process up makes the next tick late
	got = drive(3, func(n int) error {
		if n == 1 {
			time.Sleep(frozenAfter + 100*time.Millisecond)
		}
		return nil
	})
	if len(got) > 1 || (len(got) == 1 && got[0].kind != "frozen") {
		t.Errorf("events %v", got)
	}
}

type samplerFunc func() error

func (samplerFunc) name() string                                  { return "fake" }
func (f samplerFunc) sample(context.Context, time.Duration) error { return f() }

// testRun is a run that records into a file of its own.
func testRun(t *testing.T) (*run, *store.DB) {
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
	return &run{id: uuid.New(), rec: rec, clock: func() int64 { return int64(time.Since(start)) }}, db
}

func cell(t *testing.T, db *store.DB, q string) string {
	t.Helper()
	var s string
	if err := scanRow(db, q, &s); err != nil {
		t.Fatalf("%s: %v", q, err)
	}
	return s
}

func TestHostAndProcessSamples(t *testing.T) {
	ctx := context.Background()
	r, db := testRun(t)
	h, p := &hostSampler{run: r}, &processSampler{run: r}
	p.setServer(int32(os.Getppid()))
	for range 2 {
		if err := errors.Join(h.sample(ctx, 3*time.Millisecond), p.sample(ctx, 0)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Millisecond) // processor shares need time to pass, in ticks of 10 ms
	}
	if err := r.rec.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	if got := cell(t, db, `SELECT concat_ws(' ', count(*), count(cpu_ratio), min(late_ns), bool_and(cpu_ratio IS NULL OR cpu_ratio BETWEEN 0 AND 1), bool_and(cost_ns > 0 AND t_ns > 0),
		bool_and(memory_used_bytes > 0 AND memory_available_bytes > 0)) FROM raw.host_sample`); got != "2 1 3000000 true true true" {
		t.Errorf("host samples: %s", got)
	}
	// the parent is the go command, whose children come and go: one that has just ended has no memory
	if got := cell(t, db, "SELECT string_agg(DISTINCT role, ' ' ORDER BY role) || ' ' || bool_and(rss_bytes > 0 AND cpu_s >= 0 AND threads > 0) || ' ' || count(gc_pause_ns) FROM raw.process_sample WHERE pid IN ("+
		fmt.Sprint(os.Getpid(), ", ", os.Getppid())+")"); got != "engine wb true 2" {
		t.Errorf("process samples: %s", got)
	}
	if err := p.engine(ctx, int32(os.Getppid()), []int32{int32(os.Getppid()), 1 << 30}); err != nil {
		t.Errorf("a child that ended since it was listed: %v", err)
	}
	p.setServer(1 << 30)
	if err := p.sample(ctx, 0); err == nil || !strings.Contains(err.Error(), "engine process 1073741824") {
		t.Errorf("a server that is gone: %v", err)
	}
}

// A wall clock that is set in the middle of a run is an event, and no duration moves with it.
func TestClockStep(t *testing.T) {
	ctx := context.Background()
	r, db := testRun(t)
	h := &hostSampler{run: r}
	for i := range 3 {
		if i == 1 { // as if it had been three seconds earlier at the last reading
			h.lastWall = h.lastWall.Add(-3 * time.Second)
		}
		if err := h.sample(ctx, 0); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.rec.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	if got := cell(t, db, "SELECT string_agg(kind || ': ' || regexp_replace(message, '\\d+', 'N'), '; ') || ' ' || (SELECT bool_and(t_ns < 1e9) FROM raw.host_sample) FROM raw.event"); got != "clock_step: the wall clock moved by N ms; durations are not affected true" {
		t.Errorf("%s", got)
	}
}

func field(v uint32) (f nvml.FieldValue) {
	f.ValueType = uint32(nvml.VALUE_TYPE_UNSIGNED_INT)
	binary.LittleEndian.PutUint32(f.Value[:], v)
	return f
}

// A GPU that answers like the H200 of docs/measuring.md, but for what it is told not to support.
func fakeGPU(unsupported bool) *GPUs {
	ret := func() nvml.Return {
		if unsupported {
			return nvml.ERROR_NOT_SUPPORTED
		}
		return nvml.SUCCESS
	}
	energy := uint64(1000)
	d := &mock.Device{
		GetUtilizationRatesFunc:          func() (nvml.Utilization, nvml.Return) { return nvml.Utilization{Gpu: 87, Memory: 40}, nvml.SUCCESS },
		GetPowerUsageFunc:                func() (uint32, nvml.Return) { return 412_500, nvml.SUCCESS },
		GetClockInfoFunc:                 func(c nvml.ClockType) (uint32, nvml.Return) { return 1000 + uint32(c), ret() },
		GetTemperatureFunc:               func(nvml.TemperatureSensors) (uint32, nvml.Return) { return 58, nvml.SUCCESS },
		GetCurrentClocksEventReasonsFunc: func() (uint64, nvml.Return) { return 4, ret() },
		GetMemoryInfoFunc:                func() (nvml.Memory, nvml.Return) { return nvml.Memory{Total: 100, Used: 60}, nvml.SUCCESS },
		GetTotalEnergyConsumptionFunc:    func() (uint64, nvml.Return) { energy += 500; return energy, ret() },
		GetPerformanceStateFunc:          func() (nvml.Pstates, nvml.Return) { return nvml.PSTATE_0, nvml.SUCCESS },
		GetPcieThroughputFunc:            func(nvml.PcieUtilCounter) (uint32, nvml.Return) { return 2, ret() },
		GpmSampleGetFunc:                 func(nvml.GpmSample) nvml.Return { return nvml.SUCCESS },
		GetFieldValuesFunc: func(v []nvml.FieldValue) nvml.Return {
			v[0], v[1] = field(400_000), field(70)
			return ret()
		},
	}
	lib := &mock.Interface{
		ErrorStringFunc: func(r nvml.Return) string { return fmt.Sprint("error ", int(r)) },
		GpmMetricsGetFunc: func(g *nvml.GpmMetricsGetType) nvml.Return {
			for i := range g.NumMetrics {
				g.Metrics[i].Value = float64(10 * (i + 1))
			}
			g.Metrics[2].Value = math.NaN()
			return nvml.SUCCESS
		},
	}
	return &GPUs{lib: lib, devices: []*gpuDevice{{Device: d, gpm: [2]nvml.GpmSample{&mock.GpmSample{}, &mock.GpmSample{}}}}}
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
			r, db := testRun(t)
			g := fakeGPU(c.unsupported)
			for range 2 {
				if err := errors.Join((&fastGPU{r, g}).sample(ctx, 0), (&slowGPU{r, g}).sample(ctx, 0)); err != nil {
					t.Error(err)
				}
			}
			if err := r.rec.Flush(ctx); err != nil {
				t.Fatal(err)
			}
			if got := cell(t, db, `SELECT concat_ws(' ', gpu_util_ratio, memory_util_ratio, power_w, coalesce(sm_clock_mhz::VARCHAR, '-'), coalesce(memory_clock_mhz::VARCHAR, '-'),
				temperature_c::INT, coalesce(throttle_reasons::VARCHAR, '-'), memory_used_bytes) FROM raw.gpu_sample WHERE sample_group = 'fast' LIMIT 1`); got != c.fast {
				t.Errorf("fast: %s, want %s", got, c.fast)
			}
			if got := cell(t, db, `SELECT concat_ws('|', coalesce(string_agg(energy_mj::VARCHAR, ',' ORDER BY energy_mj), '-'), coalesce(max(power_instant_w)::INT::VARCHAR, '-'),
				coalesce(max(memory_temperature_c)::INT::VARCHAR, '-'), max(performance_state), coalesce(max(pcie_tx_bytes_per_s)::INT::VARCHAR, '-'), coalesce(max(pcie_rx_bytes_per_s)::INT::VARCHAR, '-'),
				max(sm_active_ratio), max(sm_occupancy_ratio), coalesce(max(tensor_active_ratio)::VARCHAR, '-'), max(dram_active_ratio)) FROM raw.gpu_sample WHERE sample_group = 'slow'`); got != c.slow {
				t.Errorf("slow: %s, want %s", got, c.slow)
			}
			if got := cell(t, db, "SELECT count(sm_active_ratio)::VARCHAR FROM raw.gpu_sample"); got != "1" {
				t.Errorf("%s samples with GPM: the first has nothing before it to compare with", got)
			}
			if w := math.Float64frombits(r.gpuWatts.Load()); w != 412.5 {
				t.Errorf("power for the live line: %v", w)
			}
		})
	}
	// a GPU that is lost mid-run is an error that names the reading, not a crash
	r, _ := testRun(t)
	g := fakeGPU(false)
	g.devices[0].Device.(*mock.Device).GetPowerUsageFunc = func() (uint32, nvml.Return) { return 0, nvml.ERROR_GPU_IS_LOST }
	if err := (&fastGPU{r, g}).sample(ctx, 0); err == nil || !strings.Contains(err.Error(), "gpu 0: power: NVML error 15") {
		t.Errorf("a lost GPU: %v", err)
	}
}

func TestNoGPU(t *testing.T) {
	g, err := OpenGPUs()
	if err == nil {
		defer g.Close()
		if len(g.Facts()) == 0 {
			t.Error("GPUs without facts")
		}
		return
	}
	if !errors.Is(err, ErrNoGPU) || strings.Contains(err.Error(), "\n") {
		t.Errorf("without a GPU: %v", err)
	}
}
