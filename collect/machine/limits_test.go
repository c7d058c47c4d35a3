package machine

import (
	"errors"
	"fmt"
	"testing"

	"github.com/NVIDIA/go-nvml/pkg/nvml"

	"wb/collect/gpu"
	"wb/collect/gpu/gputest"
	"wb/collect/serve"
	"wb/data"
)

// told writes a pointer's value, or "not known".
func told[T any](p *T) string {
	if p == nil {
		return "not known"
	}
	return fmt.Sprint(*p)
}

func TestDevice(t *testing.T) {
	fake := func(mig int) *gpu.GPUs {
		g := gputest.FakeGPU(false)
		gputest.Quiet(g).GetMigModeFunc = func() (int, int, nvml.Return) { return mig, mig, nvml.SUCCESS }
		return g
	}
	for _, tt := range []struct {
		what string
		g    *gpu.GPUs
		err  error
		want string
	}{
		{"a GPU", fake(nvml.DEVICE_MIG_DISABLE), nil, "H200 false"},
		{"a MIG slice", fake(nvml.DEVICE_MIG_ENABLE), nil, "not known false"},
		{"no GPU", nil, fmt.Errorf("%w: NVML lists none", gpu.ErrNoGPU), "not known true"},
		{"another error", nil, errors.New("broken"), "not known not known"},
	} {
		name, onCPU := device(func() (*gpu.GPUs, error) { return tt.g, tt.err })
		if got := told(name) + " " + told(onCPU); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.what, got, tt.want)
		}
	}
}

// A build of vLLM for processors is told by the memory that it was fitted into. Where that could not be read, nothing is known.
func TestManagedOnCPU(t *testing.T) {
	facts, err := data.ParseModelConfig([]byte(`{"model_type": "llama", "num_hidden_layers": 2, "num_attention_heads": 2,
		"num_key_value_heads": 2, "hidden_size": 64, "intermediate_size": 128, "vocab_size": 512}`))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		memory serve.Memory
		want   string
	}{
		{serve.Memory{CPU: true, TotalBytes: 1 << 30}, "true"},
		{serve.Memory{TotalBytes: 1 << 30}, "false"},
		{serve.Memory{}, "not known"},
	} {
		m := &serve.Managed{Options: &serve.Options{Install: &serve.Install{Program: serve.VLLM()}},
			Model: &serve.ResolvedModel{Facts: facts}, Fit: serve.Fit{Memory: tt.memory}}
		if got := told(ManagedLimits(m).OnCPU); got != tt.want {
			t.Errorf("%+v: on_cpu is %s, want %s", tt.memory, got, tt.want)
		}
	}
}
