package collect

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"wb/collect/sim"
	"wb/data"
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
				own := c.another(ctx, crowdReadBytes)
				defer own.Close()
				d := conversation.Start(data.Style{Placement: data.PlaceSystem})
				for d.Next() {
					re := own.Turn(ctx, Request{Model: e.Model, Prompt: d.Prompt(), MaxTokens: tokens, IgnoreEOS: true, VLLM: true, CacheSalt: fmt.Sprint("bare", user, start)}, time.Minute)
					if re.Status != StatusOK {
						b.Error(re.Err)
						return
					}
					d.Reply(re.Content)
				}
			})
		}
		wg.Wait()
		bare += time.Since(t0)
		if _, err := Run(ctx, db, c, e, Plan{Start: start, Conversations: []*data.Conversation{conversation}, Repeat: 1, Users: users, MaxTokens: tokens, IgnoreEOS: true, Timeout: time.Minute, Isolation: IsolationSalt, SampleHz: 20}, Watch{}); err != nil {
			b.Fatal(err)
		}
		var ns int64
		if err := scanRow(db, "SELECT max(done_ns) - min(submit_ns) FROM raw.turn", &ns); err != nil {
			b.Fatal(err)
		}
		recorded += time.Duration(ns)
	}
	b.ReportMetric(float64(bare)/float64(recorded), "throughput-ratio")
}
