package collect

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/shirou/gopsutil/v4/cpu"
	"github.com/shirou/gopsutil/v4/disk"
	hostinfo "github.com/shirou/gopsutil/v4/host"
	"github.com/shirou/gopsutil/v4/load"
	"github.com/shirou/gopsutil/v4/mem"
	gnet "github.com/shirou/gopsutil/v4/net"
	"github.com/shirou/gopsutil/v4/process"

	"wb/store"
)

// sampler reads something at a steady rate. One file adds one.
type sampler interface {
	name() string
	// sample reads once and records; late is how long after its time the tick fired, or lastReading.
	sample(ctx context.Context, late time.Duration) error
}

// A sampler that fails again for the same reason is not told of again.
const frozenAfter = 250 * time.Millisecond

const (
	lastReading  = time.Duration(-1) // at the end of a run: everything is read
	slowAfter    = time.Second       // a sampler whose reading takes longer is told of
	samplersHave = 5 * time.Second   // for the reading under way, when a run ends; one that hangs is left behind
)

// drive calls a sampler until the context ends. A failure is an event, and sampling goes on.
func drive(ctx context.Context, s sampler, every time.Duration, event func(kind, source, message string)) {
	next := time.Now()
	told := ""
	for {
		late := max(time.Since(next), 0)
		if late > frozenAfter+every {
			// the tick came far too late: this process did not run, so stamps of that time are late as well
			event("frozen", s.name(), fmt.Sprintf("wb itself did not run for %d ms: times around this moment are not the server's", late.Milliseconds()))
		}
		began := time.Now()
		if err := s.sample(ctx, late); err != nil && ctx.Err() == nil && err.Error() != told {
			told = err.Error()
			event("sampler_failed", s.name(), told)
		}
		if took := time.Since(began); took > slowAfter {
			event("sampler_slow", s.name(), fmt.Sprintf("a reading took %.1f s: nothing was sampled meanwhile, and turns went on", took.Seconds()))
		}
		next = next.Add(every)
		if now := time.Now(); next.Before(now) { // never hurry to catch up
			next = now.Add(every)
		}
		t := time.NewTimer(time.Until(next))
		select {
		case <-ctx.Done():
			t.Stop()
			// once more, so that the end of the last turn lies between two readings; what fails now was told or does not matter
			_ = s.sample(context.WithoutCancel(ctx), lastReading)
			return
		case <-t.C:
		}
	}
}

// hostSampler reads the whole machine.
type hostSampler struct {
	run      *run
	last     []cpu.TimesStat
	slow     time.Time // when all but the processors was last read
	disks    []string  // whole ones, so that the kernel's parts of them are not looked at; nil: not listed yet
	lastWall time.Time
	lastMono time.Time
}

func (h *hostSampler) name() string { return "host" }

// stepAfter is how far wall clock and monotonic clock may part between two samples before it counts as a step.
const stepAfter = 50 * time.Millisecond

func (h *hostSampler) sample(ctx context.Context, late time.Duration) error {
	start := h.run.clock()
	now := time.Now()
	wall := now.Round(0)
	if !h.lastMono.IsZero() {
		if d := wall.Sub(h.lastWall) - now.Sub(h.lastMono); d.Abs() > stepAfter {
			h.run.event("clock_step", "host", fmt.Sprintf("the wall clock moved by %d ms; durations are not affected", d.Milliseconds()), nil)
		}
	}
	h.lastWall, h.lastMono = wall, now
	row := store.HostSample{RunID: h.run.id, LateNs: max(late, 0).Nanoseconds()}
	var failed []string
	note := func(what string, err error) bool {
		if err != nil {
			failed = append(failed, what+": "+err.Error())
		}
		return err == nil
	}
	if ts, err := cpu.TimesWithContext(ctx, true); note("cpu", err) {
		if len(ts) == len(h.last) {
			var busy, all, busiest float64
			for i := range ts {
				b, a := busyTime(ts[i])-busyTime(h.last[i]), totalTime(ts[i])-totalTime(h.last[i])
				busy += b
				all += a
				if a > 0 {
					busiest = max(busiest, b/a)
				}
			}
			if all > 0 {
				row.CPURatio, row.CPUBusiestRatio = new(clamp01(busy/all)), new(clamp01(busiest))
			}
		}
		h.last = ts
	}
	if now.Sub(h.slow) > slowEvery || late == lastReading {
		h.slow = now
		h.readSlow(ctx, &row, note)
	}
	row.CostNs = h.run.clock() - start
	row.TNs = start + row.CostNs/2
	if err := store.Add(ctx, h.run.rec, row); err != nil {
		return err
	}
	if len(failed) > 0 {
		return fmt.Errorf("%s", strings.Join(failed, "; "))
	}
	return nil
}

// slowEvery is how often memory, an average of a minute and counters since boot are read, which takes longer than the processors.
const slowEvery = 900 * time.Millisecond

func (h *hostSampler) readSlow(ctx context.Context, row *store.HostSample, note func(string, error) bool) {
	if l, err := load.AvgWithContext(ctx); note("load", err) {
		row.Load1 = &l.Load1
	}
	if m, err := mem.VirtualMemoryWithContext(ctx); note("memory", err) {
		row.MemoryUsedBytes, row.MemoryAvailableBytes = new(int64(m.Used)), new(int64(m.Available))
		row.SwapUsedBytes = new(int64(m.SwapTotal) - int64(m.SwapFree))
	}
	if ds, err := disk.IOCountersWithContext(ctx, h.disks...); note("disk", err) {
		var r, w int64
		first := h.disks == nil
		for name, d := range ds {
			if !first || isWholeDisk(name) {
				r += int64(d.ReadBytes)
				w += int64(d.WriteBytes)
				if first {
					h.disks = append(h.disks, name)
				}
			}
		}
		row.DiskReadBytes, row.DiskWriteBytes = &r, &w
	}
	if ns, err := gnet.IOCountersWithContext(ctx, false); note("network", err) && len(ns) > 0 {
		row.NetReceivedBytes, row.NetSentBytes = new(int64(ns[0].BytesRecv)), new(int64(ns[0].BytesSent))
	}
}

func busyTime(t cpu.TimesStat) float64 { return totalTime(t) - t.Idle - t.Iowait }

// totalTime leaves out guest time, which Linux counts inside user time already.
func totalTime(t cpu.TimesStat) float64 {
	return t.User + t.System + t.Idle + t.Nice + t.Iowait + t.Irq + t.Softirq + t.Steal
}

func clamp01(f float64) float64 { return min(max(f, 0), 1) }

// isWholeDisk keeps partitions from being counted beside their disk.
func isWholeDisk(name string) bool {
	if strings.HasPrefix(name, "loop") || strings.HasPrefix(name, "ram") || strings.HasPrefix(name, "dm-") {
		return false
	}
	_, err := os.Stat("/sys/block/" + name)
	return runtime.GOOS != "linux" || err == nil
}

// processSampler reads wb itself and, where the server is on this machine, its processes.
type processSampler struct {
	run    *run
	mu     sync.Mutex
	server int32 // 0 while unknown

	family []int32 // the server and what descends from it, as last looked up
	looked time.Time
	known  map[int32]*process.Process // since then; finding one anew costs as much as its readings
}

// lookEvery is how often the server's children are looked up, for which every process of the machine has to be read.
const lookEvery = 10 * time.Second

func (p *processSampler) name() string { return "process" }

func (p *processSampler) setServer(pid int32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.server = pid
}

func (p *processSampler) sample(ctx context.Context, _ time.Duration) error {
	server := p.serving()
	self := int32(os.Getpid())
	if err := p.one(ctx, self, "wb"); err != nil {
		return err
	}
	if server == 0 || server == self {
		return nil
	}
	if now := time.Now(); len(p.family) == 0 || server != p.family[0] || now.Sub(p.looked) > lookEvery {
		p.family, p.looked, p.known = []int32{server}, now, nil // with what it started, and what that started
		for i := 0; i < len(p.family); i++ {
			proc, err := process.NewProcessWithContext(ctx, p.family[i])
			if err != nil {
				continue
			}
			if kids, err := proc.ChildrenWithContext(ctx); err == nil {
				for _, k := range kids {
					p.family = append(p.family, k.Pid)
				}
			}
		}
	}
	return p.engine(ctx, server, p.family)
}

// engine samples the server and what it started. A child that ended since it was listed is no failure.
func (p *processSampler) engine(ctx context.Context, server int32, pids []int32) error {
	for _, pid := range pids {
		err := p.one(ctx, pid, "engine")
		if pid != server && err != nil && gone(err) {
			continue
		}
		if err != nil && p.serving() == server { // one that wb is just ending is no failure
			return err
		}
	}
	return nil
}

func gone(err error) bool {
	return errors.Is(err, process.ErrorProcessNotRunning) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH)
}

func (p *processSampler) serving() int32 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.server
}

func (p *processSampler) one(ctx context.Context, pid int32, role string) error {
	start := p.run.clock()
	proc := p.known[pid]
	var err error
	if proc == nil {
		if proc, err = process.NewProcessWithContext(ctx, pid); err != nil {
			return fmt.Errorf("%s process %d: %w", role, pid, err)
		}
		if p.known == nil {
			p.known = map[int32]*process.Process{}
		}
		p.known[pid] = proc
	}
	row := store.ProcessSample{RunID: p.run.id, PID: int64(pid), Role: role}
	if row.Name, err = proc.NameWithContext(ctx); err != nil {
		delete(p.known, pid)
		return fmt.Errorf("%s process %d: %w", role, pid, err)
	}
	if s, ok := ownCPU(); ok && role == "wb" {
		row.CPUS = &s
	} else if t, err := proc.TimesWithContext(ctx); err == nil {
		row.CPUS = new(t.User + t.System)
	} else if gone(err) { // the name was known from before
		delete(p.known, pid)
		return fmt.Errorf("%s process %d: %w", role, pid, err)
	}
	if m, err := proc.MemoryInfoWithContext(ctx); err == nil {
		row.RSSBytes = new(int64(m.RSS))
	}
	if n, err := proc.NumThreadsWithContext(ctx); err == nil {
		row.Threads = &n
	}
	if role == "wb" {
		var ms runtime.MemStats
		runtime.ReadMemStats(&ms)
		row.GCPauseNs, row.Goroutines = new(int64(ms.PauseTotalNs)), new(int32(runtime.NumGoroutine()))
		if n, err := proc.NumFDsWithContext(ctx); err == nil {
			row.OpenFiles = &n
		}
	}
	row.CostNs = p.run.clock() - start
	row.TNs = start + row.CostNs/2
	return store.Add(ctx, p.run.rec, row)
}

// HostFacts describes this machine. What cannot be read stays nil.
func HostFacts(ctx context.Context, dbPath string) store.Host {
	var h store.Host
	text := func(s string) *string {
		if s = strings.TrimSpace(s); s == "" {
			return nil
		}
		return &s
	}
	h.OS = text(platform())
	if name, err := os.Hostname(); err == nil {
		h.Hostname = text(name)
	}
	if kernel, err := hostinfo.KernelVersionWithContext(ctx); err == nil {
		h.Kernel = text(kernel)
	}
	if arch, err := hostinfo.KernelArch(); err == nil {
		h.Arch = text(arch)
	}
	if system, role, err := hostinfo.VirtualizationWithContext(ctx); err == nil && role == "guest" {
		h.Virtualization = text(system)
	}
	if at, err := hostinfo.BootTimeWithContext(ctx); err == nil {
		h.BootedAt = new(time.Unix(int64(at), 0).UTC())
	}
	if cs, err := cpu.InfoWithContext(ctx); err == nil && len(cs) > 0 {
		h.CPUModel = text(cs[0].ModelName)
		if cs[0].Mhz > 0 {
			h.CPUMaxMHz = &cs[0].Mhz
		}
	}
	count := func(logical bool) *int32 {
		n, err := cpu.CountsWithContext(ctx, logical)
		if err != nil || n == 0 {
			return nil
		}
		return new(int32(n))
	}
	h.CPUCores, h.CPUThreads = count(false), count(true)
	if b, err := os.ReadFile("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"); err == nil {
		h.CPUGovernor = text(string(b))
	}
	if m, err := mem.VirtualMemoryWithContext(ctx); err == nil {
		h.MemoryTotalBytes, h.SwapTotalBytes = new(int64(m.Total)), new(int64(m.SwapTotal))
	}
	if u, err := disk.UsageWithContext(ctx, dirOf(dbPath)); err == nil {
		h.DiskFreeBytes = new(int64(u.Free))
	}
	return h
}
