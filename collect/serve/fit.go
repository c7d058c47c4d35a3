package serve

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/shirou/gopsutil/v4/mem"

	"wb/collect/engine"
	"wb/collect/gpu"
	"wb/data/plain"
)

// fit estimates the memory that vLLM needs, chooses the context when the user did not, and refuses settings that would certainly fail.
func (m *Managed) fit(ctx context.Context, in *Install, l *Launch) error {
	o := m.Options
	s := o.settings(in)
	device, err := m.memory(ctx, in)
	if err != nil {
		l.Warn("memory is not checked before the start: " + err.Error())
		return nil
	}
	if v, ok := o.Args.Get("gpu-memory-utilization"); ok {
		if device.Utilization, err = strconv.ParseFloat(v, 64); err != nil || !(device.Utilization > 0 && device.Utilization <= 1) {
			return fmt.Errorf("read --gpu-memory-utilization: wants a number above 0 and up to 1, not %q", v)
		}
	}
	device.KVBytes = o.count("kv-cache-memory-bytes", 0)
	if in.CPU {
		m.chooseKVSpace(&device, &s)
	}
	m.Fit = Estimate(m.Model.Facts, device, s)
	if s.MaxModelLen == 0 && m.Fit.KVNeededBytes > m.Fit.KVFreeBytes && m.Fit.KVFreeBytes > 0 {
		s.MaxModelLen = m.chooseContext(m.Fit.KVFreeBytes, s)
		m.Fit = Estimate(m.Model.Facts, device, s)
	}
	if longest := m.Model.Facts.ContextTokens; s.MaxModelLen > 0 && s.MaxModelLen < longest {
		if _, asked := o.Args.Get("max-model-len"); !asked {
			l.Say(fmt.Sprintf("context: %d of the model's %d tokens, the most that fits beside the weights; --max-model-len chooses another",
				s.MaxModelLen, longest))
			o.Args.Set("max-model-len", strconv.FormatInt(s.MaxModelLen, 10))
		}
	}
	long := o.Getenv("VLLM_ALLOW_LONG_MAX_MODEL_LEN") == "1" && m.Fit.Context > m.Fit.ModelContext
	if text, hint := m.Fit.Problem(); text != "" && !long {
		if m.Fit.Certain() {
			return plain.WithHint(errors.New("start vLLM: "+text), hint)
		}
		l.Warn(text + ": vLLM may fail to start; " + hint)
	}
	l.Say("memory: " + m.Fit.Summary())
	return nil
}

// count reads a flag that holds a number. It gives otherwise when the flag is not set or is not a number.
func (o *Options) count(flag string, otherwise int64) int64 {
	v, _ := o.Args.Get(flag)
	if n, ok := ParseCount(v); ok {
		return n
	}
	return otherwise
}

// settings gives the settings that decide about memory: from the flags, else vLLM's defaults.
func (o *Options) settings(in *Install) Settings {
	_, eager := o.Args.Get("enforce-eager")
	s := Settings{MaxModelLen: o.count("max-model-len", 0), BatchedTokens: o.count("max-num-batched-tokens", 8192),
		Seqs: o.count("max-num-seqs", 256), Graphs: !eager && !in.CPU, Parallel: o.count("tensor-parallel-size", 1)}
	if v, _ := o.Args.Get("kv-cache-dtype"); strings.HasPrefix(v, "fp8") {
		s.KVValueBytes = 1
	}
	return s
}

// chooseKVSpace decides how much of the machine's memory the KV cache of a CPU build takes. It makes room for two contexts, so that more
// than one conversation stays cached, but never takes more than half of the free memory. It shortens the context where it must.
func (m *Managed) chooseKVSpace(device *Memory, s *Settings) {
	o := m.Options
	if v := o.Getenv("VLLM_CPU_KVCACHE_SPACE"); v != "" {
		if gib, err := strconv.ParseFloat(v, 64); err == nil && gib > 0 {
			device.KVBytes = int64(gib * (1 << 30))
		}
	}
	if device.KVBytes != 0 {
		return
	}
	f := Estimate(m.Model.Facts, *device, *s)
	room := max(device.FreeBytes-f.WeightsBytes-f.OverheadBytes, 0) / 2
	if s.MaxModelLen == 0 && f.KVNeededBytes > room {
		s.MaxModelLen = m.chooseContext(room, *s)
	}
	needed := Estimate(m.Model.Facts, *device, *s).KVNeededBytes
	gib := max(1, int64(math.Ceil(float64(min(2*needed, room))/(1<<30))))
	device.KVBytes = gib << 30
	o.AddEnv("VLLM_CPU_KVCACHE_SPACE", strconv.FormatInt(gib, 10))
}

// chooseContext gives the longest context whose KV cache fits into a number of bytes, in steps of 1,024 tokens.
func (m *Managed) chooseContext(bytes int64, s Settings) int64 {
	value := s.KVValueBytes
	if value == 0 {
		value = 2
	}
	longest := m.Model.Facts.ContextTokens
	for n := longest / 1024 * 1024; n > 1024; n -= 1024 {
		if m.Model.Facts.KVBytes(n, s.BatchedTokens, value)/max(1, s.Parallel) <= bytes*95/100 { // the estimate may be a little wrong
			return n
		}
	}
	return min(1024, longest)
}

// memory gives the memory of the device: of the machine for a CPU build, else of the first visible GPU.
func (m *Managed) memory(ctx context.Context, in *Install) (Memory, error) {
	if in.CPU {
		v, err := mem.VirtualMemoryWithContext(ctx)
		if err != nil {
			return Memory{}, err
		}
		return Memory{CPU: true, TotalBytes: int64(v.Total), FreeBytes: int64(v.Available)}, nil
	}
	total, free, err := m.gpus.Memory(m.Options.Getenv("CUDA_VISIBLE_DEVICES"))
	if err != nil {
		return Memory{}, err
	}
	return Memory{TotalBytes: total, FreeBytes: free, Utilization: engine.NewAdapter(in.Version).DefaultUtilization()}, nil
}

// CheckCUDA compares the CUDA release that vLLM's torch was built for with the one that the driver supports. A driver runs every program
// that was built for the same or an earlier major version of CUDA, whatever its minor version (CUDA compatibility). g may be nil.
func CheckCUDA(in *Install, g *gpu.GPUs) error {
	if g == nil {
		return nil
	}
	driver, cuda := g.Versions()
	if in.CUDA == "" || cuda == "" {
		return nil
	}
	need, err1 := strconv.Atoi(strings.Split(in.CUDA, ".")[0])
	have, err2 := strconv.Atoi(strings.Split(cuda, ".")[0])
	if err1 != nil || err2 != nil || need <= have {
		return nil
	}
	return plain.WithHint(fmt.Errorf("start vLLM: its torch needs CUDA %s and driver %s supports %s", in.CUDA, driver, cuda),
		"update the NVIDIA driver, or install a vLLM built for CUDA "+strconv.Itoa(have))
}
