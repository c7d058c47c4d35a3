package engine

import (
	"context"
	"path/filepath"
	"slices"
	"strings"

	"github.com/shirou/gopsutil/v4/process"

	"wb/collect/client"
)

// llamaFlag is a flag of llama-server that says how it caches or where it computes (common/arg.cpp of b11434). Other flags are not read:
// they may hold keys.
type llamaFlag struct {
	name  string   // long name, without dashes
	forms []string // other names, without dashes
	no    []string // names that switch it off; nil: the flag has a value
	bare  bool     // it has no value and no name that switches it off
	env   string   // variable that stands for it, without LLAMA_ARG_
}

var llamaFlagTable = []llamaFlag{
	{name: "ctx-size", forms: []string{"c"}, env: "CTX_SIZE"},
	{name: "parallel", forms: []string{"np"}, env: "N_PARALLEL"},
	{name: "cache-ram", forms: []string{"cram"}, env: "CACHE_RAM"},
	{name: "cache-type-k", forms: []string{"ctk"}, env: "CACHE_TYPE_K"},
	{name: "cache-type-v", forms: []string{"ctv"}, env: "CACHE_TYPE_V"},
	{name: "cache-reuse", env: "CACHE_REUSE"},
	{name: "slot-prompt-similarity", forms: []string{"sps"}},
	{name: "ctx-checkpoints", forms: []string{"ctxcp", "swa-checkpoints"}, env: "CTX_CHECKPOINTS"},
	{name: "n-gpu-layers", forms: []string{"ngl", "gpu-layers"}, env: "N_GPU_LAYERS"},
	{name: "n-cpu-moe", forms: []string{"ncmoe"}, env: "N_CPU_MOE"},
	{name: "override-tensor", forms: []string{"ot"}, env: "OVERRIDE_TENSOR"},
	{name: "device", forms: []string{"dev"}, env: "DEVICE"},
	{name: "threads", forms: []string{"t"}, env: "THREADS"},
	{name: "batch-size", forms: []string{"b"}, env: "BATCH"},
	{name: "ubatch-size", forms: []string{"ub"}, env: "UBATCH"},
	{name: "flash-attn", forms: []string{"fa"}, env: "FLASH_ATTN"},
	{name: "spec-type", env: "SPEC_TYPE"},
	{name: "cpu-moe", forms: []string{"cmoe"}, bare: true, env: "CPU_MOE"},
	{name: "swa-full", bare: true, env: "SWA_FULL"},
	{name: "kv-unified", forms: []string{"kvu"}, no: []string{"no-kv-unified", "no-kvu"}, env: "KV_UNIFIED"},
	{name: "kv-offload", forms: []string{"kvo"}, no: []string{"no-kv-offload", "nkvo"}, env: "KV_OFFLOAD"},
	{name: "cache-prompt", no: []string{"no-cache-prompt"}, env: "CACHE_PROMPT"},
	{name: "cache-idle-slots", no: []string{"no-cache-idle-slots"}, env: "CACHE_IDLE_SLOTS"},
	{name: "context-shift", no: []string{"no-context-shift"}, env: "CONTEXT_SHIFT"},
}

// on and off are the values of a flag without a value.
const on, off = "on", "off"

// llamaFlags gives the known flags of the server's process by their long names. It is nil where the process cannot be seen, or is another
// program, such as a proxy.
func llamaFlags(ctx context.Context, c *client.Client) map[string]string {
	pid, ok := ServerPID(ctx, c)
	if !ok {
		return nil
	}
	p, err := process.NewProcessWithContext(ctx, pid)
	if err != nil {
		return nil
	}
	words, err := p.CmdlineSliceWithContext(ctx)
	if err != nil || len(words) == 0 || !strings.HasPrefix(filepath.Base(words[0]), "llama-server") {
		return nil
	}
	environ, _ := p.EnvironWithContext(ctx) // a process of somebody else keeps it to itself
	return readLlamaFlags(words[1:], environ)
}

// readLlamaFlags reads the words of a command line, and the variables that stand for flags. The command line wins, and there the last word.
func readLlamaFlags(words, environ []string) map[string]string {
	flags := map[string]string{}
	for _, f := range llamaFlagTable {
		for _, e := range environ {
			name, value, _ := strings.Cut(e, "=")
			switch {
			case f.env == "" || f.no == nil && name != "LLAMA_ARG_"+f.env:
			case name == "LLAMA_ARG_"+f.env && (f.bare || f.no != nil):
				flags[f.name] = on
				if slices.Contains([]string{"0", "off", "false", "disabled"}, value) { // is_falsey in arg.cpp
					flags[f.name] = off
				}
			case name == "LLAMA_ARG_"+f.env:
				flags[f.name] = value
			case name == "LLAMA_ARG_NO_"+f.env: // whatever its value
				flags[f.name] = off
			}
		}
	}
	for i, w := range words {
		name := strings.TrimLeft(w, "-")
		if name == w {
			continue
		}
		name, value, joined := strings.Cut(strings.ReplaceAll(name, "_", "-"), "=")
		at := slices.IndexFunc(llamaFlagTable, func(f llamaFlag) bool {
			return f.name == name || slices.Contains(f.forms, name) || slices.Contains(f.no, name)
		})
		if at < 0 {
			continue
		}
		f := llamaFlagTable[at]
		switch {
		case slices.Contains(f.no, name):
			value = off
		case f.bare || f.no != nil:
			value = on
		case !joined && i+1 < len(words):
			value = words[i+1]
		}
		flags[f.name] = value
	}
	return flags
}
