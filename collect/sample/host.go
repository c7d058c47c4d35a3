package sample

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/shirou/gopsutil/v4/cpu"
	"github.com/shirou/gopsutil/v4/disk"
	"github.com/shirou/gopsutil/v4/load"
	"github.com/shirou/gopsutil/v4/mem"
	gnet "github.com/shirou/gopsutil/v4/net"

	"wb/store"
)

// hostSource samples the machine.
func hostSource(_ context.Context, env *Env) ([]Sampler, func(), error) {
	return []Sampler{&hostSampler{env: env}}, nil, nil
}

// hostSampler reads the whole machine.
type hostSampler struct {
	env      *Env
	last     []cpu.TimesStat
	slow     time.Time // when readSlow was last called
	disks    []string  // whole disks, so that partitions are not read again; nil: not listed yet
	lastWall time.Time
	lastMono time.Time
}

func (h *hostSampler) Name() string { return "host" }

// MostHz is the rate at which the kernel's figures still change enough to be of use.
func (h *hostSampler) MostHz() float64 { return 5 }

// stepAfter is how much the wall clock and the monotonic clock may differ between two samples before it counts as a step.
const stepAfter = 50 * time.Millisecond

func (h *hostSampler) Sample(ctx context.Context, late time.Duration) error {
	start := h.env.Now()
	now := time.Now()
	wall := now.Round(0)
	if !h.lastMono.IsZero() {
		if d := wall.Sub(h.lastWall) - now.Sub(h.lastMono); d.Abs() > stepAfter {
			h.env.Note(store.EventClockStep, "host", fmt.Sprintf("the wall clock moved by %d ms; durations are not affected", d.Milliseconds()))
		}
	}
	h.lastWall, h.lastMono = wall, now
	row := store.HostSample{RunID: h.env.RunID, LateNs: max(late, 0).Nanoseconds()}
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
	if now.Sub(h.slow) > slowEvery || late == LastReading {
		h.slow = now
		h.readSlow(ctx, &row, note)
	}
	row.CostNs = h.env.Now() - start
	row.TNs = start + row.CostNs/2
	if err := store.Add(ctx, h.env.Rec, row); err != nil {
		return err
	}
	if len(failed) > 0 {
		return fmt.Errorf("%s", strings.Join(failed, "; "))
	}
	return nil
}

// slowEvery is how often readSlow is called.
const slowEvery = 900 * time.Millisecond

// readSlow reads memory, the load average of a minute, and counters of disks and network. That takes longer than reading the processors.
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

// busyTime is the time that a processor worked, in seconds since boot.
func busyTime(t cpu.TimesStat) float64 { return totalTime(t) - t.Idle - t.Iowait }

// totalTime is all of a processor's time, in seconds since boot. It leaves out guest time, which Linux counts in user time already.
func totalTime(t cpu.TimesStat) float64 {
	return t.User + t.System + t.Idle + t.Nice + t.Iowait + t.Irq + t.Softirq + t.Steal
}

func clamp01(f float64) float64 { return min(max(f, 0), 1) }

// isWholeDisk says whether a block device is a whole disk, so that a partition is not counted together with its disk.
func isWholeDisk(name string) bool {
	if strings.HasPrefix(name, "loop") || strings.HasPrefix(name, "ram") || strings.HasPrefix(name, "dm-") {
		return false
	}
	_, err := os.Stat("/sys/block/" + name)
	return runtime.GOOS != "linux" || err == nil
}
