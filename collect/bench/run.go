// Package bench is what wb run does: it plays conversations against a server, alone or in the cells of a plan, and records what
// happens.
package bench

import (
	"context"
	"errors"
	"fmt"
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
	Frozen     int // moments in which wb itself did not run
	LastError  string
	FirstError string
	Progress   Progress // to go on with
}

// ErrInterrupted is returned when the context was cancelled; every finished turn is in the file.
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

// counts are what several goroutines of a run count and mark.
type counts struct {
	scrapes    atomic.Int32
	badMetrics atomic.Bool // a line of /metrics that cannot be read is on record
	lost       lostMetrics
	active     atomic.Int32 // turn under way, 0 for none
	since      atomic.Int64 // when it was sent
	turns      atomic.Int32
	sessions   atomic.Int32
	frozen     atomic.Int32
}

// player is a user, who plays one session after another.
type player struct {
	*run
	client     *client.Client // connections of its own
	number     int            // from 1
	alone      bool           // nobody else plays
	intendedNs *int64         // when its session was to begin, by the plan; nil: as soon as possible
	last       *client.Reply  // of its turn before; nil: none yet
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

// Run plays a job and records it. Whatever happens, what was finished is in the file and the run has a status there.
func Run(ctx context.Context, db *store.DB, at *target.Target, job Job, watch Watch) (*Result, error) {
	defer leanMemory(job.Load)()
	r := newRun(at, job, watch)
	rec, err := db.NewRecorder(ctx, 0, func() {
		r.event(store.EventBufferFull, "recorder", "the buffer ran full during a turn and was written then: that turn may be slower", nil)
	})
	if err != nil {
		return &r.result, err
	}
	r.rec = rec
	r.env = r.newEnv()
	err = r.whole(ctx)
	// a cancelled context must not keep the end of the run from being written
	end := context.WithoutCancel(ctx)
	reason, err := r.settleStatus(err)
	r.result.Progress = Progress{r.id, r.name, r.turns.Load(), r.sessions.Load(), r.scrapes.Load(), r.server.start}
	if !job.Part.Open || r.result.Status != store.RunOK {
		err = errors.Join(err, rec.FinishRun(end, r.id, r.result.Status, reason, time.Now()))
	}
	err = errors.Join(err, rec.Close())
	debug.FreeOSMemory() // what follows is DuckDB's
	if cerr := db.Checkpoint(end); cerr != nil && err == nil {
		err = cerr
	}
	return &r.result, err
}

// leanMemory has Go collect garbage as fits so many users, until what it gives is called.
func leanMemory(l Load) (restore func()) {
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

// newRun gives a run that has not begun.
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
		r.result = Result{RunID: r.id, Name: r.name, Progress: *c} // whatever happens, there is a run to close
	}
	if job.concurrent() {
		r.users = &sharedLoad{backlog: newBacklog(func() {
			r.event(store.EventBacklogFull, "recorder", "turns ended faster than they could be recorded, and users waited for that; "+
				"with --token-ids none less is to be done", nil)
		})}
	}
	r.server.Process = job.Server.Process
	return r
}

// settleStatus settles the run's status by how it ended, and says why it is that.
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
	case res.Turns == res.Failed && !open: // of a run that goes on, who knows all of it judges
		hint := ""
		if strings.HasPrefix(res.FirstError, "HTTP 401") || strings.HasPrefix(res.FirstError, "HTTP 403") {
			hint = client.KeyHint
		}
		err = plain.WithHint(fmt.Errorf("run turns: all %d failed: %s", res.Failed, res.FirstError), hint)
		res.Status, reason = store.RunFailed, err.Error()
	case res.Failed > 0:
		reason = fmt.Sprintf("%d of %d turns failed: %s", res.Failed, res.Turns, res.FirstError)
	}
	return reason, err
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

func (r *run) event(kind store.EventKind, source, message string, turn *int32) {
	if kind == store.EventFrozen {
		r.frozen.Add(1)
	}
	// an event that cannot be recorded has nowhere else to go: the flush that follows reports the reason
	_ = store.Add(context.Background(), r.rec, store.Event{RunID: r.id, TNs: r.clock(), Kind: kind, Source: source, TurnID: turn, Message: message})
}

func (r *run) warn(kind store.EventKind, source, message string) {
	r.event(kind, source, message, nil)
	r.watch.Warn(message)
}

func (r *run) whole(ctx context.Context) error {
	asked := r.job.Isolation
	kept := r.settleIsolation()
	if r.job.Part.Continue == nil {
		if err := r.begin(ctx); err != nil {
			return err
		}
	}
	switch {
	case kept == "" || r.job.Part.Continue != nil: // or told at the first visit
	case asked == "":
		r.event(store.EventIsolatedByLine, "run", kept, nil)
		r.watch.Say(kept)
	default:
		r.warn(store.EventIsolatedByLine, "run", kept)
	}
	if r.job.IgnoreEOS && !r.engine.Takes().IgnoreEOS && r.job.Part.Continue == nil {
		r.warn(store.EventIgnoreEOS, "run", "--ignore-eos is not sent: this server is not known to understand it, "+
			"and replies may end before --max-tokens")
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
		case <-time.After(samplersHave):
			r.warn(store.EventSamplerStuck, "run", fmt.Sprintf("a sampler did not answer within %.0f s of the end: what it would have said is not on record", samplersHave.Seconds()))
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
	if r.server.Process != nil && (err != nil || !r.job.Server.Keep) { // its end is a fact too
		err = errors.Join(err, r.stopServer(ctx))
	}
	return err
}

// all runs warm-up and sessions. A restarted server is as cold as the first: each gets the warm-up.
func (r *run) all(ctx context.Context) error {
	if err := r.prepareIsolation(ctx); err != nil {
		return err
	}
	todo := r.job.Sessions
	if todo == nil {
		todo = r.job.AllSessions(1, r.job.Repeats)
	}
	r.beginCacheAnalysis(todo)
	one := &player{run: r, client: r.client, number: 1, alone: true}
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

// isolated runs one session, apart from those before it as the plan says.
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

// tellTurn shows a turn; those of several users would run past anybody's eyes.
func (r *player) tellTurn(t TurnInfo) {
	if r.alone {
		r.watch.Turn(t)
	}
}

func (r *run) message(hash, role, content, reasoning string) store.Message {
	m := store.Message{SHA256: hash, Role: role, ContentBytes: int64(len(content))}
	if !r.job.NoText {
		m.Content, m.Reasoning = &content, plain.OrNil(reasoning)
	}
	return m
}

// samplersHave is how long the reading under way may take when a run ends; one that hangs is left behind.
const samplersHave = 5 * time.Second
