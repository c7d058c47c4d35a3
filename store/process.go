//go:build duckdb_arrow

package store

import (
	"time"

	"github.com/shirou/gopsutil/v4/process"
)

// ProcessStart returns when a process of this machine started, in UTC, or nil when there is no such process.
func ProcessStart(pid int64) *time.Time {
	if t, ok := processStart(pid); ok {
		return &t
	}
	return nil
}

func processStart(pid int64) (time.Time, bool) {
	p, err := process.NewProcess(int32(pid))
	if err != nil {
		return time.Time{}, false
	}
	ms, err := p.CreateTime()
	if err != nil {
		return time.Time{}, false
	}
	return time.UnixMilli(ms).UTC(), true
}
