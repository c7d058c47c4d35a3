package bench

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/google/uuid"

	"wb/collect/engine"
	"wb/collect/target"
	"wb/data/plain"
	"wb/store"
)

// Order gives the order of n cells in a pass; passes count from 0. The seed decides the order of every second pass, and the pass after it
// goes through the same order backwards (ABBA). A drift of the machine then affects all cells alike.
func Order(n int, seed int64, pass int) []int {
	order := rand.New(rand.NewPCG(uint64(seed), uint64(pass/2))).Perm(n) //nolint:gosec // an order, not a secret
	if pass%2 == 1 {
		slices.Reverse(order)
	}
	return order
}

// Play plays all passes and records how the runs ended. A cell that fails is given up while the others go on.
// An error that would make all cells fail ends the execution.
func (x *Execution) Play(ctx context.Context) error {
	whole, err := x.passes(ctx)
	if !x.Recorded() && err != nil {
		return err
	}
	return errors.Join(err, x.finish(context.WithoutCancel(ctx), ctx.Err() != nil, whole, err))
}

// lastPass is the number of the last pass that may be played.
func (x *Execution) lastPass() int {
	if x.Spec.UntilCI != "" {
		return x.Spec.MaxRepeats
	}
	return x.Spec.Repeats
}

// passes plays every cell once in each pass. whole says that no pass is missing; the error is then that of the last cell given up.
func (x *Execution) passes(ctx context.Context) (whole bool, err error) {
	until, single, last := x.Spec.UntilCI != "", len(x.Cells) == 1, x.lastPass()
	if single { // all repeats that were asked for in one job, and further ones one by one
		if err := x.playRepeats(ctx, x.Cells[0], 1, x.Spec.Repeats, until); err != nil {
			return false, err
		}
	}
	var gaveUp error
	for pass := 1; pass <= last; pass++ {
		if !single || pass > x.Spec.Repeats {
			gone, err := x.pass(ctx, pass)
			if err != nil {
				return false, err
			}
			if gone != nil {
				gaveUp = gone
			}
		}
		if !slices.ContainsFunc(x.Cells, func(c *CellRun) bool { return c.gaveUp == nil }) {
			break
		}
		if !until || pass < x.Spec.Repeats {
			continue
		}
		enough, err := x.enough(ctx, pass)
		if err != nil {
			return false, err
		}
		if enough {
			break
		}
	}
	return true, gaveUp
}

// pass plays each cell once. gaveUp names the cell that was given up last, with the reason; err ends the execution.
func (x *Execution) pass(ctx context.Context, pass int) (gaveUp, err error) {
	order := Order(len(x.Cells), x.Spec.Cells[0].Seed, pass-1)
	for i, k := range order {
		c := x.Cells[k]
		if c.gaveUp != nil || c.complete(pass, pass) {
			continue
		}
		x.tellPlace(c, pass, i+1)
		err := x.playRepeats(ctx, c, pass, pass, x.keeps(c, order[i+1:], pass))
		switch {
		case err == nil:
		case len(x.Cells) == 1 || breaksAll(ctx, c, err):
			return nil, err
		default:
			c.gaveUp = err
			gaveUp = fmt.Errorf("run cell %s: %w", c.Cell, err)
			x.tell.Warn(fmt.Sprintf("cell %s is given up: %v", c.Cell, err))
			x.at.Close()
			x.at = nil
		}
	}
	return gaveUp, nil
}

// keeps says whether the next cell can use a cell's server. The next cell is the first of those left in this pass, or the first of the
// next pass.
func (x *Execution) keeps(c *CellRun, left []int, pass int) bool {
	switch {
	case len(left) > 0:
		return x.Cells[left[0]].shared() == c.shared()
	case pass < x.lastPass():
		next := Order(len(x.Cells), x.Spec.Cells[0].Seed, pass)[0]
		return x.Cells[next].shared() == c.shared()
	}
	return x.Spec.UntilCI != ""
}

// breaksAll says whether the error of a cell would make the other cells fail too.
func breaksAll(ctx context.Context, c *CellRun, err error) bool {
	var file *store.Error
	return ctx.Err() != nil || errors.Is(err, ErrInterrupted) || errors.As(err, &file) ||
		errors.Is(err, engine.ErrUnreachable) && c.Target.Engine == target.URL
}

// enough says whether no more repeats are needed: the interval of the metric is narrow enough, or more repeats cannot make it narrower.
func (x *Execution) enough(ctx context.Context, pass int) (bool, error) {
	limit, err := x.Spec.limit()
	if err != nil {
		return false, err
	}
	var runs []uuid.UUID
	for _, c := range x.Cells {
		if c.Progress != nil && c.gaveUp == nil {
			runs = append(runs, c.Progress.RunID)
		}
	}
	metric := x.Spec.Metric
	width, err := x.tools.Width(ctx, metric, runs)
	if errors.Is(err, ErrNoFigures) {
		x.tell.Warn(metric + " is not measured here, so more repeats cannot help; --until-ci is ignored")
		return true, nil
	}
	if err != nil {
		return false, err
	}
	known := fmt.Sprintf("the interval of %s is ±%.1f %% wide", metric, 100*width)
	if math.IsNaN(width) {
		known = "there are too few sessions for an interval of " + metric
	}
	after := fmt.Sprintf("after %s %s", plain.Count(pass, "repeat"), known)
	switch {
	case width <= limit:
		x.tell.Line(after + ": enough")
		return true, nil
	case pass == x.lastPass():
		x.tell.Line(fmt.Sprintf("%s; the target was %s, and --max-repeats is reached", after, x.Spec.UntilCI))
		return true, nil
	}
	x.tell.Line(fmt.Sprintf("%s; the target is %s", after, x.Spec.UntilCI))
	return false, nil
}

// tellPlace tells which repeat and cell of a plan comes next, and about how long the rest takes. Single runs have no such line.
func (x *Execution) tellPlace(c *CellRun, pass, nth int) {
	if x.Spec.Plan == "" {
		return
	}
	left := ""
	if t, ok := x.left(); ok {
		left = ", about " + roughly(t) + " left"
		if x.Spec.UntilCI != "" {
			left = ", at most about " + roughly(t) + " left"
		}
	}
	if len(x.Cells) == 1 {
		x.tell.Line(fmt.Sprintf("repeat %d of %d%s", pass, x.lastPass(), left))
		return
	}
	x.tell.Line(fmt.Sprintf("repeat %d of %d, cell %d of %d: %s%s", pass, x.lastPass(), nth, len(x.Cells), c.Cell, left))
}

// left estimates the time until all passes are played, from the mean duration of a session. A cell that has played sessions uses the mean
// of these; other cells use the mean of all. ok is false before any session was played.
func (x *Execution) left() (_ time.Duration, ok bool) {
	var took time.Duration
	played, most := 0, 0
	for _, c := range x.Cells {
		took += c.took
		played += c.played
		most = max(most, c.sessions)
	}
	if played == 0 {
		return 0, false
	}
	var sum time.Duration
	for _, c := range x.Cells {
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
		sum += each * time.Duration(max(sessions*x.lastPass()-len(c.done.all), 0))
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

// finish records the status of the runs that are still open. whole says that all passes were played.
func (x *Execution) finish(ctx context.Context, cancelled, whole bool, err error) error {
	if x.Spec.Plan == "" && x.Spec.UntilCI == "" { // the job closed it
		return nil
	}
	status, reason := store.RunOK, ""
	switch {
	case errors.Is(err, ErrInterrupted) || cancelled && !whole:
		status, reason = store.RunInterrupted, "stopped by the user"
	case !whole:
		status, reason = store.RunInterrupted, "the plan ended: "+err.Error()
	}
	var errs []error
	for _, c := range x.Cells {
		if c.Progress == nil || (c.Result.Status != store.RunOK && c.Result.Status != "") { // the job closed it
			continue
		}
		state, why := status, reason
		switch {
		case c.gaveUp != nil:
			state, why = store.RunFailed, c.gaveUp.Error()
		case status == store.RunOK && c.Result.Failed > 0 && c.Result.Failed == c.Result.Turns:
			state, why = store.RunFailed, "run turns: every turn failed: "+c.Result.FirstError
			errs = append(errs, fmt.Errorf("run %s: %s", c.Result.Name, why))
		case status == store.RunOK && c.Result.Failed > 0:
			why = fmt.Sprintf("%d of %d turns failed: %s", c.Result.Failed, c.Result.Turns, c.Result.FirstError)
		}
		c.Result.Status = state
		errs = append(errs, x.Ledger.FinishRuns(ctx, []uuid.UUID{c.Progress.RunID}, state, why, x.tools.Now()))
	}
	return errors.Join(append(errs, x.Ledger.Checkpoint(ctx))...)
}
