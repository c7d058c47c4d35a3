package machine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"wb/collect/serve"
	"wb/data"
	"wb/data/hub"
	"wb/data/plain"
)

// DiagnoseLlama checks what a start of llama-server needs: the program, a free port, and, for a model, its files and enough memory.
// model may be "".
func DiagnoseLlama(ctx context.Context, h *hub.Client, at, model string, port int) []Finding {
	var out []Finding
	add := func(check, level, found, remedy string) { out = append(out, Finding{check, level, found, remedy}) }
	in, err := serve.FindLlama(ctx, at, os.Environ())
	if err != nil {
		add("llama-server", LevelFail, err.Error(), plain.Hint(err))
		in = &serve.Install{Program: serve.LlamaServer(), CPU: true}
	} else {
		found := strings.TrimSpace(in.Version + " at " + in.Where)
		for _, d := range in.Devices {
			found += fmt.Sprintf(", %s: %s, %s free", d.Name, d.Product, plain.InGiB(d.FreeBytes))
		}
		if in.CPU {
			found += ", no GPU"
		}
		add("llama-server", LevelOK, found, "")
	}
	diagnosePort(ctx, port, model != "", add)
	diagnoseCache(h, add)
	if model == "" {
		return out
	}
	path, served, err := serve.ResolveGGUF(h, model)
	if errors.Is(err, hub.ErrNotCached) {
		add("model", LevelWarn, err.Error(), "wb models pull "+model)
		return out
	}
	var facts *data.ModelFacts
	if err == nil {
		facts, err = data.ReadGGUF(path)
	}
	if err != nil {
		remedy := plain.Hint(err)
		if remedy == "" {
			remedy = "name a GGUF file, or ORG/NAME:QUANT; a damaged file must be downloaded again"
		}
		add("model", LevelFail, err.Error(), remedy)
		return out
	}
	add("model", LevelOK, fmt.Sprintf("%s: %s of weights, %s", served, plain.InGiB(facts.WeightsBytes), facts.Quantization), "")
	fit, err := serve.CheckLlama(ctx, in, facts, os.Environ())
	if err != nil {
		add("memory fit", LevelWarn, err.Error(), "")
		return out
	}
	switch text, hint, certain := fit.Problem(); {
	case certain:
		add("memory fit", LevelFail, text, hint)
	case text != "":
		add("memory fit", LevelWarn, text, hint)
	case fit.Context < facts.ContextTokens:
		add("memory fit", LevelNote, fmt.Sprintf("a context of %d of the model's %d tokens fits", fit.Context, facts.ContextTokens),
			fmt.Sprintf("use --max-model-len %d or less", fit.Context))
	default:
		add("memory fit", LevelOK, fmt.Sprintf("the whole context of %d tokens fits", fit.Context), "")
	}
	return out
}
