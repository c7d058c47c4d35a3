package serve

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Options say what to start. Host, Port and LogPath must be set; NewOptions fills in the rest.
type Options struct {
	Install    *Install
	Model      string // directory, or name on the hub
	ServedName string // name clients use
	Preset     string
	Host       string
	Port       int
	Args       Args
	Env        []string // whole environment of the server
	EnvAdded   []string // of it: what wb added, name=value, in order
	LogPath    string
	Timeout    time.Duration // until /health answers; 0: 15 minutes

	Progress func(phase, detail string)           // called as a start gets on; may be nil
	Used     func() (bytes int64, known bool)     // GPU memory in use, to see it released; may be nil
	Sleep    func(context.Context, time.Duration) // between looks at the server; default really sleeps
}

// NewOptions puts a preset, the user's environment and the user's own arguments together; words are arguments as typed
// after --. It fails on an unknown preset and on words that are no flags.
func NewOptions(in *Install, preset, model string, environ, words []string) (*Options, error) {
	p, err := knownPreset(preset)
	if err != nil {
		return nil, err
	}
	o := &Options{Install: in, Model: model, Preset: preset, Host: "127.0.0.1"}
	o.Args.apply(p)
	add := map[string]string{"VLLM_NO_USAGE_STATS": "1", "PYTHONUNBUFFERED": "1"}
	for k, v := range p.Env {
		add[k] = v
	}
	o.Env, o.EnvAdded = environment(environ, add)
	if err := o.Args.Merge(words); err != nil {
		return nil, err
	}
	for _, mine := range []string{"host", "port", "model"} {
		if _, ok := o.Args.Get(mine); ok && mine != "host" {
			return nil, fmt.Errorf("read vLLM arguments: --%s is wb's own flag; give it before --", mine)
		}
	}
	if h, ok := o.Args.Get("host"); ok {
		o.Host = h
	}
	o.ServedName = model
	if n, ok := o.Args.Get("served-model-name"); ok {
		o.ServedName, _, _ = strings.Cut(n, "\x00")
	}
	return o, nil
}

// AddEnv sets a variable of the server's environment unless the user's own has it; an empty one counts as none.
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

// getenv reads a variable of an environment; the last of a name counts.
func getenv(environ []string, name string) string {
	for _, e := range slices.Backward(environ) {
		if v, ok := strings.CutPrefix(e, name+"="); ok {
			return v
		}
	}
	return ""
}

// Command is the whole command line.
func (o *Options) Command() []string {
	a := o.Args
	out := append(slices.Clone(o.Install.Command), "serve", o.Model)
	if _, ok := a.Get("served-model-name"); !ok && o.ServedName != o.Model {
		out = append(out, "--served-model-name", o.ServedName)
	}
	if _, ok := a.Get("host"); !ok {
		out = append(out, "--host", o.Host)
	}
	return append(append(out, "--port", strconv.Itoa(o.Port)), a.List()...)
}

// SecretArgs are flags whose values are not for the record.
func SecretArgs() []string { return []string{"api-key", "hf-token", "ssl-keyfile-password"} }

// withoutCredentials takes user and password out of a value that is a URL.
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

// Recorded gives the command line and the settings for the record: every flag and every variable that wb or the user set for vLLM,
// secrets left out.
func (o *Options) Recorded() (command []string, settings map[string]string) {
	c := *o
	c.Args = Args{}
	settings = map[string]string{"model": o.Model, "preset": o.Preset}
	if o.Install.Version != "" {
		settings["vllm_version"] = o.Install.Version
	}
	for _, n := range o.Args.Names() {
		v, _ := o.Args.Get(n)
		if slices.Contains(SecretArgs(), n) {
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
		if name, value, _ := strings.Cut(e, "="); (isEngineSetting(name) || slices.Contains(o.EnvAdded, e)) && !isSecret(name) {
			settings["env "+name] = value
		}
	}
	return c.Command(), settings
}

// isEngineSetting says whether a variable of that name changes what vLLM does.
func isEngineSetting(name string) bool {
	return slices.Contains([]string{"OMP_NUM_THREADS", "HF_HUB_OFFLINE"}, name) ||
		slices.ContainsFunc([]string{"VLLM_", "CUDA_", "NCCL_", "PYTORCH_"}, func(prefix string) bool { return strings.HasPrefix(name, prefix) })
}

// isSecret says whether the value of a variable of that name is not for the record.
func isSecret(name string) bool {
	return slices.ContainsFunc([]string{"KEY", "TOKEN", "SECRET", "PASSWORD"}, func(part string) bool { return strings.Contains(name, part) })
}

// URL is where the server answers.
func (o *Options) URL() string {
	host := o.Host
	switch host {
	case "", "0.0.0.0":
		host = "127.0.0.1"
	case "::":
		host = "::1"
	}
	return "http://" + net.JoinHostPort(host, strconv.Itoa(o.Port))
}
