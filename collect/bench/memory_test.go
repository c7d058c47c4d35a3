package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"wb/collect/client"
	"wb/collect/engine"
	"wb/collect/target"
	"wb/store"
)

// playWith plays a plan with these tools.
func (s *stage) playWith(ctx context.Context, tools Tools, plan string) error {
	s.t.Helper()
	p, err := ParsePlan("plan.yaml", []byte(plan))
	if err != nil {
		s.t.Fatal(err)
	}
	spec, err := NewSpec(p, nil, anyRules())
	if err != nil {
		s.t.Fatal(err)
	}
	x, err := NewExecution(spec, tools, s.teller(), s.clock.Now())
	if err != nil {
		s.t.Fatal(err)
	}
	x.Ledger = s
	return x.Play(ctx)
}

// Memory is measured once, before the first run, if the server runs here. It is measured before vLLM starts, and after any other server
// was reached.
func TestMemoryIsMeasuredOnce(t *testing.T) {
	for _, tt := range []struct {
		what, settings, url string
		kind                engine.Kind
		fails               error
		order, figures      string
		told                string
	}{
		{what: "a server here", url: "http://127.0.0.1:1", kind: engine.KindOpenAI, order: "connect measure play play",
			figures: "7 7", told: "memory: 7 bytes"},
		{what: "a server elsewhere", url: "http://server.invalid:1", kind: engine.KindOpenAI, order: "connect play play", figures: "none none"},
		{what: "a simulator", url: "http://127.0.0.1:1", kind: engine.KindSimulator, order: "connect play play", figures: "none none"},
		{what: "vLLM", settings: "engine: vllm\nmodel: m\n", url: "http://127.0.0.1:1", kind: engine.KindVLLM,
			order: "measure connect play play", figures: "7 7", told: "memory: 7 bytes"},
		{what: "a failure", url: "http://127.0.0.1:1", kind: engine.KindOpenAI, fails: errors.New("no room"), order: "connect measure play play",
			figures: "none none", told: "no room"},
	} {
		s := newStage(t)
		tools := s.tools()
		var order, figures []string
		tools.Connect = func(_ context.Context, _ *target.Spec, c target.Connection) (*target.Target, error) {
			order = append(order, "connect")
			cl, err := client.New(tt.url, "", c.Clock)
			all := engine.All()
			e := all[slices.IndexFunc(all, func(e engine.Engine) bool { return e.Kind() == tt.kind })]
			return &target.Target{Client: cl, Server: &engine.Server{Facts: engine.Facts{Model: "m"}, Engine: e}}, err
		}
		tools.Play = func(ctx context.Context, at *target.Target, job Job, w Watch) (*Result, error) {
			order = append(order, "play")
			figure := "none"
			if job.MemoryReadBytesPerS != nil {
				figure = fmt.Sprint(*job.MemoryReadBytesPerS)
			}
			figures = append(figures, figure)
			return s.play(ctx, at, job, w)
		}
		tools.Memory = func(context.Context, client.Clock) (int64, string, error) {
			order = append(order, "measure")
			return 7, "7 bytes", tt.fails
		}
		const plan = "name: two\nconversations: [simple_qa]\nvariants: {a: {}, b: {seed: 0}}\n"
		if err := s.playWith(t.Context(), tools, plan+tt.settings); err != nil {
			t.Fatalf("%s: %v", tt.what, err)
		}
		if got := strings.Join(order, " "); got != tt.order {
			t.Errorf("%s: %s", tt.what, got)
		}
		if got := strings.Join(figures, " "); got != tt.figures {
			t.Errorf("%s: figures %s", tt.what, got)
		}
		said := strings.Join(append(s.lines, s.warned...), "\n")
		if strings.Contains(said, "memory: ") != (tt.told != "" && tt.fails == nil) || !strings.Contains(said, tt.told) {
			t.Errorf("%s: said %q", tt.what, said)
		}
	}
}

// A person who stops wb while memory is measured has interrupted the plan.
func TestMeasurementIsInterrupted(t *testing.T) {
	s := newStage(t)
	tools := s.tools()
	ctx, cancel := context.WithCancel(t.Context())
	tools.Memory = func(context.Context, client.Clock) (int64, string, error) {
		cancel()
		return 0, "", context.Canceled
	}
	if err := s.playWith(ctx, tools, twoCells); !errors.Is(err, store.ErrInterrupted) || len(s.jobs) > 0 {
		t.Errorf("%v after %q", err, s.jobs)
	}
}
