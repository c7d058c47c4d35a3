package bench

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"wb/collect/load"
	"wb/collect/serve"
	"wb/collect/target"
	"wb/data"
	"wb/data/plain"
)

// Rules say which names, labels and metrics are valid. They come from the packages that read these later.
type Rules struct {
	Name    func(text string) (why string) // what is wrong with the name of a run; "": nothing
	Label   func(text string) (why string) // what is wrong with the key or value of a tag; "": nothing
	Metrics []string                       // that Repetition.Metric may name
}

// mistakes collects the mistakes in settings.
type mistakes struct{ errs []error }

func (m *mistakes) add(format string, a ...any) {
	m.errs = append(m.errs, plain.Mistakef(format, a...))
}

func (m *mistakes) hint(hint, format string, a ...any) {
	m.errs = append(m.errs, plain.WithHint(plain.Mistakef(format, a...), hint))
}

// settle fills in the settings that nobody chose. given says which flags were given.
func (s *RunSpec) settle(given func(flag string) bool) {
	s.Target.Settle()
	if s.Warmup == warmupUnset {
		if s.Warmup = WarmupAuto; s.Target.Engine == target.Sim {
			s.Warmup = 1
		}
	}
	if s.Isolation == "" && s.Target.Engine.Managed() && !s.concurrent() { // else settleIsolation decides, which knows the server
		s.Isolation = IsolationRestart
	}
	if s.Rate > 0 && !given("users") {
		s.Users = 0 // up to MaxUsers
	}
}

// Validate finds mistakes before anything starts. given says which flags were given.
func (s *RunSpec) Validate(given func(flag string) bool, rules Rules) []error {
	var m mistakes
	m.errs = s.Target.Validate(given)
	if given("conversations") && len(s.Selection.IDs) == 0 {
		m.add("flag --conversations: an empty id")
	}
	s.Prompting.validate(&m)
	s.Load.validate(&m, given, s.Target.Engine)
	if !(s.SampleHz >= 0 && s.SampleHz <= 1000) {
		m.add("flag --sample-hz: wants 0 to 1000, not %v", s.SampleHz)
	}
	if given("name") && rules.Name(s.Name) != "" {
		m.add("flag --name: %q %s", s.Name, rules.Name(s.Name))
	}
	for _, t := range s.Tags {
		k, v, ok := strings.Cut(t, "=")
		if !ok || k == "" || v == "" {
			m.add("flag --tag: wants KEY=VALUE, not %q", t)
		} else if why := cmp.Or(rules.Label(k), rules.Label(v)); why != "" {
			m.add("flag --tag: %q: it %s", t, why)
		}
	}
	if _, err := target.APIKey(s.Target.KeyEnv); err != nil {
		m.errs = append(m.errs, err)
	}
	if _, err := s.Selection.Choice(); err != nil {
		m.errs = append(m.errs, err)
	}
	if program := serve.ProgramOf(string(s.Target.Engine)); program != nil && len(m.errs) == 0 {
		if _, err := s.Target.Serve.Launch(program, s.Target.Model, s.Target.Words, time.Time{}); err != nil {
			m.errs = append(m.errs, err)
		}
	}
	return m.errs
}

func (p Prompting) validate(m *mistakes) {
	for _, n := range []struct {
		name  string
		value int
	}{{"max-turns", p.MaxTurns}, {"max-tokens", p.MaxTokens}} {
		if n.value < 0 {
			m.add("flag --%s: %d is negative", n.name, n.value)
		}
	}
	if p.Temperature < 0 || math.IsNaN(p.Temperature) || math.IsInf(p.Temperature, 0) {
		m.add("flag --temperature: %v is not a valid temperature", p.Temperature)
	}
	if p.Placement != PlaceAll && !slices.Contains(data.Placements(), data.Placement(p.Placement)) {
		m.add("flag --rag-placement: wants system, first-user, before-last, append or all, not %q", p.Placement)
	}
	switch {
	case p.Replies != RepliesLive && p.Replies != RepliesScripted:
		m.add("flag --replies: wants scripted or live, not %q", p.Replies)
	case p.API != APIChat && p.API != APICompletions:
		m.add("flag --api: wants chat or completions, not %q", p.API)
	case p.API == APICompletions && p.ChatTemplate == "":
		m.add("flag --api: completions needs --chat-template")
	case p.API == APIChat && p.ChatTemplate != "":
		m.hint("add --api completions", "flag --chat-template: the chat API uses the server's template")
	case !slices.Contains(TokenIDs(), p.TokenIDs):
		m.add("flag --token-ids: wants none, prompt or all, not %q", p.TokenIDs)
	}
}

func (l Load) validate(m *mistakes, given func(flag string) bool, engine target.Kind) {
	if l.Timeout < 0 {
		m.add("flag --timeout: %v is negative", l.Timeout)
	}
	switch {
	case l.Isolation != "" && !slices.Contains(Isolations(), string(l.Isolation)):
		m.add("flag --isolation: wants %s, not %q", strings.Join(Isolations(), ", "), l.Isolation)
	case engine == target.URL && l.Isolation == IsolationRestart:
		m.hint("use --engine vllm or llamacpp, or --isolation line or salt, which vLLM takes",
			"flag --isolation: wb can restart only a server that it started")
	case engine == target.LlamaCpp && l.Isolation == IsolationReset:
		m.hint("use --isolation restart or line", "flag --isolation: llama-server has no call that empties its cache")
	case l.concurrent() && (l.Isolation == IsolationRestart || l.Isolation == IsolationReset):
		m.hint("use salt, line or none with --users and --rate", "flag --isolation: %s would disturb other users' sessions", l.Isolation)
	}
	switch {
	case l.Users < 0 || l.Users < 1 && (l.Rate == 0 || given("users")) || l.Users > MaxUsers:
		m.add("flag --users: wants 1 to %d, not %d", MaxUsers, l.Users)
	case l.Rate > 0 && l.Ramp > 0:
		m.add("flag --ramp: does not go with --rate, which says when sessions begin")
	case l.Rate == 0 && given("arrival"):
		m.add("flag --arrival: needs --rate")
	case !(l.Rate >= 0 && l.Rate <= 1e4):
		m.add("flag --rate: wants sessions per second, up to 10,000, not %v", l.Rate)
	case l.Ramp < 0:
		m.add("flag --ramp: %v is negative", l.Ramp)
	case !slices.Contains(load.Names(load.Models()), l.Arrival):
		m.add("flag --arrival: wants %s, not %q", strings.Join(load.Names(load.Models()), " or "), l.Arrival)
	}
}

// Choice checks the selection and converts it for package data.
func (s Selection) Choice() (data.Selection, error) {
	out := data.Selection{IDs: s.IDs, Include: s.Include, Exclude: s.Exclude, Max: s.Most}
	if s.Most < 0 {
		return out, plain.Mistakef("flag --max-conversations: %d is negative", s.Most)
	}
	for _, n := range []struct {
		name string
		list []string
	}{{"conversations", s.IDs}, {"include-tags", s.Include}, {"exclude-tags", s.Exclude}} {
		for _, x := range n.list {
			if strings.TrimSpace(x) == "" {
				return out, plain.Mistakef("flag --%s: an empty name", n.name)
			}
		}
	}
	if s.Context != "" {
		n, ok := serve.ParseCount(s.Context)
		if !ok {
			return out, plain.Mistakef("flag --context-size: wants tokens, such as 32000 or 32K, not %q", s.Context)
		}
		out.ContextTokens = n
	}
	return out, nil
}

// Choice gives the choice of conversations, with how they are sent.
func (s RunSpec) Choice() (data.Selection, error) {
	out, err := s.Selection.Choice()
	out.Sending = data.Sending{Scripted: s.Scripted(), MaxTurns: s.MaxTurns, MaxTokens: s.MaxTokens}
	return out, err
}

// Validate finds mistakes. metrics are the values that Metric can have.
func (r Repetition) Validate(metrics []string) []error {
	var m mistakes
	switch limit, err := r.limit(); {
	case r.Repeats < 1:
		m.add("flag --repeat: %d is less than 1", r.Repeats)
	case r.UntilCI != "" && err != nil:
		m.add("flag --until-ci: %v", err)
	case r.UntilCI != "" && limit == 0:
		m.add("flag --until-ci: no number of repeats makes an interval 0 wide")
	case !slices.Contains(metrics, r.Metric):
		m.add("flag --metric: no metric is named %q%s", r.Metric, plain.Instead(r.Metric, metrics))
	case r.UntilCI != "" && r.MaxRepeats < r.Repeats:
		m.add("flag --max-repeats: %d is less than the repeats, %d", r.MaxRepeats, r.Repeats)
	}
	return m.errs
}

// limit gives UntilCI as a ratio, and 0 for none.
func (r Repetition) limit() (float64, error) { return Percentage(r.UntilCI) }

// Percentage reads 2% as 0.02, and "" as 0.
func Percentage(s string) (float64, error) {
	if s == "" {
		return 0, nil
	}
	number, ok := strings.CutSuffix(s, "%")
	v, err := strconv.ParseFloat(number, 64)
	if err != nil || !ok || !(v >= 0 && v < 100) {
		return 0, fmt.Errorf("wants a percentage such as 2%%, not %q", s)
	}
	return v / 100, nil
}

// first gives the first of several mistakes, and nil for none. Later mistakes are often consequences of the first.
func first(errs []error) error {
	if len(errs) == 0 {
		return nil
	}
	return errs[0]
}

var errNoSpec = errors.New("the spec has no cells")

// Validate finds mistakes in a whole spec, such as a recorded one that somebody edited.
func (s *Spec) Validate(rules Rules) (errs []error) {
	if len(s.Cells) == 0 {
		return []error{errNoSpec}
	}
	errs = s.Repetition.Validate(rules.Metrics)
	for i := range s.Cells {
		errs = append(errs, s.Cells[i].Validate(func(string) bool { return false }, rules)...)
	}
	return errs
}
