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

// What recording costs the server's work: tokens a second of eight users in a closed loop, everything recorded, over those of the same clients that keep
// nothing. Both in turns in one run; the bound is 0.99.
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
				own := c.Another(ctx, sharedReadBytes)
				defer own.Close()
				d := conversation.Start(data.Style{Placement: data.PlaceSystem})
				for d.Next() {
					re := own.Turn(ctx, client.Request{Model: e.Model, Messages: messagesOf(d.Prompt()), MaxTokens: tokens, IgnoreEOS: true, VLLM: true, CacheSalt: fmt.Sprint("bare", user, start)}, time.Minute)
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
		if _, err := Run(ctx, db, &target.Target{Client: c, Server: e}, Job{RunSpec: RunSpec{Load: Load{Users: users, Isolation: IsolationSalt, Timeout: time.Minute}, Prompting: Prompting{MaxTokens: tokens, IgnoreEOS: true}, Recording: Recording{SampleHz: 20}},
			Start:         start,
			Conversations: []*data.Conversation{conversation},
			Repeats:       1}, Watch{}); err != nil {
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
