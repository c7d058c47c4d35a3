package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"wb/collect"
	"wb/data"
	"wb/data/yamlfile"
	"wb/queries"
	"wb/store"
	"wb/store/history"
	"wb/viz"
)

// cellRun is one run under way: the only one, or a cell of a plan.
type cellRun struct {
	*runOptions
	cell      collect.Cell
	tags      map[string]string
	key       string // the server's API key
	all       []*data.Conversation
	selection data.Selection
	template  *data.Template
	launch    *collect.Launch
	server    string // cells for which it is equal can be served by one server in turn

	convs    []*data.Conversation
	start    time.Time         // zero of the run's clock
	progress *collect.Progress // nil before the first visit
	sessions int               // of one repeat; 0: not known yet
	done     map[store.DoneSession]bool
	perPass  map[int]int // of these, by repeat
	gaveUp   error       // why nothing more comes of it
	result   collect.Result
	took     time.Duration // of its sessions so far
	played   int
}

// finished books a session.
func (c *cellRun) finished(s store.DoneSession) {
	if c.done == nil {
		c.done, c.perPass = map[store.DoneSession]bool{}, map[int]int{}
	}
	if !c.done[s] {
		c.done[s] = true
		users := c.users
		if c.rate > 0 {
			users = 1
		}
		c.perPass[(int(s.Repeat)-1)/users+1]++ // several users' passes are numbered one after another
	}
}

// complete says that passes were played.
func (c *cellRun) complete(from, to int) bool {
	for rep := from; rep <= to; rep++ {
		if c.sessions == 0 || c.perPass[rep] < c.sessions {
			return false
		}
	}
	return true
}

// execution plays cells in turns.
type execution struct {
	*runOptions
	plan           *collect.PlanFile // nil for a run without a plan
	text           string            // of the plan as it is recorded
	planID         uuid.UUID
	cells          []*cellRun
	file           *store.DB
	stdout, stderr io.Writer

	at       *target
	atServer string
	used     bool // the server has played a session
	last     *cellRun
	visits   int
	progress *progress
	window   *history.SnapshotServer // through which others look at the file
}

// run is wb run.
func (o *runOptions) run(cmd *cobra.Command, file string, stdout, stderr io.Writer) error {
	var plan *collect.PlanFile
	if file != "" {
		text, err := yamlfile.Read(file, collect.MaxPlanBytes)
		if err != nil {
			return hinted{fmt.Errorf("read plan %w", err), "docs/plans.md describes plans; --conversations chooses conversations, " +
				"and vLLM's own arguments come after --"}
		}
		if plan, err = collect.ParsePlan(filepath.Base(file), text); err != nil {
			return usageError{err}
		}
	}
	return o.execute(cmd, plan, stdout, stderr)
}

// execute plays a plan, or the one run that the flags describe.
func (o *runOptions) execute(cmd *cobra.Command, plan *collect.PlanFile, stdout, stderr io.Writer) (err error) {
	ctx := cmd.Context()
	x := &execution{runOptions: o, plan: plan, stdout: stdout, stderr: stderr, planID: uuid.New(), progress: &progress{liveLine: newLiveLine(stderr), quiet: o.quiet, told: map[string]bool{}}}
	_, statErr := os.Stat(o.db)
	if o.resume {
		if o.list {
			return usagef("flag --resume: does not go with --list-conversations")
		}
		if statErr != nil {
			return fmt.Errorf("resume plan: open %s: %w", o.db, plainPathError(statErr))
		}
		if x.file, err = store.Open(ctx, o.db); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, x.file.Close()) }()
	}
	return x.begin(ctx, cmd, errors.Is(statErr, fs.ErrNotExist))
}

func (x *execution) begin(ctx context.Context, cmd *cobra.Command, newFile bool) (err error) {
	var resumed []store.PlanRun
	if x.resume {
		if resumed, err = x.find(ctx, cmd); err != nil {
			return err
		}
	}
	if x.plan != nil {
		if x.text, err = withFlags(cmd, x.words, x.plan.Text); err != nil {
			return err
		}
	}
	cells := []collect.Cell{{}}
	if x.plan != nil {
		if x.list {
			return usagef("flag --list-conversations: does not go with a plan")
		}
		cells = x.plan.Cells()
	}
	for _, cell := range cells {
		c, err := x.prepare(cmd, x.plan, cell, x.stderr)
		if err != nil {
			return err
		}
		x.cells = append(x.cells, c)
	}
	first := x.cells[0]
	if x.plan != nil { // what the plan says of repeats, unless a flag does
		for _, p := range []struct {
			flag string
			set  func()
		}{{"repeat", func() { x.repeat = x.plan.Repeats }}, {"max-repeats", func() { x.maxRepeats = x.plan.MaxRepeats }}, {"until-ci", func() { x.untilCI = x.plan.UntilCI }}, {"metric", func() { x.metric = cmp.Or(x.plan.Metric, x.metric) }}} {
			if !cmd.Flags().Changed(p.flag) {
				p.set()
			}
		}
		x.seed = first.seed
		if !cmd.Flags().Changed("max-repeats") {
			x.maxRepeats = max(x.maxRepeats, x.repeat)
		}
		if err := x.checkRepeats(); err != nil {
			return fmt.Errorf("plan %s: %w", x.plan.File, err)
		}
	}
	if x.list {
		t, err := selectionTable(first.all, first.selection)
		if err != nil {
			return err
		}
		return render(x.stdout, "table", viz.Page{Title: t.Title, Tables: []*queries.Table{t}, Version: version})
	}
	if x.results != "" { // better said before the run than after it
		if err := makeDir(x.results); err != nil {
			return err
		}
	}
	if x.file == nil {
		// opening the file and asking the server who it is take about the same time, so they go side by side
		type opened struct {
			db  *store.DB
			err error
		}
		opening := make(chan opened, 1)
		open := func() {
			db, err := store.Open(ctx, x.db)
			opening <- opened{db, err}
		}
		var cerr error
		if first.launch != nil || len(x.cells) > 1 { // but a server that takes a minute to start waits until its figures have a place to go
			open()
		} else {
			go open()
			cerr = x.reach(ctx, first)
		}
		f := <-opening
		if f.err != nil {
			x.at.close()
			if newFile && errors.Is(f.err, store.ErrInterrupted) { // nothing is in it
				return errors.Join(f.err, os.Remove(x.db))
			}
			return f.err
		}
		x.file = f.db
		defer func() { err = errors.Join(err, x.file.Close()) }()
		if cerr != nil {
			x.at.close()
			return x.forget(newFile, cerr)
		}
	}
	defer func() { x.at.close() }()
	x.window = history.Serve(ctx, x.file, history.Serving{})
	defer func() { err = errors.Join(err, x.window.Close()) }()
	if x.resume {
		left, err := x.adopt(ctx, resumed)
		if err != nil {
			return err
		}
		if !left {
			x.line("plan %s is complete: nothing is left to do", x.plan.Name)
			return nil
		}
	}
	whole, err := x.play(ctx)
	x.progress.clear()
	recorded := false
	for _, c := range x.cells {
		recorded = recorded || c.progress != nil
	}
	if !recorded && err != nil {
		return x.forget(newFile, err)
	}
	end := context.WithoutCancel(ctx)
	if ferr := x.finish(end, whole, err); ferr != nil {
		err = errors.Join(err, ferr)
	}
	return errors.Join(err, x.tell(end))
}

// forget removes a file that this call made and put nothing into.
func (x *execution) forget(newFile bool, err error) error {
	if newFile {
		return errors.Join(err, os.Remove(x.db))
	}
	return err
}

// play goes through the passes; whole says that it came to the end of them. Cells that break are given up while others go on; what would break them all ends it.
func (x *execution) play(ctx context.Context) (whole bool, err error) {
	limit, err := percentage(x.untilCI)
	if err != nil {
		return false, err
	}
	until := x.untilCI != ""
	last := x.repeat
	if until {
		last = x.maxRepeats
	}
	if len(x.cells) == 1 { // what is asked for at once, then one by one
		if err := x.visit(ctx, x.cells[0], 1, x.repeat, until); err != nil {
			return false, err
		}
	}
	var gaveUp error
	for pass := 1; pass <= last; pass++ {
		order := collect.Order(len(x.cells), x.seed, pass-1)
		for i, k := range order {
			c := x.cells[k]
			if c.gaveUp != nil || (len(x.cells) == 1 && pass <= x.repeat) {
				continue
			}
			keep := until
			switch {
			case i+1 < len(order):
				keep = x.cells[order[i+1]].server == c.server
			case pass < last:
				keep = x.cells[collect.Order(len(x.cells), x.seed, pass)[0]].server == c.server
			}
			if c.complete(pass, pass) {
				continue
			}
			x.say(c, pass, last, i+1)
			if err := x.visit(ctx, c, pass, pass, keep); err != nil {
				var file *store.Error
				if len(x.cells) == 1 || ctx.Err() != nil || errors.Is(err, collect.ErrInterrupted) || errors.As(err, &file) || (errors.Is(err, collect.ErrUnreachable) && c.engine == engineURL) {
					return false, err
				}
				c.gaveUp = err
				gaveUp = fmt.Errorf("run cell %s: %w", c.cell.Name, err)
				x.progress.warn(fmt.Sprintf("cell %s is given up: %v", c.cell.Name, err))
				x.at.close()
				x.at = nil
			}
		}
		if !slices.ContainsFunc(x.cells, func(c *cellRun) bool { return c.gaveUp == nil }) {
			break
		}
		if !until || pass < x.repeat {
			continue
		}
		width, err := x.width(ctx)
		if errors.Is(err, queries.ErrNoFigures) {
			x.progress.warn(fmt.Sprintf("%s is not measured here, so that no repeat would make it better known; --until-ci is left alone", x.metric))
			break
		}
		if err != nil {
			return false, err
		}
		known := fmt.Sprintf("the interval of %s is ±%.1f %% wide", x.metric, 100*width)
		if math.IsNaN(width) {
			known = "too few sessions for an interval of " + x.metric
		}
		if width <= limit {
			x.line("after %s %s: enough", plural(pass, "repeat"), known)
			break
		}
		if pass == last {
			x.line("after %s %s, and not %s; --max-repeats ends it", plural(pass, "repeat"), known, x.untilCI)
			break
		}
		x.line("after %s %s, wanted is %s", plural(pass, "repeat"), known, x.untilCI)
	}
	return true, gaveUp
}

func (x *execution) line(format string, a ...any) {
	if !x.quiet {
		x.progress.say(fmt.Sprintf(format, a...))
	}
}

// say tells where a plan is and how long it may take.
func (x *execution) say(c *cellRun, pass, last, nth int) {
	if x.quiet || x.plan == nil {
		return
	}
	left := ""
	if t, ok := x.left(pass, last); ok {
		left = ", about " + roughly(t) + " left"
		if x.untilCI != "" {
			left = ", at most about " + roughly(t) + " left"
		}
	}
	if len(x.cells) == 1 {
		x.progress.say(fmt.Sprintf("repeat %d of %d%s", pass, last, left))
		return
	}
	x.progress.say(fmt.Sprintf("repeat %d of %d, cell %d of %d: %s%s", pass, last, nth, len(x.cells), c.cell.Name, left))
}

// left estimates the time to the end by what sessions took so far, those of a cell by its own where it has played any.
func (x *execution) left(pass, last int) (time.Duration, bool) {
	var took time.Duration
	played, most := 0, 0
	for _, c := range x.cells {
		took += c.took
		played += c.played
		most = max(most, c.sessions)
	}
	if played == 0 {
		return 0, false
	}
	var sum time.Duration
	for _, c := range x.cells {
		if c.gaveUp != nil {
			continue
		}
		each, sessions := took/time.Duration(played), c.sessions
		if c.played > 0 {
			each = c.took / time.Duration(c.played)
		}
		if sessions == 0 {
			sessions = most
		}
		sum += each * time.Duration(max(sessions*last-len(c.done), 0))
	}
	return sum, true
}

func roughly(d time.Duration) string {
	switch {
	case d < 90*time.Second:
		return fmt.Sprintf("%.0f s", math.Ceil(d.Seconds()))
	case d < 90*time.Minute:
		return fmt.Sprintf("%.0f min", d.Minutes())
	}
	return fmt.Sprintf("%.1f h", d.Hours())
}

// reach has the cell's server at hand: the one that is there if it will do, or a new one.
func (x *execution) reach(ctx context.Context, c *cellRun) (err error) {
	if x.at != nil && x.atServer == c.server {
		return nil
	}
	x.at.close()
	x.visits++
	x.used, x.last, x.atServer = false, nil, c.server
	if c.launch != nil {
		c.launch.Start = time.Now() // each server has logs of its own
		x.at, err = c.startVLLM(ctx, c.launch, x.stderr, c.key)
	} else {
		x.at, err = c.connect(ctx, x.stderr, c.key, int64(x.visits))
	}
	return err
}

// visit plays what is missing of some repeats of a cell. keep says that its server will be wanted again at once.
func (x *execution) visit(ctx context.Context, c *cellRun, from, to int, keep bool) error {
	if c.complete(from, to) {
		return nil
	}
	if c.progress == nil && x.plan != nil {
		c.start = time.Now()
	}
	began := time.Now() // a server's start is part of what a visit takes
	if err := x.reach(ctx, c); err != nil {
		return err
	}
	if c.convs == nil {
		var err error
		if c.convs, err = c.choose(ctx, x.stderr, c.all, c.selection, x.at); err != nil {
			return interrupted(ctx, err)
		}
	}
	placements := []data.Placement{data.Placement(c.placement)}
	if c.placement == "all" {
		placements = data.Placements()
	}
	if start := c.start; x.last != c && start != x.start {
		x.at.client = x.at.client.WithClock(ctx, func() int64 { return int64(time.Since(start)) })
	}
	plan := collect.Plan{Placements: placements, Scripted: c.replies == "scripted", TokenIDs: c.tokenIDs, Template: c.template,
		Name: c.name, Tags: c.tags, Conversations: c.convs, MaxTurns: c.maxTurns, MaxTokens: c.maxTokens, Repeat: x.repeat,
		Users: c.users, Rate: c.rate, Arrival: c.arrival, Ramp: c.ramp, Warmup: int(c.warmup), Temperature: c.temperature, Seed: c.seed,
		IgnoreEOS: c.ignoreEOS, Timeout: c.timeout, Isolation: c.isolation, SampleHz: c.sampleHz, NoText: c.noText,
		Server: x.at.server, ServerSettings: x.at.settings, Model: x.at.model, Start: c.start, WbVersion: version, WbCommit: commit(), DuckV: store.DuckDBVersion(), Argv: quoteArgs(os.Args),
		Continue: c.progress, Open: x.plan != nil || x.untilCI != "", SameServer: x.used && x.last == c, UsedServer: x.used, KeepServer: keep, Cell: c.cell.Name}
	if x.plan != nil {
		plan.PlanID, plan.PlanText = &x.planID, x.text
	}
	if plan.SameServer && c.isolation != collect.IsolationRestart { // it is warm
		plan.Warmup = 0
	}
	c.sessions = len(plan.AllSessions(1, 1))
	hashes := map[string]string{}
	for _, v := range c.convs {
		hashes[v.ID] = v.SHA256()
	}
	for d := range c.done {
		if h, ok := hashes[d.Conversation]; ok && h != d.SHA256 {
			return fmt.Errorf("resume plan: conversation %s is not what it was when the plan was begun", d.Conversation)
		}
	}
	plan.Sessions = []collect.SessionPlan{}
	for _, s := range plan.AllSessions(from, to) {
		d := store.DoneSession{Conversation: s.Conversation.ID, SHA256: hashes[s.Conversation.ID], Variant: string(s.Placement), Repeat: int32(s.Repeat)}
		if c.done[d] {
			continue
		}
		plan.Sessions = append(plan.Sessions, s)
		if x.plan != nil { // only a plan comes back to what it has played
			c.finished(d)
		}
	}
	turn := func(t collect.TurnInfo) { x.window.Turn(ctx, t.Done); x.progress.turn(t) }
	watch := collect.Watch{Turn: turn, Warn: x.progress.warn, Say: x.progress.note, Restart: x.progress.clear, Crowd: x.progress.crowd}
	res, err := collect.Run(ctx, x.file, x.at.client, x.at.engine, plan, watch)
	c.took += time.Since(began)
	c.played += len(plan.Sessions)
	x.used, x.last = true, c
	if !keep && x.at.server != nil { // collect stopped it
		x.at.close()
		x.at = nil
	}
	if res.Progress.RunID != uuid.Nil { // a run came to be
		c.progress = &res.Progress
	}
	c.add(res)
	c.runOptions.server.logTail(x.stderr, err)
	return err
}

// add adds what a visit gave.
func (c *cellRun) add(r *collect.Result) {
	t := &c.result
	t.RunID, t.Name, t.Status, t.LastError = r.RunID, r.Name, r.Status, cmp.Or(r.LastError, t.LastError)
	t.FirstError = cmp.Or(t.FirstError, r.FirstError)
	t.Turns, t.Failed, t.Skipped, t.Frozen = t.Turns+r.Turns, t.Failed+r.Failed, t.Skipped+r.Skipped, t.Frozen+r.Frozen
}

// finish closes the runs that are still open.
func (x *execution) finish(ctx context.Context, whole bool, err error) error {
	if x.plan == nil && x.untilCI == "" { // collect closed it
		return nil
	}
	status, reason := "ok", ""
	switch {
	case errors.Is(err, collect.ErrInterrupted) || ctx.Err() != nil:
		status, reason = "interrupted", "stopped by the user"
	case !whole:
		status, reason = "interrupted", "the plan ended: "+err.Error()
	}
	var errs []error
	for _, c := range x.cells {
		if c.progress == nil || (c.result.Status != "ok" && c.result.Status != "") { // collect closed it
			continue
		}
		state, why := status, reason
		switch {
		case c.gaveUp != nil:
			state, why = "failed", c.gaveUp.Error()
		case status == "ok" && c.result.Failed > 0 && c.result.Failed == c.result.Turns:
			state, why = "failed", fmt.Sprintf("run turns: all %d failed: %s", c.result.Failed, c.result.FirstError)
			errs = append(errs, fmt.Errorf("run %s: %s", c.result.Name, why))
		case status == "ok" && c.result.Failed > 0:
			why = fmt.Sprintf("%d of %d turns failed: %s", c.result.Failed, c.result.Turns, c.result.FirstError)
		}
		c.result.Status = state
		errs = append(errs, x.file.FinishRuns(ctx, []uuid.UUID{c.progress.RunID}, store.RunStatus(state), why, time.Now()))
	}
	return errors.Join(append(errs, x.file.Checkpoint(ctx))...)
}

// width gives half of the interval of the metric: of the change against the first cell, the widest one, or of a run's own level.
func (x *execution) width(ctx context.Context) (half float64, err error) {
	var ids []string
	for _, c := range x.cells {
		if c.progress != nil && c.gaveUp == nil {
			ids = append(ids, c.progress.RunID.String())
		}
	}
	return queries.Width(ctx, x.file, x.metric, ids)
}

// tell prints what came of it and writes the report.
func (x *execution) tell(ctx context.Context) error {
	var played []*cellRun
	for _, c := range x.cells {
		if c.progress != nil {
			c.result.RunID, c.result.Name = c.progress.RunID, c.progress.Name
			played = append(played, c)
		}
	}
	turns := 0
	for _, c := range played {
		turns += c.result.Turns
	}
	if turns == 0 && !x.resume {
		return nil
	}
	var errs []error
	for _, c := range played {
		if (c.users > 1 || c.rate > 0) && c.result.Status != "failed" {
			errs = append(errs, x.beyond(ctx, c.progress.RunID))
		}
	}
	if !x.quiet {
		if len(x.cells) == 1 {
			errs = append(errs, x.summary(ctx, x.stdout, x.stderr, x.file, &played[0].result))
			if x.plan != nil && played[0].result.Status != "ok" {
				fmt.Fprintf(x.stderr, "go on with it:\n  %s run --resume%s\n", self(), x.dbFlag())
			}
		} else {
			errs = append(errs, x.planSummary(ctx, played))
		}
	}
	if x.results != "" {
		var ids []string
		for _, c := range played {
			ids = append(ids, c.progress.RunID.String())
		}
		base := ""
		if len(ids) > 1 {
			base = ids[0]
		}
		files, err := writeReport(ctx, x.file, strings.Join(ids, ","), base, x.results)
		if err != nil {
			return errors.Join(append(errs, err)...)
		}
		if !x.quiet {
			fmt.Fprintf(x.stderr, "report:\n  %s\n", strings.Join(files, "\n  "))
		}
	}
	return errors.Join(errs...)
}

// planSummary is the table at the end of a plan: every cell against the first.
func (x *execution) planSummary(ctx context.Context, played []*cellRun) error {
	cut := slices.ContainsFunc(played, func(c *cellRun) bool { return c.result.Status != "ok" && c.result.Status != "" })
	metrics := []string{x.metric}
	for _, m := range []string{"ttft", "tpot", "hit_ratio"} {
		if m != x.metric {
			metrics = append(metrics, m)
		}
	}
	var tables []*queries.Table
	var found []queries.Verdict // of the last cell
	for _, c := range played[1:] {
		if cut { // no verdict before the end
			break
		}
		base, head := played[0].progress.RunID.String(), c.progress.RunID.String()
		t, verdicts, err := queries.Compare(ctx, x.file, queries.Comparison{Base: base, Head: head, Metrics: metrics, Margin: 0.02})
		if err != nil {
			x.progress.warn(err.Error())
			continue
		}
		t.About, t.Charts = "", nil
		for _, column := range []string{"group", "p", "p_holm", "label"} { // the table must fit a terminal; wb compare has them all
			t.Columns, t.Rows = t.Without(column)
		}
		tables, found = append(tables, t), verdicts
	}
	if len(tables) > 0 {
		if err := render(x.stdout, "table", viz.Page{Tables: tables, Version: version}); err != nil {
			return err
		}
	}
	flag := x.dbFlag()
	fmt.Fprintf(x.stderr, "\nplan %s, recorded in %s:\n", x.plan.Name, x.db)
	since := ""
	if x.resume {
		since = " since it was resumed"
	}
	for _, c := range played {
		fmt.Fprintf(x.stderr, "  run %s: %s, %s%s\n", c.result.Name, cmp.Or(c.result.Status, "ok"), turnsText(&c.result), since)
	}
	if x.plan.Text == calibration {
		x.noise(found)
	}
	if cut {
		fmt.Fprintf(x.stderr, "go on with it:\n  %s run --resume%s\n", self(), flag)
		return nil
	}
	base := ""
	if len(played) > 1 {
		base = " --base " + collect.ShellQuote(played[0].result.Name)
	}
	fmt.Fprintf(x.stderr, "look further:\n  %s report plan:%s%s%s --out results\n", self(), cmp.Or(x.name, x.plan.Name), base, flag)
	if len(played) > 1 {
		fmt.Fprintf(x.stderr, "  %s compare %s %s%s --by turn\n", self(), collect.ShellQuote(played[0].result.Name), collect.ShellQuote(played[1].result.Name), flag)
	}
	return nil
}

// beyond warns of a run that carried more tokens a second than wb's figures were shown to hold for on this machine.
func (x *execution) beyond(ctx context.Context, run uuid.UUID) error {
	carried, holds, err := x.file.Carried(ctx, run)
	if err != nil {
		return fmt.Errorf("look up self-test: %w", err)
	}
	if !holds.Valid || carried.Float64 <= holds.Float64 {
		return nil
	}
	text := fmt.Sprintf("the run carried %.0f tokens/s; wb's own mean TTFT and ITL were shown to hold within 1 %% up to %.0f on this machine (wb selftest)", carried.Float64, holds.Float64)
	x.progress.warn(text)
	rec, err := x.file.NewRecorder(ctx, 0, nil)
	if err != nil {
		return err
	}
	return errors.Join(store.Add(ctx, rec, store.Event{RunID: run, Kind: "beyond_selftest", Source: "run", Message: text}), rec.Flush(ctx), rec.Close())
}
