package serve

import (
	"regexp"
	"strconv"
	"strings"
)

// Phases of a server, in the order in which they come. Settings and version decide which of them can be seen.
const (
	PhaseSpawned   = "spawned"   // the process exists
	PhaseImporting = "importing" // Python loads its libraries
	PhaseEngine    = "engine"    // configuration is read, the engine begins
	PhaseLoading   = "loading"   // weights
	PhaseCompiling = "compiling" // torch.compile
	PhaseProfiling = "profiling" // memory is measured, the KV cache set up
	PhaseCapturing = "capturing" // CUDA graphs
	PhaseWarming   = "warming"   // the engine is up, the API server starts
	PhaseReady     = "ready"     // /health answers 200
	PhaseStopping  = "stopping"  // it was told to end
	PhaseExited    = "exited"    // its last process is gone
	PhaseReleased  = "released"  // as much GPU memory is free as before the start
)

// phaseMarks are texts of log lines with which a phase begins. They were read in the sources of vLLM 0.10 to 0.32.
var phaseMarks = []struct{ text, phase string }{
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

// phaseOrder numbers the phases of a start, so that a late line of an earlier phase is recognised.
var phaseOrder = map[string]int{
	PhaseSpawned:   0,
	PhaseImporting: 1,
	PhaseEngine:    2,
	PhaseLoading:   3,
	PhaseCompiling: 4,
	PhaseProfiling: 5,
	PhaseCapturing: 6,
	PhaseWarming:   7,
	PhaseReady:     8,
}

// Report is what a server's log says about its start. A field is nil when the log does not say.
type Report struct {
	KVCacheTokens   *int64 // "GPU KV cache size"
	KVCacheBytes    *int64 // "Available KV cache memory"
	WeightsBytes    *int64 // "Model loading took"
	WeightsS        *float64
	CompileS        *float64
	GraphBytes      *int64
	InitS           *float64 // "init engine (profile, create kv cache, warmup model) took"
	MaxModelLen     *int64
	DownloadOngoing bool // vLLM downloads the weights itself
}

// reader turns log lines into phases and a report.
type reader struct {
	phase  string
	detail string // how far the phase has got, "" when that is not known
	Report
}

var (
	kvTokensLine  = regexp.MustCompile(`KV cache size: ([\d,]+) tokens`)
	kvBytesLine   = regexp.MustCompile(`Available KV cache memory: ([\d.]+) GiB`)
	cpuBytesLine  = regexp.MustCompile(`(?:Explicitly|Auto) set \(([\d.]+)/[\d.]+\) GiB for KV cache`)
	loadLine      = regexp.MustCompile(`Model loading took ([\d.]+) (GiB|GB)(?: memory)? and ([\d.]+) seconds`)
	weightsLine   = regexp.MustCompile(`Loading weights took ([\d.]+) seconds`)
	initLine      = regexp.MustCompile(`init engine \(profile, create kv cache, warmup model\) took ([\d.]+) s`)
	compileLine   = regexp.MustCompile(`torch\.compile (?:takes|took) ([\d.]+) s in total`)
	compilation   = regexp.MustCompile(`\(compilation: ([\d.]+) s`)
	graphLine     = regexp.MustCompile(`Graph capturing finished in [\d.]+ secs, took ([\d.]+) GiB`)
	lenLine       = regexp.MustCompile(`Using max model len (\d+)`)
	shardLine     = regexp.MustCompile(`Loading (?:safetensors|pt) checkpoint shards:\s+(\d+)% Completed`)
	captureLine   = regexp.MustCompile(`Capturing CUDA graphs?[^:]*:\s+(\d+)%`)
	downloadLine  = regexp.MustCompile(`(?:Fetching \d+ files|Downloading shards|model\S*\.safetensors):\s+(\d+)%`)
	firstLogLine  = regexp.MustCompile(`\S`)
	ansiSequences = regexp.MustCompile("\x1b\\[[0-9;]*[A-Za-z]")
)

// line reads one line. changed says whether the phase or the detail changed.
func (r *reader) line(s string) (changed bool) {
	s = ansiSequences.ReplaceAllString(s, "")
	before, beforeDetail := r.phase, r.detail
	if phaseOrder[r.phase] == 0 && firstLogLine.MatchString(s) {
		r.enter(PhaseImporting)
	}
	for _, m := range phaseMarks {
		if strings.Contains(s, m.text) {
			r.enter(m.phase)
			break
		}
	}
	float := func(to **float64, text string) {
		if f, err := strconv.ParseFloat(text, 64); err == nil {
			*to = &f
		}
	}
	size := func(to **int64, text string, unit float64) {
		if f, err := strconv.ParseFloat(text, 64); err == nil {
			*to = new(int64(f * unit))
		}
	}
	const gibibyte = 1 << 30
	if m := kvTokensLine.FindStringSubmatch(s); m != nil {
		size(&r.KVCacheTokens, strings.ReplaceAll(m[1], ",", ""), 1)
	}
	if m := kvBytesLine.FindStringSubmatch(s); m != nil {
		size(&r.KVCacheBytes, m[1], gibibyte)
	}
	if m := cpuBytesLine.FindStringSubmatch(s); m != nil {
		size(&r.KVCacheBytes, m[1], gibibyte)
	}
	if m := loadLine.FindStringSubmatch(s); m != nil {
		size(&r.WeightsBytes, m[1], gibibyte) // vLLM divides by 2^30 and has called it GB
		float(&r.WeightsS, m[3])
	}
	if m := weightsLine.FindStringSubmatch(s); m != nil && r.WeightsS == nil {
		float(&r.WeightsS, m[1])
	}
	if m := initLine.FindStringSubmatch(s); m != nil {
		float(&r.InitS, m[1])
	}
	for _, p := range []*regexp.Regexp{compileLine, compilation} {
		if m := p.FindStringSubmatch(s); m != nil {
			float(&r.CompileS, m[1])
		}
	}
	if m := graphLine.FindStringSubmatch(s); m != nil {
		size(&r.GraphBytes, m[1], gibibyte)
	}
	if m := lenLine.FindStringSubmatch(s); m != nil {
		size(&r.MaxModelLen, m[1], 1)
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
	return r.phase != before || r.detail != beforeDetail
}

// enter moves on to a phase. A late line of an earlier phase changes nothing.
func (r *reader) enter(phase string) {
	if phaseOrder[phase] > phaseOrder[r.phase] {
		r.phase, r.detail = phase, ""
	}
}

// ReadReport reads a whole log.
func ReadReport(log string) Report {
	r := &reader{phase: PhaseSpawned}
	for line := range strings.SplitSeq(strings.ReplaceAll(log, "\r", "\n"), "\n") {
		r.line(line)
	}
	return r.Report
}
