package serve

import (
	"regexp"
	"strconv"
	"strings"
)

// Phases of a server, in the order in which they come. Settings and version decide which of them can be seen.
const (
	PhaseSpawned   = "spawned"   // the process exists
	PhaseImporting = "importing" // the program loads its libraries
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

// phaseMark is a text of log lines with which a phase begins.
type phaseMark struct{ text, phase string }

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
	KVCacheTokens   *int64 // tokens that the KV cache holds
	KVCacheBytes    *int64 // vLLM: "Available KV cache memory"
	WeightsBytes    *int64 // vLLM: "Model loading took"
	WeightsS        *float64
	CompileS        *float64
	GraphBytes      *int64
	InitS           *float64 // from the weights to the warm engine
	MaxModelLen     *int64
	DownloadOngoing bool // the server downloads the weights itself
}

// reader turns log lines of a program into phases and a report.
type reader struct {
	program *Program
	phase   string
	detail  string // how far the phase has got, "" when that is not known
	Report
	loading *float64 // when the weights began to load, seconds since the start; nil: not seen
}

var (
	firstLogLine  = regexp.MustCompile(`\S`)
	ansiSequences = regexp.MustCompile("\x1b\\[[0-9;]*[A-Za-z]")
)

// line reads one line. changed says whether the phase or the detail changed.
func (r *reader) line(s string) (changed bool) {
	s = ansiSequences.ReplaceAllString(s, "")
	before, beforeDetail := r.phase, r.detail
	if phaseOrder[r.phase] == 0 && firstLogLine.MatchString(s) {
		r.enter(r.program.firstPhase)
	}
	for _, m := range r.program.marks {
		if strings.Contains(s, m.text) {
			r.enter(m.phase)
			break
		}
	}
	r.program.figures(r, s)
	return r.phase != before || r.detail != beforeDetail
}

// enter moves on to a phase. A late line of an earlier phase changes nothing.
func (r *reader) enter(phase string) {
	if phaseOrder[phase] > phaseOrder[r.phase] {
		r.phase, r.detail = phase, ""
	}
}

// newReader makes a reader for a process that was just started.
func (p *Program) newReader() *reader { return &reader{program: p, phase: PhaseSpawned} }

// ReadReport reads a whole log.
func (p *Program) ReadReport(log string) Report {
	r := p.newReader()
	for line := range strings.SplitSeq(strings.ReplaceAll(log, "\r", "\n"), "\n") {
		r.line(line)
	}
	return r.Report
}

// setFloat sets a figure from its text, if the text is a number.
func setFloat(to **float64, text string) {
	if f, err := strconv.ParseFloat(text, 64); err == nil {
		*to = &f
	}
}

// setSize sets a number of bytes or tokens from its text in a unit, if the text is a number.
func setSize(to **int64, text string, unit float64) {
	if f, err := strconv.ParseFloat(text, 64); err == nil {
		*to = new(int64(f * unit))
	}
}
