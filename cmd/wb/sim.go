package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"

	"github.com/spf13/cobra"

	"wb/collect/serve"
	"wb/collect/sim"
)

func newSim(stderr io.Writer) *cobra.Command {
	var o sim.Options
	var port int
	var host, truth string
	var faults []string
	cmd := &cobra.Command{
		Use:   "sim",
		Short: "Serve the simulator: a vLLM-compatible server without a model",
		Long: `Serve the simulator until Ctrl-C: a vLLM-compatible HTTP server with an exact prefix cache and measured costs, and no model. Its
answers are pseudo-text. docs/simulator.md describes what it models and what it does not.`,
		Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			for _, s := range faults {
				f, err := sim.ParseFault(s)
				if err != nil {
					return usageError{err}
				}
				o.Faults = append(o.Faults, f)
			}
			if port < 0 || port > 65535 {
				return usagef("flag --port: %d is no port", port)
			}
			lines := make(chan sim.Truth, 4096)
			if truth != "" {
				o.Truth = func(t sim.Truth) { lines <- t }
			}
			srv, err := sim.New(o)
			if err != nil {
				return usageError{err}
			}
			url, err := srv.Start(cmd.Context(), net.JoinHostPort(host, strconv.Itoa(port)))
			if err != nil {
				return err
			}
			end := func() error { return nil }
			if truth != "" { // a server that cannot start leaves the file of another as it is
				if end, err = writeTruth(truth, lines); err != nil {
					return errors.Join(err, srv.Close())
				}
			}
			by := "profile " + o.Profile
			if o.Pace > 0 {
				by = fmt.Sprintf("%v tokens a second of every stream", o.Pace)
			}
			fmt.Fprintf(stderr, "simulator at %s (%s); stop with Ctrl-C\n", url, by)
			<-cmd.Context().Done()
			return errors.Join(srv.Close(), end())
		},
	}
	f := cmd.Flags()
	f.IntVar(&port, "port", 8001, "port to listen on (0: any free one)")
	f.StringVar(&host, "host", "127.0.0.1", "address to listen on")
	f.StringVar(&o.Model, "model", "simulated", "model name to serve")
	f.StringVar(&o.Profile, "profile", "eager", "cost model: eager, graphs or instant")
	f.IntVar(&o.BlockSize, "block-size", 16, "tokens in a KV block")
	f.IntVar(&o.CapacityTokens, "kv-tokens", 0, "tokens the KV cache holds (0: the profile's)")
	f.IntVar(&o.MaxModelLen, "max-model-len", 131072, "longest context, tokens")
	f.IntVar(&o.MaxNumBatchedTokens, "max-num-batched-tokens", 0, "tokens of one step (0: the profile's)")
	f.IntVar(&o.MaxNumSeqs, "max-num-seqs", 0, "requests that run at once (0: the profile's)")
	f.BoolVar(&o.DisablePrefixCaching, "no-prefix-caching", false, "switch the prefix cache off")
	f.Int64Var(&o.Seed, "seed", 0, "seed of replies and jitter")
	f.Float64Var(&o.JitterRatio, "jitter", 0.01, "relative spread of step times")
	f.Float64Var(&o.PrefillFactor, "prefill-factor", 1, "time of prefill over what was measured: 1.03 plants 3 %")
	f.Float64Var(&o.Pace, "pace", 0, "`tokens` a second of every stream, however many there are, instead of a profile's costs")
	f.StringVar(&truth, "truth", "", "write into this `file` when each request came and each event was sent, a JSON line a request")
	f.StringArrayVar(&faults, "fault", nil, "fail on purpose, such as cut@2:5; may be repeated")
	return cmd
}

// truthLine is one request in a file of wb sim --truth. Times are ns since the server was made, on its monotonic clock.
type truthLine struct {
	ID         string  `json:"request_id"`
	BeganNs    int64   `json:"began_unix_ns"` // the zero of the other times, on the wall clock
	ReceivedNs int64   `json:"received_ns"`
	SentNs     []int64 `json:"sent_ns"` // of each event, just before it was handed to the socket
	Tokens     []int   `json:"tokens"`  // it carried
}

// writeTruth writes what the simulator really did into a file; end closes it.
func writeTruth(path string, lines chan sim.Truth) (end func() error, err error) {
	f, err := os.Create(path)
	if err != nil {
		return nil, fmt.Errorf("write truth %s: %w", path, plainPathError(err))
	}
	done := make(chan error)
	go func() { // whoever serves must not wait for a disk
		w := bufio.NewWriterSize(f, 1<<16)
		enc := json.NewEncoder(w)
		var failed error
		for t := range lines {
			l := truthLine{ID: t.ID, BeganNs: t.Began.UnixNano(), ReceivedNs: t.Received.Nanoseconds(),
				SentNs: make([]int64, len(t.Sent)), Tokens: make([]int, len(t.Sent))}
			for i, s := range t.Sent {
				l.SentNs[i], l.Tokens[i] = s.At.Nanoseconds(), s.Tokens
			}
			failed = errors.Join(failed, enc.Encode(l))
			if len(lines) == 0 {
				failed = errors.Join(failed, w.Flush())
			}
		}
		done <- errors.Join(failed, w.Flush(), f.Close())
	}()
	return func() error { close(lines); return <-done }, nil
}

// simOptions are what the embedded simulator is told: flags of the run, and those of vLLM's arguments that it knows.
func (o *runOptions) simOptions() (sim.Options, error) {
	so := sim.Options{Profile: o.simProfile, Seed: o.seed}
	if _, err := sim.Profile(o.simProfile); err != nil {
		return so, err
	}
	for _, s := range o.simFaults {
		f, err := sim.ParseFault(s)
		if err != nil {
			return so, err
		}
		so.Faults = append(so.Faults, f)
	}
	var a serve.Args
	if err := a.Merge(o.words); err != nil {
		return so, err
	}
	for _, name := range a.Names() {
		value, _ := a.Get(name)
		counts := map[string]*int{"block-size": &so.BlockSize, "max-num-batched-tokens": &so.MaxNumBatchedTokens, "max-num-seqs": &so.MaxNumSeqs, "max-model-len": &so.MaxModelLen, "kv-tokens": &so.CapacityTokens}
		switch to, ok := counts[name]; {
		case ok:
			n, ok := serve.ParseCount(value)
			if !ok || n > 1<<31 {
				return so, fmt.Errorf("read simulator arguments: --%s wants a number from 1, not %q", name, value)
			}
			*to = int(n)
		case name == "enable-prefix-caching" && value == "":
		case name == "no-enable-prefix-caching" && value == "":
			so.DisablePrefixCaching = true
		case name == "jitter" || name == "prefill-factor":
			f, err := strconv.ParseFloat(value, 64)
			if err != nil || !(f > 0) {
				return so, fmt.Errorf("read simulator arguments: --%s wants a number above 0, not %q", name, value)
			}
			*map[string]*float64{"jitter": &so.JitterRatio, "prefill-factor": &so.PrefillFactor}[name] = f
		default:
			return so, fmt.Errorf("read simulator arguments: --%s is not one that it knows; it knows --block-size, --enable-prefix-caching, --max-model-len, --max-num-batched-tokens, --max-num-seqs, and its own --jitter, --kv-tokens and --prefill-factor", name)
		}
	}
	_, err := sim.New(so)
	return so, err
}
