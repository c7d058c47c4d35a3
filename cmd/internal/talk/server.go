package talk

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"wb/collect/serve"
	"wb/collect/target"
	"wb/data/hub"
	"wb/viz/output"
)

// OfServer prints what the user should know of a server that is reached or started. With quiet it prints only warnings.
func OfServer(stderr io.Writer, quiet, verbose bool) target.Talk {
	say := func(format string, a ...any) {
		if !quiet {
			fmt.Fprintf(stderr, format+"\n", a...)
		}
	}
	told := false
	return target.Talk{
		Say:   func(text string) { fmt.Fprintln(stderr, text) },
		Start: func(l *serve.Launch) func() { return OfStart(l, stderr, quiet) },
		Ready: func(program, name, url string, f serve.Facts) {
			say("%s serves %s at %s (pid %d), log %s", program, name, url, f.PID, f.LogPath)
		},
		Fail: func(err error) { LogTail(stderr, verbose, err) },
		Model: func(profile string) {
			if !told {
				say("no --url: the embedded simulator answers (profile %s); every figure is simulated", profile)
			}
			told = true
		},
	}
}

// OfStart makes a launch print its progress. done removes the line under way.
func OfStart(l *serve.Launch, stderr io.Writer, quiet bool) (done func()) {
	l.Warn = func(s string) { fmt.Fprintf(stderr, "warning: %s\n", s) }
	if quiet {
		l.Say, l.Progress = func(string) {}, func(string, string) {}
		l.Pulling = func(string) func(hub.Progress) { return nil }
		return func() {}
	}
	s := &startProgress{LiveLine: output.NewLiveLine(stderr), program: l.Program.Name}
	l.Say = func(t string) { s.Clear(); fmt.Fprintln(stderr, t) }
	l.Progress = s.phase
	l.Pulling = func(repo string) func(hub.Progress) {
		fmt.Fprintf(stderr, "pulling %s into %s\n", repo, l.Hub.CacheDir)
		return Pulling(output.NewTransfer(stderr))
	}
	return s.Clear
}

// startProgress shows the progress of a start: one line that changes on a terminal, one line per phase elsewhere.
type startProgress struct {
	*output.LiveLine
	program string
	mu      sync.Mutex
	began   time.Time
	last    string
}

var phaseText = map[string]string{
	serve.PhaseSpawned: "starting", serve.PhaseImporting: "loading libraries", serve.PhaseEngine: "configuring",
	serve.PhaseLoading: "loading weights", serve.PhaseCompiling: "compiling", serve.PhaseProfiling: "setting up the KV cache",
	serve.PhaseCapturing: "capturing CUDA graphs", serve.PhaseWarming: "warming up", serve.PhaseReady: "ready"}

func (s *startProgress) phase(phase, detail string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.began.IsZero() || (phase == serve.PhaseSpawned && s.last == serve.PhaseReady) {
		s.began = time.Now()
	}
	text := s.program + ": " + phaseText[phase]
	if detail != "" {
		text += " " + detail
	}
	text += fmt.Sprintf(", after %.0f s", time.Since(s.began).Seconds())
	switch {
	case s.Live && phase != serve.PhaseReady:
		s.Show(text)
	case phase != s.last:
		s.Say(text)
	}
	s.last = phase
}

// LogTail prints the end of the log of a start that failed, if --verbose asks for it.
func LogTail(stderr io.Writer, verbose bool, err error) {
	var e *serve.StartError
	if verbose && errors.As(err, &e) && e.Tail != "" {
		fmt.Fprintf(stderr, "the end of %s:\n%s\n", e.LogPath, e.Tail)
	}
}

// Pulling passes the progress of a download to the line that shows it.
func Pulling(t *output.Transfer) func(hub.Progress) {
	return func(p hub.Progress) {
		t.Report(output.Transferred{Files: p.Files, FilesDone: p.FilesDone, Bytes: p.Bytes, BytesDone: p.BytesDone, BytesBefore: p.BytesBefore})
	}
}
