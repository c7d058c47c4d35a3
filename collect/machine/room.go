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

// Room is the memory that a model can have on this machine.
type Room struct {
	Memory serve.Memory
	Device string // name of the GPU, or "no GPU"
}

// ModelRoom looks at the first GPU, or at the machine's memory when there is none. Whole memory counts, not what is free
// just now: what runs at the moment can be ended.
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

// A context below this is of no use for conversations with documents.
const usefulTokens = 4096

// Fits says whether a model leaves room for a context that is of use, and how long the context may be: tokens of one
// sequence, at most the model's own. The single-user settings are assumed.
func (r Room) Fits(m data.Model) (fits bool, tokens int64) {
	facts := &data.ModelFacts{Shape: m.Shape, WeightsBytes: m.WeightsBytes, ContextTokens: m.ContextTokens}
	memory := r.Memory
	if memory.CPU {
		memory.KVBytes = max(1, (memory.FreeBytes-m.WeightsBytes-2<<30)/2)
		if m.Quantization != "" { // vLLM's CPU build runs few quantisations; wb recommends none there
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

// cpuWeightsBytes is what a CPU reads for each token without trying a person's patience: at the 10 to 20 GB/s of a desktop's memory
// that is 10 tokens a second or more.
const cpuWeightsBytes = 1 << 30

// Recommend chooses the model that wb setup downloads: on a GPU the largest of the recommended ones that fits, else the
// largest open one that does; without a GPU the largest that a CPU reads fast enough. It fails when none fits.
func (r Room) Recommend() (data.Model, error) {
	all, err := data.Models()
	if err != nil {
		return data.Model{}, err
	}
	var best *data.Model
	for i := range all {
		m := &all[i]
		fits, _ := r.Fits(*m)
		if !fits || m.Gated || (r.Memory.CPU && m.WeightsBytes > cpuWeightsBytes) {
			continue
		}
		if best == nil || (m.Recommended && !best.Recommended) || (m.Recommended == best.Recommended && m.WeightsBytes > best.WeightsBytes) {
			best = m
		}
	}
	if best == nil {
		return data.Model{}, fmt.Errorf("recommend a model: none of those wb knows fits (%s); wb run without --url uses the simulator", r)
	}
	return *best, nil
}
