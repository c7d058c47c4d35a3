package bench

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"wb/collect/client"
	"wb/collect/sim"
	"wb/collect/target"
	"wb/data"
	"wb/store/storetest"
)

// BenchmarkRecording measures how much throughput recording costs. Eight users play in a closed loop and everything is recorded; before
// that, the same clients play and keep nothing. It reports tokens per second with recording over those without, both measured in one run.
// The ratio should be at least 0.99.
func BenchmarkRecording(b *testing.B) {
	const users, turns, tokens = 8, 10, 64
	conversation := &data.Conversation{ID: "a", Title: "a", System: "Count."}
	for i := range turns {
		conversation.Turns = append(conversation.Turns, data.Turn{User: fmt.Sprintf("Part %d.", i+1)})
	}
	var bare, recorded time.Duration
	for b.Loop() {
		_, db, c, e, start := against(b, sim.Options{Profile: "graphs", MaxNumSeqs: 64})
		ctx := context.Background()
		t0 := time.Now()
		var wg sync.WaitGroup
		for user := range users {
			wg.Go(func() {
				conn := c.Another(ctx, sharedReadBytes)
				defer conn.Close()
				d := conversation.Start(data.Style{Placement: data.PlaceSystem})
				for d.Next() {
					re := conn.Turn(ctx, client.Request{
						Model:     e.Model,
						Messages:  messagesOf(d.Prompt()),
						MaxTokens: tokens,
						IgnoreEOS: true,
						VLLM:      true,
						CacheSalt: fmt.Sprint("bare", user, start),
					}, time.Minute)
					if re.Status != client.StatusOK {
						b.Error(re.Err)
						return
					}
					d.Reply(re.Content)
				}
			})
		}
		wg.Wait()
		bare += time.Since(t0)
		job := Job{
			RunSpec: RunSpec{
				Load:      Load{Users: users, Isolation: IsolationSalt, Timeout: time.Minute},
				Prompting: Prompting{MaxTokens: tokens, IgnoreEOS: true},
				Recording: Recording{SampleHz: 20},
			},
			Start:         start,
			Conversations: []*data.Conversation{conversation},
			Repeats:       1,
		}
		if _, err := Run(ctx, db, &target.Target{Client: c, Server: e}, job, Watch{}); err != nil {
			b.Fatal(err)
		}
		var ns int64
		if err := storetest.Scan(db, "SELECT max(done_ns) - min(submit_ns) FROM raw.turn", &ns); err != nil {
			b.Fatal(err)
		}
		recorded += time.Duration(ns)
	}
	b.ReportMetric(float64(bare)/float64(recorded), "throughput-ratio")
}
