package serve

import (
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// LlamaServer is llama-server, the server of llama.cpp.
func LlamaServer() *Program {
	return &Program{
		Kind:    KindLlamaCpp,
		Name:    "llama-server",
		Presets: "presets-llamacpp.yaml",
		syntax: syntax{
			short:   llamaShort,
			names:   llamaNames,
			split:   true,
			kept:    []string{"port", "model"},
			models:  []string{"hf-repo", "hf-file", "model-url", "docker-repo", "models-dir", "models-preset"},
			secrets: []string{"api-key", "hf-token"},
			served:  "alias",
			stands:  llamaStands,
			command: llamaCommand,
		},
		launching: launching{
			keyEnv:   "LLAMA_API_KEY",
			settings: settingNames{[]string{"OMP_NUM_THREADS"}, []string{"LLAMA_", "GGML_", "CUDA_", "GOMP_"}},
			without: []string{"LLAMA_ARG_HF_REPO", "LLAMA_ARG_HF_FILE", "LLAMA_ARG_MODEL_URL", "LLAMA_ARG_DOCKER_REPO",
				"LLAMA_ARG_MODELS_DIR", "LLAMA_ARG_MODELS_PRESET"},
			prepare: prepareLlama,
		},
		logging: logging{
			firstPhase: PhaseEngine,
			marks:      llamaMarks,
			figures:    llamaFigures,
			rules:      llamaRules,
			lastError:  lastLlamaError,
			dying:      2 * time.Second, // it is one process: the kernel only has to take back its memory
		},
	}
}

// llamaShort are short flags, and the names that they stand for (common/arg.cpp).
var llamaShort = map[string]string{
	"-a": "alias", "-b": "batch-size", "-c": "ctx-size", "-cb": "cont-batching", "-cram": "cache-ram", "-ctk": "cache-type-k",
	"-ctv": "cache-type-v", "-ctxcp": "ctx-checkpoints", "-dev": "device", "-dio": "direct-io", "-fa": "flash-attn", "-fit": "fit",
	"-fitc": "fit-ctx", "-fitt": "fit-target", "-hf": "hf-repo", "-hfr": "hf-repo", "-hff": "hf-file", "-hft": "hf-token",
	"-kvo": "kv-offload", "-kvu": "kv-unified", "-lv": "verbosity", "-m": "model", "-mg": "main-gpu", "-mm": "mmproj", "-mu": "model-url",
	"-dr": "docker-repo", "-n": "predict", "-ncmoe": "n-cpu-moe", "-cmoe": "cpu-moe", "-ngl": "n-gpu-layers", "-nocb": "no-cont-batching",
	"-no-kvu": "no-kv-unified", "-nkvo": "no-kv-offload", "-nr": "no-repack", "-np": "parallel", "-ot": "override-tensor", "-s": "seed",
	"-sm": "split-mode", "-sps": "slot-prompt-similarity", "-t": "threads", "-tb": "threads-batch", "-to": "timeout", "-ts": "tensor-split",
	"-ub": "ubatch-size", "-v": "verbose",
}

// llamaNames are other names of flags, and those that wb uses: the names that most builds know.
var llamaNames = map[string]string{
	"gpu-layers": "n-gpu-layers", "n-predict": "predict", "log-verbosity": "verbosity", "log-verbose": "verbose", "ui": "webui",
	"swa-checkpoints": "ctx-checkpoints",
}

// llamaStands are the variables that llama-server reads in place of flags. A flag on the command line wins over its variable.
var llamaStands = map[string]string{
	"alias": "LLAMA_ARG_ALIAS", "api-key": "LLAMA_API_KEY", "api-prefix": "LLAMA_ARG_API_PREFIX", "batch-size": "LLAMA_ARG_BATCH",
	"cache-ram":    "LLAMA_ARG_CACHE_RAM",
	"cache-type-k": "LLAMA_ARG_CACHE_TYPE_K", "cache-type-v": "LLAMA_ARG_CACHE_TYPE_V", "ctx-size": "LLAMA_ARG_CTX_SIZE",
	"device": "LLAMA_ARG_DEVICE", "fit": "LLAMA_ARG_FIT", "flash-attn": "LLAMA_ARG_FLASH_ATTN", "host": "LLAMA_ARG_HOST",
	"jinja": "LLAMA_ARG_JINJA", "kv-unified": "LLAMA_ARG_KV_UNIFIED", "metrics": "LLAMA_ARG_ENDPOINT_METRICS",
	"n-gpu-layers": "LLAMA_ARG_N_GPU_LAYERS", "parallel": "LLAMA_ARG_N_PARALLEL", "rope-scaling": "LLAMA_ARG_ROPE_SCALING_TYPE",
	"slots": "LLAMA_ARG_ENDPOINT_SLOTS", "swa-full": "LLAMA_ARG_SWA_FULL", "threads": "LLAMA_ARG_THREADS",
	"ubatch-size": "LLAMA_ARG_UBATCH", "verbosity": "LLAMA_ARG_LOG_VERBOSITY", "webui": "LLAMA_ARG_UI",
}

// llamaCommand gives the whole command line.
func llamaCommand(o *Options) []string {
	out := append(slices.Clone(o.Install.Command), "--model", o.Model)
	if _, ok := o.Args.Get("alias"); !ok {
		out = append(out, "--alias", o.ServedName)
	}
	if _, ok := o.Args.Get("host"); !ok {
		out = append(out, "--host", o.Host)
	}
	return append(append(out, "--port", strconv.Itoa(o.Port)), o.Args.List()...)
}

// llamaMarks were read in the logs of build 10434, and in the sources of 11434. Builds since 2026 log some of them only with
// --verbosity 4, which wb sets.
var llamaMarks = []phaseMark{
	{"loading model '", PhaseLoading},
	{"load_tensors: loading model tensors", PhaseLoading},
	{"constructing llama_context", PhaseProfiling},
	{"llama_kv_cache: size", PhaseProfiling},
	{"warming up the model", PhaseWarming},
	{"load_model: initializing", PhaseWarming},
	{"initializing slots", PhaseWarming},
	{"model loaded", PhaseWarming},
}

var (
	llamaTime    = regexp.MustCompile(`^(\d+)\.(\d\d)\.(\d{3})\.(\d{3}) `) // minutes, seconds, milliseconds, microseconds
	llamaWeights = regexp.MustCompile(`model buffer size = +([\d.]+) MiB`)
	llamaKV      = regexp.MustCompile(`llama_kv_cache\S*: size = +([\d.]+) MiB`)
	llamaSlots   = regexp.MustCompile(`n_slots = (\d+), n_ctx_slot = (\d+), kv_unified = '?(\w+)`)
)

// llamaFigures reads the figures of one line of llama-server's log.
func llamaFigures(r *reader, s string) {
	const mebibyte = 1 << 20
	switch {
	case strings.Contains(s, "load_tensors: loading model tensors"): // an earlier pass may only have measured
		r.WeightsBytes, r.loading = nil, llamaSeconds(s)
	case strings.Contains(s, "constructing llama_context"):
		r.KVCacheBytes = nil
		if now := llamaSeconds(s); now != nil && r.loading != nil && r.WeightsS == nil {
			r.WeightsS = new(math.Round((*now-*r.loading)*1e6) / 1e6)
		}
	}
	if m := llamaWeights.FindStringSubmatch(s); m != nil {
		addSize(&r.WeightsBytes, m[1], mebibyte) // also of a file that stays mapped after some of its weights were copied to another form
	}
	if m := llamaKV.FindStringSubmatch(s); m != nil { // a model with sliding windows has two caches
		addSize(&r.KVCacheBytes, m[1], mebibyte)
	}
	if m := llamaSlots.FindStringSubmatch(s); m != nil {
		setSize(&r.MaxModelLen, m[2], 1)
		slots, err := strconv.ParseInt(m[1], 10, 32)
		if err == nil && r.MaxModelLen != nil {
			if m[3] == "true" { // all slots share one cache
				slots = 1
			}
			r.KVCacheTokens = new(slots * *r.MaxModelLen)
		}
	}
}

// addSize adds a number of bytes from its text in a unit to a figure, if the text is a number.
func addSize(to **int64, text string, unit float64) {
	var more *int64
	if setSize(&more, text, unit); more == nil {
		return
	}
	if *to != nil {
		*more += **to
	}
	*to = more
}

// llamaSeconds reads the time of a line, in seconds since the start. It gives nil for a line without one.
func llamaSeconds(s string) *float64 {
	m := llamaTime.FindStringSubmatch(s)
	if m == nil {
		return nil
	}
	seconds := 0.0
	for i, unit := range []float64{60, 1, 1e-3, 1e-6} {
		n, err := strconv.ParseFloat(m[i+1], 64)
		if err != nil {
			return nil
		}
		seconds += n * unit
	}
	return &seconds
}
