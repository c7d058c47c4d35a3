package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"wb/collect"
	"wb/collect/vllm"
	"wb/data"
	"wb/data/hub"
	"wb/queries"
	"wb/queries/compare"
	"wb/queries/table"
	"wb/store"
	"wb/viz"
)

type runOptions struct {
	push                                                         string // a lake
	url, model, db, name, isolation, results, keyEnv, simProfile string
	tags, simFaults                                              []string
	maxTurns, maxTokens, repeat                                  int
	warmup                                                       warmups
	temperature, sampleHz                                        float64
	seed                                                         int64
	ignoreEOS, noText, quiet                                     bool
	timeout                                                      time.Duration
	start                                                        time.Time

	untilCI, metric string
	maxRepeats      int
	users           int
	rate            float64
	arrival         string
	ramp            time.Duration
	resume          bool

	engine string // sim, vllm or url
	server serverOptions
	words  []string // vLLM's own arguments

	selectOptions
	list                                            bool
	placement, replies, api, chatTemplate, tokenIDs string
}

// warmups is the value of --warmup.
type warmups int

const warmupsUnset warmups = -2

func (w *warmups) String() string {
	switch *w {
	case warmupsUnset:
		return ""
	case collect.WarmupAuto:
		return "auto"
	}
	return strconv.Itoa(int(*w))
}

// Set reads auto or a number.
func (w *warmups) Set(text string) error {
	if text == "auto" {
		*w = collect.WarmupAuto
		return nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return errors.New("wants auto or a number of requests")
	}
	*w = warmups(n)
	return nil
}

// Type names the value in the help.
func (*warmups) Type() string { return "number" }

// Engines of a run.
const (
	engineSim  = "sim"
	engineVLLM = "vllm"
	engineURL  = "url"
)

func newRun(stdout, stderr io.Writer) *cobra.Command {
	o := runOptions{start: time.Now()}
	cmd := &cobra.Command{
		Use:   "run [PLAN.yaml] [-- VLLM-ARGUMENTS]",
		Short: "Run conversations, or a plan, against a server and record what happens",
		Long: `Run conversations turn by turn against a server and record what happens in a DuckDB file.

The server is one that runs already (--url), a vLLM that wb starts with a model and ends again (--engine vllm --model NAME), or the embedded
simulator: no GPU and no model are needed, and every figure is marked simulated.

A plan is a file with settings, which are the flags below, and a matrix of values: each combination becomes a run of its own, and they are taken in
turns, forwards and backwards, so that what drifts on the machine falls on all of them alike. Flags go before what the plan says. --resume goes on
with a plan that was cut short.`,
		Example: `  wb run                                                        # a first run, on the simulator
  wb run --engine vllm --model smollm2-135m                     # wb starts vLLM, a fresh one for each session
  wb run --engine vllm --model phi-3.5-mini --preset optimized --tag graphs=on -- --max-num-seqs 4
  wb run --url http://localhost:8001 --model my-model --tag apc=on
  wb run --url http://localhost:8001 --conversations rag_simulation --repeat 5
  wb run --url http://localhost:8001 --until-ci 2%              # repeat until TTFT is known that well
  wb run plan.yaml                                              # a matrix of settings, taken in turns
  wb run --resume                                               # go on with a plan that was cut short`,
		Args: func(cmd *cobra.Command, a []string) error {
			if d := cmd.ArgsLenAtDash(); len(a) > 1 && d != 0 && d != 1 {
				return hinted{usagef("run: wants one plan at most, not %q; vLLM's own arguments come after --", strings.Join(a, " ")), cmd.CommandPath() + " --help shows how it is used"}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, a []string) error {
			file := ""
			if d := cmd.ArgsLenAtDash(); len(a) > 0 && d != 0 {
				file, a = a[0], a[1:]
			}
			o.words = a
			if err := o.reach(cmd, stderr); err != nil {
				return err
			}
			return o.pushed(cmd.Context(), o.run(cmd, file, stdout, stderr), stderr)
		},
	}
	o.flags(cmd)
	return cmd
}

// flags declares what a run can be told, on the command line and in a plan.
func (o *runOptions) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.engine, "engine", "", "who answers: vllm (started by wb), url or sim (default: url with --url, else sim)")
	f.StringVar(&o.url, "url", "", "base URL of an OpenAI-compatible server, such as http://localhost:8001")
	f.StringVar(&o.model, "model", "", "with --url, the name the server knows, if it serves several; with --engine vllm, the model to serve: a name of wb models list, ORG/NAME[@REVISION] or a directory")
	o.server.flags(cmd)
	dbFlag(cmd, &o.db)
	f.StringVar(&o.push, "push", "", "append the file's runs to this `lake` in the end; see wb push")
	f.StringVar(&o.name, "name", "", "name of the run (default: model and time)")
	f.StringArrayVar(&o.tags, "tag", nil, "label `key=value` for the run; may be repeated")
	f.StringSliceVar(&o.ids, "conversations", nil, "conversations to run, by id (default: the core set and your own)")
	o.selectionFlags(cmd)
	f.BoolVar(&o.list, "list-conversations", false, "list the conversations and which would run, and run nothing")
	f.StringVar(&o.placement, "rag-placement", "system", "where documents stand in a prompt: system, first-user, before-last, append, or all, which plays each conversation in every way")
	f.StringVar(&o.replies, "replies", "live", "what goes into the history: live (the model's answers) or scripted (the files' own, so that two runs send equal prompts)")
	f.StringVar(&o.api, "api", "chat", "chat (the server's own template) or completions (prompts rendered here with --chat-template)")
	f.StringVar(&o.chatTemplate, "chat-template", "", "with --api completions: "+strings.Join(data.TemplateNames(), ", ")+" or a .jinja `file`")
	f.StringVar(&o.tokenIDs, "token-ids", "prompt", "which token ids to get: prompt (asked of the server after each turn), "+
		"all (generated ones too, in the stream; vLLM 0.11 and newer) or none, without which causes of misses are not known")
	f.IntVar(&o.maxTurns, "max-turns", 0, "at most this many turns of each conversation (0: all)")
	f.IntVar(&o.maxTokens, "max-tokens", 64, "at most this many completion tokens a turn (0: no limit of ours)")
	f.IntVar(&o.repeat, "repeat", 1, "run each conversation this many times")
	o.warmup = warmupsUnset
	f.Var(&o.warmup, "warmup", "requests before the first session; recorded, flagged and left out of reports. "+
		"auto: until three in a row are steady, at most 10 (default: auto, 1 for the simulator)")
	f.Float64Var(&o.temperature, "temperature", 0, "sampling temperature")
	f.Int64Var(&o.seed, "seed", 0, "sampling seed")
	f.BoolVar(&o.ignoreEOS, "ignore-eos", false, "generate exactly --max-tokens tokens (vLLM)")
	f.DurationVar(&o.timeout, "timeout", 10*time.Minute, "give a turn up after this long (0: never)")
	f.StringVar(&o.isolation, "isolation", "", "keep sessions out of each other's prefix cache: "+strings.Join(collect.Isolations(), ", ")+
		" (default: restart for a server that wb starts, else salt, or line where the server takes no salt)")
	f.Float64Var(&o.sampleHz, "sample-hz", 20, "GPU samples a second; host and processes are sampled at most 5 and 2 times (0: no samples)")
	f.StringVar(&o.results, "results", "", "write the report of the run into this `directory`")
	f.BoolVar(&o.noText, "no-text", false, "store hashes of prompts and replies, not their text")
	f.BoolVar(&o.quiet, "quiet", false, "no lines while it runs and no summary")
	f.StringVar(&o.keyEnv, "api-key-env", "", "`name` of the environment variable that holds the server's API key")
	f.StringVar(&o.simProfile, "sim-profile", "eager", "simulator's cost model: eager, graphs or instant")
	f.StringArrayVar(&o.simFaults, "sim-fault", nil, "make the simulator fail, such as cut@2:5; docs/simulator.md lists the faults")
	f.IntVar(&o.users, "users", 1, "users at once, each with sessions of its own, one after another; with --rate the most that play at once")
	f.DurationVar(&o.ramp, "ramp", 0, "let the users begin spread over so long, not all at once")
	f.Float64Var(&o.rate, "rate", 0, "begin so many `sessions` a second, whether earlier ones have ended or not (0: each user begins when the last one has ended)")
	f.StringVar(&o.arrival, "arrival", collect.ArrivalPoisson, "how sessions arrive at a rate: poisson or constant")
	f.StringVar(&o.untilCI, "until-ci", "", "add repeats until the 95 % interval of --metric is within this `percentage` on either side, such as 2%")
	f.StringVar(&o.metric, "metric", "ttft", "what --until-ci looks at: "+metricNames())
	f.IntVar(&o.maxRepeats, "max-repeats", 20, "at most so many repeats with --until-ci (at least --repeat)")
	f.BoolVar(&o.resume, "resume", false, "go on with a plan that was cut short: finished sessions are not repeated")
}

// check finds mistakes before anything starts.
func (o *runOptions) check(flags *pflag.FlagSet) (tags map[string]string, key string, err error) {
	if o.engine != engineVLLM {
		for _, name := range serverFlags {
			if flags.Changed(name) {
				return nil, "", usagef("flag --%s: is for --engine vllm", name)
			}
		}
	}
	if flags.Changed("conversations") && len(o.ids) == 0 {
		return nil, "", usagef("flag --conversations: an empty id")
	}
	if o.engine == "" {
		o.engine = engineSim
		if o.url != "" {
			o.engine = engineURL
		}
	}
	if o.isolation == "" && o.engine == engineVLLM { // else the server's answers decide
		o.isolation = collect.IsolationRestart
	}
	if o.warmup == warmupsUnset {
		o.warmup = collect.WarmupAuto
		if o.engine == engineSim {
			o.warmup = 1
		}
	}
	for name, n := range map[string]int{"max-turns": o.maxTurns, "max-tokens": o.maxTokens} {
		if n < 0 {
			return nil, "", usagef("flag --%s: %d is negative", name, n)
		}
	}
	switch {
	case o.temperature < 0 || math.IsNaN(o.temperature) || math.IsInf(o.temperature, 0):
		return nil, "", usagef("flag --temperature: %v is no temperature", o.temperature)
	case !(o.sampleHz >= 0 && o.sampleHz <= 1000):
		return nil, "", usagef("flag --sample-hz: wants 0 to 1000, not %v", o.sampleHz)
	case o.timeout < 0:
		return nil, "", usagef("flag --timeout: %v is negative", o.timeout)
	case o.isolation != "" && !slices.Contains(collect.Isolations(), o.isolation):
		return nil, "", usagef("flag --isolation: wants %s, not %q", strings.Join(collect.Isolations(), ", "), o.isolation)
	case !slices.Contains([]string{engineSim, engineVLLM, engineURL}, o.engine):
		return nil, "", usagef("flag --engine: wants vllm, url or sim, not %q", o.engine)
	case o.engine == engineURL && o.url == "":
		return nil, "", usagef("flag --engine: url needs --url")
	case o.engine != engineURL && o.url != "":
		return nil, "", usagef("flag --url: does not go with --engine %s", o.engine)
	case o.engine == engineSim && o.model != "":
		return nil, "", hinted{usagef("flag --model: the simulator has no models to choose from"), "add --engine vllm to start vLLM with it, or --url for a server that runs"}
	case o.engine == engineVLLM && o.model == "":
		return nil, "", hinted{usagef("flag --engine: vllm needs --model"), "wb models list shows names; wb setup chooses one for this machine"}
	case o.engine == engineURL && o.isolation == collect.IsolationRestart:
		return nil, "", hinted{usagef("flag --isolation: wb can restart only a server that it started"),
			"use --engine vllm, or --isolation reset, salt or line"}
	case o.engine == engineURL && len(o.words) > 0:
		return nil, "", usagef("run: vLLM arguments need a server that wb starts, with --engine vllm or the simulator")
	}
	switch {
	case o.users < 1 || o.users > collect.MaxUsers:
		return nil, "", usagef("flag --users: wants 1 to %d, not %d", collect.MaxUsers, o.users)
	case o.rate > 0 && o.ramp > 0:
		return nil, "", usagef("flag --ramp: sessions begin when --rate says")
	case o.rate == 0 && flags.Changed("arrival"):
		return nil, "", usagef("flag --arrival: there is no --rate")
	case !(o.rate >= 0 && o.rate <= 1e4):
		return nil, "", usagef("flag --rate: wants sessions a second, up to 10,000, not %v", o.rate)
	case o.ramp < 0:
		return nil, "", usagef("flag --ramp: %v is negative", o.ramp)
	case o.arrival != collect.ArrivalPoisson && o.arrival != collect.ArrivalConstant:
		return nil, "", usagef("flag --arrival: wants poisson or constant, not %q", o.arrival)
	case (o.users > 1 || o.rate > 0) && o.isolation == collect.IsolationRestart && flags.Changed("isolation"), (o.users > 1 || o.rate > 0) && o.isolation == collect.IsolationReset:
		return nil, "", hinted{usagef("flag --isolation: %s would disturb other users' sessions", o.isolation),
			"use salt, line or none with --users and --rate"}
	case (o.users > 1 || o.rate > 0) && o.isolation == collect.IsolationRestart: // the default with --engine vllm
		o.isolation = "" // by salt, or by line
	}
	if o.rate > 0 && !flags.Changed("users") {
		o.users = 0 // as many as come
	}
	if o.engine == engineSim {
		if _, err := o.simOptions(); err != nil {
			return nil, "", usageError{err}
		}
	}
	if !flags.Changed("max-repeats") {
		o.maxRepeats = max(o.maxRepeats, o.repeat)
	}
	if err := o.checkRepeats(); err != nil {
		return nil, "", err
	}
	switch {
	case o.engine != engineSim && (o.simFaults != nil || o.simProfile != "eager"):
		return nil, "", usagef("flag --engine: --sim-profile and --sim-fault are for the embedded simulator")
	case flags.Changed("name") && queries.CheckName(o.name) != "":
		return nil, "", usagef("flag --name: %q %s", o.name, queries.CheckName(o.name))
	}
	if o.placement != "all" && !slices.Contains(data.Placements(), data.Placement(o.placement)) {
		return nil, "", usagef("flag --rag-placement: wants system, first-user, before-last, append or all, not %q", o.placement)
	}
	switch {
	case o.replies != "live" && o.replies != "scripted":
		return nil, "", usagef("flag --replies: wants live or scripted, not %q", o.replies)
	case o.api != "chat" && o.api != "completions":
		return nil, "", usagef("flag --api: wants chat or completions, not %q", o.api)
	case o.api == "completions" && o.chatTemplate == "":
		return nil, "", usagef("flag --api: completions needs --chat-template")
	case o.api == "chat" && o.chatTemplate != "":
		return nil, "", hinted{usagef("flag --chat-template: the chat API uses the server's own template"), "add --api completions"}
	case !slices.Contains(collect.TokenIDs(), o.tokenIDs):
		return nil, "", usagef("flag --token-ids: wants none, prompt or all, not %q", o.tokenIDs)
	}
	tags = map[string]string{}
	for _, t := range o.tags {
		k, v, ok := strings.Cut(t, "=")
		if !ok || k == "" || v == "" {
			return nil, "", usagef("flag --tag: wants KEY=VALUE, not %q", t)
		}
		if why := cmp.Or(queries.CheckLabel(k), queries.CheckLabel(v)); why != "" {
			return nil, "", usagef("flag --tag: %q: it %s", t, why)
		}
		tags[k] = v
	}
	key, err = apiKey(o.keyEnv)
	return tags, key, err
}

// checkRepeats looks at how often everything is played.
func (o *runOptions) checkRepeats() error {
	switch limit, err := percentage(o.untilCI); {
	case o.repeat < 1:
		return usagef("flag --repeat: %d is less than 1", o.repeat)
	case o.untilCI != "" && err != nil:
		return usagef("flag --until-ci: %v", err)
	case o.untilCI != "" && limit == 0:
		return usagef("flag --until-ci: no number of repeats makes an interval 0 wide")
	case !slices.Contains(compare.MetricNames(), o.metric):
		return usagef("flag --metric: wants one of %s, not %q", metricNames(), o.metric)
	case o.untilCI != "" && o.maxRepeats < o.repeat:
		return usagef("flag --max-repeats: %d is less than the repeats, %d", o.maxRepeats, o.repeat)
	}
	return nil
}

// percentage reads 2% as 0.02; "" is 0.
func percentage(s string) (float64, error) {
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

func metricNames() string { return strings.Join(compare.MetricNames(), ", ") }

// apiKey reads the key from the environment variable that --api-key-env names, if any.
func apiKey(variable string) (string, error) {
	if variable == "" {
		return "", nil
	}
	key := strings.TrimSpace(os.Getenv(variable)) // files, from which keys come, end in a newline
	switch {
	case key == "":
		return "", usagef("flag --api-key-env: the environment has no %s", variable)
	case strings.ContainsFunc(key, unicode.IsControl):
		return "", usagef("flag --api-key-env: %s holds a line break or another control character, which no key has", variable)
	}
	return key, nil
}

// choose settles which conversations run on this server, and makes the generated ones to its tokeniser's measure.
func (o *runOptions) choose(ctx context.Context, stderr io.Writer, all []*data.Conversation, s data.Selection, at *target) ([]*data.Conversation, error) {
	if s.ContextTokens == 0 && at.engine.MaxModelLenTokens != nil {
		s.ContextTokens = *at.engine.MaxModelLenTokens
	}
	convs, left, err := data.Select(all, s)
	if err != nil {
		return nil, err
	}
	others := 0
	for _, l := range left {
		if len(s.IDs) > 0 || o.quiet {
			continue
		}
		if strings.HasPrefix(l.Why, "needs") {
			fmt.Fprintf(stderr, "left out: %s %s\n", l.Conversation.ID, l.Why)
		} else {
			others++
		}
	}
	if others > 0 {
		fmt.Fprintf(stderr, "%d of %d conversations run; %s run --list-conversations shows the others\n", len(convs), len(all), self())
	}
	count := at.client.Counter(ctx, at.engine)
	for i, c := range convs {
		if c.Generate != nil && !o.quiet {
			fmt.Fprintf(stderr, "making %s: %s tokens\n", c.ID, data.Thousands(int64(c.Generate.Tokens)))
		}
		if convs[i], err = c.Build(count); err != nil {
			return nil, err
		}
		if o.replies == "scripted" {
			for n, t := range convs[i].Turns[:len(convs[i].Turns)-1] {
				if t.Assistant == "" {
					return nil, usagef("flag --replies: turn %d of %s has no reply in its file", n+1, c.ID)
				}
			}
		}
	}
	return convs, nil
}

// target is the server of a run.
type target struct {
	client   *collect.Client
	engine   *collect.Engine
	server   collect.Server // nil when wb did not start it
	settings map[string]string
	model    *store.Model
	end      func()
}

// close ends what wb started; nil and a second call do nothing.
func (t *target) close() {
	if t != nil && t.end != nil {
		t.end()
		t.end = nil
	}
}

// connect reaches the server, or starts the simulator when there is none to reach. What it gives is to be closed, error or not.
func (o *runOptions) connect(ctx context.Context, stderr io.Writer, key string, jitter int64) (*target, error) {
	t := &target{}
	base := o.url
	if o.engine == engineSim {
		so, err := o.simOptions()
		if err != nil {
			return t, usageError{err}
		}
		so.JitterSeed = jitter
		srv, url, err := newSimServer(ctx, so)
		if err != nil {
			return t, err
		}
		base, t.end = url, func() { srv.Stop(ctx) }
		if o.isolation == collect.IsolationRestart {
			t.server = srv
		}
		t.settings = map[string]string{}
		for i, w := range o.words { // as they are recorded of a vLLM
			if name, ok := strings.CutPrefix(w, "--"); ok {
				t.settings["--"+name] = ""
				if i+1 < len(o.words) && !strings.HasPrefix(o.words[i+1], "--") {
					t.settings["--"+name] = o.words[i+1]
				}
			}
		}
		if !o.quiet && jitter == 1 { // once is enough
			fmt.Fprintf(stderr, "no --url: the embedded simulator answers (profile %s); every figure is simulated\n", o.simProfile)
		}
	}
	if err := o.meet(ctx, t, base, key, stderr); err != nil {
		return t, err
	}
	h, err := hub.FromEnv(os.Getenv)
	if err != nil {
		return t, err
	}
	t.model = t.client.Limits(t.engine, h)
	return t, nil
}

// startVLLM starts vLLM and asks it who it is. What it gives is to be closed, error or not.
func (o *runOptions) startVLLM(ctx context.Context, l *collect.Launch, stderr io.Writer, key string) (*target, error) {
	l.DevMode = o.isolation == collect.IsolationReset
	done := talk(l, stderr, o.quiet)
	m, err := l.Prepare(ctx)
	if err != nil {
		return nil, interrupted(ctx, err)
	}
	t := &target{server: m, end: m.Close}
	_, t.settings = m.Options.Recorded()
	if k, ok := m.Options.Args.Get("api-key"); ok && key == "" {
		key, _, _ = strings.Cut(k, "\x00") // vLLM takes several
	}
	if key == "" {
		key = m.Options.Getenv("VLLM_API_KEY")
	}
	err = m.Start(ctx)
	done()
	if err != nil {
		o.server.logTail(stderr, err)
		return t, interrupted(ctx, err)
	}
	if !o.quiet {
		fmt.Fprintf(stderr, "vLLM serves %s at %s (pid %d), log %s\n", m.Options.ServedName, m.Options.URL(), m.Facts().PID, m.Facts().LogPath)
	}
	o.model = m.Options.ServedName
	if err := o.meet(ctx, t, m.Options.URL(), key, stderr); err != nil {
		return t, err
	}
	_, t.engine.Details = m.Options.Args.Get("enable-prompt-tokens-details")
	t.model = m.Limits()
	return t, nil
}

func (o *runOptions) meet(ctx context.Context, t *target, base, key string, stderr io.Writer) (err error) {
	start := o.start
	if t.client, err = collect.NewClient(base, key, func() int64 { return int64(time.Since(start)) }); err != nil {
		return usageError{err}
	}
	t.engine, err = t.client.Probe(ctx, o.model, func(text string) { fmt.Fprintln(stderr, text) })
	return interrupted(ctx, err)
}

// dbFlag names the file in a command offered to the user, where it is not the one that every command takes.
func (o *runOptions) dbFlag() string {
	if o.db == defaultDB {
		return ""
	}
	return " --db " + collect.ShellQuote(o.db)
}

// summary is the table at the end of a run, and where to look further.
func (o *runOptions) summary(ctx context.Context, stdout, stderr io.Writer, db *store.DB, res *collect.Result) error {
	q, err := queries.Builtin("conversation_summary")
	if err != nil {
		return err
	}
	t, err := q.Run(ctx, db, queries.Options{Runs: res.RunID.String()})
	if err != nil {
		return err
	}
	t.Title, t.About = "Run "+res.Name, ""
	// the table must fit a terminal; the saved query has them all
	for _, column := range []string{"run", "sessions", "completion_tokens", "energy_j", "warm_sessions"} {
		t.Columns, t.Rows = t.Without(column)
	}
	t.Charts = nil
	if err := render(stdout, "table", viz.Page{Tables: []*table.Table{t}, Version: version}); err != nil {
		return err
	}
	if db.Present() != nil { // there is nowhere to look; the error that follows says why
		fmt.Fprintf(stderr, "\nrun %s: %s, %s\n", res.Name, res.Status, turnsText(res))
		return nil
	}
	flag := o.dbFlag()
	fmt.Fprintf(stderr, "\nrun %s: %s, %s, recorded in %s\n%slook further:\n", res.Name, res.Status, turnsText(res), o.db, frozenText(res))
	further := []string{"query cache_hit_by_turn" + flag, "query ttft_by_turn" + flag + " --format html -o ttft.html"}
	if res.Failed > 0 {
		further = append([]string{"query failed_turns" + flag}, further...)
	}
	if o.results == "" {
		further = append(further, "report"+flag+" --out results")
	}
	for _, f := range append(further, "query --list") {
		fmt.Fprintf(stderr, "  %s %s\n", self(), f)
	}
	return nil
}

// frozenText says that times are doubtful, when they are.
func frozenText(r *collect.Result) string {
	if r.Frozen == 0 {
		return ""
	}
	return fmt.Sprintf("warning: the machine kept wb from running %d times: times around those moments are not the server's (%s query run_events)\n", r.Frozen, self())
}

func turnsText(r *collect.Result) string {
	s := fmt.Sprintf("%d turns", r.Turns)
	if r.Turns == 1 {
		s = "1 turn"
	}
	if r.Failed > 0 {
		s += fmt.Sprintf(" (%d failed", r.Failed)
		if r.Skipped > 0 {
			s += fmt.Sprintf(", %d skipped after them", r.Skipped)
		}
		s += ": " + r.FirstError + ")"
	}
	return s
}

// progress prints a line a turn; on a terminal the line of the turn under way is replaced by its result. Several users' turns and warnings
// come at once.
type progress struct {
	*liveLine
	quiet bool
	mu    sync.Mutex      // of told
	told  map[string]bool // warnings, which a plan's runs would repeat
}

func (p *progress) warn(msg string) {
	p.mu.Lock()
	before := p.told[msg]
	p.told[msg] = true
	p.mu.Unlock()
	if !before {
		p.say("warning: " + msg)
	}
}

func (p *progress) note(text string) {
	if !p.quiet {
		p.say(text)
	}
}

func (p *progress) turn(t collect.TurnInfo) {
	if p.quiet {
		return
	}
	where := fmt.Sprintf("%-16s turn %2d/%-2d", t.Conversation, t.Turn, t.Turns)
	if t.Warmup {
		where = fmt.Sprintf("%-16s %-10s", t.Conversation, "warm-up")
	} else if t.Repeat > 1 {
		where += fmt.Sprintf(" #%d", t.Repeat)
	}
	switch {
	case t.Done:
		p.say(where + "  " + turnLine(t))
	case p.live:
		p.show(where + " …")
	}
}

// crowd shows several users, a line a second.
func (p *progress) crowd(c collect.CrowdInfo) {
	if p.quiet {
		return
	}
	text := fmt.Sprintf("%4.0f s  %4d streams  %5d turns  %d of %d sessions  %8.1f tokens/s", c.Elapsed.Seconds(), c.Streams, c.Turns, c.Sessions, c.Total, c.TokensPerS)
	if c.Streams == 0 && c.Behind > 0 {
		text += fmt.Sprintf("  %d turns to record", c.Behind)
	}
	if p.live {
		p.show(text)
		return
	}
	p.say(text)
}

func turnLine(t collect.TurnInfo) string {
	re := t.Reply
	if re.Status != collect.StatusOK {
		return re.Status + ": " + re.Err
	}
	parts := []string{"prompt unknown"}
	if n := re.PromptTokens; n != nil {
		parts[0] = fmt.Sprintf("prompt %6d", *n)
		if re.CachedTokens != nil && *n > 0 {
			parts = append(parts, fmt.Sprintf("cached %6d (%3.0f %%)", *re.CachedTokens, 100*float64(*re.CachedTokens)/float64(*n)))
		}
	}
	if re.FirstNs != nil {
		from := re.SubmitNs
		if re.WrittenNs != nil {
			from = *re.WrittenNs
		}
		parts = append(parts, fmt.Sprintf("TTFT %7.1f ms", float64(*re.FirstNs-from)/1e6))
		if rate, ok := re.DecodeRate(); ok {
			parts = append(parts, fmt.Sprintf("%6.1f tokens/s", rate))
		}
	}
	if t.GPUWatts > 0 {
		parts = append(parts, fmt.Sprintf("GPU %.0f W", t.GPUWatts))
	}
	return strings.Join(parts, "  ")
}

// quoteArgs gives the command line for the record.
func quoteArgs(args []string) string { return collect.ShellQuote(withoutSecrets(args)...) }

// withoutSecrets gives words without credentials in URLs and without secrets given to vLLM.
func withoutSecrets(args []string) []string {
	out := make([]string, len(args))
	secret := false // the words that follow belong to a secret flag
	for i, a := range args {
		a = store.Redact(a)
		if name, isFlag := strings.CutPrefix(a, "--"); isFlag {
			name, _, given := strings.Cut(name, "=")
			secret = slices.Contains(vllm.SecretArgs(), strings.ReplaceAll(name, "_", "-"))
			if secret && given {
				a = "--" + name + "=(secret)"
			}
		} else if secret {
			a = "(secret)"
		}
		if flag, u, ok := strings.Cut(a, "="); ok && strings.HasPrefix(flag, "--") && strings.Contains(u, "://") {
			a = flag + "=" + collect.RedactURL(u)
		} else if strings.Contains(a, "://") || (i > 0 && args[i-1] == "--url") {
			a = collect.RedactURL(a)
		}
		out[i] = a
	}
	return out
}
