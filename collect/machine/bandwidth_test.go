package machine

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

// clockOf gives a clock that moves on by these times, one at each call, and by the last one ever after.
func clockOf(steps ...time.Duration) func() int64 {
	at := int64(0)
	return func() int64 {
		at += int64(steps[0])
		if len(steps) > 1 {
			steps = steps[1:]
		}
		return at
	}
}

// The best pass counts, and there are at least three. Before each pass but the first three the clock is asked whether to go on.
func TestBestPassCounts(t *testing.T) {
	const ms = time.Millisecond
	for _, tt := range []struct {
		what    string
		readers int
		steps   []time.Duration
		want    int64
	}{
		// begin; start and end of three passes; the time is over
		{"the second is the best", 2, []time.Duration{0, 0, 4 * ms, 0, 2 * ms, 0, 8 * ms, time.Second}, 1000 * 64 * 500},
		{"a fourth pass", 1, []time.Duration{0, 0, 4 * ms, 0, 2 * ms, 0, 8 * ms, 0, 0, 1 * ms, time.Second}, 1000 * 64 * 1000},
		{"lines that seven readers cannot share evenly", 7, []time.Duration{0, 0, 4 * ms, 0, 4 * ms, 0, 4 * ms, time.Second}, 1000 * 64 * 250},
	} {
		got, err := readArray(t.Context(), clockOf(tt.steps...), 1000, tt.readers)
		if err != nil || got != (Bandwidth{tt.want, tt.readers}) {
			t.Errorf("%s: %+v, want %d bytes/s (%v)", tt.what, got, tt.want, err)
		}
	}
}

func TestBandwidthEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	calls := 0
	_, err := readArray(ctx, func() int64 {
		if calls++; calls == 4 { // within the second pass
			cancel()
		}
		return int64(calls)
	}, 1000, 2)
	if !errors.Is(err, context.Canceled) || calls != 5 {
		t.Errorf("%v after %d calls of the clock", err, calls)
	}
}

func TestSum(t *testing.T) {
	for n := range 70 {
		lines, want := make([]line, n), uint64(0)
		for i := range lines {
			lines[i][0] = uint64(i*i + 1)
			want += lines[i][0]
		}
		if got := sum(lines); got != want {
			t.Errorf("%d lines: %d, want %d", n, got, want)
		}
	}
}

func TestArrayBytes(t *testing.T) {
	const mib, gib = 1 << 20, 1 << 30
	for _, tt := range []struct {
		caches, free, want int64
		problem            string
	}{
		{0, 64 * gib, 256 * mib, ""}, // the caches are not known
		{32 * mib, 64 * gib, 256 * mib, ""},
		{480 * mib, 64 * gib, 1920 * mib, ""},
		{480 * mib, 4 * gib, gib, ""},
		{32 * mib, 800 * mib, 200 * mib, ""},
		{480 * mib, 3 * gib, 0, "a fourth of the free memory, 0.8 GiB, is less than 0.9 GiB"},
		{0, 400 * mib, 0, "a fourth of the free memory, 0.1 GiB, is less than 0.1 GiB"},
	} {
		got, err := arrayBytes(tt.caches, tt.free)
		if got != tt.want || (tt.problem == "") != (err == nil) || (err != nil && !strings.Contains(err.Error(), tt.problem)) {
			t.Errorf("caches of %d and %d free: %d, %v", tt.caches, tt.free, got, err)
		}
	}
}

func file(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s)} }

// Four processors, of which two each share a cache of the third level.
func TestLastLevelBytes(t *testing.T) {
	cpus := fstest.MapFS{}
	for i, shared := range []string{"0-1", "0-1", "2-3", "2-3"} {
		for index, c := range [][3]string{{"1", "32K", fmt.Sprint(i)}, {"1", "32K", fmt.Sprint(i)}, {"2", "2048K", fmt.Sprint(i)},
			{"3", "32M", shared}} {
			dir := fmt.Sprintf("cpu%d/cache/index%d/", i, index)
			cpus[dir+"level"], cpus[dir+"size"], cpus[dir+"shared_cpu_list"] = file(c[0]+"\n"), file(c[1]+"\n"), file(c[2]+"\n")
		}
	}
	cpus["cpufreq/boost"] = file("1\n")
	if got := lastLevelBytes(cpus); got != 64<<20 {
		t.Errorf("%d bytes", got)
	}
	if got := lastLevelBytes(fstest.MapFS{}); got != 0 {
		t.Errorf("%d bytes of a system that does not say", got)
	}
}

func FuzzCacheSize(f *testing.F) {
	for _, s := range []string{"32768K", "480M", "1G", "512", "", "K", "-1K", "99999999999999999999M"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if n := cacheSize(s); n < 0 || (n > 0 && !strings.ContainsAny(s, "123456789")) {
			t.Errorf("%q is %d bytes", s, n)
		}
	})
}

func TestCacheSize(t *testing.T) {
	for s, want := range map[string]int64{"32768K": 32 << 20, "480M": 480 << 20, "1G": 1 << 30, "512": 512, "": 0, "K": 0, "-1K": 0, "x": 0} {
		if got := cacheSize(s); got != want {
			t.Errorf("%q is %d bytes, want %d", s, got, want)
		}
	}
}

func TestGroupRoom(t *testing.T) {
	const stat = "anon 500\nfile 350\ninactive_file 200\nactive_file 100\n"
	for _, tt := range []struct {
		what  string
		files fstest.MapFS
		want  int64
	}{
		{"no group", fstest.MapFS{}, 7},
		{"no limit", fstest.MapFS{"memory.max": file("max\n"), "memory.current": file("900\n")}, 7},
		{"a limit", fstest.MapFS{"memory.max": file("1000\n"), "memory.current": file("900\n"), "memory.stat": file(stat)}, 400},
		{"full", fstest.MapFS{"memory.max": file("1000\n"), "memory.current": file("1000\n")}, 0},
		{"cached files only", fstest.MapFS{"memory.max": file("1000\n"), "memory.current": file("250\n"), "memory.stat": file(stat)}, 1000},
	} {
		if got := groupRoom(tt.files, 7); got != tt.want {
			t.Errorf("%s: %d bytes, want %d", tt.what, got, tt.want)
		}
	}
}

// A real measurement gives some speed, and takes no memory afterwards. How fast a machine is, a test cannot know.
func TestMemoryBandwidth(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes a second and a fourth of the free memory")
	}
	began := time.Now()
	got, err := MemoryBandwidth(t.Context(), func() int64 { return int64(time.Since(began)) })
	if err != nil && strings.Contains(err.Error(), "a fourth of the free memory") {
		t.Skip(err)
	}
	if err != nil || got.BytesPerS <= 0 || got.Processors != runtime.GOMAXPROCS(0) {
		t.Fatalf("%+v (%v)", got, err)
	}
	t.Log(got)
	var m runtime.MemStats
	if runtime.ReadMemStats(&m); m.HeapAlloc > leastArrayBytes/2 {
		t.Errorf("%d bytes are still in use", m.HeapAlloc)
	}
}

// The loop must be faster than memory, so that memory is what is measured: compare what fits a cache with the whole array.
func BenchmarkSum(b *testing.B) {
	for _, bytes := range []int{16 << 10, 512 << 10, leastArrayBytes} {
		b.Run(fmt.Sprintf("%dKiB", bytes>>10), func(b *testing.B) {
			lines := make([]line, bytes/lineBytes)
			fill(lines)
			b.SetBytes(int64(bytes))
			for b.Loop() {
				if sum(lines) != uint64(len(lines)) {
					b.Fatal(errMisread)
				}
			}
		})
	}
}

// One measurement, the touching of the pages included.
func BenchmarkMemoryBandwidth(b *testing.B) {
	best := Bandwidth{}
	for b.Loop() {
		began := time.Now()
		got, err := MemoryBandwidth(b.Context(), func() int64 { return int64(time.Since(began)) })
		if err != nil {
			b.Fatal(err)
		}
		if got.BytesPerS > best.BytesPerS {
			best = got
		}
	}
	b.ReportMetric(float64(best.BytesPerS)/1e9, "GB/s")
}
