package serve

import (
	"context"
	"maps"
	"net"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Options say what to start and how. Host, Port and LogPath must be set. NewOptions fills in the rest.
type Options struct {
	Install    *Install
	Model      string // directory, or name on the hub
	ServedName string // the name that clients use
	Preset     string
	Host       string
	Port       int
	Args       Args
	Env        []string // the whole environment of the server
	EnvAdded   []string // the part of it that wb added, as name=value, sorted
	LogPath    string
	Timeout    time.Duration // until /health answers; 0: 15 minutes

	Progress func(phase, detail string)           // called when a start reaches a new phase or detail; may be nil
	Used     func() (bytes int64, known bool)     // GPU memory in use, to see when it is released; may be nil
	Sleep    func(context.Context, time.Duration) // waits between two looks at the server; nil really sleeps
}

// NewOptions puts together a preset, the user's environment and the user's arguments. words are the arguments typed after --. It fails for
// an unknown preset and for words that belong to no flag.
func NewOptions(in *Install, preset, model string, environ, words []string) (*Options, error) {
	program := in.Program
	p, err := program.findPreset(preset)
	if err != nil {
		return nil, err
	}
	o := &Options{Install: in, Model: model, Preset: preset, Host: "127.0.0.1", Args: program.newArgs()}
	o.Args.apply(p)
	for _, name := range o.Args.Names() { // a variable of the user wins over the preset
		if in.lacks(name) || getenv(environ, program.stands[strings.TrimPrefix(name, "no-")]) != "" {
			o.Args.unset(name)
		}
	}
	add := maps.Clone(program.env)
	maps.Copy(add, p.Env)
	o.Env, o.EnvAdded = environment(environ, add)
	o.Env = slices.DeleteFunc(o.Env, func(e string) bool {
		name, _, _ := strings.Cut(e, "=")
		return slices.Contains(program.without, name)
	})
	if in.LibDir != "" {
		o.setLibraryPath(in.LibDir)
	}
	typed, err := program.Settings(words)
	if err != nil {
		return nil, err
	}
	o.Args.replace(typed)
	if h, ok := o.Args.Get("host"); ok {
		o.Host = h
	}
	o.ServedName = model
	if n := o.value(program.served); n != "" {
		o.ServedName, _, _ = strings.Cut(n, "\x00")
	}
	return o, nil
}

// value gives the value of a flag, or of the variable that stands for it. It gives "" when neither is set.
func (o *Options) value(flag string) string {
	if v, ok := o.Args.Get(flag); ok {
		return v
	}
	if name := o.Install.Program.stands[flag]; name != "" {
		return o.Getenv(name)
	}
	return ""
}

// Key gives the API key that the server wants; "" when it wants none.
func (o *Options) Key() string {
	key := o.value("api-key")
	if key == "" {
		key = o.Getenv(o.Install.Program.keyEnv)
	}
	// vLLM takes several values, and llama-server has commas between keys; the first key will do
	key, _, _ = strings.Cut(key, "\x00")
	if o.Install.Program.split {
		key, _, _ = strings.Cut(key, ",")
	}
	return key
}

// setLibraryPath makes the loader look for shared libraries in a folder before the others. It is no setting, so it is not recorded.
func (o *Options) setLibraryPath(dir string) { o.Env = withLibraryPath(o.Env, dir) }

// withLibraryPath adds a folder to LD_LIBRARY_PATH of an environment.
func withLibraryPath(environ []string, dir string) []string {
	const name = "LD_LIBRARY_PATH"
	path := dir
	if v := getenv(environ, name); v != "" {
		path += string(filepath.ListSeparator) + v
	}
	return append(slices.Clone(environ), name+"="+path)
}

// AddEnv sets a variable of the server's environment, unless the environment has it already. An empty variable counts as missing.
func (o *Options) AddEnv(name, value string) {
	if o.Getenv(name) != "" {
		return
	}
	o.Env = append(o.Env, name+"="+value)
	o.EnvAdded = append(o.EnvAdded, name+"="+value)
	slices.Sort(o.EnvAdded)
}

// Getenv reads the server's environment.
func (o *Options) Getenv(name string) string { return getenv(o.Env, name) }

// getenv reads a variable of an environment. When a name occurs several times, the last one counts.
func getenv(environ []string, name string) string {
	for _, e := range slices.Backward(environ) {
		if v, ok := strings.CutPrefix(e, name+"="); ok {
			return v
		}
	}
	return ""
}

// Command gives the whole command line.
func (o *Options) Command() []string { return o.Install.Program.command(o) }

// withoutCredentials removes user and password from a value that is a URL.
func withoutCredentials(v string) string {
	if !strings.Contains(v, "://") {
		return v
	}
	u, err := url.Parse(v)
	if err != nil || u.User == nil {
		return v
	}
	u.User = nil
	return u.String()
}

// Recorded gives the command line and the settings that are recorded: every flag, and every variable that wb or the user set for it.
// Secrets are left out.
func (o *Options) Recorded() (command []string, settings map[string]string) {
	c := *o
	c.Args = o.Install.Program.newArgs()
	settings = map[string]string{"model": o.Model, "preset": o.Preset}
	if o.Install.Version != "" {
		settings[o.Install.Program.Kind+"_version"] = o.Install.Version
	}
	for _, n := range o.Args.Names() {
		v, _ := o.Args.Get(n)
		if slices.Contains(o.Install.Program.secrets, n) {
			v = "(secret)"
		}
		v = withoutCredentials(v)
		c.Args.Set(n, v)
		shown := strings.ReplaceAll(v, "\x00", " ")
		if shown == "" {
			shown = "on"
		}
		settings["--"+n] = shown
	}
	for _, e := range o.Env {
		if name, value, _ := strings.Cut(e, "="); (o.Install.Program.isSetting(name) || slices.Contains(o.EnvAdded, e)) && !isSecret(name) {
			settings["env "+name] = value
		}
	}
	return c.Command(), settings
}

// isSecret says whether the value of a variable with that name must not be recorded.
func isSecret(name string) bool {
	return slices.ContainsFunc([]string{"KEY", "TOKEN", "SECRET", "PASSWORD"}, func(part string) bool { return strings.Contains(name, part) })
}

// URL is the server's base URL. An address that means all interfaces is replaced by the loopback address.
func (o *Options) URL() string {
	host := o.Host
	switch host {
	case "", "0.0.0.0":
		host = "127.0.0.1"
	case "::":
		host = "::1"
	}
	prefix := ""
	if o.Install.Program.stands["api-prefix"] != "" { // llama-server's: all paths begin with it
		prefix = strings.TrimRight(o.value("api-prefix"), "/")
	}
	return "http://" + net.JoinHostPort(host, strconv.Itoa(o.Port)) + prefix
}
