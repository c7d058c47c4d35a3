package bench

import (
	"reflect"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"wb/data/plain"
)

// A recorded spec reads back as the spec that was played, except for its secrets.
func TestSpecIsRecordedWhole(t *testing.T) {
	given := Given{
		"url":       {"http://me:secret@host:1/v1"},
		"tag":       {"a=1"},
		"users":     {"3"},
		"isolation": {"none"},
		"warmup":    {"2"},
		"timeout":   {"90s"},
	}
	s, err := NewSpec(mustPlan(t, "name: p\nmatrix: {seed: [1, 2]}\nrepeats: 4\n"), given, anyRules())
	if err != nil {
		t.Fatal(err)
	}
	text, err := s.Recorded(s.Cells)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(text, "secret") {
		t.Errorf("a secret is recorded: %s", text)
	}
	if home, _, _ := strings.Cut(s.Cells[0].Target.Serve.LogDir, "wb"); strings.Contains(text, home) {
		t.Errorf("this machine's folders are recorded: %s", text)
	}
	back, err := ReadSpec(text, s.Text)
	if err != nil {
		t.Fatal(err)
	}
	want := *s
	want.Given = given.Redacted()
	for i := range want.Cells {
		want.Cells[i].Target.URL = "http://host:1/v1"
	}
	if !reflect.DeepEqual(*back, want) {
		t.Errorf("read back\n%+v\nwant\n%+v", *back, want)
	}
	if errs := back.Validate(anyRules()); len(errs) > 0 {
		t.Errorf("the recorded spec has mistakes: %v", errs)
	}
	again, err := back.Recorded(back.Cells)
	if err != nil || again != text {
		t.Errorf("recorded again it is\n%s\nwant\n%s", again, text)
	}
}

// Each setting of a run has a flag that sets it, so none is lost between command line, plan and record.
func TestFlagsSetEverything(t *testing.T) {
	f, run, _ := blank()
	before := *run
	f.VisitAll(func(flag *pflag.Flag) {
		value := map[string]string{
			"string":      "x",
			"int":         "7",
			"int64":       "7",
			"float64":     "0.5",
			"bool":        "true",
			"duration":    "7s",
			"stringSlice": "x,y",
			"stringArray": "x=y",
			"number":      "5",
		}[flag.Value.Type()]
		if value == "" {
			t.Fatalf("flag %s has type %s", flag.Name, flag.Value.Type())
		}
		if err := flag.Value.Set(value); err != nil {
			t.Errorf("flag %s: %v", flag.Name, err)
		}
	})
	var same []string
	var walk func(path string, a, b reflect.Value)
	walk = func(path string, a, b reflect.Value) {
		if a.Kind() == reflect.Struct {
			for i := range a.NumField() {
				walk(path+"."+a.Type().Field(i).Name, a.Field(i), b.Field(i))
			}
			return
		}
		if reflect.DeepEqual(a.Interface(), b.Interface()) {
			same = append(same, path)
		}
	}
	walk("", reflect.ValueOf(before), reflect.ValueOf(*run))
	if len(same) != 1 || same[0] != ".Target.Words" { // these are the arguments after --
		t.Errorf("no flag sets %v", same)
	}
}

// Validate reports all mistakes, with the flag of each, and with a hint where something can be done.
func TestValidate(t *testing.T) {
	for _, c := range []struct {
		given Given
		want  string // the first mistake
		hint  string
	}{
		{Given{}, "", ""},
		{Given{"temperature": {"-1"}}, "flag --temperature: -1 is not a valid temperature", ""},
		{Given{"max-turns": {"-1"}}, "flag --max-turns: -1 is negative", ""},
		{Given{"sample-hz": {"2000"}}, "flag --sample-hz: wants 0 to 1000, not 2000", ""},
		{Given{"engine": {"vllm"}}, "flag --engine: vllm needs --model", "wb models list"},
		{Given{"engine": {"llm"}}, `flag --engine: wants vllm, llamacpp, url or sim, not "llm"`, ""},
		{Given{"model": {"m"}}, "flag --model: the simulator has no models to choose from", "--engine vllm"},
		{Given{"port": {"9"}}, "flag --port: is for a server that wb starts, with --engine vllm or llamacpp", ""},
		{Given{"verbose": {"true"}}, "flag --verbose: is for a server that wb starts, with --engine vllm or llamacpp", ""},
		{Given{"url": {"http://x"}, "sim-profile": {"graphs"}},
			"flag --engine: --sim-profile and --sim-fault are for the embedded simulator", ""},
		{Given{"url": {"http://x"}, "isolation": {"restart"}}, "flag --isolation: wb can restart only a server that it started", "salt"},
		{Given{"users": {"2"}, "isolation": {"reset"}}, "flag --isolation: reset would disturb other users' sessions", "salt"},
		{Given{"users": {"0"}}, "flag --users: wants 1 to 1024, not 0", ""},
		{Given{"users": {"0"}, "rate": {"5"}}, "flag --users: wants 1 to 1024, not 0", ""},
		{Given{"rate": {"5"}}, "", ""},
		{Given{"arrival": {"poisson"}}, "flag --arrival: needs --rate", ""},
		{Given{"rate": {"5"}, "ramp": {"1s"}}, "flag --ramp: does not go with --rate, which says when sessions begin", ""},
		{Given{"tag": {"x"}}, `flag --tag: wants KEY=VALUE, not "x"`, ""},
		{Given{"until-ci": {"0%"}}, "flag --until-ci: no number of repeats makes an interval 0 wide", ""},
		{Given{"until-ci": {"2"}}, `flag --until-ci: wants a percentage such as 2%, not "2"`, ""},
		{Given{"metric": {"speed"}}, `flag --metric: no metric is named "speed"; known are ttft, tpot`, ""},
		{Given{"api": {"completions"}}, "flag --api: completions needs --chat-template", ""},
		{Given{"chat-template": {"chatml"}}, "flag --chat-template: the chat API uses the server's template", "--api completions"},
		{Given{"context-size": {"many"}}, `flag --context-size: wants tokens, such as 32000 or 32K, not "many"`, ""},
		{Given{"": {"--block-size", "x"}}, `read simulator arguments: --block-size wants a number from 1, not "x"`, ""},
	} {
		_, err := NewSpec(nil, c.given, anyRules())
		if errText(err) != c.want || !strings.Contains(plain.Hint(err), c.hint) || (plain.Hint(err) == "") != (c.hint == "") {
			t.Errorf("%v: %q, hint %q, want %q, hint %q", c.given, errText(err), plain.Hint(err), c.want, c.hint)
		}
		if err != nil && !plain.IsMistake(err) {
			t.Errorf("%v: %v is not a mistake", c.given, err)
		}
	}
	run := RunSpec{Prompting: Prompting{Temperature: -1, MaxTokens: -1, Replies: "sung", API: "chat", TokenIDs: "all", Placement: "all"}}
	run.settle(func(string) bool { return false })
	run.Target.SimProfile, run.Arrival = "eager", "poisson"
	if errs := run.Validate(func(string) bool { return false }, anyRules()); len(errs) < 3 {
		t.Errorf("of three mistakes it reports only %v", errs)
	}
}
