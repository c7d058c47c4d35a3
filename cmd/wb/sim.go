package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"

	"github.com/spf13/cobra"

	"wb/collect/sim"
	"wb/data/plain"
)

func newSim(stderr io.Writer) *cobra.Command {
	var o sim.Options
	var port int
	var host, served string
	var faults []string
	cmd := &cobra.Command{
		Use:   "sim",
		Short: "Serve the simulator: a vLLM-compatible server without a model",
		Long: `Serve the simulator until Ctrl-C. It is a vLLM-compatible HTTP server with an exact prefix cache and measured costs, but
without a model: its answers are pseudo-text. The page docs/design/simulator.md describes what it models.`,
		Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			for _, s := range faults {
				f, err := sim.ParseFault(s)
				if err != nil {
					return plain.Mistake(err)
				}
				o.Faults = append(o.Faults, f)
			}
			if port < 0 || port > 65535 {
				return usagef("flag --port: %d is not a valid port", port)
			}
			lines := make(chan sim.Served, 4096)
			if served != "" {
				o.Served = func(t sim.Served) { lines <- t }
			}
			srv, err := sim.New(o)
			if err != nil {
				return plain.Mistake(err)
			}
			url, err := srv.Start(cmd.Context(), net.JoinHostPort(host, strconv.Itoa(port)))
			if err != nil {
				return err
			}
			end := func() error { return nil }
			if served != "" { // only now: a server that cannot start must not touch the file of another one
				if end, err = sim.WriteServed(served, lines); err != nil {
					return errors.Join(err, srv.Close())
				}
			}
			by := "profile " + o.Profile
			if o.Pace > 0 {
				by = fmt.Sprintf("%v tokens per second on each stream", o.Pace)
			}
			fmt.Fprintf(stderr, "simulator at %s (%s); stop with Ctrl-C\n", url, by)
			<-cmd.Context().Done()
			return errors.Join(srv.Close(), end())
		},
	}
	f := cmd.Flags()
	f.IntVar(&port, "port", 8001, "port to listen on; 0 takes any free port")
	f.StringVar(&host, "host", "127.0.0.1", "address to listen on")
	f.StringVar(&o.Model, "model", "simulated", "name of the model to serve")
	f.StringVar(&o.Profile, "profile", "eager", "profile of the simulator's costs: eager, graphs or instant")
	f.IntVar(&o.BlockSize, "block-size", 16, "tokens in a KV block")
	f.IntVar(&o.CapacityTokens, "kv-tokens", 0, "tokens that the KV cache holds; 0 takes the profile's value")
	f.IntVar(&o.MaxModelLen, "max-model-len", 131072, "longest context in tokens")
	f.IntVar(&o.MaxNumBatchedTokens, "max-num-batched-tokens", 0, "most tokens in one step; 0 takes the profile's value")
	f.IntVar(&o.MaxNumSeqs, "max-num-seqs", 0, "most requests that run at the same time; 0 takes the profile's value")
	f.BoolVar(&o.DisablePrefixCaching, "no-prefix-caching", false, "switch the prefix cache off")
	f.Int64Var(&o.Seed, "seed", 0, "seed for replies and jitter")
	f.Float64Var(&o.JitterRatio, "jitter", 0.01, "relative spread of step times")
	f.Float64Var(&o.PrefillFactor, "prefill-factor", 1, "factor on the measured time of prefill; 1.03 makes it 3 % slower")
	f.Float64Var(&o.Pace, "pace", 0, "`tokens` per second on each stream, however many streams there are, instead of the profile's costs")
	f.StringVar(&served, "served-log", "", "write into this `file` when each request came and each event was sent, one JSON line per request")
	f.StringArrayVar(&faults, "fault", nil, "fail on purpose, such as cut@2:5; can be repeated")
	return cmd
}
