package sample

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/shirou/gopsutil/v4/cpu"
	"github.com/shirou/gopsutil/v4/disk"
	hostinfo "github.com/shirou/gopsutil/v4/host"
	"github.com/shirou/gopsutil/v4/mem"

	"wb/store"
)

// HostFacts describes this machine. What cannot be read stays nil. dbPath is the file on whose disk the free space is read.
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
	if u, err := disk.UsageWithContext(ctx, filepath.Dir(dbPath)); err == nil {
		h.DiskFreeBytes = new(int64(u.Free))
	}
	return h
}

// RecordHost records the facts of this machine. Those by which two runs are compared are recorded as settings too.
func RecordHost(ctx context.Context, env *Env) {
	h := HostFacts(ctx, env.Rec.Path())
	h.RunID, h.MemoryReadBytesPerS = env.RunID, env.MemoryReadBytesPerS
	var rows []store.Setting
	for name, v := range map[string]*string{
		"hostname":     h.Hostname,
		"os":           h.OS,
		"kernel":       h.Kernel,
		"cpu_model":    h.CPUModel,
		"cpu_governor": h.CPUGovernor,
	} {
		if v != nil {
			rows = append(rows, store.Setting{RunID: env.RunID, Source: "host", Name: name, Value: *v})
		}
	}
	if h.CPUThreads != nil {
		rows = append(rows, store.Setting{RunID: env.RunID, Source: "host", Name: "cpu_threads", Value: fmt.Sprint(*h.CPUThreads)})
	}
	if err := errors.Join(store.Add(ctx, env.Rec, h), store.Add(ctx, env.Rec, rows...)); err != nil {
		env.Note(store.EventSamplerFailed, "host", err.Error())
	}
}
