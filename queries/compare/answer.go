package compare

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"

	"wb/data/plain"
)

// Answer is a comparison in words.
type Answer struct {
	Line     string   // one sentence: by how much each metric differs, or what is missing for a verdict
	Commands []string // that would record what is missing; none where nothing is missing, or where no command is known
}

// Answer gives the verdicts over all turns in words. It claims no more than the verdicts do: a metric without a verdict is "not settled",
// with its interval.
func (r *Result) Answer() Answer {
	var measured []Verdict
	for _, v := range r.Verdicts {
		if v.Group == all && v.Measured {
			measured = append(measured, v)
		}
	}
	enough := slices.ContainsFunc(measured, func(v Verdict) bool { return v.Enough })
	refused := r.refused(func(m Metric) string { return m.Words })
	switch {
	case len(measured) == 0 && len(refused) > 0:
		return Answer{Line: "No verdict: " + joined(refused) + " cannot be compared, as " + r.whyNot()}
	case len(measured) == 0:
		return Answer{Line: "No verdict: none of the metrics was measured"}
	case r.Base.Simulated() != r.Head.Simulated():
		return Answer{Line: "No verdict: one side is simulated and the other is not"}
	case r.warmth.apart:
		return Answer{Line: "No verdict: one side began with a warm prefix cache and the other with a cold one"}
	case !enough:
		return r.missing(measured)
	}
	line := sentence(measured, r.Comparison.Margin)
	if r.pairing.strangers {
		line = "Not like for like, with no conversation in common: " + line
	}
	if r.pairing.otherTexts() {
		line = "Not like for like, with no text that was asked on both sides: " + line
	}
	if len(refused) > 0 {
		line += "; not compared, as " + r.whyNot() + ": " + joined(refused)
	}
	return Answer{Line: line}
}

// missing says how many sessions or processes there are, how many are needed, and how to record them.
func (r *Result) missing(measured []Verdict) Answer {
	both := slices.DeleteFunc(slices.Clone(measured), func(v Verdict) bool { return v.Sessions == 0 })
	if len(both) == 0 {
		return Answer{Line: "No verdict: none of the metrics was measured on both sides"}
	}
	if n := both[0].Processes; n > 0 {
		return r.missingProcesses(n, len(both))
	}
	needed := LeastSessions(len(both))
	line := lacking(plain.Count(both[0].Sessions, "session"), len(both), needed, fewSessions)
	kinds := map[[2]string]bool{}
	for _, o := range r.pairing.base {
		kinds[[2]string{o.conversation, o.variant}] = true
	}
	repeats := (needed + len(kinds) - 1) / max(len(kinds), 1)
	return Answer{fmt.Sprintf("%s: play both sides with --repeat %d", line, repeats), r.commands(repeats, 2)}
}

// missingProcesses is missing where server processes are the unit of evidence. Each repeat of a plan has a new process.
func (r *Result) missingProcesses(n, metrics int) Answer {
	needed := LeastProcesses(metrics)
	line := lacking(plain.Count(n, "server process", "server processes"), metrics, needed, LeastProcesses(1)) +
		", as sessions of one process are not independent evidence: "
	if commands := r.commands(needed, 1); len(commands) == 1 && playsPlan(commands[0]) {
		return Answer{fmt.Sprintf("%splay the plan with --repeat %d", line, needed), commands}
	}
	return Answer{Line: line + "play more runs and restart the server between them, or play both sides with --isolation restart"}
}

// playsPlan says whether a command plays a plan, so that each repeat has a new process: wb run with a file, or wb calibrate.
func playsPlan(command string) bool {
	words := strings.Fields(command)
	return len(words) > 1 && (words[1] == "calibrate" || len(words) > 2 && words[1] == "run" && !strings.HasPrefix(words[2], "-"))
}

// lacking says how many there are on a side, and how many that many metrics need.
func lacking(there string, metrics, needed, one int) string {
	if metrics == 1 {
		return fmt.Sprintf("No verdict: %s a side, and %d are the least", there, needed)
	}
	return fmt.Sprintf("No verdict: %s a side, and %d metrics need %d (one metric needs %d)", there, metrics, needed, one)
}

// commands gives the commands that recorded both sides, with another number of repeats. There are none if they are more than that: of many
// runs, no few commands record what is missing.
func (r *Result) commands(repeats, most int) (commands []string) {
	for _, argv := range r.Facts.Commands {
		if command, ok := withRepeat(argv, repeats); ok && !slices.Contains(commands, command) {
			commands = append(commands, command)
		}
	}
	if len(commands) > most {
		return nil
	}
	return commands
}

// sentence joins what is known of each metric: first the changes, then what is unchanged, then what is not settled.
func sentence(measured []Verdict, margin float64) string {
	var parts, same, open []string
	for _, v := range measured {
		switch {
		case v.Sessions == 0:
			open = append(open, v.Metric.Words+" measured on one side only")
		case v.Outcome == Equivalent:
			same = append(same, v.Metric.Words)
		case v.Outcome == Inconclusive && v.OtherLengths:
			open = append(open, v.Metric.Words+" not settled, as replies differ in length")
		case v.Outcome == Inconclusive:
			open = append(open, v.unsettled(len(measured)))
		default:
			parts = append(parts, v.changed())
		}
	}
	if len(same) > 0 {
		parts = append(parts, fmt.Sprintf("%s unchanged (within ±%s %%)", joined(same), decimal(100*margin, 1)))
	}
	line := strings.Join(append(parts, open...), "; ")
	return strings.ToUpper(line[:1]) + line[1:]
}

// unsettled gives the interval of a metric without a verdict, and how many more sessions a side would give one. An interval without 0 is no
// verdict where several metrics are compared at once.
func (v Verdict) unsettled(metrics int) string {
	text := v.signed()
	if v.More > 0 {
		text += fmt.Sprintf("; about %s a side would settle it", plain.Count(v.More, "more session"))
	}
	if v.Enough && (v.Low > 0 || v.High < 0) && metrics > 1 {
		text += fmt.Sprintf(", as %d metrics are compared at once", metrics)
	}
	return fmt.Sprintf("%s not settled (%s)", v.Metric.Words, text)
}

// changed says by how much a metric differs, with its interval and its verdict.
func (v Verdict) changed() string {
	good := v.Outcome == Faster
	word := map[bool]string{true: "better", false: "worse"}[good]
	if v.Metric.time() {
		word = string(v.Outcome)
	}
	if v.Metric.Ratio {
		return fmt.Sprintf("%s %s → %s %% (95 %%: %s), %s",
			v.Metric.Words, decimal(100*v.Base, 0), decimal(100*v.Head, 0), v.signed(), word)
	}
	if v.Low >= 1 { // more than twice as much is told as a multiple
		return fmt.Sprintf("%s %s times as high (95 %%: %s to %s), %s",
			v.Metric.Words, decimal(1+v.Change, 1), decimal(1+v.Low, 1), decimal(1+v.High, 1), word)
	}
	direction, from, to := "higher", v.Low, v.High
	if v.Change < 0 {
		direction, from, to = "lower", -v.High, -v.Low
	}
	places := 0
	if decimal(100*from, 0) == decimal(100*to, 0) || math.Abs(v.Change) < 0.1 {
		places = 1
	}
	return fmt.Sprintf("%s %s %% %s (95 %%: %s to %s %%), %s", v.Metric.Words, decimal(100*math.Abs(v.Change), places), direction,
		decimal(100*from, places), decimal(100*to, places), word)
}

// signed gives the interval with signs.
func (v Verdict) signed() string {
	unit := "%"
	if v.Metric.Ratio {
		unit = "points"
	}
	return fmt.Sprintf("%s to %s %s", sign(100*v.Low), sign(100*v.High), unit)
}

func sign(f float64) string {
	s := decimal(math.Abs(f), 1)
	switch {
	case s == "0":
		return s
	case f < 0:
		return "−" + s
	}
	return "+" + s
}

// decimal writes a figure with at most that many decimals.
func decimal(f float64, places int) string {
	s := fmt.Sprintf("%.*f", places, f)
	if strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	if s == "-0" {
		return "0"
	}
	return s
}

// joined joins words as a sentence does.
func joined(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " and " + words[len(words)-1]
}

// repeatFlag matches the flags that decide how often a run repeats its sessions.
var repeatFlag = regexp.MustCompile(`^--(?:repeat|until-ci|max-repeats)(=.*)?$`)

// withRepeat gives the recorded command line argv, whose words are quoted for a shell, with another --repeat. ok is false where argv is
// not known, goes on with an earlier run, or is of a command that has no --repeat.
func withRepeat(argv string, repeats int) (command string, ok bool) {
	words := plain.Words(argv)
	if len(words) < 2 || !slices.Contains([]string{"run", "calibrate"}, words[1]) || slices.Contains(words, "--resume") {
		return "", false
	}
	out := []string{"wb"}
	end := slices.Index(words, "--") // the arguments of the server follow
	if end < 0 {
		end = len(words)
	}
	for i := 1; i < end; i++ {
		if m := repeatFlag.FindStringSubmatch(words[i]); m != nil {
			if m[1] == "" {
				i++ // its value
			}
			continue
		}
		out = append(out, words[i])
	}
	out = append(out, "--repeat", fmt.Sprint(repeats))
	return strings.Join(append(out, words[end:]...), " "), true
}
