package sim

import (
	"context"
	"math"
	"slices"
	"testing"
	"time"
)

// Without jitter, TTFT and its parts on the server are those of the cost model, to the nanosecond.
func TestTimesAreTheModels(t *testing.T) {
	for _, name := range []string{"eager", "graphs"} {
		c := newClock()
		s := start(t, Options{Profile: name, Deviation: Deviation{JitterRatio: -1}, Clock: Clock{c.Now, c.sleep}})
		cost, err := Profile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range []struct{ prompt, cached int }{{5000, 0}, {5000, 4992}, {7071, 4992}, {20, 0}} {
			ids := numbered(0, r.prompt)
			switch r.prompt {
			case 7071: // extends the prompt of 5,000 tokens
				ids = slices.Concat(numbered(0, 5000), numbered(3, 2071))
			case 20:
				ids = numbered(9, 20)
			}
			before := s.counters()
			got := s.complete(tokens(ids, 4))
			after := s.counters()
			if got.cached != r.cached {
				t.Fatalf("%s: %d of %d cached, want %d", name, got.cached, r.prompt, r.cached)
			}
			decode := 0.0
			for i := range 3 {
				decode += cost.Step(nil, []int{r.prompt + i + 1}).Seconds()
			}
			ttft, queued := cost.TTFT(r.prompt, r.cached).Seconds(), cost.Before(r.prompt).Seconds()
			for metric, want := range map[string]float64{"time_to_first_token": ttft, "request_prefill_time": ttft - queued,
				"request_decode_time": decode,
				"inter_token_latency": decode, "request_queue_time": 0, "e2e_request_latency": ttft +
					decode, "request_time_per_output_token": decode / 3, "request_inference_time": ttft - queued + decode} {
				metric = "vllm:" + metric + "_seconds_sum"
				if d := after[metric] - before[metric]; math.Abs(d-want) > 1e-8 {
					t.Errorf("%s, %d tokens of which %d cached: %s %.9f, model %.9f", name, r.prompt, r.cached, metric, d, want)
				}
			}
		}
		if cold, warm := cost.TTFT(5000, 0), cost.TTFT(5000, 4992); warm >= cold {
			t.Errorf("%s: cached %v, cold %v", name, warm, cold)
		}
	}
}

// Shorter steps make up for a step that ended late, but never for a request that came in the meantime.
func TestLateStepsShortenNoRequest(t *testing.T) {
	const late = 90 * time.Millisecond
	c := newClock()
	oversleep := func(ctx context.Context, d time.Duration) {
		if d > 50*time.Millisecond { // tokenizing
			return
		}
		c.sleep(ctx, d+late)
	}
	_, s := all(t, Options{Profile: "eager", Deviation: Deviation{JitterRatio: -1}, Clock: Clock{c.Now, oversleep}},
		tokens(numbered(0, 512), 2), tokens(numbered(1, 511), 1))
	first := s.cost.Step([]chunk{{512, 0}}, nil) + late
	second := s.cost.Step([]chunk{{511, 0}}, []int{513})
	if got := s.met.prefill.sum - first.Seconds(); got < second.Seconds() {
		t.Errorf("the second prompt took %.4f s, its step takes %v", got, second)
	}
}

// In real time a request takes at least the time of the cost model.
func TestRealTime(t *testing.T) {
	s := start(t, Options{Profile: "eager", Deviation: Deviation{JitterRatio: -1}, Clock: Clock{time.Now, sleep}})
	cost := s.cost
	began := time.Now()
	s.complete(tokens(numbered(0, 1500), 3))
	took := time.Since(began)
	want := cost.TTFT(1500, 0) + 2*cost.Step(nil, []int{1500})
	if took < want || took > want+3*time.Second {
		t.Errorf("took %v, the model says %v", took, want)
	}
}

func TestSeeds(t *testing.T) {
	said := func(o Options, body object) string { return start(t, o).complete(body).text }
	base := said(Options{Seed: 1}, chatBody("hi", "seed", 7))
	for _, c := range []struct {
		name string
		o    Options
		body object
		same bool
	}{
		{"again", Options{Seed: 1}, chatBody("hi", "seed", 7), true},
		{"another profile, block size and jitter",
			Options{Seed: 1, Profile: "graphs", BlockSize: 64, Deviation: Deviation{JitterRatio: 0.3}}, chatBody("hi", "seed", 7), true},
		{"another server seed", Options{Seed: 2}, chatBody("hi", "seed", 7), false},
		{"another request seed", Options{Seed: 1}, chatBody("hi", "seed", 8), false},
		{"no request seed", Options{Seed: 1}, chatBody("hi"), false},
		{"another prompt", Options{Seed: 1}, chatBody("ho", "seed", 7), false},
	} {
		if got := said(c.o, c.body); (got == base) != c.same {
			t.Errorf("%s: same reply %t, want %t", c.name, got == base, c.same)
		}
	}
	took := func(seed int64, jitter float64) float64 {
		s := start(t, Options{Profile: "eager", Seed: seed, Deviation: Deviation{JitterRatio: jitter}})
		s.complete(tokens(numbered(0, 2000), 20))
		return s.counters()["vllm:e2e_request_latency_seconds_sum"]
	}
	exact := took(1, -1)
	if took(1, 0.05) != took(1, 0.05) || took(1, 0.05) == took(2, 0.05) || took(2, -1) != exact {
		t.Error("jitter does not come from the seed alone")
	}
	if off := took(1, 0)/exact - 1; off == 0 || math.Abs(off) > 0.02 {
		t.Errorf("the default jitter of 1 %% moves a request by %.3f %%", 100*off)
	}
}
