package serve

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"wb/data"
	"wb/data/hub"
)

func TestLlamaCommandLine(t *testing.T) {
	in := &Install{Program: LlamaServer(), Command: []string{"llama-server"}, Version: "b10434"}
	for _, tt := range []struct {
		name, preset string
		environ      []string
		words        []string
		want         string
	}{
		{"preset", "single-user", nil, nil, "--jinja --metrics --no-webui --parallel 1 --slots --verbosity 4"},
		{"optimized", "optimized", nil, nil,
			"--batch-size 4096 --flash-attn on --jinja --metrics --no-webui --parallel 1 --slots --ubatch-size 2048 --verbosity 4"},
		{"short flags", "debug", nil, []string{"-np", "-1", "-c", "4096", "-ngl", "0", "-ctk", "q8_0", "-fa", "off", "-nkvo", "-lv", "2"},
			"--cache-type-k q8_0 --ctx-size 4096 --flash-attn off --jinja --metrics --n-gpu-layers 0 --no-kv-offload --no-webui --parallel -1 " +
				"--slots --verbosity 2"},
		{"other names", "single-user", nil, []string{"--gpu-layers=3", "--ui", "--no-jinja", "--log_verbosity", "1"},
			"--metrics --n-gpu-layers 3 --no-jinja --parallel 1 --slots --verbosity 1 --webui"},
		{"unknown short flag", "single-user", nil, []string{"-new", "a", "--mlock"},
			"-new a --jinja --metrics --mlock --no-webui --parallel 1 --slots --verbosity 4"},
		{"variables win over presets", "single-user", []string{"LLAMA_ARG_N_PARALLEL=3", "LLAMA_ARG_UI=1"}, nil,
			"--jinja --metrics --slots --verbosity 4"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o, err := NewOptions(in, tt.preset, "/m.gguf", tt.environ, tt.words)
			if err != nil {
				t.Fatal(err)
			}
			o.Port, o.ServedName = 8001, "m"
			want := "llama-server --model /m.gguf --alias m --host 127.0.0.1 --port 8001 " + tt.want
			if got := strings.Join(o.Command(), " "); got != want {
				t.Errorf("%s\nwant %s", got, want)
			}
		})
	}
	for _, bad := range [][]string{{"word"}, {"--port", "1"}, {"-m", "x"}, {"-hf", "x"}, {"--model-url=x"}} {
		_, err := NewOptions(in, "single-user", "m", nil, bad)
		if err == nil || !strings.HasPrefix(err.Error(), "read llama-server arguments: ") {
			t.Errorf("%v: %v", bad, err)
		}
	}
	o, err := NewOptions(in, "single-user", "/m.gguf", []string{"LLAMA_ARG_HF_REPO=a/b", "GGML_X=1", "HOME=/x",
		"LLAMA_API_KEY=sk-2", "LLAMA_ARG_API_PREFIX=/api/"},
		[]string{"--api-key", "sk-1,sk-3", "-hft", "hf-1", "--host", "0.0.0.0", "-a", "short"})
	if err != nil {
		t.Fatal(err)
	}
	command, settings := o.Recorded()
	if text := strings.Join(command, " "); strings.Contains(text, "sk-") || strings.Contains(text, "hf-1") {
		t.Errorf("a secret shows: %s", text)
	}
	if o.Key() != "sk-1" || o.ServedName != "short" || o.URL() != "http://127.0.0.1:0/api" ||
		o.Getenv("LLAMA_ARG_HF_REPO") != "" || settings["env GGML_X"] != "1" ||
		settings["llamacpp_version"] != "b10434" || settings["--api-key"] != "(secret)" || settings["env LLAMA_API_KEY"] != "" ||
		settings["env HOME"] != "" {
		t.Errorf("key %s, name %s, %s, %v", o.Key(), o.ServedName, o.URL(), settings)
	}
	if o, err = NewOptions(in, "single-user", "/m.gguf", []string{"LLAMA_API_KEY=sk-2"}, nil); err != nil || o.Key() != "sk-2" {
		t.Errorf("key %q (%v)", o.Key(), err)
	}
}

// A build gets only those flags of a preset that it has.
func TestLlamaPresets(t *testing.T) {
	if got := strings.Join(LlamaServer().PresetNames(), " "); got != "cpu debug optimized single-user" {
		t.Error(got)
	}
	in := &Install{Program: LlamaServer(), Command: []string{"llama-server"}}
	in.readHelp("--metrics\n--no-webui, --webui\n-lv, --verbosity N  (4: debug)\n--parallel N")
	o, err := NewOptions(in, "single-user", "/m.gguf", nil, nil)
	if err != nil || strings.Join(o.Args.List(), " ") != "--metrics --no-webui --parallel 1" {
		t.Errorf("%v (%v)", o.Args.List(), err)
	}
	for slots, tt := range map[string]struct {
		words   []string
		n       int64
		unified bool
	}{
		"one":             {nil, 1, false},
		"three":           {[]string{"-np", "3"}, 3, false},
		"auto":            {[]string{"-np", "-1"}, autoSlots, true},
		"auto, not apart": {[]string{"-np", "-1", "-no-kvu"}, autoSlots, true},
		"apart":           {[]string{"-np", "3", "-no-kvu"}, 3, false},
		"joint":           {[]string{"-np", "2", "-kvu"}, 2, true},
	} {
		o, err := NewOptions(in, "single-user", "/m.gguf", nil, tt.words)
		if err != nil {
			t.Fatal(err)
		}
		if n, unified := o.slots(); n != tt.n || unified != tt.unified {
			t.Errorf("%s: %d %v", slots, n, unified)
		}
	}
	if n := workThreads(t.Context()); n < 1 {
		t.Errorf("%d threads", n)
	}
}

func TestFindLlama(t *testing.T) {
	needLinux(t)
	dir := t.TempDir()
	llamaScript(t, filepath.Join(dir, "src", "build", "bin", "llama-server"), "version: 10434 (7e4c0a9b2)", "--metrics",
		"Available devices:\n  CUDA0: NVIDIA H200 (143771 MiB, 143000 MiB free)\n  Vulkan0: A (B) C (10 MiB, 9 MiB free)")
	llamaScript(t, filepath.Join(dir, "pip", "bin", "llama-server"), "version: 0.1.0-dev (build 1, commit 7e4c0a9)", "",
		"Available devices:\n  (none)")
	for _, name := range []string{"libllama.so.0", "libother.so"} {
		if err := os.WriteFile(filepath.Join(dir, "pip", "bin", name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	in, err := FindLlama(t.Context(), filepath.Join(dir, "src"), nil)
	if err != nil || in.Version != "b10434" || in.CPU || in.LibDir != "" || !in.lacks("slots") || in.lacks("metrics") ||
		!slices.Equal(in.Devices, []Device{{"CUDA0", "NVIDIA H200", 143771 << 20, 143000 << 20}, {"Vulkan0", "A (B) C", 10 << 20, 9 << 20}}) {
		t.Errorf("%+v (%v)", in, err)
	}
	in, err = FindLlama(t.Context(), "", []string{"PATH=/nowhere:" + filepath.Join(dir, "pip", "bin")})
	if err != nil || in.Version != "0.1.0-dev (build 1, commit 7e4c0a9)" || !in.CPU || in.LibDir != filepath.Join(dir, "pip", "bin") {
		t.Errorf("%+v (%v)", in, err)
	}
	o, err := NewOptions(in, "cpu", "/m.gguf", []string{"LD_LIBRARY_PATH=/a"}, nil)
	if err != nil || o.Getenv("LD_LIBRARY_PATH") != in.LibDir+":/a" {
		t.Errorf("%v (%v)", o.Env, err)
	}
	if in, err = FindLlama(t.Context(), "", []string{"VIRTUAL_ENV=" + filepath.Join(dir, "pip")}); err != nil || in.Version == "" {
		t.Errorf("%v", err)
	}
	for _, at := range []string{filepath.Join(dir, "nope"), ""} {
		if _, err := FindLlama(t.Context(), at, nil); !errors.Is(err, ErrNoLlama) {
			t.Errorf("%q: %v", at, err)
		}
	}
	broken := filepath.Join(dir, "broken", "llama-server")
	if err := os.MkdirAll(filepath.Dir(broken), 0o755); err != nil {
		t.Fatal(err)
	}
	script := "#!/bin/sh\n" +
		"echo './llama-server: error while loading shared libraries: libcuda.so.1: cannot open shared object file'\nexit 127\n"
	if err := os.WriteFile(broken, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := FindLlama(t.Context(), broken, nil); err == nil || err.Error() != "start llama-server: libcuda.so.1 is missing" {
		t.Errorf("%v", err)
	}
}

// The estimates are compared with what build 10434 reported: KV cache and compute buffer in MiB.
func TestEstimateLlama(t *testing.T) {
	smol := &data.ModelFacts{Shape: data.Shape{Layers: 30, KVHeads: 3, HeadDim: 64, Heads: 9, Hidden: 576, Intermediate: 1536, Vocab: 49152},
		WeightsBytes: 97 << 20, ContextTokens: 8192}
	gemma := &data.ModelFacts{Shape: data.Shape{Layers: 18, KVHeads: 1, HeadDim: 256, Heads: 4, Hidden: 640, Intermediate: 2048, Vocab: 262144,
		SlidingLayers: 15, SlidingWindow: 512}, WeightsBytes: 235 << 20, ContextTokens: 32768}
	f16 := LlamaSettings{Slots: 1, Step: 512, KeyBytes: 2, ValueBytes: 2}
	for _, tt := range []struct {
		name        string
		model       *data.ModelFacts
		change      func(s *LlamaSettings)
		kv, compute float64
	}{
		{"smol 2048", smol, func(s *LlamaSettings) { s.Context = 2048 }, 45, 15.51},
		{"smol 8192", smol, func(s *LlamaSettings) { s.Context = 8192 }, 180, 21.51},
		{"smol q8_0", smol, func(s *LlamaSettings) { s.Context, s.KeyBytes, s.ValueBytes = 8192, 34./32, 34./32 }, 95.62, 20.42},
		{"smol without flash attention", smol, func(s *LlamaSettings) { s.Context, s.NoFlash = 8192, true }, 180, 166.38},
		{"smol large steps", smol, func(s *LlamaSettings) { s.Context, s.Step = 2048, 2048 }, 45, 62.05},
		{"smol four slots", smol, func(s *LlamaSettings) { s.Context, s.Slots = 2048, 4 }, 180, 15.51},
		{"smol four slots, one cache", smol, func(s *LlamaSettings) { s.Context, s.Slots, s.Unified = 8192, 4, true }, 180, 21.51},
		{"gemma 8192", gemma, func(s *LlamaSettings) { s.Context = 8192 }, 39, 26.77},
		{"gemma 32768", gemma, func(s *LlamaSettings) { s.Context = 32768 }, 111, 50.77},
		{"gemma two slots", gemma, func(s *LlamaSettings) { s.Context, s.Slots = 8192, 2 }, 78, 26.77},
		{"gemma four slots, one cache", gemma, func(s *LlamaSettings) { s.Context, s.Slots, s.Unified = 16384, 4, true }, 85.5, 36.27},
		{"gemma large steps", gemma, func(s *LlamaSettings) { s.Context, s.Step = 32768, 2048 }, 133.5, 209.08},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := f16
			tt.change(&s)
			f := EstimateLlama(tt.model, s)
			kv, compute := float64(f.KVBytes)/(1<<20), float64(f.ComputeBytes)/(1<<20)
			if kv < 0.99*tt.kv || kv > 1.01*tt.kv {
				t.Errorf("KV cache %.2f MiB, llama-server reports %.2f", kv, tt.kv)
			}
			if compute < 0.9*tt.compute || compute > 1.15*tt.compute {
				t.Errorf("compute buffer %.2f MiB, llama-server reports %.2f", compute, tt.compute)
			}
		})
	}
	whole := f16
	whole.Context, whole.WholeWindow = 8192, true
	if f := EstimateLlama(gemma, whole); f.KVBytes != 8192*18*2*256*2 {
		t.Errorf("with whole windows %d bytes", f.KVBytes)
	}
}

func TestLlamaProblems(t *testing.T) {
	const gib = 1 << 30
	base := LlamaFit{LlamaSettings: LlamaSettings{Context: 8192, Slots: 1}, ModelContext: 8192, Layers: 31,
		WeightsBytes: 8 * gib, KVBytes: 2 * gib, ComputeBytes: gib / 2, HostFree: 16 * gib, GPULayers: -1}
	for _, tt := range []struct {
		name       string
		change     func(f *LlamaFit)
		text, hint string
		certain    bool
	}{
		{"fits", func(*LlamaFit) {}, "", "", false},
		{"too long", func(f *LlamaFit) { f.Context = 9000 }, "more than the model's 8192", "--max-model-len 8192", true},
		{"stretched", func(f *LlamaFit) { f.Context, f.LongContext = 9000, true }, "", "", false},
		{"weights", func(f *LlamaFit) { f.HostFree = 7 * gib }, "8.0 GiB of weights do not fit into 7.0 GiB of free memory",
			"smaller quantisation", true},
		{"cache", func(f *LlamaFit) { f.HostFree = 9 * gib }, "2.0 GiB of KV cache (1 slot of 8192 tokens) do not fit into 9.0 GiB",
			"-ctk q8_0", true},
		{"close", func(f *LlamaFit) { f.HostFree = 10*gib + 1<<20 }, "may not fit into 10.0 GiB", "--max-model-len", false},
		{"GPU and machine", func(f *LlamaFit) { f.HostFree, f.DeviceFree = 6*gib, 6*gib }, "", "", false},
		{"GPU alone", func(f *LlamaFit) { f.DeviceFree, f.GPULayers = 6*gib, 32 }, "32 layers need 10.0 GiB of GPU memory, and 6.0 GiB are free",
			"use -- -ngl 16 or less", true},
		{"some layers", func(f *LlamaFit) { f.DeviceFree, f.GPULayers = 6*gib, 16 }, "", "", false},
		{"GPU unused", func(f *LlamaFit) { f.HostFree, f.DeviceFree, f.GPULayers = 9*gib, 0, 0 },
			"do not fit into 9.0 GiB of free memory", "", true},
	} {
		f := base
		tt.change(&f)
		text, hint, certain := f.Problem()
		if !strings.Contains(text, tt.text) || (tt.text == "") != (text == "") || !strings.Contains(hint, tt.hint) || certain != tt.certain {
			t.Errorf("%s: %q (%q), certain %v", tt.name, text, hint, certain)
		}
	}
	roomy := base
	roomy.DeviceFree = 10 * gib // the weights fit on the GPU, and weights and cache do not
	if roomy.roomy() {
		t.Error("the cache would push layers off the GPU")
	}
}

// Without a context wb takes the model's, or the longest that fits.
func TestLlamaContext(t *testing.T) {
	in := &Install{Program: LlamaServer(), Command: []string{"llama-server"}, CPU: true}
	m := &data.ModelFacts{Shape: data.Shape{Layers: 2, KVHeads: 2, HeadDim: 32, Hidden: 64, Intermediate: 128, Vocab: 100},
		ContextTokens: 4096}
	for _, tt := range []struct {
		words []string
		layer int64
		want  string // "": any context shorter than the model's
	}{
		{nil, 2, "4096"},
		{[]string{"-np", "2"}, 2, "8192"},
		{[]string{"-np", "-1"}, 2, "4096"},
		{[]string{"-c", "100"}, 2, "100"},
		{nil, 1 << 26, ""},
	} {
		o, err := NewOptions(in, "cpu", "/m.gguf", nil, tt.words)
		if err != nil {
			t.Fatal(err)
		}
		m.Layers = tt.layer
		if _, err := o.fitLlama(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		if got := o.value("ctx-size"); (tt.want != "" && got != tt.want) || got == "" || (tt.want == "" && got == "4096") {
			t.Errorf("%v, %d layers: context %s", tt.words, tt.layer, got)
		}
	}
	o, err := NewOptions(in, "cpu", "/m.gguf", nil, []string{"-c", "x"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := o.fitLlama(t.Context(), m); err == nil || o.value("ctx-size") != "x" {
		t.Errorf("%v", err)
	}
}

// Messages that come only with a GPU, or with damage that is hard to make. They are written as in the sources of llama.cpp.
func TestExplainLlama(t *testing.T) {
	for _, tt := range []struct{ log, want string }{
		{"0.01.000.000 E ggml_backend_cuda_buffer_type_alloc_buffer: allocating 5120.00 MiB on device 0: cudaMalloc failed: out of memory\n" +
			"0.01.000.000 E alloc_tensor_range: failed to allocate CUDA0 buffer of size 5368709120\n",
			"GPU 0 ran out of memory (it wanted 5120.00 MiB more)"},
		{"ggml_vulkan: Device memory allocation of size 1073741824 failed.\nggml_vulkan: vk::Device::allocateMemory: ErrorOutOfDeviceMemory",
			"the GPU ran out of memory"},
		{"CUDA error: an illegal memory access was encountered\n  current device: 0",
			"the GPU failed: an illegal memory access was encountered"},
		{"/src/ggml.c:1643: GGML_ASSERT(a != NULL) failed\n[New LWP 1]", "a check inside llama-server failed: a != NULL"},
		{"llama_model_load: error loading model: missing tensor 'blk.0.attn_q.weight'",
			"the model file lacks the tensor blk.0.attn_q.weight"},
		{"0.00.1 E x\n0.00.004.096 E llama_model_load: error loading model: something new\n0.00.004.776 E srv  llama_server: exiting",
			"the model cannot be loaded: something new"},
		{"0.00.004.096 E srv something: went wrong\n0.00.004.776 E srv  llama_server: exiting", "srv something: went wrong"},
		{"0.00.004.096 I all is well", ""},
	} {
		if got := LlamaServer().Explain(tt.log); got.Text != tt.want {
			t.Errorf("%q, want %q\n%s", got.Text, tt.want, tt.log)
		}
	}
}

func TestProgramFor(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"gguf/m.gguf": "GGUF", "hf/config.json": "{}", "hf/m.gguf": "GGUF"} {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	h := &hub.Client{CacheDir: filepath.Join(dir, "cache")}
	for model, want := range map[string]string{
		"x.gguf":                    KindLlamaCpp,
		"org/name:Q4_K_M":           KindLlamaCpp,
		"org/Name-GGUF":             KindLlamaCpp,
		"org/Name-GGUF@main":        KindLlamaCpp,
		filepath.Join(dir, "gguf"):  KindLlamaCpp,
		filepath.Join(dir, "hf"):    KindVLLM,
		"org/name":                  KindVLLM,
		"smollm2-135m":              KindVLLM,
		"nonsense":                  KindVLLM,
		filepath.Join(dir, "cache"): KindVLLM,
	} {
		if got := ProgramFor(h, model).Kind; got != want {
			t.Errorf("%s: %s", model, got)
		}
	}
}

// Flags of llama-server are read back as the same flags.
func FuzzLlamaArgs(f *testing.F) {
	f.Add("-np\x01-1\x01--ctx_size=5\x01-new\x01x\x01--no-ui")
	f.Fuzz(func(t *testing.T, s string) {
		a, err := LlamaServer().Flags(strings.Split(s, "\x01"))
		if strings.Contains(s, "\x00") || err != nil {
			return
		}
		if b, err := LlamaServer().Flags(a.List()); err != nil || !slices.Equal(a.List(), b.List()) {
			t.Errorf("%q lists %q, which is read as %q (%v)", s, a.List(), b.List(), err)
		}
	})
}

func FuzzLlamaLog(f *testing.F) {
	f.Add("0.02.654.738 I srv    load_model: initializing, n_slots = 1, n_ctx_slot = 2048, kv_unified = 'false'\nerror: x")
	f.Add("0.00.1.1 I load_tensors: loading model tensors\nerror while handling argument \"-c\": stoi")
	f.Fuzz(func(t *testing.T, s string) {
		LlamaServer().ReadReport(s)
		if c := LlamaServer().Explain(s); strings.ContainsAny(c.Text+c.Hint, "\n\r") {
			t.Errorf("%q is more than one line", c.Text)
		}
	})
}
