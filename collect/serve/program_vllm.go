package serve

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// VLLM is vLLM's API server.
func VLLM() *Program {
	return &Program{
		Kind:    KindVLLM,
		Name:    "vLLM",
		Presets: "presets.yaml",
		syntax: syntax{
			short:   vllmShort,
			kept:    []string{"port", "model"},
			secrets: []string{"api-key", "hf-token", "ssl-keyfile-password"},
			served:  "served-model-name",
			command: vllmCommand,
		},
		launching: launching{
			keyEnv: "VLLM_API_KEY",
			env:    map[string]string{"VLLM_NO_USAGE_STATS": "1", "PYTHONUNBUFFERED": "1"},
			settings: settingNames{[]string{"OMP_NUM_THREADS", "HF_HUB_OFFLINE"},
				[]string{"VLLM_", "CUDA_", "NCCL_", "PYTORCH_"}},
			prepare: prepareVLLM,
		},
		logging: logging{
			firstPhase: PhaseImporting,
			marks:      vllmMarks,
			figures:    vllmFigures,
			rules:      vllmRules,
			lastError:  lastException,
			halfDead:   "engine core died",
			dying:      5 * time.Second, // its API server was seen to live on for 2.3 s after its engine core
		},
	}
}

// vllmCommand gives the whole command line.
func vllmCommand(o *Options) []string {
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

// vllmShort are the short forms that vLLM takes, and the names that they stand for.
var vllmShort = map[string]string{
	"-tp": "tensor-parallel-size",
	"-pp": "pipeline-parallel-size",
	"-dp": "data-parallel-size",
	"-O":  "compilation-config",
	"-cc": "compilation-config",
	"-q":  "quantization",
}

// vllmMarks are texts of log lines with which a phase begins. They were read in the sources of vLLM 0.10 to 0.32.
var vllmMarks = []phaseMark{
	{"non-default args", PhaseEngine},
	{"Initializing a V1 LLM engine", PhaseEngine},
	{"Initializing a V0 LLM engine", PhaseEngine},
	{"Starting to load model", PhaseLoading},
	{"Dynamo bytecode transform", PhaseCompiling},
	{"Start compiling function", PhaseCompiling},
	{"Starting torch.compile", PhaseCompiling},
	{"Using cache directory:", PhaseCompiling},
	{"Compiling a graph for", PhaseCompiling},
	{"Cache the graph", PhaseCompiling},
	{"Memory profiling takes", PhaseProfiling},
	{"Available KV cache memory", PhaseProfiling},
	{"KV cache size:", PhaseProfiling},
	{"# GPU blocks", PhaseProfiling},
	{"Capturing CUDA graph", PhaseCapturing},
	{"Graph capturing finished", PhaseCapturing},
	{"Warming up model for the compilation", PhaseCompiling},
	{"init engine (profile", PhaseWarming},
	{"Started server process", PhaseWarming},
	{"Application startup complete", PhaseWarming},
}

var (
	kvTokensLine = regexp.MustCompile(`KV cache size: ([\d,]+) tokens`)
	kvBytesLine  = regexp.MustCompile(`Available KV cache memory: ([\d.]+) GiB`)
	cpuBytesLine = regexp.MustCompile(`(?:Explicitly|Auto) set \(([\d.]+)/[\d.]+\) GiB for KV cache`)
	loadLine     = regexp.MustCompile(`Model loading took ([\d.]+) (GiB|GB)(?: memory)? and ([\d.]+) seconds`)
	weightsLine  = regexp.MustCompile(`Loading weights took ([\d.]+) seconds`)
	initLine     = regexp.MustCompile(`init engine \(profile, create kv cache, warmup model\) took ([\d.]+) s`)
	compileLine  = regexp.MustCompile(`torch\.compile (?:takes|took) ([\d.]+) s in total`)
	compilation  = regexp.MustCompile(`\(compilation: ([\d.]+) s`)
	graphLine    = regexp.MustCompile(`Graph capturing finished in [\d.]+ secs, took ([\d.]+) GiB`)
	lenLine      = regexp.MustCompile(`Using max model len (\d+)`)
	shardLine    = regexp.MustCompile(`Loading (?:safetensors|pt) checkpoint shards:\s+(\d+)% Completed`)
	captureLine  = regexp.MustCompile(`Capturing CUDA graphs?[^:]*:\s+(\d+)%`)
	downloadLine = regexp.MustCompile(`(?:Fetching \d+ files|Downloading shards|model\S*\.safetensors):\s+(\d+)%`)
)

// vllmFigures reads the figures of one line of vLLM's log.
func vllmFigures(r *reader, s string) {
	const gibibyte = 1 << 30
	if m := kvTokensLine.FindStringSubmatch(s); m != nil {
		setSize(&r.KVCacheTokens, strings.ReplaceAll(m[1], ",", ""), 1)
	}
	if m := kvBytesLine.FindStringSubmatch(s); m != nil {
		setSize(&r.KVCacheBytes, m[1], gibibyte)
	}
	if m := cpuBytesLine.FindStringSubmatch(s); m != nil {
		setSize(&r.KVCacheBytes, m[1], gibibyte)
	}
	if m := loadLine.FindStringSubmatch(s); m != nil {
		setSize(&r.WeightsBytes, m[1], gibibyte) // vLLM divides by 2^30 and has called it GB
		setFloat(&r.WeightsS, m[3])
	}
	if m := weightsLine.FindStringSubmatch(s); m != nil && r.WeightsS == nil {
		setFloat(&r.WeightsS, m[1])
	}
	if m := initLine.FindStringSubmatch(s); m != nil {
		setFloat(&r.InitS, m[1])
	}
	for _, p := range []*regexp.Regexp{compileLine, compilation} {
		if m := p.FindStringSubmatch(s); m != nil {
			setFloat(&r.CompileS, m[1])
		}
	}
	if m := graphLine.FindStringSubmatch(s); m != nil {
		setSize(&r.GraphBytes, m[1], gibibyte)
	}
	if m := lenLine.FindStringSubmatch(s); m != nil {
		setSize(&r.MaxModelLen, m[1], 1)
	}
	if m := shardLine.FindStringSubmatch(s); m != nil {
		r.enter(PhaseLoading)
		r.detail = m[1] + " %"
	}
	if m := captureLine.FindStringSubmatch(s); m != nil {
		r.detail = m[1] + " %"
	}
	if m := downloadLine.FindStringSubmatch(s); m != nil && phaseOrder[r.phase] <= phaseOrder[PhaseLoading] {
		r.DownloadOngoing = true
		r.detail = "downloading, " + m[1] + " %"
	}
}
