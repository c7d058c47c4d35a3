// Package target connects to the server of a run: one that is already there, or vLLM, llama-server or the embedded simulator, which it
// starts.
// It must not know what is played against the server.
package target

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"wb/collect/serve"
	"wb/collect/sim"
	"wb/data/hub"
	"wb/data/plain"
)

// Kind says what kind of server a run is played against.
type Kind string

// Kinds of targets.
const (
	Sim      Kind = "sim"              // the embedded simulator
	VLLM     Kind = serve.KindVLLM     // started by wb
	LlamaCpp Kind = serve.KindLlamaCpp // llama-server, started by wb
	URL      Kind = "url"              // a server that is already running
)

// Kinds lists the names of the kinds.
func Kinds() []string { return []string{string(VLLM), string(LlamaCpp), string(URL), string(Sim)} }

// Managed says whether wb starts the server as a process.
func (k Kind) Managed() bool { return k == VLLM || k == LlamaCpp }

// Spec says which server a run is played against. It holds values only.
type Spec struct {
	Engine Kind     `json:"engine,omitempty"`
	URL    string   `json:"url,omitempty"`
	Model  string   `json:"model,omitempty"`
	KeyEnv string   `json:"api_key_env,omitempty"` // name of the environment variable with the API key
	Words  []string `json:"words,omitempty"`       // arguments for the server that wb starts

	SimProfile string   `json:"sim_profile,omitempty"`
	SimFaults  []string `json:"sim_faults,omitempty"`

	Serve Serve `json:"serve"`
}

// Serve says how a server is started.
type Serve struct {
	VLLM        string        `json:"vllm,omitempty"`         // an executable or a virtual environment; "": wb looks for one
	LlamaServer string        `json:"llama_server,omitempty"` // an executable or a folder with it; "": wb looks for one
	Preset      string        `json:"preset,omitempty"`
	Port        string        `json:"port,omitempty"` // a number, or auto
	LogDir      string        `json:"log_dir,omitempty"`
	Utilization float64       `json:"gpu_memory_utilization,omitempty"`
	MaxModelLen string        `json:"max_model_len,omitempty"` // tokens, such as 8K
	Timeout     time.Duration `json:"server_timeout_ns,omitempty"`
	Verbose     bool          `json:"verbose,omitempty"` // print the end of the server's log after a failure
}

// Flags declares the flags of a spec.
func (s *Spec) Flags(f *pflag.FlagSet) {
	f.StringVar((*string)(&s.Engine), "engine", "",
		"which server answers: vllm or llamacpp (started by wb), url or sim (default: url with --url, else sim)")
	f.StringVar(&s.URL, "url", "", "base URL of an OpenAI-compatible server, such as http://localhost:8001")
	f.StringVar(&s.Model, "model", "", "with --url, the server's name for the model, if it serves several; "+
		"with --engine vllm, the model to serve: a name of wb models list, ORG/NAME[@REVISION] or a directory; "+
		"with --engine llamacpp, a GGUF file, ORG/NAME:QUANT or the name of a cached file")
	f.StringVar(&s.KeyEnv, "api-key-env", "", "`name` of the environment variable that holds the server's API key")
	f.StringVar(&s.SimProfile, "sim-profile", "eager", "profile of the simulator's costs: eager, graphs or instant")
	f.StringArrayVar(&s.SimFaults, "sim-fault", nil, "make the simulator fail, such as cut@2:5; docs/design/simulator.md lists the faults")
	s.Serve.Flags(f)
}

// VLLMFlag declares the flag --vllm, which says where vLLM is.
func VLLMFlag(f *pflag.FlagSet, at *string) {
	f.StringVar(at, "vllm", os.Getenv("WB_VLLM"),
		"where vLLM is: an executable or a virtual environment (default: $WB_VLLM, the active one, .venv, venv, beside wb, PATH)")
}

// LlamaFlag declares the flag --llama-server, which says where llama-server is.
func LlamaFlag(f *pflag.FlagSet, at *string) {
	f.StringVar(at, "llama-server", os.Getenv("WB_LLAMA_SERVER"),
		"where llama-server is: an executable or a folder with it (default: $WB_LLAMA_SERVER, the active environment, .venv, venv, "+
			"beside wb, PATH)")
}

// Flags declares the flags for a server that wb starts.
func (s *Serve) Flags(f *pflag.FlagSet) {
	VLLMFlag(f, &s.VLLM)
	LlamaFlag(f, &s.LlamaServer)
	f.StringVar(&s.Preset, "preset", "",
		"settings to start the server with: "+strings.Join(serve.PresetNames(), ", ")+
			" (default: cpu without a GPU, else single-user)")
	f.StringVar(&s.Port, "port", "8001", "port of the server; auto takes a free one when 8001 is taken")
	f.Float64Var(&s.Utilization, "gpu-memory-utilization", 0, "share of the GPU's memory that vLLM may use, 0 to 1 (0: vLLM's default)")
	f.StringVar(&s.MaxModelLen, "max-model-len", "",
		"longest context of one request in `tokens`, such as 8192 or 8K (default: the model's context, or what fits)")
	f.DurationVar(&s.Timeout, "server-timeout", 15*time.Minute, "give up a start after this long")
	f.StringVar(&s.LogDir, "log-dir", defaultLogDir(), "`directory` for the server's logs")
	f.BoolVar(&s.Verbose, "verbose", false, "on failure, print the end of the server's log")
}

// ServeFlags lists the names of the flags for a server that wb starts.
func ServeFlags() []string {
	return []string{"vllm", "llama-server", "preset", "port", "gpu-memory-utilization", "max-model-len", "server-timeout", "log-dir",
		"verbose"}
}

func defaultLogDir() string {
	d, err := os.UserCacheDir()
	if err != nil {
		d = os.TempDir()
	}
	return filepath.Join(d, "wb", "logs")
}

// Settle chooses the kind of server, if nobody chose it.
func (s *Spec) Settle() {
	if s.Engine != "" {
		return
	}
	if s.Engine = Sim; s.URL != "" {
		s.Engine = URL
	}
}

// refuses says why a kind of server does not take a flag of Serve, and what to do instead. Both are "" when it does.
func (k Kind) refuses(flag string) (why, hint string) {
	switch {
	case !k.Managed() && flag == "vllm":
		return "is for --engine vllm", ""
	case !k.Managed() && flag == "llama-server":
		return "is for --engine llamacpp", ""
	case !k.Managed():
		return "is for a server that wb starts, with --engine vllm or llamacpp", ""
	case k == LlamaCpp && flag == "vllm":
		return "is for --engine vllm", "--llama-server says where llama-server is"
	case k == LlamaCpp && flag == "gpu-memory-utilization":
		return "is for --engine vllm", "-- -ngl N says how many layers llama-server puts on the GPU"
	case k == VLLM && flag == "llama-server":
		return "is for --engine llamacpp", "--vllm says where vLLM is"
	}
	return "", ""
}

// Program is the program that wb starts for the model: the one of the engine, or else one that serves the model. It fails for flags that
// the program does not take. given says which flags were given.
func (s *Spec) Program(given func(flag string) bool) (*serve.Program, error) {
	if s.Engine != "" && !s.Engine.Managed() {
		return nil, plain.Mistakef("flag --engine: wants vllm or llamacpp, not %q", s.Engine)
	}
	p := s.program()
	for _, name := range ServeFlags() {
		if why, hint := Kind(p.Kind).refuses(name); why != "" && given(name) {
			return nil, plain.WithHint(plain.Mistakef("flag --%s: %s", name, why), hint)
		}
	}
	return p, nil
}

// program is the program that serves the model.
func (s *Spec) program() *serve.Program {
	if p := serve.ProgramOf(string(s.Engine)); p != nil {
		return p
	}
	h, err := hub.FromEnv(os.Getenv)
	if err != nil {
		return serve.VLLM()
	}
	return serve.ProgramFor(h, s.Model)
}

// modelHint says which models there are.
func modelHint(k Kind) string {
	if k == LlamaCpp {
		return "name a GGUF file, or ORG/NAME:QUANT on the hub; wb models list --cached shows what the cache has"
	}
	return "wb models list shows names; wb setup chooses one for this machine"
}

// Validate finds mistakes. It must be called after Settle. given says which flags were given.
func (s *Spec) Validate(given func(flag string) bool) (errs []error) {
	bad := func(hint, format string, a ...any) {
		errs = append(errs, plain.WithHint(plain.Mistakef(format, a...), hint))
	}
	if !slices.Contains(Kinds(), string(s.Engine)) {
		bad("", "flag --engine: wants vllm, llamacpp, url or sim, not %q", s.Engine)
		return errs
	}
	for _, name := range ServeFlags() {
		if why, hint := s.Engine.refuses(name); why != "" && given(name) {
			bad(hint, "flag --%s: %s", name, why)
		}
	}
	switch {
	case s.Engine == URL && s.URL == "":
		bad("", "flag --engine: url needs --url")
	case s.Engine != URL && s.URL != "":
		bad("", "flag --url: does not go with --engine %s", s.Engine)
	case s.Engine == Sim && s.Model != "":
		bad(fmt.Sprintf("add --engine %s to start %s with it, or --url for a server that is running", s.program().Kind, s.program().Name),
			"flag --model: the simulator has no models to choose from")
	case s.Engine.Managed() && s.Model == "":
		bad(modelHint(s.Engine), "flag --engine: %s needs --model", s.Engine)
	case s.Engine == URL && len(s.Words) > 0:
		bad("", "run: arguments after -- need a server that wb starts, with --engine vllm or llamacpp, or the simulator")
	case s.Engine != Sim && (s.SimFaults != nil || s.SimProfile != "eager"):
		bad("", "flag --engine: --sim-profile and --sim-fault are for the embedded simulator")
	case s.Engine == Sim:
		if _, err := s.simOptions(0); err != nil {
			errs = append(errs, plain.Mistake(err))
		}
	}
	return errs
}

// Launch checks the settings and makes the launch of a program from them. The caller still sets the functions that tell a person
// about it.
func (s *Serve) Launch(program *serve.Program, model string, words []string, start time.Time) (*serve.Launch, error) {
	at := s.VLLM
	if program.Kind == serve.KindLlamaCpp {
		at = s.LlamaServer
	}
	l := &serve.Launch{Program: program, Model: model, At: at, Port: 8001, LogDir: s.LogDir,
		Wishes:  serve.Wishes{Preset: s.Preset, Utilization: s.Utilization, Words: words},
		Timeout: s.Timeout, Environ: os.Environ(), Start: start}
	switch port, err := strconv.Atoi(s.Port); {
	case s.Port == "auto":
		l.AnyPort = true
	case err != nil || port < 1 || port > 65535:
		return nil, plain.Mistakef("flag --port: wants a port or auto, not %q", s.Port)
	default:
		l.Port = port
	}
	if s.Utilization < 0 || s.Utilization > 1 {
		return nil, plain.Mistakef("flag --gpu-memory-utilization: wants 0 to 1, not %v", s.Utilization)
	}
	if s.MaxModelLen != "" {
		n, ok := serve.ParseCount(s.MaxModelLen)
		if !ok {
			return nil, plain.Mistakef("flag --max-model-len: wants tokens, such as 8192 or 8K, not %q", s.MaxModelLen)
		}
		l.MaxModelLen = n
	}
	if names := program.PresetNames(); s.Preset != "" && !slices.Contains(names, s.Preset) {
		return nil, plain.Mistakef("flag --preset: no preset is named %q%s", s.Preset, plain.Instead(s.Preset, names))
	}
	if s.Timeout <= 0 {
		return nil, plain.Mistakef("flag --server-timeout: %v is not a valid time", s.Timeout)
	}
	if _, err := l.Program.Settings(words); err != nil {
		return nil, plain.Mistake(err)
	}
	h, err := hub.FromEnv(os.Getenv)
	l.Hub = h
	return l, err
}

// simOptions makes the options of the embedded simulator from its flags and from the arguments after --, of which it knows some of vLLM's.
func (s *Spec) simOptions(seed int64) (sim.Options, error) {
	so := sim.Options{Profile: s.SimProfile, Seed: seed}
	if _, err := sim.Profile(s.SimProfile); err != nil {
		return so, err
	}
	for _, text := range s.SimFaults {
		f, err := sim.ParseFault(text)
		if err != nil {
			return so, err
		}
		so.Faults = append(so.Faults, f)
	}
	a, err := serve.VLLM().Flags(s.Words)
	if err != nil {
		return so, err
	}
	for _, name := range a.Names() {
		value, _ := a.Get(name)
		if err := simArgument(&so, name, value); err != nil {
			return so, err
		}
	}
	_, err = sim.New(so)
	return so, err
}

// simArgument sets the option of the simulator that matches an argument of vLLM.
func simArgument(so *sim.Options, name, value string) error {
	counts := map[string]*int{
		"block-size":             &so.BlockSize,
		"max-num-batched-tokens": &so.MaxNumBatchedTokens,
		"max-num-seqs":           &so.MaxNumSeqs,
		"max-model-len":          &so.MaxModelLen,
		"kv-tokens":              &so.CapacityTokens,
	}
	switch to, ok := counts[name]; {
	case ok:
		n, ok := serve.ParseCount(value)
		if !ok || n > 1<<31 {
			return fmt.Errorf("read simulator arguments: --%s wants a number from 1, not %q", name, value)
		}
		*to = int(n)
	case name == "enable-prefix-caching" && value == "":
	case name == "no-enable-prefix-caching" && value == "":
		so.DisablePrefixCaching = true
	case name == "jitter" || name == "prefill-factor":
		f, err := strconv.ParseFloat(value, 64)
		if err != nil || !(f > 0) {
			return fmt.Errorf("read simulator arguments: --%s wants a number above 0, not %q", name, value)
		}
		*map[string]*float64{"jitter": &so.JitterRatio, "prefill-factor": &so.PrefillFactor}[name] = f
	default:
		return fmt.Errorf("read simulator arguments: the simulator does not know --%s; it knows --block-size, --enable-prefix-caching, "+
			"--max-model-len, --max-num-batched-tokens, --max-num-seqs, and also --jitter, --kv-tokens and --prefill-factor", name)
	}
	return nil
}
