package bench

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"wb/collect/load"
	"wb/data"
)

// Flags declares what a run can be told, on the command line and in a plan; metrics are those that Metric can be.
func (s *RunSpec) Flags(f *pflag.FlagSet) {
	s.Target.Flags(f)
	f.StringVar(&s.Name, "name", "", "name of the run (default: model and time)")
	f.StringArrayVar(&s.Tags, "tag", nil, "label `key=value` for the run; may be repeated")
	f.StringSliceVar(&s.Selection.IDs, "conversations", nil, "conversations to run, by id (default: the core set and your own)")
	s.Selection.Flags(f)
	s.Prompting.flags(f)
	s.Load.flags(f)
	f.Float64Var(&s.SampleHz, "sample-hz", 20, "GPU samples a second; host and processes are sampled at most 5 and 2 times (0: no samples)")
	f.BoolVar(&s.NoText, "no-text", false, "store hashes of prompts and replies, not their text")
}

// Flags declares them, but for the ids.
func (s *Selection) Flags(f *pflag.FlagSet) {
	f.StringSliceVar(&s.Include, "include-tags", nil, "only conversations with any of these `tags`")
	f.StringSliceVar(&s.Exclude, "exclude-tags", nil, "no conversations with any of these `tags`")
	f.IntVar(&s.Most, "max-conversations", 0, "at most this many, smallest first (0: no limit)")
	f.StringVar(&s.Context, "context-size", "",
		"leave out conversations that need more `tokens`, such as 32000 or 32K (default: the server's own context)")
	f.StringVar(&s.Dir, "data", "", "`directory` with conversation files, which add to the built-in ones or replace them by id")
}

func (p *Prompting) flags(f *pflag.FlagSet) {
	f.StringVar(&p.Placement, "rag-placement", string(data.PlaceSystem),
		"where documents stand in a prompt: system, first-user, before-last, append, or all, which plays each conversation in every way")
	f.StringVar(&p.Replies, "replies", RepliesLive,
		"what goes into the history: live (the model's answers) or scripted (the files' own, so that two runs send equal prompts)")
	f.StringVar(&p.API, "api", APIChat, "chat (the server's own template) or completions (prompts rendered here with --chat-template)")
	f.StringVar(&p.ChatTemplate, "chat-template", "",
		"with --api completions: "+strings.Join(data.TemplateNames(), ", ")+" or a .jinja `file`")
	f.StringVar(&p.TokenIDs, "token-ids", TokenIDsPrompt, "which token ids to get: prompt (asked of the server after each turn), "+
		"all (generated ones too, in the stream; vLLM 0.11 and newer) or none, without which causes of misses are not known")
	f.IntVar(&p.MaxTurns, "max-turns", 0, "at most this many turns of each conversation (0: all)")
	f.IntVar(&p.MaxTokens, "max-tokens", 64, "at most this many completion tokens a turn (0: no limit of ours)")
	f.Float64Var(&p.Temperature, "temperature", 0, "sampling temperature")
	f.Int64Var(&p.Seed, "seed", 0, "sampling seed")
	f.BoolVar(&p.IgnoreEOS, "ignore-eos", false, "generate exactly --max-tokens tokens (vLLM)")
}

func (l *Load) flags(f *pflag.FlagSet) {
	l.Warmup = warmupUnset
	f.Var(&l.Warmup, "warmup", "requests before the first session; recorded, flagged and left out of reports. "+
		"auto: until three in a row are steady, at most 10 (default: auto, 1 for the simulator)")
	f.DurationVar(&l.Timeout, "timeout", 10*time.Minute, "give a turn up after this long (0: never)")
	f.StringVar((*string)(&l.Isolation), "isolation", "",
		"keep sessions out of each other's prefix cache: "+strings.Join(Isolations(), ", ")+
			" (default: restart for a server that wb starts, else salt, or line where the server takes no salt)")
	f.IntVar(&l.Users, "users", 1, "users at once, each with sessions of its own, one after another; with --rate the most that play at once")
	f.DurationVar(&l.Ramp, "ramp", 0, "let the users begin spread over so long, not all at once")
	f.Float64Var(&l.Rate, "rate", 0,
		"begin so many `sessions` a second, whether earlier ones have ended or not (0: each user begins when the last one has ended)")
	f.StringVar(&l.Arrival, "arrival", load.Models()[0].Name,
		"how sessions arrive at a rate: "+strings.Join(load.Names(load.Models()), " or "))
}

// Flags declares them; metrics are what Metric can be.
func (r *Repetition) Flags(f *pflag.FlagSet, metrics []string) {
	f.IntVar(&r.Repeats, "repeat", 1, "run each conversation this many times")
	f.StringVar(&r.UntilCI, "until-ci", "",
		"add repeats until the 95 % interval of --metric is within this `percentage` on either side, such as 2%")
	f.StringVar(&r.Metric, "metric", "ttft", "what --until-ci looks at: "+strings.Join(metrics, ", "))
	f.IntVar(&r.MaxRepeats, "max-repeats", 20, "at most so many repeats with --until-ci (at least --repeat)")
}

// repetitionFlags are about one call, and a plan says them in its own words.
var repetitionFlags = []string{"repeat", "until-ci", "metric", "max-repeats"}

// EnumValues gives the values that a flag can have, where there are few; nil otherwise.
func EnumValues(flag string) []string {
	return map[string][]string{
		"engine": {"vllm", "url", "sim"}, "sim-profile": {"eager", "graphs", "instant"}, "isolation": Isolations(),
		"rag-placement": placementNames(), "replies": {RepliesLive, RepliesScripted}, "api": {APIChat, APICompletions},
		"token-ids": TokenIDs(), "arrival": load.Names(load.Models()), "chat-template": data.TemplateNames(), "warmup": {"auto"},
	}[flag]
}

func placementNames() (names []string) {
	for _, p := range data.Placements() {
		names = append(names, string(p))
	}
	return append(names, PlaceAll)
}

// GivenBy gives the settings that were given by flags: those that a spec has, and no others.
func GivenBy(f *pflag.FlagSet, words []string) Given {
	known, _, _ := blank()
	given := Given{}
	f.Visit(func(f *pflag.Flag) {
		if known.Lookup(f.Name) == nil {
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

// blank gives flags and what they set.
func blank() (*pflag.FlagSet, *RunSpec, *Repetition) {
	f, s, r := pflag.NewFlagSet("run", pflag.ContinueOnError), &RunSpec{}, &Repetition{}
	s.Flags(f)
	r.Flags(f, nil)
	return f, s, r
}

// set gives a flag its values, those of a list whole.
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
