package bench

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"wb/collect/load"
	"wb/collect/target"
	"wb/data"
)

// Flags declares the settings of a run, which can be given on the command line and in a plan.
func (s *RunSpec) Flags(f *pflag.FlagSet) {
	s.Target.Flags(f)
	f.StringVar(&s.Name, "name", "", "name of the run (default: model and time)")
	f.StringArrayVar(&s.Tags, "tag", nil, "tag `key=value` of the run; can be repeated")
	f.StringSliceVar(&s.Selection.IDs, "conversations", nil, "conversations to run, by id (default: the core set and those of --data)")
	s.Selection.Flags(f)
	s.Prompting.flags(f)
	s.Load.flags(f)
	f.Float64Var(&s.SampleHz, "sample-hz", 20,
		"GPU samples per second; the host is sampled at most 5 times and processes at most 2 times per second (0: no samples)")
	f.BoolVar(&s.NoText, "no-text", false, "store hashes of prompts and replies, not their text")
}

// Flags declares the flags of a selection, except that for ids.
func (s *Selection) Flags(f *pflag.FlagSet) {
	f.StringSliceVar(&s.Include, "include-tags", nil, "only conversations with any of these `tags`")
	f.StringSliceVar(&s.Exclude, "exclude-tags", nil, "no conversations with any of these `tags`")
	f.IntVar(&s.Most, "max-conversations", 0, "at most this many, smallest first (0: no limit)")
	f.StringVar(&s.Context, "context-size", "",
		"leave out conversations that need more `tokens`, such as 32000 or 32K (default: the server's context)")
	f.StringVar(&s.Dir, "data", "",
		"`directory` with conversation files; they are added to the built-in ones, or replace those with the same id")
}

func (p *Prompting) flags(f *pflag.FlagSet) {
	f.StringVar(&p.Placement, "rag-placement", string(data.PlaceSystem),
		"where documents stand in a prompt: system, first-user, before-last, append, or all, which plays each conversation in every placement")
	f.StringVar(&p.Replies, "replies", RepliesScripted,
		"which replies later prompts contain: scripted (those in the files, so that two runs send equal prompts) or live (the model's)")
	f.StringVar(&p.API, "api", APIChat, "chat (the server's template) or completions (prompts rendered by wb with --chat-template)")
	f.StringVar(&p.ChatTemplate, "chat-template", "",
		"with --api completions: "+strings.Join(data.TemplateNames(), ", ")+" or a .jinja `file`")
	f.StringVar(&p.TokenIDs, "token-ids", TokenIDsPrompt, "which token ids to get: prompt (wb asks the server after each turn), "+
		"all (generated ones too, in the stream; vLLM 0.11 and newer) or none (then the causes of misses are not known)")
	f.IntVar(&p.MaxTurns, "max-turns", 0, "at most this many turns of each conversation (0: all)")
	f.IntVar(&p.MaxTokens, "max-tokens", 64, "at most this many completion tokens per turn (0: wb sets no limit)")
	f.Float64Var(&p.Temperature, "temperature", 0, "sampling temperature")
	f.Int64Var(&p.Seed, "seed", 0, "sampling seed")
	f.BoolVar(&p.IgnoreEOS, "ignore-eos", false, "generate exactly --max-tokens tokens (vLLM and llama.cpp)")
}

func (l *Load) flags(f *pflag.FlagSet) {
	l.Warmup = warmupUnset
	f.Var(&l.Warmup, "warmup", "requests before the first session; they are recorded, flagged and left out of reports. "+
		"auto: until three in a row are steady, at most 10 (default: auto, 1 for the simulator)")
	f.DurationVar(&l.Timeout, "timeout", 10*time.Minute, "give up a turn after this long (0: never)")
	f.StringVar((*string)(&l.Isolation), "isolation", "",
		"how to keep a session from using cached tokens of another: "+strings.Join(Isolations(), ", ")+
			" (default: restart for a server that wb starts, else salt, or line where the server takes no salt)")
	f.IntVar(&l.Users, "users", 1, "users that play at once, each one session after another; with --rate, at most this many play at once")
	f.DurationVar(&l.Ramp, "ramp", 0, "spread the users' first sessions over this time (0: all begin at once)")
	f.Float64Var(&l.Rate, "rate", 0,
		"begin this many `sessions` per second, even while earlier ones play (0: each user begins a session when its last one has ended)")
	f.StringVar(&l.Arrival, "arrival", load.Models()[0].Name,
		"how sessions arrive at a rate: "+strings.Join(load.Names(load.Models()), " or "))
}

// Flags declares the flags of a repetition; metrics are the values that Metric can have.
func (r *Repetition) Flags(f *pflag.FlagSet, metrics []string) {
	f.IntVar(&r.Repeats, "repeat", 1, "run each conversation this many times")
	f.StringVar(&r.UntilCI, "until-ci", "",
		"add repeats until the 95 % interval of --metric is within this `percentage` on either side, such as 2%")
	f.StringVar(&r.Metric, "metric", "ttft", "the metric of --until-ci: "+strings.Join(metrics, ", "))
	f.IntVar(&r.MaxRepeats, "max-repeats", 20, "at most this many repeats with --until-ci (not less than --repeat)")
}

// repetitionFlags are the flags of a Repetition. A plan has settings with other names for them.
var repetitionFlags = []string{"repeat", "until-ci", "metric", "max-repeats"}

// EnumValues gives the possible values of a flag that has only a few, and nil for other flags.
func EnumValues(flag string) []string {
	return map[string][]string{
		"engine": target.Kinds(), "sim-profile": {"eager", "graphs", "instant"}, "isolation": Isolations(),
		"rag-placement": placementNames(), "replies": {RepliesScripted, RepliesLive}, "api": {APIChat, APICompletions},
		"token-ids": TokenIDs(), "arrival": load.Names(load.Models()), "chat-template": data.TemplateNames(), "warmup": {"auto"},
	}[flag]
}

func placementNames() (names []string) {
	for _, p := range data.Placements() {
		names = append(names, string(p))
	}
	return append(names, PlaceAll)
}

// GivenBy gives the settings of a spec that were set by flags, with words as the arguments for the server. Flags that a spec lacks are left
// out.
func GivenBy(f *pflag.FlagSet, words []string) Given {
	known, _, _ := blank()
	given := Given{}
	f.VisitAll(func(f *pflag.Flag) {
		if !f.Changed || known.Lookup(f.Name) == nil {
			return
		}
		given[f.Name] = []string{f.Value.String()}
		if list, ok := f.Value.(pflag.SliceValue); ok {
			given[f.Name] = list.GetSlice()
		}
	})
	if len(words) > 0 {
		given[""] = words
	}
	return given
}

// Usual gives the spec of a run for which nobody chose anything.
func Usual() RunSpec {
	_, run, _ := blank()
	return *run
}

// blank gives new flags, and the two values that they set.
func blank() (*pflag.FlagSet, *RunSpec, *Repetition) {
	f, s, r := pflag.NewFlagSet("run", pflag.ContinueOnError), &RunSpec{}, &Repetition{}
	s.Flags(f)
	r.Flags(f, nil)
	return f, s, r
}

// set sets a flag. The values replace the whole list when the flag takes one.
func set(f *pflag.Flag, values []string) error {
	f.Changed = true
	if list, ok := f.Value.(pflag.SliceValue); ok {
		return list.Replace(slices.Clone(values))
	}
	return f.Value.Set(values[0])
}

// Warmup is how many requests are sent before the first session.
type Warmup int

// WarmupAuto sends warm-ups until the server is steady.
const WarmupAuto Warmup = -1

// warmupUnset says that nobody chose; settle then chooses.
const warmupUnset Warmup = -2

func (w *Warmup) String() string {
	switch *w {
	case warmupUnset:
		return ""
	case WarmupAuto:
		return "auto"
	}
	return strconv.Itoa(int(*w))
}

// Set reads auto or a number.
func (w *Warmup) Set(text string) error {
	if text == "auto" {
		*w = WarmupAuto
		return nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return errors.New("wants auto or a number of requests")
	}
	*w = Warmup(n)
	return nil
}

// Type names the value in the help.
func (*Warmup) Type() string { return "number" }
