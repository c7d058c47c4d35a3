package serve

import (
	"context"
	"embed"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"wb/data"
	"wb/data/hub"
	"wb/data/plain"
	"wb/data/yamlfile"
)

// Kinds of programs, as --engine calls them.
const (
	KindVLLM     = "vllm"
	KindLlamaCpp = "llamacpp"
)

// Program is a server that wb can start: how it is started, and what its log means. What is the same for all programs is in Server.
type Program struct {
	Kind    string // as --engine calls it
	Name    string // as messages call it
	Presets string // the file of its presets
	syntax
	launching
	logging
}

// syntax says how the program's command line is written.
type syntax struct {
	short   map[string]string // short flags, and the names that they stand for
	names   map[string]string // other names of flags, and the usual ones
	split   bool              // a value never follows "=", and what begins with a dash and a letter is a flag
	kept    []string          // flags that only wb sets, without dashes
	secrets []string          // flags whose values must not be recorded
	served  string            // the flag with the name that clients use
	models  []string          // flags that choose a model, which wb does itself
	stands  map[string]string // variables that stand for flags, by the names of the flags
	command func(o *Options) []string
}

// launching says what the program reads from its environment, and how it is prepared.
type launching struct {
	keyEnv   string            // the variable that may hold an API key
	env      map[string]string // set for every start, unless the user's environment sets it
	settings settingNames
	without  []string // variables that the server does not get: they would choose another model
	prepare  func(ctx context.Context, l *Launch) (*Managed, error)
}

// settingNames are the variables that change what a program does: names, and prefixes of names.
type settingNames struct{ names, prefixes []string }

// logging says what the program's log means.
type logging struct {
	firstPhase string // begins with the first line
	marks      []phaseMark
	figures    func(r *reader, line string)
	rules      []rule
	lastError  func(log string) string // the cause when no rule matches
	halfDead   string                  // a cause with which the server may answer on for a while
	dying      time.Duration           // how long a process may outlive the request that failed because of its end
}

// Programs lists the programs that wb can start.
func Programs() []*Program { return []*Program{VLLM(), LlamaServer()} }

// ProgramOf gives the program of a kind; nil for any other text.
func ProgramOf(kind string) *Program {
	for _, p := range Programs() {
		if p.Kind == kind {
			return p
		}
	}
	return nil
}

// ProgramFor gives the program that serves a model: llama-server for GGUF files, and for a name that only they have, else vLLM.
func ProgramFor(h *hub.Client, model string) *Program {
	repo, _, _ := strings.Cut(model, "@")
	st, err := os.Stat(model)
	switch {
	case (err != nil || !st.IsDir()) && IsGGUF(model), err == nil && beginsAsGGUF(model):
		return LlamaServer()
	case err == nil && st.IsDir():
		if _, err := os.Stat(filepath.Join(model, "config.json")); err == nil {
			return VLLM()
		}
		if _, _, err := ggufInFolder(model); err == nil {
			return LlamaServer()
		}
	case strings.Contains(repo, "/"):
		if strings.HasSuffix(strings.ToLower(repo), "gguf") { // as repositories with such files are named
			return LlamaServer()
		}
	default:
		if _, known, err := data.FindModel(repo); err != nil || known {
			return VLLM()
		}
		if _, _, err := ggufByStem(h, model); err == nil {
			return LlamaServer()
		}
	}
	return VLLM()
}

// Flags reads the words of a command line as the program's flags.
func (p *Program) Flags(words []string) (Args, error) {
	a := p.newArgs()
	return a, a.Merge(words)
}

// Settings reads the words that follow -- on wb's command line. It fails for flags that wb sets itself.
func (p *Program) Settings(words []string) (Args, error) {
	a, err := p.Flags(words)
	if err != nil {
		return a, err
	}
	for _, name := range p.kept {
		if _, ok := a.Get(name); ok {
			return a, fmt.Errorf("read %s arguments: --%s is a flag of wb: give it before --", p.Name, name)
		}
	}
	for _, name := range p.models {
		if _, ok := a.Get(name); ok {
			return a, fmt.Errorf("read %s arguments: --%s chooses a model: wb takes it with --model, before --", p.Name, name)
		}
	}
	return a, nil
}

// newArgs makes an empty list of the program's flags.
func (p *Program) newArgs() Args { return Args{program: p} }

// isSetting says whether a variable with that name changes what the program does.
func (p *Program) isSetting(name string) bool {
	return slices.Contains(p.settings.names, name) ||
		slices.ContainsFunc(p.settings.prefixes, func(prefix string) bool { return strings.HasPrefix(name, prefix) })
}

// SecretArgs lists the flags of all programs whose values must not be recorded.
func SecretArgs() (names []string) {
	for _, p := range Programs() {
		names = append(names, p.secrets...)
	}
	return names
}

// ShortFlag gives the name that a short flag of some program stands for. ok is false for any other word.
func ShortFlag(word string) (name string, ok bool) {
	for _, p := range Programs() {
		if name, ok := p.short[word]; ok {
			return name, true
		}
	}
	return "", false
}

//go:embed presets*.yaml
var presetFiles embed.FS

// Preset is a named set of a program's settings.
type Preset struct {
	About string            `yaml:"about"`
	Args  map[string]any    `yaml:"args"`
	Env   map[string]string `yaml:"env"`
}

// AllPresets gives the program's presets by name.
func (p *Program) AllPresets() (map[string]Preset, error) {
	text, err := presetFiles.ReadFile(p.Presets)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", p.Presets, err)
	}
	out := map[string]Preset{}
	if err := yamlfile.Load(p.Presets, text, &out); err != nil {
		return nil, fmt.Errorf("read %w", err)
	}
	return out, nil
}

// PresetNames lists the program's presets in order.
func (p *Program) PresetNames() []string {
	all, err := p.AllPresets()
	if err != nil {
		return nil
	}
	return slices.Sorted(maps.Keys(all))
}

// PresetNames lists the presets of all programs in order.
func PresetNames() (names []string) {
	for _, p := range Programs() {
		names = append(names, p.PresetNames()...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// findPreset finds a preset by its name.
func (p *Program) findPreset(name string) (Preset, error) {
	all, err := p.AllPresets()
	if err != nil {
		return Preset{}, err
	}
	found, ok := all[name]
	if !ok {
		return Preset{}, plain.Mistakef("choose preset %q: no preset of %s has this name%s", name, p.Name,
			plain.Instead(name, p.PresetNames()))
	}
	return found, nil
}
