package bench

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"wb/collect/client"
	"wb/collect/engine"
	"wb/collect/target"
	"wb/data"
	"wb/data/plain/clocktest"
	"wb/store"
)

// stage plays executions without a server and a file, with a clock on which a job takes one second per session. It is a Ledger too.
type stage struct {
	t      *testing.T
	clock  *clocktest.Clock
	jobs   []string // as they were played
	lines  []string
	warned []string
	closed map[string]string // how runs ended, by cell
	spec   string            // the recorded spec that holds the cells
	older  []store.Execution // other plans in the file
	plan   string            // the recorded text of the plan

	connected int
	fail      func(s *stage, job Job) error // nil: no job fails
	widths    []float64                     // that Width gives, one per call
	noFigures bool                          // Width gives ErrNoFigures
	runs      map[uuid.UUID]*store.PlanRun
	reopened  int
}

func newStage(t *testing.T) *stage {
	return &stage{
		t:      t,
		clock:  clocktest.New(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)),
		closed: map[string]string{},
		runs:   map[uuid.UUID]*store.PlanRun{},
	}
}

func (s *stage) tools() Tools {
	return Tools{
		Connect: func(_ context.Context, spec *target.Spec, c target.Connection) (*target.Target, error) {
			s.connected++
			s.clock.Add(10 * time.Second)
			cl, err := client.New("http://127.0.0.1:1", c.Key, c.Clock)
			if err != nil {
				return nil, err
			}
			e := engine.All()[2]
			return &target.Target{Client: cl, Server: &engine.Server{Facts: engine.Facts{Model: "m"}, Engine: e}}, nil
		},
		Play: s.play,
		Width: func(context.Context, string, []uuid.UUID) (float64, error) {
			if s.noFigures {
				return math.NaN(), ErrNoFigures
			}
			w := s.widths[0]
			s.widths = s.widths[1:]
			return w, nil
		},
		Now:   s.clock.Now,
		Since: func(t time.Time) time.Duration { return s.clock.Now().Sub(t) },
	}
}

// play notes a job as played, without a server.
func (s *stage) play(ctx context.Context, _ *target.Target, job Job, _ Watch) (*Result, error) {
	var passes []string
	for _, x := range job.Sessions {
		passes = append(passes, fmt.Sprint(x.Repeat))
	}
	how := ""
	for name, on := range map[string]bool{"same": job.Server.Same, "keep": job.Server.Keep, "warm": job.Warmup == 0} {
		if on {
			how += " " + name
		}
	}
	s.jobs = append(s.jobs, strings.TrimSpace(fmt.Sprintf("%s %s%s", job.Cell(), strings.Join(passes, ","), sorted(how))))
	s.clock.Add(time.Duration(len(job.Sessions)) * time.Second)
	run := &store.PlanRun{RunID: uuid.New(), Name: job.Name, Cell: job.Part.Cell, Status: store.RunOK, StartedAt: s.clock.Now()}
	if c := job.Part.Continue; c != nil {
		run = s.runs[c.RunID]
	} else if s.plan = job.Part.PlanText; len(job.Part.Spec) > len(s.spec) {
		s.spec = job.Part.Spec
	}
	s.runs[run.RunID] = run
	res := &Result{
		RunID:    run.RunID,
		Name:     run.Name,
		Status:   store.RunOK,
		Turns:    len(job.Sessions),
		Progress: Progress{RunID: run.RunID, Name: run.Name},
	}
	if s.fail != nil {
		if err := s.fail(s, job); err != nil {
			res.Status = store.RunFailed
			run.Status = store.RunFailed
			return res, err
		}
	}
	run.SessionsPerRepeat = len(job.AllSessions(1, 1))
	for _, x := range job.Sessions {
		run.Done = append(run.Done, store.DoneSession{Conversation: x.Conversation.ID, SHA256: x.Conversation.SHA256(),
			Variant: string(x.Placement), Repeat: int32(x.Repeat)})
	}
	return res, ctx.Err()
}

// Cell names the cell of a job.
func (j Job) Cell() string { return j.Part.Cell }

func sorted(words string) string {
	out := strings.Fields(words)
	slices.Sort(out)
	if len(out) == 0 {
		return ""
	}
	return " " + strings.Join(out, " ")
}

func (s *stage) teller() Teller {
	return Teller{
		Line: func(text string) { s.lines = append(s.lines, text) }, Warn: func(text string) { s.warned = append(s.warned, text) },
		Chosen: func(int, []*data.Conversation, []data.LeftOut, bool) {}, Making: func(*data.Conversation) {}, Failure: func(error) {},
	}
}

// Executions gives the execution that the stage has played, and the older ones.
func (s *stage) Executions(context.Context) ([]store.Execution, error) {
	if s.spec == "" {
		return nil, nil
	}
	e := store.Execution{ID: uuid.New(), Plan: s.plan, Spec: s.spec, StartedAt: s.clock.Now(), Runs: len(s.runs)}
	for _, r := range s.runs {
		if r.Status != store.RunOK {
			e.Unended++
		}
	}
	return append([]store.Execution{e}, s.older...), nil
}

func (s *stage) PlanRuns(context.Context, uuid.UUID) (out []store.PlanRun, _ error) {
	for _, r := range s.runs {
		out = append(out, *r)
	}
	return out, nil
}

func (s *stage) Reopen(_ context.Context, runs []store.PlanRun) error {
	s.reopened = len(runs)
	return nil
}

func (s *stage) FinishRuns(_ context.Context, ids []uuid.UUID, status store.RunStatus, why string, _ time.Time) error {
	for _, id := range ids {
		r := s.runs[id]
		r.Status = status
		s.closed[r.Cell] = strings.TrimSpace(string(status) + " " + why)
	}
	return nil
}

func (s *stage) Checkpoint(context.Context) error { return nil }

func anyRules() Rules {
	fine := func(string) string { return "" }
	return Rules{Name: fine, Label: fine, Metrics: []string{"ttft", "tpot"}}
}

// execute plays a plan, or a single run when plan is "".
func (s *stage) execute(ctx context.Context, plan string, given Given) error {
	s.t.Helper()
	var p *PlanFile
	if plan != "" {
		var err error
		if p, err = ParsePlan("plan.yaml", []byte(plan)); err != nil {
			s.t.Fatal(err)
		}
	}
	spec, err := NewSpec(p, given, anyRules())
	if err != nil {
		return err
	}
	return s.playSpec(ctx, spec, nil)
}

func (s *stage) playSpec(ctx context.Context, spec *Spec, found *Found) error {
	s.t.Helper()
	x, err := NewExecution(spec, s.tools(), s.teller(), s.clock.Now())
	if err != nil {
		return err
	}
	x.Ledger = s
	if found != nil {
		if left, err := x.Adopt(ctx, found); err != nil || !left {
			s.lines = append(s.lines, "nothing left")
			return err
		}
	}
	return x.Play(ctx)
}

const twoCells = "name: two\nconversations: [simple_qa]\nrepeats: 3\nvariants: {a: {}, b: {seed: 0}}\n"

// Cells are played in turns, forwards and then backwards. A cell that follows itself keeps its server, which is warm.
func TestPasses(t *testing.T) {
	s := newStage(t)
	if err := s.execute(t.Context(), twoCells, nil); err != nil {
		t.Fatal(err)
	}
	order := Order(2, 0, 0)
	a, b := string("ab"[order[0]]), string("ab"[order[1]])
	want := []string{a + " 1 keep", b + " 1 keep", b + " 2 keep same warm", a + " 2 keep", "", ""}
	third := Order(2, 0, 2)
	last := string("ab"[third[0]])
	how := " keep"
	if last == a {
		how = " keep same warm"
	}
	want[4], want[5] = last+" 3"+how, string("ab"[third[1]])+" 3"
	if !slices.Equal(s.jobs, want) {
		t.Errorf("played %q, want %q", s.jobs, want)
	}
	if s.connected != 1 {
		t.Errorf("connected %d times: the cells can share a server", s.connected)
	}
	if want := map[string]string{"a": "ok", "b": "ok"}; !maps.Equal(s.closed, want) {
		t.Errorf("closed %v, want %v", s.closed, want)
	}
	if !strings.HasPrefix(s.lines[0], "repeat 1 of 3, cell 1 of 2") || !strings.Contains(s.lines[5], ", about 1 s left") {
		t.Errorf("told %q", s.lines)
	}
}

// Cells that need different servers do not share one.
func TestServersAreNotShared(t *testing.T) {
	s := newStage(t)
	plan := "name: two\nconversations: [simple_qa]\nrepeats: 2\nmatrix: {seed: [1, 2]}\n"
	if err := s.execute(t.Context(), plan, nil); err != nil {
		t.Fatal(err)
	}
	if s.connected != 3 { // the second pass begins with the cell that ended the first
		t.Errorf("connected %d times, played %q", s.connected, s.jobs)
	}
}

// A single run plays all its repeats in one job.
func TestSingleRun(t *testing.T) {
	s := newStage(t)
	if err := s.execute(t.Context(), "", Given{"conversations": {"simple_qa"}, "repeat": {"3"}}); err != nil {
		t.Fatal(err)
	}
	if want := []string{"1,2,3"}; !slices.Equal(s.jobs, want) {
		t.Errorf("played %q, want %q", s.jobs, want)
	}
	if len(s.closed) != 0 { // the job closes the run, not the execution
		t.Errorf("closed %v", s.closed)
	}
}

// Repeats are added until the interval of the metric is narrow enough, or --max-repeats is reached, or the metric is found not to be
// measured.
func TestUntilCI(t *testing.T) {
	for _, c := range []struct {
		name      string
		widths    []float64
		noFigures bool
		jobs      int
		last      string // line or warning
	}{
		{"known at once", []float64{0.01}, false, 1, "after 2 repeats the interval of ttft is ±1.0 % wide: enough"},
		{"known later", []float64{math.NaN(), 0.05, 0.02}, false, 3, "after 4 repeats the interval of ttft is ±2.0 % wide: enough"},
		{"never", []float64{0.5, 0.4, 0.3, 0.2}, false, 4,
			"after 5 repeats the interval of ttft is ±20.0 % wide; the target was 2%, and --max-repeats is reached"},
		{"not measured", nil, true, 1, "ttft is not measured here, so more repeats cannot help; --until-ci is ignored"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStage(t)
			s.widths, s.noFigures = c.widths, c.noFigures
			err := s.execute(t.Context(), "", Given{"conversations": {"simple_qa"}, "repeat": {"2"}, "until-ci": {"2%"}, "max-repeats": {"5"}})
			if err != nil {
				t.Fatal(err)
			}
			said := slices.Concat(s.warned, s.lines)
			if len(s.jobs) != c.jobs || said[len(said)-1] != c.last {
				t.Errorf("%d jobs %q, told %q, want %d and %q", len(s.jobs), s.jobs, said, c.jobs, c.last)
			}
			if s.closed[""] != "ok" {
				t.Errorf("the run was closed: %v", s.closed)
			}
		})
	}
}

// A cell that fails is given up and the others go on. An error that would make all cells fail ends the plan.
func TestGiveUp(t *testing.T) {
	broken := errors.New("it broke")
	for _, c := range []struct {
		name   string
		err    error
		jobs   int
		ends   map[string]string
		failed string
	}{
		{"one cell", broken, 1 + 3, map[string]string{"b": "ok"}, "run cell a: it broke"},
		{"the file", &store.Error{Op: "record", Path: "x", Err: broken}, -1, nil, "record x: it broke"},
		{"the person", ErrInterrupted, -1, nil, "interrupted"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStage(t)
			s.fail = func(_ *stage, job Job) error {
				if job.Cell() == "a" {
					return c.err
				}
				return nil
			}
			err := s.execute(t.Context(), twoCells, nil)
			if err == nil || err.Error() != c.failed {
				t.Errorf("%v, want %s", err, c.failed)
			}
			if c.jobs >= 0 && (len(s.jobs) != c.jobs || !maps.Equal(s.closed, c.ends)) {
				t.Errorf("played %q, closed %v, want %d jobs and %v", s.jobs, s.closed, c.jobs, c.ends)
			}
			if i := slices.IndexFunc(s.jobs, func(j string) bool { return strings.HasPrefix(j, "a") }); c.jobs < 0 && i != len(s.jobs)-1 {
				t.Errorf("it went on: %q", s.jobs)
			}
		})
	}
}

// A flag cannot set what a plan varies, and the name of every cell's run is checked.
func TestPlanAndFlags(t *testing.T) {
	const varied = "name: v\nconversations: [simple_qa]\nmatrix: {timeout: [5s, 6s]}\n"
	const refused = "flag --timeout: plan v varies it, so its cells would not match their names"
	given := Given{"timeout": {"7s"}}
	if _, err := NewSpec(mustPlan(t, varied), given, anyRules()); errText(err) != refused {
		t.Errorf("begun: %v", err)
	}
	s := newStage(t)
	s.fail = func(*stage, Job) error { return ErrInterrupted }
	_ = s.execute(t.Context(), varied, nil)
	if _, err := Find(t.Context(), s, "x.duckdb", nil, given, anyRules()); errText(err) != refused {
		t.Errorf("resumed: %v", err)
	}
	rules := anyRules()
	rules.Name = func(name string) string {
		if strings.Contains(name, ",") {
			return "has a comma"
		}
		return ""
	}
	_, err := NewSpec(mustPlan(t, twoCells), Given{"name": {"x,y"}}, rules)
	if want := `plan plan.yaml, cell a: flag --name: "x,y/a" has a comma`; errText(err) != want {
		t.Errorf("%v, want %s", err, want)
	}
}

// Ctrl-C while the last server is being stopped changes nothing: all passes of the plan were played.
func TestInterruptedAtTheEnd(t *testing.T) {
	s := newStage(t)
	ctx, cancel := context.WithCancel(t.Context())
	x, err := NewExecution(mustSpec(t), s.tools(), s.teller(), s.clock.Now())
	if err != nil {
		t.Fatal(err)
	}
	play := x.tools.Play
	x.tools.Play = func(_ context.Context, at *target.Target, job Job, watch Watch) (*Result, error) {
		if len(s.jobs) == 5 {
			cancel()
		}
		return play(t.Context(), at, job, watch)
	}
	x.Ledger = s
	err = x.Play(ctx)
	if len(s.jobs) != 6 || ctx.Err() == nil {
		t.Fatalf("played %q", s.jobs)
	}
	if err != nil || !maps.Equal(s.closed, map[string]string{"a": "ok", "b": "ok"}) {
		t.Errorf("closed %v (%v)", s.closed, err)
	}
}

func mustSpec(t *testing.T) *Spec {
	t.Helper()
	s, err := NewSpec(mustPlan(t, twoCells), nil, anyRules())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func mustPlan(t *testing.T, text string) *PlanFile {
	t.Helper()
	p, err := ParsePlan("plan.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
