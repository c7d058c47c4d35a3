package compare

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"wb/queries/table"
)

// saying gives what a server says, from words such as kind=vllm.
func saying(words string) Said {
	out := Said{}
	for w := range strings.FieldsSeq(words) {
		name, value, _ := strings.Cut(w, "=")
		out[name] = append(out[name], value)
	}
	return out
}

func TestEnginesOf(t *testing.T) {
	const llama, vllm = "kind=llamacpp version=b10434 model=m ", "kind=vllm version=0.32.0 model=m "
	for name, c := range map[string]struct {
		base, head string
		differ     string // "" where the sides are not apart
		unknown    string
		tokenizer  alike
	}{
		"all that differs": {
			llama + "tokenizer=a template=x quantization=Q4_1 max_model_len_tokens=8192 weights_bytes=1230000000",
			vllm + "tokenizer=a template=y max_model_len_tokens=2048 weights_bytes=2460000000",
			"engine (llamacpp b10434, vllm 0.32.0), template, quantisation (Q4_1, not said), " +
				"context (8,192 tokens, 2,048 tokens), weights (1.23 GB, 2.46 GB)", "", alikeSame,
		},
		"only the engine": {
			llama + "tokenizer=a template=x quantization=Q4_1", vllm + "tokenizer=a template=x quantization=Q4_1",
			"engine (llamacpp b10434, vllm 0.32.0)", "", alikeSame,
		},
		"tokenisers differ": {
			llama + "tokenizer=a template=x quantization=q", vllm + "tokenizer=b template=y quantization=q",
			"engine (llamacpp b10434, vllm 0.32.0), tokeniser", "template (compared only with equal tokenisers)", alikeOther,
		},
		"an unknown tokeniser is not an equal one": {
			llama, vllm + "tokenizer=b template=y", "engine (llamacpp b10434, vllm 0.32.0)",
			"tokeniser (base does not say), template, quantisation (neither side says)", alikeUnknown,
		},
		"unknown on both sides": {
			llama + "quantization=q", vllm + "quantization=q", "engine (llamacpp b10434, vllm 0.32.0)",
			"tokeniser (neither side says), template", alikeUnknown,
		},
		// a template may print the date, and a change that matters shows in the token counts
		"one engine with two templates": {
			vllm + "tokenizer=a template=x quantization=q", vllm + "tokenizer=a template=y quantization=q", "", "", 0,
		},
		"an older wb did not know llama.cpp": {"kind=openai model=m", llama + "tokenizer=a template=y", "", "", 0},
		"one of the runs does not say": {
			llama + "tokenizer=a tokenizer= quantization=q", vllm + "tokenizer=a quantization=q",
			"engine (llamacpp b10434, vllm 0.32.0)", "tokeniser (base does not say), template", alikeUnknown,
		},
		"a model and several versions": {
			"kind=vllm version=1 version=2 model=a tokenizer=a template=x quantization=q max_model_len_tokens=many",
			"kind=sglang model=b tokenizer=a template=x quantization=q",
			"engine (vllm 1 and 2, sglang), model (a, b), context (many, not said)", "", alikeSame,
		},
		"one engine":                           {vllm + "tokenizer=a template=x", "kind=vllm model=n tokenizer=a template=x", "", "", 0},
		"one engine, an older run says less":   {vllm, vllm + "tokenizer=a template=x", "", "", 0},
		"an engine that nobody knows":          {"version=1", vllm, "", "", 0},
		"several engines, the same both times": {"kind=a kind=b", "kind=a kind=b", "", "", 0},
	} {
		e := enginesOf(Side{Said: saying(c.base)}, Side{Said: saying(c.head)})
		differ, unknown := strings.Join(e.differ, ", "), strings.Join(e.unknown, ", ")
		if e.apart != (c.differ != "") || differ != c.differ || unknown != c.unknown || e.tokenizer != c.tokenizer {
			t.Errorf("%s: %+v, want %q and %q", name, e, c.differ, c.unknown)
		}
	}
	simulated := Side{Said: saying("kind=simulator"), Runs: []table.RunRef{{Simulated: true}}}
	if e := enginesOf(simulated, Side{Said: saying(vllm)}); e.apart {
		t.Errorf("a simulator and a server: %+v", e)
	}
}

// answered gives sessions of two conversations with four turns each. Replies have so many tokens and bytes. A time is 50 ms, and 1 ms for
// each token, times the factor; the figures of a turn are TTFT, e2e, TPOT and bytes per second.
func answered(rng *rand.Rand, tokens, size int64, factor float64) (out []observation) {
	for _, conversation := range []string{"a", "b"} {
		for pass := range 6 {
			for turn := range 4 {
				jitter := factor * math.Exp(rng.NormFloat64()*0.01)
				ttft, decode := 50*jitter, float64(tokens)*jitter
				o := observed(conversation, pass, turn+1, ttft, ttft+decode, decode/float64(tokens), float64(size)/decode*1000)
				o.prompt, o.output, o.bytes = tokens*int64(turn+2), tokens, float64(size)
				o.script, o.history = "script of "+conversation, fmt.Sprint("history ", turn)
				out = append(out, o)
			}
		}
	}
	return out
}

// compared gives the result for two sides with other engines and what they say of their tokenisers.
func compared(base, head []observation, tokenizers [2]string) *Result {
	r := &Result{Comparison: Comparison{Margin: 0.02}}
	said := func(kind, tokenizer string) Said {
		words := "kind=" + kind
		if tokenizer != "" {
			words += " tokenizer=" + tokenizer + " template=" + kind
		}
		return saying(words)
	}
	r.Base.Said, r.Head.Said = said("llamacpp", tokenizers[0]), said("vllm", tokenizers[1])
	r.engines = enginesOf(r.Base, r.Head)
	var metrics []Metric
	for _, name := range []string{"ttft", "e2e", "tpot", bytesPerSecond} {
		m, _ := MetricNamed(name)
		metrics = append(metrics, m)
	}
	r.work(base, head, metrics)
	return r
}

// Two engines with a planted difference: what is decided, what is not compared, and which notes say so.
func TestOtherEngines(t *testing.T) {
	live := func(os []observation) []observation { // after the first turn, the replies of each server are in the prompts
		for i := range os {
			if os[i].turn > 1 {
				os[i].history = fmt.Sprint("live ", os[i].output, os[i].turn)
			}
		}
		return os
	}
	other := func(os []observation) []observation {
		for i := range os {
			os[i].script += ", changed"
		}
		return os
	}
	about := strings.Fields("paired_by_text other_texts not_compared other_lengths without_equal unpaired")
	for name, c := range map[string]struct {
		tokens, size int64 // of replies of head; those of base have 100 and 400
		factor       float64
		tokenizers   [2]string
		change       func([]observation) []observation
		outcomes     string // of TTFT, e2e, TPOT and bytes per second
		kinds        string
		answer       string // its end
		turns        int
	}{
		"slower, with equal tokenisers": {100, 400, 1.2, [2]string{"t", "t"}, nil, "slower slower slower slower", "paired_by_text",
			"bytes of text/s 17 % lower", 48},
		"slower, tokenisers differ, replies are as long": {130, 400, 1.2, [2]string{"t", "u"}, nil, "slower slower not compared slower",
			"paired_by_text not_compared other_lengths", "; not compared, as the tokenisers are not the same: time per token", 48},
		"not known whether they differ": {130, 400, 1.2, [2]string{"", "u"}, nil, "slower slower not compared slower",
			"paired_by_text not_compared other_lengths",
			"; not compared, as it is not known whether the tokenisers are the same: time per token", 48},
		"replies are half as long, so e2e says nothing": {50, 200, 1, [2]string{"t", "u"}, nil,
			"equivalent inconclusive not compared equivalent", "paired_by_text not_compared other_lengths",
			"time of a turn not settled, as replies differ in length; not compared", 48},
		"twice as slow, and replies are a little longer": {110, 440, 2, [2]string{"t", "t"}, nil, "slower slower slower slower",
			"paired_by_text other_lengths", "bytes of text/s 50 % lower", 48},
		"slower, in the first turns only": {100, 400, 1.2, [2]string{"t", "u"}, live, "slower slower not compared slower",
			"paired_by_text without_equal without_equal not_compared", "time per token", 12},
		"nothing that both were asked": {100, 400, 1.2, [2]string{"t", "u"}, other, "slower slower not compared slower",
			"other_texts not_compared", "time per token", 48},
	} {
		base, head := answered(rand.New(rand.NewPCG(1, 2)), 100, 400, 1), answered(rand.New(rand.NewPCG(3, 4)), c.tokens, c.size, c.factor)
		for i := range head {
			head[i].prompt += 7 // token counts of prompts agree in no turn
		}
		if c.change != nil {
			head = c.change(head)
		}
		r := compared(base, head, c.tokenizers)
		var outcomes, kinds []string
		for _, v := range r.Verdicts {
			outcomes = append(outcomes, string(v.Outcome))
		}
		for _, w := range r.Warnings {
			if k := string(w.Kind()); slices.Contains(about, k) {
				kinds = append(kinds, k)
			}
		}
		if got := strings.Join(outcomes, " "); got != c.outcomes {
			t.Errorf("%s: %s, want %s", name, got, c.outcomes)
		}
		if got := strings.Join(kinds, " "); got != c.kinds {
			t.Errorf("%s: %s, want %s", name, got, c.kinds)
		}
		if got := r.Answer().Line; !strings.Contains(got, c.answer) {
			t.Errorf("%s: %s, want %s", name, got, c.answer)
		}
		if got := r.Verdicts[0].Turns; got != c.turns {
			t.Errorf("%s: %d turns, want %d", name, got, c.turns)
		}
		if like := strings.HasPrefix(r.Answer().Line, "Not like for like"); like != (c.kinds == "other_texts not_compared") {
			t.Errorf("%s: %s", name, r.Answer().Line)
		}
	}
}

// A side whose sessions shared server processes is compared by process, also where turns are paired by text.
func TestOtherEnginesByProcess(t *testing.T) {
	side := func(name string, seed uint64, factor float64) []observation {
		os := answered(rand.New(rand.NewPCG(seed, 1)), 100, 400, factor)
		for i := range os {
			os[i].process, os[i].session = fmt.Sprint(name, os[i].pass), name+os[i].session
			os[i].prompt += int64(len(name))
		}
		return os
	}
	r := compared(side("base", 1, 1), side("other", 2, 1.2), [2]string{"t", "u"})
	if v := r.Verdicts[0]; r.pairing.unit != unitProcess || v.Outcome != Slower || v.Processes != 6 || math.Abs(v.Change-0.2) > 0.03 {
		t.Errorf("unit %d, %+v", r.pairing.unit, v)
	}
	if v := r.Verdicts[2]; v.Outcome != NotCompared || v.Processes != 0 || !math.IsNaN(v.Noise) {
		t.Errorf("%+v", v)
	}
}

// Prompts of one text have other numbers of tokens, and groups by context are those of base.
func TestGroupsOfOtherEngines(t *testing.T) {
	base, head := answered(rand.New(rand.NewPCG(1, 1)), 100, 400, 1), answered(rand.New(rand.NewPCG(2, 2)), 100, 400, 1)
	for i := range base {
		base[i].group, head[i].group = fmt.Sprint("g", base[i].turn), "other"
	}
	p := pairByText(base, head, alikeOther)
	if got := fmt.Sprint(p.groups(byContext)); got != "[all g1 g2 g3 g4]" {
		t.Error(got)
	}
	if head[0].group != "other" || head[0].byText {
		t.Error("the turns that were given are changed")
	}
}

// Limits on what is not compared are not checked, and neither are limits on times of replies of other lengths.
func TestGatesOfOtherEngines(t *testing.T) {
	base, head := answered(rand.New(rand.NewPCG(1, 1)), 100, 400, 1), answered(rand.New(rand.NewPCG(2, 2)), 50, 200, 1.2)
	r := compared(base, head, [2]string{"t", "u"})
	gates, err := ParseGate("ttft<=+3%,tpot<=+3%,e2e<=+3%,j_per_token<=+3%")
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(CheckGates(gates, r.Verdicts)); got != "[breached not checked not checked not measured]" {
		t.Error(got)
	}
	tpot, _ := MetricNamed("tpot")
	r.Verdicts = decide(r.pairing, []Metric{tpot}, r.Comparison)
	want := "No verdict: time per token cannot be compared, as the tokenisers are not the same"
	if got := r.Answer().Line; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestNotesOfOtherEngines(t *testing.T) {
	none := math.NaN()
	for want, w := range map[string]Warning{
		"Not the same: engine (a, b), template.": NotTheSame{[]string{"engine (a, b)", "template"}, nil},

		"Not the same: engine (a, b). Not known to be the same: tokeniser.": NotTheSame{
			[]string{"engine (a, b)"}, []string{"tokeniser"}},

		"Turns are paired by the text that was asked, as token counts of both sides need not agree.": ByText{},
		"Turns are paired by the text that was asked, as token counts of both sides need not agree. Turns after replies that are " +
			"not the same have no equal, as replies are part of later prompts (--replies scripted makes them the same).": ByText{true},
		"Figures in tokens are not compared, as the tokenisers are not the same: tpot and tok_s.": NotComparedMetrics{
			[]string{"tpot", "tok_s"}, "the tokenisers are not the same"},
		"Replies have 400 bytes of text in base and 400 in head, and 64 and 80 tokens (medians).": OtherLengths{"e2e", 64, 80, 400, 400, false},
		"Replies have 64 tokens in base and 80 in head (medians): e2e includes that, and has a verdict only where the time over the length " +
			"has the same one.": OtherLengths{"e2e", 64, 80, none, 400, true},
		"The lengths of replies are not known, so e2e has no verdict.": OtherLengths{"e2e", none, none, none, none, true},
	} {
		if got := w.Note(); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

// What NotTheSame says is not said again as a setting that differs.
func TestSettingsOfOtherEngines(t *testing.T) {
	r := quiet()
	r.Facts.Differing = strings.Fields("engine.kind engine.template engine.url plan.users server.kind")
	if got := fmt.Sprint(differingSettings(r)); got != "[{[engine.kind engine.template engine.url plan.users server.kind]}]" {
		t.Error(got)
	}
	r.engines.apart = true
	if got := fmt.Sprint(differingSettings(r)); got != "[{[engine.url plan.users server.kind]}]" {
		t.Error(got)
	}
}
