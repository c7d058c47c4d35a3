package sample

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"syscall"
	"time"

	"github.com/shirou/gopsutil/v4/process"

	"wb/store"
)

// processSource samples wb and the processes of the server.
func processSource(_ context.Context, env *Env) ([]Sampler, func(), error) {
	return []Sampler{&processSampler{env: env}}, nil, nil
}

// processSampler reads wb itself and, where the server is on this machine, its processes.
type processSampler struct {
	env    *Env
	family []int32                    // the server and its descendants when they were last looked up
	looked time.Time                  // when that was
	known  map[int32]*process.Process // processes opened since then; opening one takes as long as its readings
}

// lookEvery is how often the server's descendants are looked up. That reads every process of the machine.
const lookEvery = 10 * time.Second

func (p *processSampler) Name() string { return "process" }

// MostHz is low, because reading the files of a process takes time.
func (p *processSampler) MostHz() float64 { return 2 }

func (p *processSampler) Sample(ctx context.Context, _ time.Duration) error {
	server := p.serving()
	self := int32(os.Getpid())
	if err := p.one(ctx, self, "wb"); err != nil {
		return err
	}
	if server == 0 || server == self {
		return nil
	}
	if now := time.Now(); len(p.family) == 0 || server != p.family[0] || now.Sub(p.looked) > lookEvery {
		p.family, p.looked, p.known = []int32{server}, now, nil // descendants are appended below
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

// engine samples the server and its descendants. A descendant that ended since it was listed is not a failure.
func (p *processSampler) engine(ctx context.Context, server int32, pids []int32) error {
	for _, pid := range pids {
		err := p.one(ctx, pid, "engine")
		if pid != server && err != nil && gone(err) {
			continue
		}
		if err != nil && p.serving() == server { // a server that wb is just stopping is not a failure
			return err
		}
	}
	return nil
}

// gone says whether an error means that the process has ended.
func gone(err error) bool {
	return errors.Is(err, process.ErrorProcessNotRunning) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH)
}

func (p *processSampler) serving() int32 { return p.env.ServerPID.Load() }

// one samples one process. role is wb or engine.
func (p *processSampler) one(ctx context.Context, pid int32, role string) error {
	start := p.env.Now()
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
	row := store.ProcessSample{RunID: p.env.RunID, PID: int64(pid), Role: role}
	if row.Name, err = proc.NameWithContext(ctx); err != nil {
		delete(p.known, pid)
		return fmt.Errorf("%s process %d: %w", role, pid, err)
	}
	if s, ok := wbCPU(); ok && role == "wb" {
		row.CPUS = &s
	} else if t, err := proc.TimesWithContext(ctx); err == nil {
		row.CPUS = new(t.User + t.System)
	} else if gone(err) { // the name was cached, so only this reading shows that it ended
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
	row.CostNs = p.env.Now() - start
	row.TNs = start + row.CostNs/2
	return store.Add(ctx, p.env.Rec, row)
}
