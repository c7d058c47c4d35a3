package serve

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestArgs(t *testing.T) {
	o, err := NewOptions(&Install{Program: VLLM(), Command: []string{"vllm"}, Version: "0.32.0"}, "single-user", "m",
		[]string{"HF_TOKEN=t", "VLLM_LOGGING_LEVEL=WARNING", "HOME=/x"},
		[]string{"--max_num_seqs=4", "--no-enforce-eager", "--api-key", "sk-1", "-tp", "2", "--lora-modules", "a=b", "c=d",
			"--trust-remote-code"})
	if err != nil {
		t.Fatal(err)
	}
	o.Port, o.ServedName = 8001, "short"
	want := "vllm serve m --served-model-name short --host 127.0.0.1 --port 8001 --api-key sk-1 --enable-prefix-caching " +
		"--enable-prompt-tokens-details --lora-modules a=b c=d --max-num-batched-tokens 512 --max-num-seqs 4 --no-enforce-eager " +
		"--tensor-parallel-size 2 --trust-remote-code"
	if got := strings.Join(o.Command(), " "); got != want {
		t.Errorf("%s", got)
	}
	command, settings := o.Recorded()
	if text := strings.Join(command, " ") + fmt.Sprint(settings); strings.Contains(text, "sk-1") || strings.Contains(text, "HF_TOKEN") ||
		strings.Contains(text, "HOME") {
		t.Errorf("a secret shows: %s", text)
	}
	for name, want := range map[string]string{
		"--max-num-seqs":          "4",
		"--no-enforce-eager":      "on",
		"--api-key":               "(secret)",
		"env VLLM_LOGGING_LEVEL":  "WARNING",
		"env VLLM_NO_USAGE_STATS": "1",
		"preset":                  "single-user",
		"vllm_version":            "0.32.0",
		"--lora-modules":          "a=b c=d",
	} {
		if settings[name] != want {
			t.Errorf("%s is %q, want %q", name, settings[name], want)
		}
	}
	debug, err := NewOptions(&Install{Program: VLLM(), Command: []string{"vllm"}}, "debug", "m", []string{"VLLM_LOGGING_LEVEL=WARNING"}, nil)
	if err != nil || debug.Getenv("VLLM_LOGGING_LEVEL") != "WARNING" {
		t.Errorf("the preset replaced a variable of the user (%v)", err)
	}
	for _, bad := range [][]string{{"word"}, {"--", "x"}, {"--port", "1"}, {"--model", "x"}} {
		if _, err := NewOptions(&Install{Program: VLLM(), Command: []string{"vllm"}}, "single-user", "m", nil, bad); err == nil {
			t.Errorf("%v is accepted", bad)
		}
	}
	if _, err := NewOptions(&Install{Program: VLLM()}, "nope", "m", nil, nil); err == nil || !strings.Contains(err.Error(),
		"cpu, debug, optimized, single-user") {
		t.Errorf("%v", err)
	}
	// the defaults for a single user
	p, err := VLLM().findPreset("single-user")
	if err != nil || fmt.Sprint(p.Args["max-num-batched-tokens"], p.Args["max-num-seqs"], p.Args["enforce-eager"],
		p.Args["enable-prefix-caching"]) != "512 2 true true" {
		t.Errorf("%+v (%v)", p, err)
	}
	for in, want := range map[string]int64{"8192": 8192, "8k": 8000, "8K": 8192, "1.5k": 1500, "": 0, "x": 0, "-1": 0, "k": 0, "1e9k": 1e12} {
		if got, ok := ParseCount(in); ok != (want > 0) || (ok && got != want) {
			t.Errorf("%q is %d %v", in, got, ok)
		}
	}
}

// A list of flags is read back as the same flags.
func FuzzArgs(f *testing.F) {
	f.Add("--a b\x01--c=d\x01-tp\x012\x01--e=-1")
	f.Fuzz(func(t *testing.T, s string) {
		a, b := VLLM().newArgs(), VLLM().newArgs()
		if strings.Contains(s, "\x00") || a.Merge(strings.Split(s, "\x01")) != nil {
			return
		}
		if err := b.Merge(a.List()); err != nil || !slices.Equal(a.List(), b.List()) {
			t.Errorf("%q lists %q, which is read as %q (%v)", s, a.List(), b.List(), err)
		}
	})
}
