package machine

import (
	"context"
	"fmt"

	"github.com/shirou/gopsutil/v4/mem"

	"wb/collect/engine"
	"wb/collect/gpu"
	"wb/collect/serve"
	"wb/data"
	"wb/data/plain"
)

// Room is the memory that a model can use on this machine.
type Room struct {
	Memory serve.Memory
	Device string // name of the GPU, or "no GPU"
}

// ModelRoom gives the memory of the first GPU, or of the machine when it has no GPU. For a GPU the whole memory counts, not only what is
// free now, because programs that use it can be ended.
func ModelRoom(ctx context.Context) Room {
	if g, err := gpu.Open(); err == nil {
		defer g.Close()
		name := "a GPU"
		if n := g.Name(""); n != nil {
			name = *n
		}
		if total, _, err := g.Memory(""); err == nil {
			whole := serve.Memory{TotalBytes: total, FreeBytes: total, Utilization: engine.NewAdapter("").DefaultUtilization()}
			return Room{whole, name}
		}
	}
	r := Room{serve.Memory{CPU: true}, "no GPU"}
	if v, err := mem.VirtualMemoryWithContext(ctx); err == nil {
		r.Memory.TotalBytes, r.Memory.FreeBytes = int64(v.Total), int64(v.Available)
	}
	return r
}

func (r Room) String() string {
	if r.Memory.CPU {
		return fmt.Sprintf("%s, %s of memory", r.Device, plain.InGiB(r.Memory.TotalBytes))
	}
	return fmt.Sprintf("%s, %s", r.Device, plain.InGiB(r.Memory.TotalBytes))
}

// usefulTokens is the shortest context that suffices for conversations with documents.
const usefulTokens = 4096

// Fits says whether a model leaves room for a useful context. tokens is the longest context of one sequence that fits, at most that of the
// model. The settings are those of the preset single-user.
func (r Room) Fits(m data.Model) (fits bool, tokens int64) {
	facts := &data.ModelFacts{Shape: m.Shape, WeightsBytes: m.WeightsBytes, ContextTokens: m.ContextTokens}
	memory := r.Memory
	if memory.CPU {
		memory.KVBytes = max(1, (memory.FreeBytes-m.WeightsBytes-2<<30)/2)
		if m.Quantization != "" { // vLLM's CPU build runs few quantisations, so wb recommends none of them
			return false, 0
		}
	}
	for n := m.ContextTokens; n >= 1024; n -= 1024 {
		f := serve.Estimate(facts, memory, serve.Settings{MaxModelLen: n, BatchedTokens: 512, Seqs: 2})
		if text, _ := f.Problem(); text == "" {
			return n >= min(usefulTokens, m.ContextTokens), n
		}
	}
	return false, 0
}

// FitsGGUF says whether a model in GGUF files leaves room for a useful context, as Fits does, in one slot of llama-server. On a GPU all
// layers are counted.
func (r Room) FitsGGUF(f *data.ModelFacts) (fits bool, tokens int64) {
	room := r.Memory.TotalBytes
	if r.Memory.CPU {
		room = r.Memory.FreeBytes
	}
	for n := f.ContextTokens; n > 0; n = (n - 1) / 1024 * 1024 {
		s := serve.LlamaSettings{Context: n, Slots: 1, Step: serve.LlamaStep, KeyBytes: data.KVValueBytes(""), ValueBytes: data.KVValueBytes("")}
		if serve.EstimateLlama(f, s).NeededBytes() <= room {
			return n >= min(usefulTokens, f.ContextTokens), n
		}
	}
	return false, 0
}

// cpuWeightsBytes is the size of weights with which a CPU is still fast enough for a person. A CPU reads all weights for each token, and
// a desktop's memory gives 10 to 20 GB/s, so that is 10 tokens per second or more.
const cpuWeightsBytes = 1 << 30

// Recommend chooses the model that wb setup downloads. It takes the largest recommended model that fits, or else the largest other one that
// fits. Gated models are left out, and without a GPU also those that a CPU does not read fast enough. It fails when none fits.
func (r Room) Recommend() (data.Model, error) {
	all, err := data.Models()
	if err != nil {
		return data.Model{}, err
	}
	var best *data.Model
	for i := range all {
		m := &all[i]
		fits, _ := r.Fits(*m)
		if !m.Sized() || !fits || m.Gated || (r.Memory.CPU && m.WeightsBytes > cpuWeightsBytes) {
			continue
		}
		if best == nil || (m.Recommended && !best.Recommended) || (m.Recommended == best.Recommended && m.WeightsBytes > best.WeightsBytes) {
			best = m
		}
	}
	if best == nil {
		return data.Model{}, fmt.Errorf("recommend a model: none of the models that wb knows fits (%s); "+
			"wb run without --url uses the simulator", r)
	}
	return *best, nil
}
