package sim

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"
)

// Options are the settings of a server. A zero value means the default. Sizes are in tokens.
type Options struct {
	Model                string  // name of the model; default "simulated"
	Profile              string  // cost model in profiles.yaml; default "eager"
	BlockSize            int     // tokens in a KV block; default 16
	CapacityTokens       int     // size of the KV cache, of which vLLM keeps one block for itself; default: the profile's
	MaxNumBatchedTokens  int     // most tokens in one step; default: the profile's
	MaxNumSeqs           int     // most requests that run at once; default: the profile's
	MaxModelLen          int     // longest context; default 131072
	DisablePrefixCaching bool    // every prompt misses
	Seed                 int64   // of replies and jitter
	Pace                 float64 // tokens per second of each stream, however many there are, after a tenth of a second; 0: the profile's costs
	Deviation
	Served func(Served) // called for each streamed request when it is over; may be nil
	Faults []Fault
	Clock
}

// Deviation makes the times of steps differ from the measured times.
type Deviation struct {
	JitterSeed    int64   // of the jitter alone, so that two servers with equal replies can differ in it
	JitterRatio   float64 // standard deviation of step times over their mean; default 0.01, negative for none
	PrefillFactor float64 // time of prefill over the measured time, to make a known difference; default 1
}

// Clock is how a server reads the time and waits.
type Clock struct {
	Now   func() time.Time                     // default time.Now
	Sleep func(context.Context, time.Duration) // default: really sleeps
}

// settle fills in the defaults, checks the options, and returns the costs that follow from them.
func (o *Options) settle() (Cost, error) {
	if o.Profile == "" {
		o.Profile = "eager"
	}
	cost, err := Profile(o.Profile)
	if err != nil {
		return Cost{}, err
	}
	if !(o.Pace >= 0 && o.Pace <= 1e6) {
		return Cost{}, fmt.Errorf("set up simulator: a pace of %v tokens per second: wants a number from 0 to 1,000,000", o.Pace)
	}
	if o.Pace > 0 {
		cost = paced(o.Pace, cost.KVTokens)
	}
	o.setDefaults(cost.Sizes)
	if !(o.PrefillFactor > 0 && o.PrefillFactor <= 100) {
		return Cost{}, errors.New("set up simulator: the prefill factor must be above 0 and at most 100")
	}
	if o.BlockSize < 1 || o.MaxNumBatchedTokens < 1 || o.MaxNumSeqs < 1 || o.MaxModelLen < 2 || o.CapacityTokens < 2*o.BlockSize ||
		!(o.JitterRatio < 1) {
		return Cost{}, errors.New("set up simulator: sizes must be positive, the context must have at least 2 tokens, " +
			"the KV cache at least two blocks, and the jitter must be below 1")
	}
	cost.PrefillFactor = o.PrefillFactor
	cost.MaxNumBatchedTokens = o.MaxNumBatchedTokens
	// the server does not offer a context that the cache cannot hold: vLLM would not start
	o.MaxModelLen = min(o.MaxModelLen, o.blocks()*o.BlockSize)
	return cost, nil
}

// setDefaults fills in the defaults.
func (o *Options) setDefaults(profile Sizes) {
	o.Model = cmp.Or(o.Model, "simulated")
	o.BlockSize = cmp.Or(o.BlockSize, 16)
	o.CapacityTokens = cmp.Or(o.CapacityTokens, profile.KVTokens)
	o.MaxNumBatchedTokens = cmp.Or(o.MaxNumBatchedTokens, profile.MaxNumBatchedTokens)
	o.MaxNumSeqs = cmp.Or(o.MaxNumSeqs, profile.MaxNumSeqs)
	o.MaxModelLen = cmp.Or(o.MaxModelLen, 131072)
	if o.JitterRatio == 0 {
		o.JitterRatio = 0.01
	}
	if o.PrefillFactor == 0 {
		o.PrefillFactor = 1
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Sleep == nil {
		o.Sleep = sleep
	}
}

// blocks returns how many blocks of the KV cache requests can have: all but vLLM's null block.
func (o *Options) blocks() int { return o.CapacityTokens/o.BlockSize - 1 }

// sleep waits for d or until the context ends.
func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
