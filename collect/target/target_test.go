package target

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"wb/collect/engine"
	"wb/data/plain"
)

func TestWithoutSecrets(t *testing.T) {
	for in, want := range map[string]string{
		"wb run --url http://me:pw@host:1/v1?key=k": "wb run --url http://host:1/v1?redacted",
		"wb run --url=http://me:pw@host":            "wb run --url=http://host",
		"wb run --url me:pw@host:1":                 "wb run --url host:1",
		"wb run --tag a=b --seed 3":                 "wb run --tag a=b --seed 3",
		"--api-key sk-1 sk-2 --port 1":              "--api-key (secret) (secret) --port 1",
		"--api_key=sk-1 --dtype half":               "--api_key=(secret) --dtype half",
		"--api-key sk-1 -c 4096 -hft hf-1 -np 2":    "--api-key (secret) -c 4096 -hft (secret) -np 2",
		"wb push postgres:password=geheim":          "wb push postgres:password=***",
	} {
		if got := strings.Join(WithoutSecrets(strings.Fields(in)), " "); got != want {
			t.Errorf("%s\nis %s\nwant %s", in, got, want)
		}
	}
}

func TestAPIKey(t *testing.T) {
	t.Setenv("WB_TEST_KEY", " sk-1\n")
	t.Setenv("WB_TEST_BAD", "a\nb")
	for name, want := range map[string]string{
		"":             "",
		"WB_TEST_KEY":  "sk-1",
		"WB_TEST_BAD":  "a line break",
		"WB_TEST_NONE": "the environment has no WB_TEST_NONE",
	} {
		key, err := APIKey(name)
		if err == nil && key != want || err != nil && (!strings.Contains(err.Error(), want) || !plain.IsMistake(err)) {
			t.Errorf("%s: %q (%v), want %q", name, key, err, want)
		}
	}
}

// Connect starts the embedded simulator, and its process starts again at the same address.
func TestConnectToSimulator(t *testing.T) {
	s := &Spec{Engine: Sim, SimProfile: "instant", Words: []string{"--block-size", "32", "--no-enable-prefix-caching"}}
	start := time.Now()
	told := ""
	at, err := s.Connect(t.Context(), Connection{Clock: func() int64 { return int64(time.Since(start)) }, Jitter: 1, Restarts: true,
		Talk: Talk{Say: func(string) {}, Model: func(profile string) { told = profile }}})
	defer func() { at.Close() }()
	if err != nil {
		t.Fatal(err)
	}
	if at.Server.Kind() != engine.KindSimulator || *at.Server.BlockSizeTokens != 32 || *at.Server.PrefixCaching || told != "instant" {
		t.Errorf("%+v, told %q", at.Server.Facts, told)
	}
	if want := map[string]string{"--block-size": "32", "--no-enable-prefix-caching": ""}; !maps.Equal(at.Settings, want) {
		t.Errorf("settings %v, want %v", at.Settings, want)
	}
	before := at.Client.Base()
	if !at.Process.Stop(t.Context()) || at.Process.Start(t.Context()) != nil {
		t.Fatal("it was not started again")
	}
	if _, err := engine.Probe(t.Context(), at.Client, "", nil); err != nil || at.Client.Base() != before {
		t.Errorf("it answers at %s (%v), before at %s", at.Client.Base(), err, before)
	}
	var phases []string
	for _, p := range at.Process.Facts().Phases {
		phases = append(phases, p.Phase)
	}
	if want := []string{"spawned", "ready"}; !slices.Equal(phases, want) {
		t.Errorf("phases %v, want %v", phases, want)
	}
	at.Close()
	at.Close() // a second time does nothing
	if _, err := engine.Probe(t.Context(), at.Client, "", nil); err == nil {
		t.Error("it still answers")
	}
}

// Without a server Connect gives an error with a hint, and its Target can still be closed.
func TestConnectToNothing(t *testing.T) {
	s := &Spec{Engine: URL, URL: "http://127.0.0.1:1"}
	at, err := s.Connect(t.Context(), Connection{Clock: func() int64 { return 0 }})
	if err == nil || plain.Hint(err) == "" {
		t.Errorf("%v, hint %q", err, plain.Hint(err))
	}
	at.Close()
	s.URL = "http://host:99999"
	if _, err := s.Connect(t.Context(), Connection{Clock: func() int64 { return 0 }}); !plain.IsMistake(err) {
		t.Errorf("%v is not a mistake", err)
	}
}
