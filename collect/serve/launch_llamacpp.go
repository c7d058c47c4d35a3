package serve

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/shirou/gopsutil/v4/cpu"
	"github.com/shirou/gopsutil/v4/mem"

	"wb/collect/gpu"
	"wb/data"
	"wb/data/hub"
	"wb/data/plain"
)

// prepareLlama does the work of Prepare for llama-server.
func prepareLlama(ctx context.Context, l *Launch) (*Managed, error) {
	in, err := FindLlama(ctx, l.At, l.Environ)
	if err != nil {
		return nil, err
	}
	port, err := l.port(ctx)
	if err != nil {
		return nil, err
	}
	model, err := l.gguf(ctx)
	if err != nil {
		return nil, err
	}
	o, err := l.llamaOptions(ctx, in, model)
	if err != nil {
		return nil, err
	}
	m := &Managed{Model: model}
	l.settled(m, o, port)
	if err := l.llamaFit(ctx, m); err != nil {
		return nil, err
	}
	if o.onGPU() && strings.HasPrefix(in.Devices[0].Name, "CUDA") {
		if g, err := gpu.Open(); err == nil { // without NVML wb does not see when memory is released, and no more
			m.gpus, o.Used = g, g.Used
		}
	}
	return m, nil
}

// gguf finds the model, and downloads it when it is missing.
func (l *Launch) gguf(ctx context.Context) (*ResolvedModel, error) {
	path, served, err := ResolveGGUF(l.Hub, l.Model)
	if errors.Is(err, hub.ErrNotCached) && !l.Hub.Offline && strings.Contains(l.Model, "/") {
		var ref hub.GGUFRef
		if ref, err = hub.ParseGGUFRef(l.Model); err == nil {
			if _, err = l.Hub.PullGGUF(ctx, ref, l.Pulling(ref.String())); err == nil {
				path, served, err = ResolveGGUF(l.Hub, l.Model)
			}
		}
	}
	if err != nil {
		return nil, err
	}
	facts, err := data.ReadGGUF(path)
	if err != nil {
		return nil, plain.WithHint(err, "llama-server loads GGUF files; if this one is damaged, remove it and download it again")
	}
	return &ResolvedModel{Served: served, Arg: path, Dir: path, Facts: facts}, nil
}

// llamaOptions puts together the preset, the environment and the wishes. llama-server's arguments after -- go before wb's flags.
func (l *Launch) llamaOptions(ctx context.Context, in *Install, model *ResolvedModel) (*Options, error) {
	preset := cmp.Or(l.Preset, in.usualPreset())
	o, err := NewOptions(in, preset, model.Arg, l.Environ, l.Words)
	if err != nil {
		return nil, err
	}
	if o.value(in.Program.served) == "" {
		o.ServedName = model.Served
	}
	if preset == "cpu" && o.value("threads") == "" {
		o.Args.Set("threads", strconv.Itoa(workThreads(ctx)))
	}
	if l.MaxModelLen > 0 && o.value("ctx-size") == "" {
		slots, unified := o.slots()
		o.setContext(l.MaxModelLen, slots, unified)
	}
	return o, nil
}

// workThreads is how many threads compute on a machine without a GPU: the physical cores less one, which is left to wb, but at least 1.
func workThreads(ctx context.Context) int {
	n := runtime.NumCPU() // those that the process may use
	if cores, err := cpu.CountsWithContext(ctx, false); err == nil && cores > 0 {
		n = min(n, cores)
	}
	return max(1, n-1)
}

// LlamaStep is how many tokens llama-server computes in one step, unless --ubatch-size says more or less.
const LlamaStep = 512

// autoSlots is how many slots llama-server makes when nobody says how many. They share one cache.
const autoSlots = 4

// slots gives the number of slots, and whether they share one cache.
func (o *Options) slots() (n int64, unified bool) {
	n, err := strconv.ParseInt(o.value("parallel"), 10, 32)
	if err != nil || n < 1 { // an automatic number shares one cache, whatever --no-kv-unified says
		return autoSlots, true
	}
	if _, apart := o.Args.Get("no-kv-unified"); apart {
		return n, false
	}
	return n, o.on("kv-unified")
}

// on says whether a flag without a value is set, by itself or by its variable.
func (o *Options) on(flag string) bool {
	if _, ok := o.Args.Get(flag); ok {
		return true
	}
	return slices.Contains([]string{"1", "on", "true", "enabled"}, o.Getenv(o.Install.Program.stands[flag]))
}

// setContext sets the context of one request. --ctx-size is that of all slots together, unless they share one cache.
func (o *Options) setContext(tokens, slots int64, unified bool) {
	if !unified {
		tokens *= slots
	}
	o.Args.Set("ctx-size", strconv.FormatInt(tokens, 10))
}

// onGPU says whether the server computes on a GPU.
func (o *Options) onGPU() bool {
	return len(o.Install.Devices) > 0 && o.value("n-gpu-layers") != "0" && o.value("device") != "none"
}

// Offload says where llama-server computes.
type Offload int

// Places where it computes.
const (
	OffloadUnknown Offload = iota // not known, or GPUs and processors share the layers
	OnProcessors
	OnGPUs // all layers
)

// Offload says where the server computes, as far as that is certain.
func (m *Managed) Offload() Offload {
	o, f := m.Options, m.Llama
	shared := o.value("override-tensor") != "" || o.on("cpu-moe") || o.value("n-cpu-moe") != ""
	switch {
	case o.value("n-gpu-layers") == "0" || o.value("device") == "none" || o.Install.CPU:
		return OnProcessors
	case shared || len(o.Install.Devices) == 0:
		return OffloadUnknown
	case f.GPULayers > f.Layers, // the output is a layer, too
		f.GPULayers < 0 && f.ComputeBytes > 0 && f.NeededBytes()+deviceMargin <= f.DeviceFree:
		return OnGPUs
	}
	return OffloadUnknown
}

// llamaSettings gives the settings that decide about memory. Context is 0 when nobody chose it.
func (o *Options) llamaSettings() LlamaSettings {
	s := LlamaSettings{
		Step:        LlamaStep,
		KeyBytes:    data.KVValueBytes(o.value("cache-type-k")),
		ValueBytes:  data.KVValueBytes(o.value("cache-type-v")),
		WholeWindow: o.on("swa-full"),
		NoFlash:     slices.Contains([]string{"off", "0", "disabled"}, o.value("flash-attn")),
	}
	s.Slots, s.Unified = o.slots()
	if n, err := strconv.ParseInt(o.value("ubatch-size"), 10, 32); err == nil && n > 0 {
		s.Step = n
	}
	if n, err := strconv.ParseInt(o.value("ctx-size"), 10, 64); err == nil && n > 0 {
		if s.Context = n; !s.Unified {
			s.Context = max(1, n/s.Slots)
		}
	}
	return s
}

// llamaFit estimates the memory that the server needs, chooses the context when the user did not, and refuses what would certainly fail.
func (l *Launch) llamaFit(ctx context.Context, m *Managed) error {
	o, facts := m.Options, m.Model.Facts
	asked := o.llamaSettings().Context
	f, err := o.fitLlama(ctx, facts)
	if err != nil {
		l.Warn("memory is not checked before the start: " + err.Error())
		m.Llama = LlamaFit{LlamaSettings: o.llamaSettings(), Layers: facts.Layers, WeightsBytes: facts.WeightsBytes, GPULayers: -1}
		o.addDevices(&m.Llama)
		return nil
	}
	m.Llama = f
	if asked == 0 && f.Context < facts.ContextTokens {
		l.Say(fmt.Sprintf("context: %d of the model's %d tokens, the most that fits beside the weights; --max-model-len chooses another",
			f.Context, facts.ContextTokens))
	}
	if text, hint, certain := f.Problem(); certain {
		return plain.WithHint(errors.New("start llama-server: "+text), hint)
	} else if text != "" {
		l.Warn("llama-server may fail to start: " + text + "; " + hint)
	}
	l.limitPromptCache(o, f)
	l.Say("memory: " + f.Summary())
	return nil
}

// fitLlama estimates the memory that a model needs with these options, and sets the context when nobody chose it: the model's, or the
// longest that fits. It fails when the memory cannot be read, or when the model does not say how long its context is.
func (o *Options) fitLlama(ctx context.Context, facts *data.ModelFacts) (LlamaFit, error) {
	host, err := mem.VirtualMemoryWithContext(ctx)
	if err != nil {
		return LlamaFit{}, err
	}
	s := o.llamaSettings()
	estimate := func() LlamaFit {
		f := EstimateLlama(facts, s)
		f.HostFree, f.LongContext = int64(host.Available), o.stretches()
		o.addDevices(&f)
		return f
	}
	if s.Context > 0 {
		return estimate(), nil
	}
	if v := o.value("ctx-size"); v != "" && v != "0" { // llama-server says what is wrong with it
		return LlamaFit{}, fmt.Errorf("a context of %q is not a number of tokens", v)
	}
	if facts.ContextTokens == 0 {
		return LlamaFit{}, errors.New("the model does not say how long its context is")
	}
	for s.Context = facts.ContextTokens; s.Context > 1024 && !estimate().roomy(); {
		s.Context = max(1024, (s.Context-1)/1024*1024)
	}
	o.setContext(s.Context, s.Slots, s.Unified)
	return estimate(), nil
}

// CheckLlama estimates whether a model fits this machine with the usual preset. in may lack a command: then the machine's memory counts.
// It fails as fitLlama does.
func CheckLlama(ctx context.Context, in *Install, facts *data.ModelFacts, environ []string) (LlamaFit, error) {
	o, err := NewOptions(in, in.usualPreset(), "", environ, nil)
	if err != nil {
		return LlamaFit{}, err
	}
	return o.fitLlama(ctx, facts)
}

// roomy says whether the model fits with a little to spare, and on GPUs alone if its weights do.
func (f LlamaFit) roomy() bool {
	needed := f.NeededBytes() * 105 / 100 // the estimate may be a little wrong
	gpus := max(f.DeviceFree-deviceMargin, 0)
	if f.GPULayers < 0 && f.WeightsBytes < gpus {
		return needed <= gpus
	}
	text, _, _ := f.Problem()
	return text == "" && needed <= f.HostFree+gpus
}

// stretches says whether the user makes the context longer than the model's, or changes what the file says about it.
func (o *Options) stretches() bool {
	return slices.ContainsFunc([]string{"rope-scaling", "rope-scale", "rope-freq-base", "rope-freq-scale", "yarn-orig-ctx", "override-kv"},
		func(flag string) bool { return o.value(flag) != "" })
}

// addDevices adds the memory of the GPUs that the server uses, and how many layers it puts there.
func (o *Options) addDevices(f *LlamaFit) {
	if !o.onGPU() {
		f.GPULayers = 0
		return
	}
	wanted := strings.Split(o.value("device"), ",")
	for _, d := range o.Install.Devices {
		if wanted[0] == "" || slices.Contains(wanted, d.Name) {
			f.DeviceFree += d.FreeBytes
		}
	}
	switch n, err := strconv.ParseInt(o.value("n-gpu-layers"), 10, 32); {
	case err == nil && n >= 0:
		f.GPULayers = n
	case o.value("n-gpu-layers") == "all" || slices.Contains([]string{"off", "0"}, o.value("fit")):
		f.GPULayers = f.Layers + 1
	}
}

// promptCacheBytes is how much memory of the machine llama-server takes for prompts that have left their slot, unless --cache-ram says more
// or less.
const promptCacheBytes = 8 << 30

// limitPromptCache makes the cache for prompts smaller where it could take all the memory that the machine has left.
func (l *Launch) limitPromptCache(o *Options, f LlamaFit) {
	_, host := f.shares()
	left := f.HostFree - host - f.ComputeBytes
	if o.value("cache-ram") != "" || o.Install.lacks("cache-ram") || left >= promptCacheBytes+1<<30 {
		return
	}
	mib := max(left/2, 0) >> 30 << 10 // whole GiB, so that it does not change from run to run
	o.Args.Set("cache-ram", strconv.FormatInt(mib, 10))
	l.Say(fmt.Sprintf("prompt cache: %d MiB of the machine's memory, since only %s are left; -- --cache-ram chooses another", mib,
		plain.InGiB(max(left, 0))))
}
