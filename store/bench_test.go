//go:build duckdb_arrow

package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"github.com/duckdb/duckdb-go/v2"
	"github.com/google/uuid"
)

func samples(n int) []HostSample {
	rng := rand.New(rand.NewPCG(1, 2))
	run := uuid.New()
	out := make([]HostSample, n)
	for i := range out {
		out[i] = HostSample{RunID: run, TNs: int64(i) * 1e8, CostNs: 1000 + rng.Int64N(500), CPURatio: new(rng.Float64()),
			CPUBusiestRatio: new(rng.Float64()), Load1: new(rng.Float64()),
			MemoryUsedBytes: new(rng.Int64N(1 << 34)), MemoryAvailableBytes: new(rng.Int64N(1 << 34)), SwapUsedBytes: new(int64(0)),
			DiskReadBytes:  new(int64(i) * 4096),
			DiskWriteBytes: new(int64(i) * 8192), NetReceivedBytes: new(int64(i) * 100), NetSentBytes: new(int64(i) * 50)}
	}
	return out
}

// It compares the recorder, from rows in Go to committed rows, with DuckDB's appender for the same rows in the same run.
// Machines are noisy, so only the ratio means something.
func BenchmarkInsert(b *testing.B) {
	const n = 200_000
	rows := samples(n)
	ctx := context.Background()
	times := map[string]time.Duration{}
	measure := func(name string, insert func(d *DB, r *Recorder) error) {
		best := time.Duration(1 << 62)
		for range 5 {
			d := tempDB(b)
			r, err := d.NewRecorder(ctx, n+1, nil)
			if err != nil {
				b.Fatal(err)
			}
			runtime.GC()
			t0 := time.Now()
			if err := insert(d, r); err != nil {
				b.Fatal(err)
			}
			best = min(best, time.Since(t0))
			if err := r.Close(); err != nil {
				b.Fatal(err)
			}
			if got := one[int](b, d, "SELECT count(*) FROM raw.host_sample"); got != n {
				b.Fatalf("%s: %d rows", name, got)
			}
		}
		times[name] = best
		b.ReportMetric(n/best.Seconds(), name+"_rows/s")
	}
	for range b.N {
		measure("arrow", func(_ *DB, r *Recorder) error { return errors.Join(Add(ctx, r, rows...), r.Flush(ctx)) })
		measure("appender", func(d *DB, _ *Recorder) error {
			conn, err := d.db.Conn(ctx)
			if err != nil {
				return err
			}
			defer conn.Close()
			return withConn(conn, func(dc driver.Conn) error {
				a, err := duckdb.NewAppenderFromConn(dc, "raw", "host_sample")
				if err != nil {
					return err
				}
				for i := range rows {
					x := &rows[i]
					if err := a.AppendRow(duckdb.UUID(x.RunID), x.TNs, x.CostNs, x.LateNs, *x.CPURatio, *x.CPUBusiestRatio, *x.Load1,
						*x.MemoryUsedBytes, *x.MemoryAvailableBytes,
						*x.SwapUsedBytes, *x.DiskReadBytes, *x.DiskWriteBytes, *x.NetReceivedBytes, *x.NetSentBytes); err != nil {
						return err
					}
				}
				return a.Close()
			})
		})
	}
	b.ReportMetric(times["appender"].Seconds()/times["arrow"].Seconds(), "arrow/appender")
}
