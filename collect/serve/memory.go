package serve

import (
	"fmt"
	"math"

	"wb/data"
	"wb/data/plain"
)

// Memory is the memory of a device, and how much of it vLLM is told to take.
type Memory struct {
	CPU         bool // the device is the machine itself, not a GPU
	TotalBytes  int64
	FreeBytes   int64
	Utilization float64 // --gpu-memory-utilization, 0 to 1
	KVBytes     int64   // VLLM_CPU_KVCACHE_SPACE or --kv-cache-memory-bytes; 0: what Utilization leaves
}

// Settings are the settings of a server that decide how much memory it needs.
type Settings struct {
	MaxModelLen   int64 // 0: the longest context that the model allows
	BatchedTokens int64 // tokens of one step
	Seqs          int64
	Graphs        bool  // CUDA graphs are captured
	KVValueBytes  int64 // size of one value in the KV cache; 0: 2
	Parallel      int64 // GPUs that share weights and KV heads (--tensor-parallel-size); 0: 1
}

// Fit says how much of a device's memory a model needs, and how many tokens of context the rest holds.
type Fit struct {
	Memory
	Context         int64 // the context asked for, tokens
	ModelContext    int64 // the longest context that the model allows, tokens; 0: unknown
	WeightsBytes    int64
	OverheadBytes   int64 // CUDA context, libraries, activations of the largest step
	KVBytesPerToken int64
	KVNeededBytes   int64 // for one sequence of Context tokens
	KVFreeBytes     int64 // left for the KV cache; may be negative
	KVTokens        int64 // tokens that KVFreeBytes hold: an estimate of what vLLM reports as "KV cache size"
}

// These overheads were measured on an H100 with vLLM 0.26 (torch 2.11, CUDA 13), with two model shapes, eager and with graphs.
// docs/reference/serving.md has the readings. The rest of a step's memory follows from its shape.
const (
	gpuContextBytes = 350 << 20 // CUDA context, cuBLAS workspaces, NCCL's start
	graphBytes      = 300 << 20 // captured graphs at --max-num-seqs 2
)

// Estimate works out whether a model fits, before anything is started. For a model whose layers are all alike, vLLM's pool holds
// (utilisation·total − weights − overhead) / (KV bytes per token) tokens (gpu_worker.py, determine_available_memory).
func Estimate(m *data.ModelFacts, mem Memory, s Settings) Fit {
	value := s.KVValueBytes
	if value == 0 {
		value = 2
	}
	share := max(1, s.Parallel)
	f := Fit{
		Memory:          mem,
		Context:         s.MaxModelLen,
		ModelContext:    m.ContextTokens,
		WeightsBytes:    m.WeightsBytes / share,
		KVBytesPerToken: m.KVBytesPerToken(value) / share,
	}
	if f.Context == 0 {
		f.Context = m.ContextTokens
	}
	f.KVNeededBytes = m.KVBytes(f.Context, s.BatchedTokens, value) / share
	// One step holds the gate and up projections, their product, the residual and the attention's output, in 16 bits each. It also holds
	// the logits of each sequence in 32 bits, in three copies while it samples.
	step := s.BatchedTokens*(3*m.Intermediate+6*m.Hidden)*2 + s.Seqs*m.Vocab*4*3
	if mem.CPU {
		f.OverheadBytes = step + 1<<30 // Python, torch and the allocator's slack, measured with vLLM 0.32 on CPU
	} else {
		f.OverheadBytes = step + gpuContextBytes
		if s.Graphs {
			f.OverheadBytes += graphBytes
		}
	}
	switch {
	case mem.KVBytes > 0:
		f.KVFreeBytes = mem.KVBytes
	default:
		f.KVFreeBytes = int64(float64(mem.TotalBytes)*mem.Utilization) - f.WeightsBytes - f.OverheadBytes
	}
	switch {
	case f.KVBytesPerToken <= 0 || f.KVFreeBytes <= 0:
	case m.SlidingWindow > 0 && f.KVNeededBytes > 0:
		// vLLM reports the pool of a hybrid model as the number of contexts that fit, times their length (kv_cache_utils.py).
		f.KVTokens = int64(float64(f.KVFreeBytes) / float64(f.KVNeededBytes) * float64(f.Context))
	default:
		f.KVTokens = f.KVFreeBytes / f.KVBytesPerToken
	}
	return f
}

// Problem says in one line why vLLM would not start, and what to change. Both are "" when the model fits.
func (f Fit) Problem() (text, hint string) {
	flag := "--gpu-memory-utilization"
	asked := int64(float64(f.TotalBytes) * f.Utilization)
	switch {
	case f.ModelContext > 0 && f.Context > f.ModelContext:
		return fmt.Sprintf("a context of %d tokens is more than the model's %d", f.Context, f.ModelContext),
			fmt.Sprintf("use --max-model-len %d or less", f.ModelContext)
	case f.CPU && f.WeightsBytes+f.OverheadBytes+f.KVFreeBytes > f.FreeBytes:
		return fmt.Sprintf("%s of weights and %s of KV cache do not fit into %s of free memory",
				plain.InGiB(f.WeightsBytes), plain.InGiB(f.KVFreeBytes), plain.InGiB(f.FreeBytes)),
			"lower --max-model-len or VLLM_CPU_KVCACHE_SPACE, or choose a smaller model (wb models list)"
	case !f.CPU && f.KVBytes == 0 && asked > f.FreeBytes:
		usable := math.Floor(float64(f.FreeBytes)/float64(f.TotalBytes)*100) / 100
		if f.WeightsBytes+f.OverheadBytes > f.FreeBytes {
			return fmt.Sprintf("%s of weights do not fit: %s of %s GPU memory are free",
					plain.InGiB(f.WeightsBytes), plain.InGiB(f.FreeBytes), plain.InGiB(f.TotalBytes)),
				"stop other programs that use the GPU (nvidia-smi), or choose a smaller or 4-bit model"
		}
		return fmt.Sprintf("%s of %s GPU memory are free, and %s %.2f asks for %s",
				plain.InGiB(f.FreeBytes), plain.InGiB(f.TotalBytes), flag, f.Utilization, plain.InGiB(asked)),
			fmt.Sprintf("stop other programs that use the GPU (nvidia-smi), or use %s %.2f", flag, usable)
	case f.KVFreeBytes <= 0:
		return fmt.Sprintf("%s of weights and %s of overhead leave no KV cache in %s",
				plain.InGiB(f.WeightsBytes), plain.InGiB(f.OverheadBytes), plain.InGiB(asked)),
			"raise " + flag + ", or choose a smaller or 4-bit model (wb models list)"
	case f.KVNeededBytes > f.KVFreeBytes:
		longest := f.KVTokens / 16 * 16
		hint = fmt.Sprintf("use --max-model-len %d or less", longest)
		if f.CPU {
			hint += ", or raise VLLM_CPU_KVCACHE_SPACE"
		} else {
			hint += ", or raise " + flag
		}
		return fmt.Sprintf("a context of %d tokens needs %s of KV cache, and about %s are left beside %s of weights",
			f.Context, plain.InGiB(f.KVNeededBytes), plain.InGiB(f.KVFreeBytes), plain.InGiB(f.WeightsBytes)), hint
	}
	return "", ""
}

// Certain says whether the problem is there even if the estimate is somewhat wrong.
func (f Fit) Certain() bool {
	return (f.ModelContext > 0 && f.Context > f.ModelContext) ||
		(!f.CPU && f.KVBytes == 0 && float64(f.TotalBytes)*f.Utilization > float64(f.FreeBytes)) ||
		f.WeightsBytes > f.FreeBytes ||
		float64(f.KVNeededBytes) > 1.25*float64(f.KVFreeBytes)
}

// Summary describes in one line a model that fits.
func (f Fit) Summary() string {
	return fmt.Sprintf("%s of weights, about %s for the KV cache: %d tokens (%.1f contexts of %d)",
		plain.InGiB(f.WeightsBytes), plain.InGiB(f.KVFreeBytes), f.KVTokens,
		float64(f.KVFreeBytes)/math.Max(1, float64(f.KVNeededBytes)), f.Context)
}
