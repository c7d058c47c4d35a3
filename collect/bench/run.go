// Package bench does what wb run does: it plays conversations against a server and records every turn, for a single run or for the cells
// of a plan.
//
// It must not know how a person sees a run, nor how figures are computed: it tells of its progress through Watch and Teller, and asks for
// the figures of a metric through Tools.Width.
package bench

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode"

	"github.com/google/uuid"

	"wb/collect/client"
	"wb/collect/engine"
	"wb/collect/sample"
	"wb/collect/target"
	"wb/data"
	"wb/data/plain"
	"wb/store"
)

// Result sums up a run.
type Result struct {
	RunID      uuid.UUID
	Name       string
	Status     store.RunStatus
	Turns      int // measured turns, warm-up left out
	Failed     int // of these, not ok
	Skipped    int // turns that were not sent because one before them failed
	Frozen     int // times at which wb itself did not run for a while
	LastError  string
	FirstError string
	Progress   Progress // to go on with
}

// ErrInterrupted is returned when the context was cancelled. Every finished turn is then in the file.
var ErrInterrupted = store.ErrInterrupted

// run is the state of one run.
type run struct {
	job    Job
	client *client.Client
	engine *engine.Server
	watch  Watch
	rec    *store.Recorder
	clock  client.Clock
	id     uuid.UUID
	name   string

	counts
	mu     sync.Mutex // of result
	result Result
	server managed
	env    *sample.Env // of its samplers
	cache  cacheAnalysis
	users  *sharedLoad // nil for one user
}

// counts are the counters and marks that several goroutines of a run share.
type counts struct {
	scrapes    atomic.Int32
	badMetrics atomic.Bool // an event tells of a line of /metrics that cannot be read
	lost       lostMetrics
	active     atomic.Int32 // id of the turn under way; 0: none
	since      atomic.Int64 // when that turn was sent, in ns of the run's clock
	turns      atomic.Int32
	sessions   atomic.Int32
	frozen     atomic.Int32
}

// player is a user, who plays one session after another.
type player struct {
	*run
	client     *client.Client // whose connections no other user has
	number     int            // from 1
	alone      bool           // there is only this user
	intendedNs *int64         // when its session was to begin, on the run's clock; nil: as soon as possible
	last       *client.Reply  // of its last turn; nil: none yet
	ahead      *forecast      // of the only user; nil for one of several
}

// Go collects garbage when the heap has doubled. With few users wb holds a few megabytes, which double twice a second. Beside a ballast
// garbage is collected only once in some seconds, for 10 MB more. The ballast takes no memory, since nobody writes to it.
// With many users memory is short: collecting at 65 % instead of 100 % saves 8 MB with 256 users.
const (
	fewUsers, manyUsers = 16, 128
	ballastBytes        = 12 << 20
	manyUsersGC         = 65 // percent
)

// softMemoryBytes is the memory limit below which Go tries to stay by collecting garbage more often. It matters when a server sends much
// more than usual.
const softMemoryBytes = 112 << 20

// Run plays a job and records it. Also after an error, the file holds every finished turn and the status of the run.
func Run(ctx context.Context, db *store.DB, at *target.Target, job Job, watch Watch) (*Result, error) {
	defer tuneMemory(job.Load)()
	r := newRun(at, job, watch)
	rec, err := db.NewRecorder(ctx, 0, func() {
		r.event(store.EventBufferFull, "recorder", "the buffer was full during a turn and was written then, so that turn may be slower", nil)
	})
	if err != nil {
		return &r.result, err
	}
	r.rec = rec
	r.env = r.newEnv()
	err = r.play(ctx)
	// a cancelled context must not keep the end of the run from being written
	end := context.WithoutCancel(ctx)
	reason, err := r.settleStatus(err)
	r.result.Progress = Progress{r.id, r.name, r.turns.Load(), r.sessions.Load(), r.scrapes.Load(), r.server.start}
	if !job.Part.Open || r.result.Status != store.RunOK {
		err = errors.Join(err, rec.FinishRun(end, r.id, r.result.Status, reason, time.Now()))
	}
	err = errors.Join(err, rec.Close())
	debug.FreeOSMemory() // DuckDB needs the memory now, for the checkpoint
	if cerr := db.Checkpoint(end); cerr != nil && err == nil {
		err = cerr
	}
	return &r.result, err
}

// tuneMemory tunes Go's garbage collection for the number of users. restore sets it back.
func tuneMemory(l Load) (restore func()) {
	limit := debug.SetMemoryLimit(softMemoryBytes)
	back := func() { debug.SetMemoryLimit(limit) }
	switch {
	case l.Rate == 0 && l.Users <= fewUsers:
		ballast := make([]byte, ballastBytes)
		return func() { runtime.KeepAlive(ballast); back() }
	case l.Users > manyUsers:
		percent := debug.SetGCPercent(manyUsersGC)
		return func() { debug.SetGCPercent(percent); back() }
	}
	return back
}

// newRun makes a run that has not begun, or that goes on with job.Part.Continue.
func newRun(at *target.Target, job Job, watch Watch) *run {
	r := &run{job: job, client: at.Client, engine: at.Server, watch: watch.filled(), clock: at.Client.Now, id: uuid.New(), name: job.Name}
	if r.name == "" {
		r.name = defaultName(at.Server.Model, job.Start)
	}
	r.result = Result{RunID: r.id, Name: r.name}
	if c := job.Part.Continue; c != nil {
		r.id, r.name, r.server.start = c.RunID, c.Name, c.Starts
		r.turns.Store(c.Turns)
		r.sessions.Store(c.Sessions)
		r.scrapes.Store(c.Scrapes)
		r.result = Result{RunID: r.id, Name: r.name, Progress: *c} // also after an error, there is a run to close
	}
	if job.concurrent() {
		r.users = &sharedLoad{backlog: newBacklog(func() {
			r.event(store.EventBacklogFull, "recorder", "turns ended faster than they could be recorded, so users had to wait; "+
				"--token-ids none makes recording faster", nil)
		})}
	}
	r.server.Process = job.Server.Process
	return r
}

// settleStatus sets the run's status from the error with which it ended and the number of failed turns. It gives the reason and the error.
func (r *run) settleStatus(err error) (reason string, _ error) {
	res, open := &r.result, r.job.Part.Open
	res.Status, res.Frozen = store.RunOK, int(r.frozen.Load())
	switch {
	case errors.Is(err, ErrInterrupted):
		res.Status, reason = store.RunInterrupted, "stopped by the user"
	case err != nil:
		res.Status, reason = store.RunFailed, plain.OneLine(err)
	case res.Turns == 0 && !open:
		err = errors.New("run turns: no turn was measured")
		res.Status, reason = store.RunFailed, err.Error()
	case res.Turns == res.Failed && !open: // for a run that goes on, Execution.finish decides: it knows all jobs of the run
		hint := ""
		if strings.HasPrefix(res.FirstError, "HTTP 401") || strings.HasPrefix(res.FirstError, "HTTP 403") {
			hint = client.KeyHint
		}
		err = plain.WithHint(fmt.Errorf("run turns: every turn failed: %s", res.FirstError), hint)
		res.Status, reason = store.RunFailed, err.Error()
	case res.Failed > 0:
		reason = fmt.Sprintf("%d of %d turns failed: %s", res.Failed, res.Turns, res.FirstError)
	}
	return reason, err
}

// defaultName makes the name of a run from the model's name and the time.
// Characters that do not suit a selector or a terminal become dashes.
func defaultName(model string, at time.Time) string {
	if filepath.Ext(model) == ".gguf" { // llama-server without --alias names the path
		model = strings.TrimSuffix(filepath.Base(model), ".gguf")
	}
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

// event records an event at the present time. turn is the turn it belongs to; nil: none.
func (r *run) event(kind store.EventKind, source, message string, turn *int32) {
	if kind == store.EventFrozen {
		r.frozen.Add(1)
	}
	row := store.Event{RunID: r.id, TNs: r.clock(), Kind: kind, Source: source, TurnID: turn, Message: message}
	_ = store.Add(context.Background(), r.rec, row) // the next flush reports the error
}

// warn records an event that belongs to no turn, and shows it to the person who watches.
func (r *run) warn(kind store.EventKind, source, message string) {
	r.event(kind, source, message, nil)
	r.watch.Warn(message)
}

// play plays the job, and records the beginning of the run and the end of its server. Samplers and scrapes run at the same time.
func (r *run) play(ctx context.Context) error {
	asked := r.job.Isolation
	byLine := r.settleIsolation()
	if r.job.Part.Continue == nil {
		if err := r.begin(ctx); err != nil {
			return err
		}
	}
	switch {
	case byLine == "" || r.job.Part.Continue != nil: // the run's first job told it
	case asked == "":
		r.event(store.EventIsolatedByLine, "run", byLine, nil)
		r.watch.Say(byLine)
	default:
		r.warn(store.EventIsolatedByLine, "run", byLine)
	}
	if r.job.IgnoreEOS && !r.engine.Takes().IgnoreEOS && r.job.Part.Continue == nil {
		r.warn(store.EventIgnoreEOS, "run", "--ignore-eos is not sent: this server is not known to understand it, "+
			"and replies may end before --max-tokens")
	}
	if r.job.TokenIDs == TokenIDsAll && !r.engine.Takes().VLLM && r.job.Part.Continue == nil {
		r.warn(store.EventNoTokenIDs, "run", "--token-ids all: this server does not send the ids of what it generates; "+
			"those of the reply's text stand in for them")
	}
	if r.server.Process != nil && !r.job.Server.Same {
		if err := r.recordStart(ctx, nil); err != nil {
			return err
		}
		r.server.fresh = !r.job.Server.Used
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
		case <-time.After(samplerLimit):
			r.warn(store.EventSamplerStuck, "run", fmt.Sprintf("a sampler did not answer within %.0f s of the end of the run: "+
				"its last readings are not recorded", samplerLimit.Seconds()))
		}
	}()
	r.startSamplers(side, &wg)
	if r.engine.HasMetrics {
		r.scrape(ctx, "start", 0, false, 0)
		wg.Go(func() { r.tick(side) })
	}
	err = r.playAll(ctx)
	if r.engine.HasMetrics && err == nil {
		r.scrape(ctx, "end", 0, false, 0)
	}
	if r.server.Process != nil && (err != nil || !r.job.Server.Keep) { // the run records its end too
		err = errors.Join(err, r.stopServer(ctx))
	}
	return err
}

// playAll plays the warm-ups and the sessions. With isolation by restart each session has its warm-ups, since a restarted server is cold.
func (r *run) playAll(ctx context.Context) error {
	if err := r.prepareIsolation(ctx); err != nil {
		return err
	}
	todo := r.job.Sessions
	if todo == nil {
		todo = r.job.AllSessions(1, r.job.Repeats)
	}
	r.beginCacheAnalysis(todo)
	one := &player{run: r, client: r.client, number: 1, alone: true}
	if r.users == nil {
		one.ahead = newForecast(todo, r.job.MaxTurns, r.job.Isolation == IsolationRestart, r.clock())
	}
	if r.job.Isolation != IsolationRestart {
		if err := one.warmUp(ctx, r.job.Conversations, r.job.variants(nil)[0]); err != nil {
			return err
		}
	}
	if r.users != nil {
		return r.playUsers(ctx, todo)
	}
	for i, x := range todo {
		if err := one.isolated(ctx, x.Conversation, x.Placement, x.Repeat, len(todo)-1-i); err != nil {
			return err
		}
	}
	return nil
}

// isolated plays one session. Before it, it restarts the server or empties the prefix cache, if that is the isolation.
func (r *player) isolated(ctx context.Context, c *data.Conversation, v data.Placement, rep, left int) error {
	switch r.job.Isolation {
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
	return r.session(ctx, c, v, rep, r.job.MaxTurns, left)
}

// tellTurn shows a turn of a single user. The turns of several users would pass too fast to read.
func (r *player) tellTurn(t TurnInfo) {
	if r.alone {
		t.Ahead = r.ahead.told(r.clock(), t)
		r.watch.Turn(t)
	}
}

// message makes the row of a message, without its text when the run keeps none.
func (r *run) message(hash, role, content, reasoning string) store.Message {
	m := store.Message{SHA256: hash, Role: role, ContentBytes: int64(len(content))}
	if !r.job.NoText {
		m.Content, m.Reasoning = &content, plain.OrNil(reasoning)
	}
	return m
}

// samplerLimit is how long the run waits at its end for a reading that is under way. A reading that takes longer is given up.
const samplerLimit = 5 * time.Second
