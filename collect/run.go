// Package collect runs a plan against a server: the streaming client that stamps what it sees, the samplers beside it, and
// the loop that turns both into rows.
package collect

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode"

	"github.com/google/uuid"

	"wb/data"
	"wb/store"
)

// Plan says what to run.
type Plan struct {
	Name          string // "" makes one from model and time
	Tags          map[string]string
	Conversations []*data.Conversation
	MaxTurns      int // 0: all of them
	MaxTokens     int // most completion tokens a turn; 0: what the conversation or the server allows
	Repeat        int
	Warmup        int // requests before the first session, recorded and flagged; WarmupAuto: until they are steady
	Temperature   float64
	Seed          int64
	IgnoreEOS     bool
	Timeout       time.Duration         // of one turn; 0: none
	Isolation     string                // "": by salt where the server takes one, else by line
	SampleHz      float64               // of the fast GPU group; 0 samples nothing
	OpenGPUs      func() (*GPUs, error) // nil: NVML's
	NoText        bool
	Placements    []data.Placement // of documents; several make sessions of their own; empty: in the system prompt
	Scripted      bool             // the files' own replies go into the history
	TokenIDs      string           // which ids to get: TokenIDsNone, TokenIDsPrompt (as "" is) or TokenIDsAll
	Template      *data.Template   // renders prompts here, for the completions API; nil: the chat API and the server's template

	Server         Server            // nil when wb did not start it
	SameServer     bool              // it served the run's last visit, and is on record
	UsedServer     bool              // it has served others
	KeepServer     bool              // it runs on after this visit, unless that ends badly
	ServerSettings map[string]string // flags and environment it was started with, for the record
	Model          *store.Model      // what its model costs at least; nil: not known

	Users   int           // that play at once, each its own sessions; 0: one (closed loop), or as many as come, up to MaxUsers (open loop)
	Rate    float64       // sessions begun a second, whether earlier ones have ended or not; 0: closed loop
	Ramp    time.Duration // in a closed loop, users begin spread over so long
	Arrival string        // ArrivalPoisson or ArrivalConstant, with Rate

	Sessions []SessionPlan // what to play, in order; nil: everything, Repeat times
	PlanID   *uuid.UUID    // the execution of a plan that the run belongs to
	PlanText string
	Cell     string
	Continue *Progress // the run to go on with; nil begins one
	Open     bool      // the run goes on after this visit, unless it ends badly

	Start                      time.Time // zero of the run's clock
	WbVersion, WbCommit, DuckV string    // DuckV is DuckDB's version
	Argv                       string    // secrets removed
}

// SessionPlan is one pass through a conversation that is to be played.
type SessionPlan struct {
	Conversation *data.Conversation
	Placement    data.Placement
	Repeat       int // from 1; several users' passes are numbered one after another
	User         int // who plays it, from 1
}

// Progress is how far a run is recorded: the last number of each kind.
type Progress struct {
	RunID                            uuid.UUID
	Name                             string
	Turns, Sessions, Scrapes, Starts int32
}

// AllSessions lists the sessions of repeats from to to, the conversations in turn in each. Every user plays them all, each beginning with another one.
func (p Plan) AllSessions(from, to int) (out []SessionPlan) {
	users := max(p.Users, 1)
	if p.Rate > 0 { // whoever is free plays what comes next
		users = 1
	}
	for rep := from; rep <= to; rep++ {
		for user := range users {
			for i := range p.Conversations {
				c := p.Conversations[(i+user)%len(p.Conversations)]
				for _, v := range p.variants(c) {
					out = append(out, SessionPlan{c, v, (rep-1)*users + user + 1, user + 1})
				}
			}
		}
	}
	return out
}

// TurnInfo is what a person watching a run sees of one turn.
type TurnInfo struct {
	Conversation         string
	Repeat, Turn, Turns  int
	Warmup               bool
	Done                 bool // false: the turn is about to be sent
	Reply                *Reply
	GPUWatts             float64 // 0: unknown
	SessionsLeft, TurnID int
}

// Watch receives what happens during a run; its functions must be quick and may be nil.
type Watch struct {
	Turn    func(TurnInfo)
	Warn    func(string)
	Say     func(string)
	Restart func() // the server is being restarted
	Crowd   func(CrowdInfo)
}

// Result sums up a run.
type Result struct {
	RunID      uuid.UUID
	Name       string
	Status     string // ok, failed or interrupted
	Turns      int    // measured turns, warm-up left out
	Failed     int    // of these, not ok
	Skipped    int    // turns that were not sent because one before them failed
	Frozen     int    // moments in which wb itself did not run
	LastError  string
	FirstError string
	Progress   Progress // to go on with
}

// ErrInterrupted is returned when the context was cancelled; every finished turn is in the file.
var ErrInterrupted = store.ErrInterrupted

// run is the state of one run.
type run struct {
	plan   Plan
	client *Client
	engine *Engine
	watch  Watch
	rec    *store.Recorder
	clock  Clock
	id     uuid.UUID
	name   string

	scrapes    atomic.Int32
	badMetrics atomic.Bool // a line of /metrics that cannot be read is on record
	lost       lostMetrics
	active     atomic.Int32  // turn under way, 0 for none
	since      atomic.Int64  // when it was sent
	gpuWatts   atomic.Uint64 // bits of a float64
	turns      atomic.Int32
	sessions   atomic.Int32
	frozen     atomic.Int32
	mu         sync.Mutex // of result
	result     Result
	server     managed
	procs      *processSampler
	truth      truth
	crowd      *crowd // nil for one user
}

// users is how many may play at once.
func (p Plan) users() int {
	if p.Users == 0 && p.Rate > 0 {
		return MaxUsers
	}
	return max(p.Users, 1)
}

// player is a user, who plays one session after another.
type player struct {
	*run
	client *Client // connections of its own
	number int     // from 1
	alone  bool    // nobody else plays
	due    *int64  // when its session was to begin, by the plan; nil: as soon as possible
	last   *Reply  // of its turn before; nil: none yet
}

// Go collects garbage when the heap has doubled. With few users wb holds a few megabytes, which double twice a second; beside a ballast, which takes no memory since
// nobody writes to it, once in some seconds, for 10 MB more. With many users memory is what is short: 65 % instead of 100 saves 8 MB at 256.
const (
	fewUsers, manyUsers = 16, 128
	ballastBytes        = 12 << 20
	manyUsersGC         = 65 // percent
)

// softMemoryBytes is from where on Go collects garbage as often as it takes to stay below: a server may send much more than a run holds
// otherwise.
const softMemoryBytes = 112 << 20

// Run runs the plan and records it. Whatever happens, what was finished is in the file and the run has a status there.
func Run(ctx context.Context, db *store.DB, client *Client, engine *Engine, plan Plan, watch Watch) (*Result, error) {
	r := &run{plan: plan, client: client, engine: engine, watch: watch, clock: client.clock, id: uuid.New(), name: plan.Name}
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(softMemoryBytes))
	switch {
	case plan.Rate == 0 && plan.Users <= fewUsers:
		defer runtime.KeepAlive(make([]byte, ballastBytes))
	case plan.Users > manyUsers:
		defer debug.SetGCPercent(debug.SetGCPercent(manyUsersGC))
	}
	if r.name == "" {
		r.name = defaultName(engine.Model, plan.Start)
	}
	if c := plan.Continue; c != nil {
		r.id, r.name, r.server.start = c.RunID, c.Name, c.Starts
		r.turns.Store(c.Turns)
		r.sessions.Store(c.Sessions)
		r.scrapes.Store(c.Scrapes)
	}
	if r.watch.Turn == nil {
		r.watch.Turn = func(TurnInfo) {}
	}
	if r.watch.Warn == nil {
		r.watch.Warn = func(string) {}
	}
	if r.watch.Say == nil {
		r.watch.Say = func(string) {}
	}
	if r.watch.Restart == nil {
		r.watch.Restart = func() {}
	}
	if plan.Users > 1 || plan.Rate > 0 {
		r.crowd = &crowd{backlog: newBacklog(func() {
			r.event("backlog_full", "recorder", "turns ended faster than they could be recorded, and users waited for that; "+
				"with --token-ids none less is to be done", nil)
		})}
	}
	r.server.Server, r.procs = plan.Server, &processSampler{run: r}
	r.result = Result{RunID: r.id, Name: r.name}
	if plan.Continue != nil { // whatever happens, there is a run to close
		r.result.Progress = *plan.Continue
	}
	rec, err := db.NewRecorder(ctx, 0, func() {
		r.event("buffer_full", "recorder", "the buffer ran full during a turn and was written then: that turn may be slower", nil)
	})
	if err != nil {
		return &r.result, err
	}
	r.rec = rec
	err = r.whole(ctx)
	// a cancelled context must not keep the end of the run from being written
	end := context.WithoutCancel(ctx)
	r.result.Status, r.result.Frozen = "ok", int(r.frozen.Load())
	reason := ""
	switch {
	case errors.Is(err, ErrInterrupted):
		r.result.Status, reason = "interrupted", "stopped by the user"
	case err != nil:
		r.result.Status, reason = "failed", oneLine(err)
	case r.result.Turns == 0 && !plan.Open:
		err = errors.New("run turns: no turn was measured")
		r.result.Status, reason = "failed", err.Error()
	case r.result.Turns == r.result.Failed && !plan.Open: // of a run that goes on, who knows all of it judges
		hint := ""
		if strings.HasPrefix(r.result.FirstError, "HTTP 401") || strings.HasPrefix(r.result.FirstError, "HTTP 403") {
			hint = keyHint
		}
		err = &ServerError{fmt.Sprintf("run turns: all %d failed: %s", r.result.Failed, r.result.FirstError), hint}
		r.result.Status, reason = "failed", err.Error()
	case r.result.Failed > 0:
		reason = fmt.Sprintf("%d of %d turns failed: %s", r.result.Failed, r.result.Turns, r.result.FirstError)
	}
	r.result.Progress = Progress{r.id, r.name, r.turns.Load(), r.sessions.Load(), r.scrapes.Load(), r.server.start}
	if !plan.Open || r.result.Status != "ok" {
		if ferr := rec.FinishRun(end, r.id, store.RunStatus(r.result.Status), reason, time.Now()); ferr != nil {
			err = errors.Join(err, ferr)
		}
	}
	if cerr := rec.Close(); cerr != nil {
		err = errors.Join(err, cerr)
	}
	debug.FreeOSMemory() // what follows is DuckDB's
	if cerr := db.Checkpoint(end); cerr != nil && err == nil {
		err = cerr
	}
	return &r.result, err
}

// defaultName makes a name that a selector of runs takes and a terminal shows, of whatever the server calls its model.
func defaultName(model string, at time.Time) string {
	plain := strings.Map(func(c rune) rune {
		if unicode.IsLetter(c) || unicode.IsDigit(c) || strings.ContainsRune("._/:@+-", c) {
			return c
		}
		return '-'
	}, model)
	plain = strings.Trim(plain, "-./")
	if r := []rune(plain); len(r) > 80 {
		plain = string(r[:80])
	}
	if base, _, _ := strings.Cut(plain, ":"); plain == "" || slices.Contains([]string{"tag", "plan", "last"}, base) {
		plain = "model-" + plain
	}
	return plain + "-" + at.Format("20060102-150405")
}

func (r *run) event(kind, source, message string, turn *int32) {
	if kind == "frozen" {
		r.frozen.Add(1)
	}
	// an event that cannot be recorded has nowhere else to go: the flush that follows reports the reason
	_ = store.Add(context.Background(), r.rec, store.Event{RunID: r.id, TNs: r.clock(), Kind: store.EventKind(kind), Source: source, TurnID: turn, Message: message})
}

func (r *run) warn(kind, source, message string) {
	r.event(kind, source, message, nil)
	r.watch.Warn(message)
}

func (r *run) whole(ctx context.Context) error {
	asked := r.plan.Isolation
	kept := r.settleIsolation()
	if r.plan.Continue == nil {
		if err := r.begin(ctx); err != nil {
			return err
		}
	}
	switch {
	case kept == "" || r.plan.Continue != nil: // or told at the first visit
	case asked == "":
		r.event("isolated_by_line", "run", kept, nil)
		r.watch.Say(kept)
	default:
		r.warn("isolated_by_line", "run", kept)
	}
	if r.plan.IgnoreEOS && !r.engine.IgnoresEOS() && r.plan.Continue == nil {
		r.warn("ignore_eos", "run", "--ignore-eos is not sent: this server is not known to understand it, "+
			"and replies may end before --max-tokens")
	}
	if r.server.Server != nil && !r.plan.SameServer {
		if err := r.recordStart(ctx, nil); err != nil {
			return err
		}
		r.server.fresh = !r.plan.UsedServer
	}
	var err error
	side, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer func() {
		stop()
		ended := make(chan struct{})
		go func() { wg.Wait(); close(ended) }()
		select {
		case <-ended:
		case <-time.After(samplersHave):
			r.warn("sampler_stuck", "run", fmt.Sprintf("a sampler did not answer within %.0f s of the end: what it would have said is not on record", samplersHave.Seconds()))
		}
	}()
	r.startSamplers(side, &wg)
	if r.engine.HasMetrics {
		r.scrape(ctx, "start", 0, false, 0)
		wg.Go(func() { r.tick(side) })
	}
	err = r.all(ctx)
	if r.engine.HasMetrics && err == nil {
		r.scrape(ctx, "end", 0, false, 0)
	}
	if r.server.Server != nil && (err != nil || !r.plan.KeepServer) { // its end is a fact too
		err = errors.Join(err, r.stopServer(ctx))
	}
	return err
}

// all runs warm-up and sessions. A restarted server is as cold as the first: each gets the warm-up.
func (r *run) all(ctx context.Context) error {
	if err := r.prepareIsolation(ctx); err != nil {
		return err
	}
	todo := r.plan.Sessions
	if todo == nil {
		todo = r.plan.AllSessions(1, r.plan.Repeat)
	}
	r.beginTruth(todo)
	one := &player{run: r, client: r.client, number: 1, alone: true}
	if r.plan.Isolation != IsolationRestart {
		if err := one.warmUp(ctx, r.plan.Conversations, r.plan.variants(nil)[0]); err != nil {
			return err
		}
	}
	if r.crowd != nil {
		return r.playCrowd(ctx, todo)
	}
	for i, x := range todo {
		if err := one.isolated(ctx, x.Conversation, x.Placement, x.Repeat, len(todo)-1-i); err != nil {
			return err
		}
	}
	return nil
}

// variants are the placements to play a conversation with; one without documents is the same in all of them.
func (p Plan) variants(c *data.Conversation) []data.Placement {
	if len(p.Placements) == 0 {
		return []data.Placement{data.PlaceSystem}
	}
	if c == nil {
		return p.Placements[:1]
	}
	if len(c.Documents) == 0 { // the same in all of them
		return []data.Placement{data.PlaceSystem}
	}
	return p.Placements
}

// isolated runs one session, apart from those before it as the plan says.
func (r *player) isolated(ctx context.Context, c *data.Conversation, v data.Placement, rep, left int) error {
	switch r.plan.Isolation {
	case IsolationRestart:
		if err := r.restart(ctx); err != nil {
			return err
		}
		if err := r.warmUp(ctx, []*data.Conversation{c}, v); err != nil {
			return err
		}
	case IsolationReset:
		if err := r.reset(ctx); err != nil {
			return err
		}
		r.cold()
	}
	return r.session(ctx, c, v, rep, r.plan.MaxTurns, left)
}

// begin writes what the run is before anything is measured.
func (r *run) begin(ctx context.Context) error {
	p, e := r.plan, r.engine
	row := store.Run{RunID: r.id, Name: r.name, Status: "running", StartedAt: p.Start.UTC(), Simulated: e.Kind == KindSimulator, WbVersion: p.WbVersion,
		WbCommit: orNil(p.WbCommit), GoVersion: runtime.Version(), DuckDBVersion: p.DuckV, Argv: r.client.clean(p.Argv), Seed: p.Seed, PID: int64(os.Getpid()),
		PlanID: p.PlanID, Plan: orNil(p.PlanText), Cell: orNil(p.Cell), Executions: new(int32(1)), ChangedAt: new(p.Start.UTC())}
	if h, err := os.Hostname(); err == nil {
		row.Hostname = &h
	}
	row.ProcessStartedAt = store.ProcessStart(row.PID)
	eng := store.Engine{RunID: r.id, Kind: e.Kind, Version: e.Version, URL: r.client.Base(), Model: e.Model, ModelRoot: e.ModelRoot, MaxModelLenTokens: e.MaxModelLenTokens,
		BlockSizeTokens: e.BlockSizeTokens, KVCacheSizeTokens: e.KVCacheSizeTokens, PrefixCaching: e.PrefixCaching, HasMetrics: e.HasMetrics, HasTokenize: e.HasTokenize,
		TokenCounts: "none", ProcessStartedAt: e.ProcessStartedAt}
	if p.Server != nil && p.Server.Facts().PID != 0 {
		eng.PID = new(int64(p.Server.Facts().PID))
	}
	if e.VLLM() {
		eng.TokenCounts = "usage"
	}
	if len(e.CacheConfig) > 0 {
		var parts []string
		for k, v := range e.CacheConfig {
			parts = append(parts, k+"="+strconv.Quote(v))
		}
		slices.Sort(parts)
		eng.CacheConfig = new(strings.Join(parts, ","))
	}
	var tags []store.RunTag
	for k, v := range p.Tags {
		tags = append(tags, store.RunTag{RunID: r.id, Key: k, Value: v})
	}
	var models []store.Model
	if p.Model != nil {
		m := *p.Model
		m.RunID = r.id
		models = append(models, m)
	}
	sort.Slice(tags, func(i, j int) bool { return tags[i].Key < tags[j].Key })
	for _, a := range e.Absent {
		r.event(a.Kind, "engine", r.client.clean(a.Message), nil)
	}
	return errors.Join(store.Add(ctx, r.rec, row), store.Add(ctx, r.rec, eng), store.Add(ctx, r.rec, models...), store.Add(ctx, r.rec, tags...), r.settings(ctx), r.rec.Flush(ctx))
}

// settings records every choice and finding as a row of its own, so that two runs can be held against each other.
func (r *run) settings(ctx context.Context) error {
	p, e := r.plan, r.engine
	var rows []store.Setting
	add := func(source, name, value string) {
		rows = append(rows, store.Setting{RunID: r.id, Source: source, Name: name, Value: value})
	}
	var ids []string
	for _, c := range p.Conversations {
		ids = append(ids, c.ID)
		add("conversation", c.ID, c.SHA256()[:16])
	}
	for k, v := range map[string]any{"conversations": strings.Join(ids, ","), "max_turns": p.MaxTurns, "max_tokens": p.MaxTokens,
		"repeat": p.Repeat, "sessions_per_repeat": len(p.AllSessions(1, 1)), "warmup": p.warmupText(),
		"temperature": p.Temperature, "seed": p.Seed, "ignore_eos": p.IgnoreEOS, "timeout": p.Timeout, "isolation": p.Isolation, "users": p.users(), "rate": p.Rate, "sample_hz": p.SampleHz, "no_text": p.NoText, "replies": map[bool]string{true: "scripted", false: "live"}[p.Scripted],
		"token_ids": cmp.Or(p.TokenIDs, TokenIDsPrompt), "api": p.api(), "rag_placement": fmt.Sprint(p.Placements)} {
		add("plan", k, fmt.Sprint(v))
	}
	if p.Rate > 0 {
		add("plan", "arrival", cmp.Or(p.Arrival, ArrivalPoisson))
	}
	if p.Ramp > 0 {
		add("plan", "ramp", fmt.Sprint(p.Ramp))
	}
	for name, v := range p.ServerSettings {
		add("server", name, r.client.clean(v))
	}
	opt := func(name string, v *string) {
		if v != nil {
			add("engine", name, *v)
		}
	}
	num := func(name string, v *int64) {
		if v != nil {
			add("engine", name, strconv.FormatInt(*v, 10))
		}
	}
	add("engine", "kind", e.Kind)
	if e.Kind != KindSimulator && p.Server == nil { // what wb starts may have another port each time
		add("engine", "url", r.client.Base())
	}
	add("engine", "model", e.Model)
	opt("version", e.Version)
	opt("model_root", e.ModelRoot)
	num("max_model_len_tokens", e.MaxModelLenTokens)
	num("block_size_tokens", e.BlockSizeTokens)
	num("kv_cache_size_tokens", e.KVCacheSizeTokens)
	for k, v := range e.CacheConfig {
		if k != "engine" {
			add("cache_config", k, v)
		}
	}
	add("software", "wb_version", p.WbVersion)
	if p.WbCommit != "" {
		add("software", "wb_commit", p.WbCommit)
	}
	add("software", "go_version", runtime.Version())
	add("software", "duckdb_version", p.DuckV)
	return store.Add(ctx, r.rec, rows...)
}

// startSamplers begins sampling and, beside it, reads the facts of the machine, which on a large one takes a while.
func (r *run) startSamplers(ctx context.Context, wg *sync.WaitGroup) {
	every := func(hz float64) time.Duration { return time.Duration(float64(time.Second) / hz) }
	tell := func(kind, source, message string) {
		var turn *int32
		if t := r.active.Load(); t != 0 {
			turn = &t
		}
		r.event(kind, source, message, turn)
	}
	if r.plan.Continue == nil {
		wg.Go(func() { r.hostFacts(ctx) })
	}
	if r.server.Server != nil {
		r.procs.setServer(int32(r.server.Facts().PID))
	} else {
		wg.Go(func() {
			if pid, ok := r.client.serverPID(ctx); ok {
				r.procs.setServer(pid)
			}
		})
	}
	if r.plan.SampleHz <= 0 {
		return
	}
	wg.Go(func() { drive(ctx, &hostSampler{run: r}, every(min(r.plan.SampleHz, 5)), tell) })
	wg.Go(func() { drive(ctx, r.procs, every(min(r.plan.SampleHz, 2)), tell) })
	wg.Go(func() {
		open := OpenGPUs
		if r.plan.OpenGPUs != nil {
			open = r.plan.OpenGPUs
		}
		g, err := open()
		if err != nil {
			if r.plan.Continue == nil {
				r.warn("no_gpu", "gpu", err.Error()+"; GPU columns stay empty")
			}
			return
		}
		defer g.Close()
		facts := g.Facts()
		if r.plan.Continue != nil { // they are on record
			facts = nil
		}
		var settings []store.Setting
		for i := range facts {
			f := &facts[i]
			f.RunID = r.id
			for name, v := range map[string]*string{"name": f.Name, "driver_version": f.DriverVersion, "cuda_version": f.CUDAVersion, "compute_capability": f.ComputeCapability} {
				if v != nil {
					settings = append(settings, store.Setting{RunID: r.id, Source: "gpu", Name: fmt.Sprintf("gpu%d.%s", f.GPU, name), Value: *v})
				}
			}
			if f.PowerLimitW != nil {
				settings = append(settings, store.Setting{RunID: r.id, Source: "gpu", Name: fmt.Sprintf("gpu%d.power_limit_w", f.GPU), Value: fmt.Sprint(*f.PowerLimitW)})
			}
		}
		if err := errors.Join(store.Add(ctx, r.rec, facts...), store.Add(ctx, r.rec, settings...)); err != nil {
			tell("sampler_failed", "gpu", err.Error())
		}
		var both sync.WaitGroup
		both.Go(func() { drive(ctx, &fastGPU{r, g}, every(r.plan.SampleHz), tell) })
		both.Go(func() { drive(ctx, &slowGPU{r, g}, every(min(r.plan.SampleHz, 2)), tell) })
		both.Wait()
	})
}

func (r *run) hostFacts(ctx context.Context) {
	h := HostFacts(ctx, r.rec.Path())
	h.RunID = r.id
	var rows []store.Setting
	for name, v := range map[string]*string{"hostname": h.Hostname, "os": h.OS, "kernel": h.Kernel, "cpu_model": h.CPUModel, "cpu_governor": h.CPUGovernor} {
		if v != nil {
			rows = append(rows, store.Setting{RunID: r.id, Source: "host", Name: name, Value: *v})
		}
	}
	if h.CPUThreads != nil {
		rows = append(rows, store.Setting{RunID: r.id, Source: "host", Name: "cpu_threads", Value: fmt.Sprint(*h.CPUThreads)})
	}
	if err := errors.Join(store.Add(ctx, r.rec, h), store.Add(ctx, r.rec, rows...)); err != nil {
		r.event("sampler_failed", "host", err.Error(), nil)
	}
}

// scrape reads /metrics and records it. Given a finished-request count, it reads again until the count has moved past it:
// the server books a request just after it sent the last byte.
func (r *run) scrape(ctx context.Context, phase string, turn int32, during bool, past float64) (seen counters) {
	if r.lost.hangs.Load() >= enoughHangs {
		return seen
	}
	var s *Scrape
	for try := range 10 {
		s = r.client.scrape(ctx, during)
		var ok bool
		seen, ok = readCounters(s)
		if s.Err != nil || !ok || past == 0 || seen.finished >= past || ctx.Err() != nil {
			break
		}
		if try < 9 {
			time.Sleep(10 * time.Millisecond)
		}
	}
	if s.Bad != nil && !r.badMetrics.Swap(true) {
		r.event("metrics_line", "metrics", s.Bad.Error(), nil)
	}
	row := store.Scrape{RunID: r.id, ScrapeID: r.scrapes.Add(1), Phase: phase, TNs: s.TNs, CostNs: s.CostNs, ResponseBytes: s.ResponseBytes}
	if turn != 0 {
		row.TurnID = &turn
	}
	if s.Err != nil && ctx.Err() == nil {
		row.Error = new(s.Err.Error())
		r.lose(s.Err)
	} else if s.Err == nil {
		r.lost.hangs.Store(0)
	}
	err := store.Add(ctx, r.rec, row)
	for part := range slices.Chunk(s.Series, seriesAtOnce) {
		metrics := make([]store.EngineMetric, len(part))
		for i, x := range part {
			metrics[i] = store.EngineMetric{RunID: r.id, ScrapeID: row.ScrapeID, TNs: s.TNs, Name: x.Name, Labels: x.Labels, Value: x.Value}
		}
		err = errors.Join(err, store.Add(ctx, r.rec, metrics...))
	}
	if err != nil {
		r.event("sampler_failed", "metrics", err.Error(), nil)
	}
	return seen
}

// lostMetrics is what a run knows of readings of /metrics that failed.
type lostMetrics struct {
	told  atomic.Bool
	hangs atomic.Int32 // in a row
}

// lose tells once that /metrics, which was there, is not any more, and once that it is given up.
func (r *run) lose(why error) {
	text := "/metrics: " + why.Error()
	if errors.Is(why, context.DeadlineExceeded) && r.lost.hangs.Add(1) == enoughHangs {
		r.warn("no_metrics", "metrics", text+"; it is not read any more")
		r.lost.told.Store(true)
	}
	if !r.lost.told.Swap(true) {
		r.event("no_metrics", "metrics", text+"; counters of that moment are missing", nil)
	}
}

// seriesAtOnce is how many series become rows at once: a page may have very many.
const seriesAtOnce = 8192

// tick scrapes once a second inside turns that last longer.
func (r *run) tick(ctx context.Context) {
	t := time.NewTicker(time.Second)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		if r.crowd != nil { // with several at once there is no before and after
			r.scrape(ctx, "tick", 0, true, 0)
		} else if turn := r.active.Load(); turn != 0 && r.clock()-r.since.Load() > int64(time.Second) {
			r.scrape(ctx, "tick", turn, true, 0)
		}
	}
}

// tellTurn shows a turn; those of several users would run past anybody's eyes.
func (r *player) tellTurn(t TurnInfo) {
	if r.alone {
		r.watch.Turn(t)
	}
}

// api names how prompts are sent.
func (p Plan) api() string {
	if p.Template == nil {
		return "chat"
	}
	return "completions, " + p.Template.Name
}

func (r *run) message(hash, role, content, reasoning string) store.Message {
	m := store.Message{SHA256: hash, Role: role, ContentBytes: int64(len(content))}
	if !r.plan.NoText {
		m.Content, m.Reasoning = &content, orNil(reasoning)
	}
	return m
}

// oneLine gives the text of an error; of several that were joined, each text once.
func oneLine(err error) string {
	var texts []string
	for text := range strings.Lines(err.Error()) {
		if text = strings.TrimSpace(text); !slices.Contains(texts, text) {
			texts = append(texts, text)
		}
	}
	return strings.Join(texts, "; ")
}

func dirOf(path string) string { return filepath.Dir(path) }
