//go:build duckdb_arrow

package compare

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"wb/collect/sim"
)

// planted plays conversations against a simulator with a virtual clock: nothing waits, and a turn takes exactly the time that the cost
// model and its jitter give. Each request asks for one token only.
func planted(t *testing.T, seed int64, passes int, factor float64) (out []observation) {
	var mu sync.Mutex
	now := time.Unix(0, 0)
	clock := func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		return now
	}
	sleep := func(_ context.Context, d time.Duration) {
		mu.Lock()
		defer mu.Unlock()
		now = now.Add(d)
	}
	srv, err := sim.New(sim.Options{
		Profile: "eager", DisablePrefixCaching: true, Clock: sim.Clock{Now: clock, Sleep: sleep},
		Deviation: sim.Deviation{JitterRatio: 0.03, JitterSeed: seed, PrefillFactor: factor},
	})
	if err != nil {
		t.Error(err)
		return nil
	}
	ctx, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { srv.Run(ctx) })
	defer func() { stop(); wg.Wait() }()
	h := srv.Handler()
	for pass := range passes {
		for conv, turns := range []int{3, 2} {
			for turn := range turns {
				prompt := strings.Repeat(" word", 3000+1500*turn+700*conv)
				body := `{"model": "simulated", "max_tokens": 1, "prompt": "` + prompt + `"}`
				r := httptest.NewRequest(http.MethodPost, "/v1/completions", strings.NewReader(body))
				r.Header.Set("Content-Type", "application/json")
				w := httptest.NewRecorder()
				before := clock()
				h.ServeHTTP(w, r)
				if w.Code != http.StatusOK {
					t.Errorf("HTTP %d: %s", w.Code, w.Body)
					return nil
				}
				o := observed(fmt.Sprint("c", conv), pass, turn+1, float64(clock().Sub(before))/1e6)
				o.session, o.prompt, o.output = fmt.Sprint(seed, "/", conv, "/", pass), int64(len(prompt)), 1
				out = append(out, o)
			}
		}
	}
	return out
}

// On the simulator with 3 % of jitter per step: where nothing differs, at most 5 of 100 comparisons find a difference, with a margin of
// almost 0. A prefill that is 3 % slower is found within 10 repeats in at least 95 of 100 comparisons. A change of 0.5 % is equivalent.
func TestPlantedDifferences(t *testing.T) {
	if testing.Short() || raced { // races are found by the tests of the simulator
		t.Skip("half a minute")
	}
	const trials, passes = 100, 10 // and twice as many trials of equal sides
	var mu sync.Mutex
	falseAlarms, found, same := 0, 0, 0
	work := make(chan int64)
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for i := range work {
				base := planted(t, 4*i, passes, 1)
				equal := verdictOf(base, planted(t, 4*i+1, passes, 1), 1e-6).Outcome
				slow, slight := Outcome(""), Outcome("")
				if i < trials {
					slow = verdictOf(base, planted(t, 4*i+2, passes, 1.03), 0.02).Outcome
					slight = verdictOf(base, planted(t, 4*i+3, passes, 1.005), 0.02).Outcome
				}
				mu.Lock()
				if equal == Faster || equal == Slower {
					falseAlarms++
				}
				if slow == Slower {
					found++
				}
				if slight == Equivalent {
					same++
				}
				mu.Unlock()
			}
		})
	}
	for i := range int64(2 * trials) {
		work <- i
	}
	close(work)
	wg.Wait()
	t.Logf("%d of %d equals called different, %d of %d slower by 3 %%, %d of %d equivalent at 0.5 %%",
		falseAlarms, 2*trials, found, trials, same, trials)
	// 5 % of 200 are 10; three standard deviations of chance above it are 19
	if falseAlarms > 19 {
		t.Errorf("%d of %d comparisons of equals call a difference", falseAlarms, 2*trials)
	}
	if found < 95 {
		t.Errorf("3 %% are called in %d of %d", found, trials)
	}
	if same < 95 {
		t.Errorf("0.5 %% are called equivalent in %d of %d", same, trials)
	}
}
