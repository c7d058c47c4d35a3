package serve

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"wb/data/plain"
)

// llamaHint says how to get llama-server.
const llamaHint = "brew install llama.cpp, or unpack a release of github.com/ggml-org/llama.cpp, or name it with --llama-server PATH"

// FindLlama looks for llama-server and asks it for its build, its flags and its devices. With a path (of the executable, of a folder with
// it, of a build of llama.cpp or of a virtual environment) it looks only there. Otherwise it looks where FindVLLM does.
func FindLlama(ctx context.Context, at string, environ []string) (*Install, error) {
	path, err := findLlama(at, itself(), func(name string) string { return getenv(environ, name) })
	if err != nil {
		return nil, plain.WithHint(err, llamaHint)
	}
	in := &Install{Program: LlamaServer(), Command: []string{path}, Where: path}
	if hasLibraries(path) {
		in.LibDir = filepath.Dir(path)
	}
	return in, in.ask(ctx, environ)
}

// findLlama gives the absolute path of llama-server, for a wb at the path self; "" means not known.
func findLlama(at, self string, getenv func(string) string) (string, error) {
	const name = "llama-server"
	found := ""
	if at == "" {
		if found = search(name, self, getenv); found == "" {
			return "", fmt.Errorf("find llama-server: %w in the active environment, .venv, venv, beside wb or in PATH", ErrNoLlama)
		}
	}
	for _, below := range []string{"", name, "bin/" + name, "build/bin/" + name, "venv/bin/" + name, ".venv/bin/" + name} {
		if p := filepath.Join(at, below); at != "" && found == "" && executable(p) {
			found = p
		}
	}
	if found == "" {
		return "", fmt.Errorf("find llama-server at %s: %w there", at, ErrNoLlama)
	}
	abs, err := filepath.Abs(found)
	if err != nil {
		return "", fmt.Errorf("find llama-server at %s: %w", at, err)
	}
	return abs, nil
}

// hasLibraries says whether shared libraries of llama.cpp lie beside an executable, or beside what it links to.
func hasLibraries(path string) bool {
	entries, err := os.ReadDir(filepath.Dir(path))
	return err == nil && slices.ContainsFunc(entries, func(e os.DirEntry) bool {
		name := e.Name()
		return strings.Contains(name, ".so") && (strings.HasPrefix(name, "libllama") || strings.HasPrefix(name, "libggml"))
	})
}

// askLimit is how long llama-server may take to say what it is. A build for CUDA loads its libraries first.
const askLimit = 30 * time.Second

var (
	llamaBuild   = regexp.MustCompile(`(?m)^version: (\d+) \([0-9a-f]+\)`)
	llamaVersion = regexp.MustCompile(`(?m)^version: (.+)$`)
	llamaDevice  = regexp.MustCompile(`(?m)^\s+(\S+): (.+) \((\d+) MiB, (\d+) MiB free\)$`)
)

// limitedBuffer keeps the first part of what is written to it.
type limitedBuffer struct{ bytes.Buffer }

// mostSaid is how much of an answer is kept, in bytes. --help of build 10434 has 70 kB.
const mostSaid = 1 << 20

func (b *limitedBuffer) Write(p []byte) (int, error) {
	b.Buffer.Write(p[:min(len(p), max(mostSaid-b.Len(), 0))])
	return len(p), nil
}

// ask runs llama-server to learn its version, its flags and its devices. It fails when the program cannot run at all.
func (in *Install) ask(ctx context.Context, environ []string) error {
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	answer := func(flag string) (string, error) {
		cmd := exec.CommandContext(ctx, in.Command[0], flag)
		cmd.Env = environ
		if in.LibDir != "" {
			cmd.Env = withLibraryPath(environ, in.LibDir)
		}
		var out limitedBuffer
		cmd.Stdout, cmd.Stderr = &out, &out
		cmd.WaitDelay = time.Second // a child may keep the pipe open
		err := cmd.Run()
		return out.String(), err
	}
	text, err := answer("--version")
	if err != nil {
		why := in.Program.Explain(text)
		if ctx.Err() != nil {
			why = Cause{Text: fmt.Sprintf("--version did not answer within %v", askLimit)}
		}
		if why.Text == "" {
			why.Text = err.Error()
		}
		return plain.WithHint(errors.New("start llama-server: "+why.Text), why.Hint)
	}
	if m := llamaBuild.FindStringSubmatch(text); m != nil {
		in.Version = "b" + m[1]
	} else if m := llamaVersion.FindStringSubmatch(text); m != nil {
		in.Version = strings.TrimSpace(m[1])
	}
	if text, err := answer("--help"); err == nil {
		in.readHelp(text)
	}
	if text, err := answer("--list-devices"); err == nil { // where it fails, it is not known that there is no GPU
		in.readDevices(text)
		in.CPU = len(in.Devices) == 0
	}
	return nil
}

// readHelp notes the flags that a build has. In older builds a verbosity of 4 logs each token; wb asks for 4 only where it means a little
// more than usual.
func (in *Install) readHelp(text string) {
	in.flags = map[string]bool{}
	for _, w := range strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(" ,\n\t", r) }) {
		if strings.HasPrefix(w, "--") {
			in.flags[w] = true
		}
	}
	if !strings.Contains(text, "4: trace") {
		delete(in.flags, "--verbosity")
	}
}

// readDevices reads the answer to --list-devices.
func (in *Install) readDevices(text string) {
	for _, m := range llamaDevice.FindAllStringSubmatch(text, -1) {
		total, err1 := strconv.ParseInt(m[3], 10, 32)
		free, err2 := strconv.ParseInt(m[4], 10, 32)
		if err1 == nil && err2 == nil {
			in.Devices = append(in.Devices, Device{Name: m[1], Product: m[2], TotalBytes: total << 20, FreeBytes: free << 20})
		}
	}
}
