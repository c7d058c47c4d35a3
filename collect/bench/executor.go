package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"wb/collect/client"
	"wb/collect/engine"
	"wb/collect/target"
	"wb/data"
	"wb/data/plain"
	"wb/store"
)

// Ledger is the part of the file of runs that an Execution needs.
type Ledger interface {
	// Executions lists the plans that were begun in the file, the newest first.
	Executions(ctx context.Context) ([]store.Execution, error)
	// PlanRuns gives the runs of an execution, with what each has finished.
	PlanRuns(ctx context.Context, plan uuid.UUID) ([]store.PlanRun, error)
	// Reopen marks runs as running again, and marks their sessions that were cut short as repeated: those are played again.
	Reopen(ctx context.Context, runs []store.PlanRun) error
	// FinishRuns records the status of runs, the reason for it, and when they ended.
	FinishRuns(ctx context.Context, ids []uuid.UUID, status store.RunStatus, reason string, ended time.Time) error
	// Checkpoint merges the database's write-ahead log into the file.
	Checkpoint(ctx context.Context) error
}

// Tools are the functions through which an Execution reaches servers, figures and the clock. Tests replace them.
type Tools struct {
	// Connect reaches a server, or starts it.
	Connect func(ctx context.Context, s *target.Spec, c target.Connection) (*target.Target, error)
	// Play plays a job and records it.
	Play func(ctx context.Context, at *target.Target, job Job, watch Watch) (*Result, error)
	// Width gives half the width of the 95 % interval of a metric, as a ratio.
	// For one run it is the interval of the run's level; for several runs, the widest interval of a change between them.
	// It gives NaN when there are too few sessions, and ErrNoFigures when the metric is not measured.
	Width func(ctx context.Context, metric string, runs []uuid.UUID) (half float64, err error)
	// Now gives the current time.
	Now func() time.Time
	// Since gives the time that has passed since a moment. It uses the monotonic clock when the moment has a reading of it.
	Since func(time.Time) time.Duration
	// Memory measures how fast this machine's processors read main memory, in bytes per second, and tells it in words.
	// nil: it is not measured.
	Memory func(ctx context.Context, now client.Clock) (bytesPerS int64, told string, err error)
	Build  Build
	// Evidence is what a comparison needs, to say before a run whether it can give a verdict.
	Evidence Evidence
}

// ErrNoFigures is returned by Width when a metric is not measured.
var ErrNoFigures = errors.New("not measured")

// Teller receives the progress of an execution, for a person who watches. All functions must be set.
type Teller struct {
	Line    func(text string) // a line that stays
	Warn    func(text string)
	Chosen  func(all int, chosen []*data.Conversation, left []data.LeftOut, named bool)
	Making  func(c *data.Conversation) // a generated conversation is being made
	Talk    target.Talk
	Watch   Watch
	Failure func(err error) // a job failed
}

// Execution plays the cells of a spec, interleaved, and keeps the server between cells that can share it.
type Execution struct {
	Spec   *Spec
	Cells  []*CellRun
	Ledger Ledger // must be set before Play

	tools  Tools
	tell   Teller
	began  time.Time
	planID uuid.UUID

	at        *target.Target  // the server that is connected; nil: none
	atServer  string          // what shared() gives for its cell
	used      bool            // the server has served a session
	last      *CellRun        // the cell that it served last; nil: none
	connected int             // number of connections so far
	memory    *memory         // what was measured; nil: nothing yet
	said      map[string]bool // notes that were said: conversations without replies by their IDs, and "" for what a comparison would lack
}

// CellRun is a run that is being played: the only one, or that of one cell of a plan.
type CellRun struct {
	CellSpec
	Result   Result
	Progress *Progress // nil before its first job

	all       []*data.Conversation
	selection data.Selection
	template  *data.Template
	key       string // the server's API key
	convs     []*data.Conversation
	start     time.Time // zero of the run's clock
	sessions  int       // in one repeat; 0: not known yet
	done      doneSessions
	gaveUp    error         // why the cell was given up; nil: it was not
	took      time.Duration // by its sessions so far, including starts of the server
	played    int           // sessions so far
}

// doneSessions are the sessions of a run that need not be played again.
type doneSessions struct {
	all       map[store.DoneSession]bool
	perRepeat map[int]int // number of sessions, by repeat
}

// add marks a session as done. With several users the session's Repeat also counts the users, so add divides by their number.
func (d *doneSessions) add(s store.DoneSession, users int) {
	if d.all == nil {
		d.all, d.perRepeat = map[store.DoneSession]bool{}, map[int]int{}
	}
	if !d.all[s] {
		d.all[s] = true
		d.perRepeat[(int(s.Repeat)-1)/users+1]++
	}
}

// NewExecution prepares a spec and checks everything that can be checked without a server. began is the zero of a single run's clock.
func NewExecution(spec *Spec, tools Tools, tell Teller, began time.Time) (*Execution, error) {
	x := &Execution{Spec: spec, tools: tools, tell: tell, began: began, planID: uuid.New(), said: map[string]bool{}}
	library := map[string][]*data.Conversation{}
	for _, s := range spec.Cells {
		c := &CellRun{CellSpec: s, start: began}
		if err := c.prepare(library, tools.Now); err != nil {
			if spec.Plan != "" && plain.IsMistake(err) {
				return nil, fmt.Errorf("plan %s, cell %s: %w", spec.File, cmp.Or(s.Cell, spec.Plan), err)
			}
			return nil, err
		}
		x.Cells = append(x.Cells, c)
	}
	return x, nil
}

// prepare reads the cell's API key, conversations and chat template.
// library holds the conversations that were already loaded, by directory.
func (c *CellRun) prepare(library map[string][]*data.Conversation, now func() time.Time) (err error) {
	if c.key, err = target.APIKey(c.Target.KeyEnv); err != nil {
		return err
	}
	if c.all = library[c.Selection.Dir]; c.all == nil {
		if c.all, err = data.Load(c.Selection.Dir); err != nil {
			return err
		}
		library[c.Selection.Dir] = c.all
	}
	if c.selection, err = c.Choice(); err != nil {
		return err
	}
	if _, _, err := data.Select(c.all, c.selection); err != nil {
		return plain.Mistake(err)
	}
	if c.API == APICompletions {
		if c.template, err = data.OpenTemplate(c.ChatTemplate, now); err != nil {
			return plain.Mistake(err)
		}
	}
	return nil
}

// Close ends the server that the execution is connected to, if wb started it.
func (x *Execution) Close() { x.at.Close() }

// Reach connects to the first cell's server, or starts it.
func (x *Execution) Reach(ctx context.Context) error { return x.reach(ctx, x.Cells[0]) }

// Recorded says whether any run of the execution is in the file.
func (x *Execution) Recorded() bool {
	for _, c := range x.Cells {
		if c.Progress != nil {
			return true
		}
	}
	return false
}

// reach connects to the cell's server. It keeps the present server if the cell can share it, and otherwise ends that one.
func (x *Execution) reach(ctx context.Context, c *CellRun) (err error) {
	if x.at != nil && x.atServer == c.shared() {
		return nil
	}
	x.at.Close()
	x.connected++
	x.used, x.last, x.atServer = false, nil, c.shared()
	x.at, err = x.tools.Connect(ctx, &c.Target, target.Connection{Key: c.key, Clock: x.clock(x.began), Seed: c.Seed,
		Jitter: int64(x.connected), Restarts: c.Isolation == IsolationRestart, Resets: c.Isolation == IsolationReset, Talk: x.tell.Talk})
	return Interrupted(ctx, err)
}

// clock gives a clock that counts nanoseconds from a moment.
func (x *Execution) clock(from time.Time) client.Clock {
	return func() int64 { return int64(x.tools.Since(from)) }
}

// Interrupted gives ErrInterrupted for any error that came after the context was cancelled: Ctrl-C is its cause, whatever failed first.
// Other errors, and nil, are returned as they are.
func Interrupted(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return ErrInterrupted
	}
	return err
}

// complete says whether all sessions of these repeats were played.
func (c *CellRun) complete(from, to int) bool {
	for rep := from; rep <= to; rep++ {
		if c.sessions == 0 || c.done.perRepeat[rep] < c.sessions {
			return false
		}
	}
	return true
}

// finished marks a session of the cell as done.
func (c *CellRun) finished(s store.DoneSession) {
	users := max(c.Users, 1)
	if c.Rate > 0 {
		users = 1
	}
	c.done.add(s, users)
}

// choose decides which conversations fit this server. It also makes the generated ones, sized with the server's tokeniser.
func (x *Execution) choose(ctx context.Context, c *CellRun) error {
	s := c.selection
	if s.ContextTokens == 0 && x.at.Server.MaxModelLenTokens != nil {
		s.ContextTokens = *x.at.Server.MaxModelLenTokens
	}
	convs, left, err := data.Select(c.all, s)
	if err != nil {
		return err
	}
	x.tell.Chosen(len(c.all), convs, left, len(s.IDs) > 0)
	count := data.Count(engine.Counter(ctx, x.at.Client, x.at.Server))
	if count == nil {
		count = data.EstimateTokens
	}
	for i, v := range convs {
		if v.Generate != nil {
			x.tell.Making(v)
		}
		if convs[i], err = v.Build(count); err != nil {
			return err
		}
	}
	x.tellUnscripted(c, convs)
	c.convs = convs
	return nil
}

// tellUnscripted says which conversations of a scripted run lack replies that a later prompt would contain. The model's stand there.
func (x *Execution) tellUnscripted(c *CellRun, convs []*data.Conversation) {
	if !c.Scripted() {
		return
	}
	for _, v := range convs {
		last := len(v.Turns)
		if c.MaxTurns > 0 {
			last = min(last, c.MaxTurns)
		}
		lack := 0
		for _, t := range v.Turns[:last-1] {
			if t.Assistant == "" {
				lack++
			}
		}
		if lack > 0 && !x.said[v.ID] {
			x.said[v.ID] = true
			x.tell.Line(fmt.Sprintf("%s: its file has no reply to %s, so later prompts contain what the model says",
				v.ID, plain.Count(lack, "turn")))
		}
	}
}

// playRepeats plays the sessions of some repeats of a cell that are not done yet. keep says that the next job uses the same server.
func (x *Execution) playRepeats(ctx context.Context, c *CellRun, from, to int, keep bool) error {
	if c.complete(from, to) {
		return nil
	}
	if c.Progress == nil && x.Spec.Plan != "" {
		c.start = x.tools.Now()
	}
	began := x.tools.Now() // before the start of a server, which counts in the estimate of the time left
	if err := x.reachMeasured(ctx, c); err != nil {
		return err
	}
	if c.convs == nil {
		if err := x.choose(ctx, c); err != nil {
			return Interrupted(ctx, err)
		}
	}
	if x.last != c && c.start != x.began {
		x.at.Client = x.at.Client.WithClock(ctx, x.clock(c.start))
	}
	job, err := x.job(c, from, to, keep)
	if err != nil {
		return err
	}
	if !x.said[""] { // the first cell's sessions stand for those of all
		for _, line := range x.Spec.doubts(c.sessions, x.tools.Evidence) {
			x.tell.Line(line)
		}
		x.said[""] = true
	}
	res, err := x.tools.Play(ctx, x.at, job, x.tell.Watch)
	c.took += x.tools.Since(began)
	c.played += len(job.Sessions)
	x.used, x.last = true, c
	if !keep && x.at.Process != nil { // the job stopped it
		x.at.Close()
		x.at = nil
	}
	if res.Progress.RunID != uuid.Nil { // a run was recorded
		c.Progress = &res.Progress
	}
	c.Result.add(res)
	if err != nil {
		x.tell.Failure(err)
	}
	return err
}

// job makes the job that plays the sessions of some repeats of a cell that are not done yet.
func (x *Execution) job(c *CellRun, from, to int, keep bool) (Job, error) {
	j := Job{RunSpec: c.RunSpec, Repeats: x.Spec.Repeats, Conversations: c.convs, Template: c.template, Start: c.start, Build: x.tools.Build,
		Server: Server{
			Process:  x.at.Process,
			Settings: x.at.Settings,
			Limits:   x.at.Limits,
			Same:     x.used && x.last == c,
			Used:     x.used,
			Keep:     keep,
		},
		MemoryReadBytesPerS: x.memory.figure(),
		Part:                Part{Continue: c.Progress, Open: x.Spec.Plan != "" || x.Spec.UntilCI != "", Cell: c.Cell}}
	if x.Spec.Plan != "" {
		j.Part.PlanID, j.Part.PlanText = &x.planID, x.Spec.Text
	}
	if c.Progress == nil {
		cells := x.Spec.Cells
		if x.Recorded() { // the first run of a plan records the cells of all; later ones do not repeat them
			cells = nil
		}
		var err error
		if j.Part.Spec, err = x.Spec.Recorded(cells); err != nil {
			return j, err
		}
	}
	if j.Server.Same && c.Isolation != IsolationRestart { // the server served this cell last, so it is warm
		j.Warmup = 0
	}
	c.sessions = len(j.AllSessions(1, 1))
	hashes := map[string]string{}
	for _, v := range c.convs {
		hashes[v.ID] = v.SHA256()
	}
	for d := range c.done.all {
		if h, ok := hashes[d.Conversation]; ok && h != d.SHA256 {
			return j, fmt.Errorf("resume plan: conversation %s has changed since the plan was begun", d.Conversation)
		}
	}
	j.Sessions = []SessionPlan{}
	for _, s := range j.AllSessions(from, to) {
		d := store.DoneSession{Conversation: s.Conversation.ID, SHA256: hashes[s.Conversation.ID], Variant: string(s.Placement),
			Repeat: int32(s.Repeat)}
		if c.done.all[d] {
			continue
		}
		j.Sessions = append(j.Sessions, s)
		if x.Spec.Plan != "" { // only a plan comes back to repeats that it has played
			c.finished(d)
		}
	}
	return j, nil
}

// add adds the result of a job. The latest job gives the status, the first error of all jobs is kept, and counts are summed.
func (r *Result) add(job *Result) {
	r.RunID, r.Name, r.Status, r.LastError = job.RunID, job.Name, job.Status, cmp.Or(job.LastError, r.LastError)
	r.FirstError = cmp.Or(r.FirstError, job.FirstError)
	r.Turns, r.Failed, r.Skipped, r.Frozen = r.Turns+job.Turns, r.Failed+job.Failed, r.Skipped+job.Skipped, r.Frozen+job.Frozen
}
