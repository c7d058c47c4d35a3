package hub_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"wb/data/hub"
	"wb/data/hub/hubtest"
)

const repo = "org/tiny-model"

func random(n int, seed uint64) []byte {
	b := make([]byte, n)
	r := rand.New(rand.NewPCG(seed, 1))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// safetensors returns n bytes that begin as a safetensors file does.
func safetensors(n int, seed uint64) []byte {
	b := random(n, seed)
	copy(b, "\x10\x00\x00\x00\x00\x00\x00\x00{\"a\": {}}       ")
	return b
}

const config = `{"model_type": "llama", "num_hidden_layers": 2, "num_attention_heads": 2, "hidden_size": 64}`

func model() map[string][]byte {
	return map[string][]byte{
		"config.json":                      []byte(config),
		"tokenizer.json":                   random(hubtest.Large+17, 1), // large, but not weights
		"tokenizer_config.json":            []byte(`{}`),
		"model-00001-of-00002.safetensors": safetensors(700_000, 2),
		"model-00002-of-00002.safetensors": safetensors(300_000, 3),
		"model.safetensors.index.json":     []byte(`{"weight_map": {}}`),
		"pytorch_model.bin":                random(200_000, 4),
		"pytorch_model.bin.index.json":     []byte(`{}`),
		"consolidated.safetensors":         safetensors(200_000, 5),
		"original/params.json":             []byte(`{}`),
		"onnx/model.onnx":                  random(200_000, 6),
		"model-q4.gguf":                    random(200_000, 7),
		"README.md":                        []byte("# readme"),
		".gitattributes":                   []byte("x"),
		"chat_template.jinja":              []byte("{{ messages }}"),
	}
}

// needed are the files of model that vLLM needs.
var needed = []string{
	"chat_template.jinja",
	"config.json",
	"model-00001-of-00002.safetensors",
	"model-00002-of-00002.safetensors",
	"model.safetensors.index.json",
	"tokenizer.json",
	"tokenizer_config.json",
}

func start(t *testing.T) (*hubtest.Hub, *hub.Client) {
	t.Helper()
	h, stop := hubtest.Start(map[string]map[string][]byte{repo: model()})
	t.Cleanup(stop)
	c := &hub.Client{
		Endpoint: h.URL, CacheDir: filepath.Join(t.TempDir(), "hub"),
		Sleep: func(context.Context, time.Duration) {}, Idle: 300 * time.Millisecond,
	}
	return h, c
}

// whole checks that a snapshot has exactly the needed files, with the right bytes, as links to blobs that are named by their hash.
func whole(t *testing.T, s *hub.Snapshot, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	var have []string
	for name, want := range model() {
		p := filepath.Join(s.Dir, name)
		got, err := os.ReadFile(p)
		if err != nil {
			continue
		}
		have = append(have, name)
		link, err := os.Readlink(p)
		if err != nil || filepath.IsAbs(link) || filepath.Base(link) != hubtest.ETag(want) {
			t.Errorf("%s links to %s (%v)", name, link, err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s differs", name)
		}
	}
	if len(have) != len(needed) {
		t.Errorf("%d files, want %d: %v", len(have), len(needed), have)
	}
	for _, n := range needed {
		if _, err := os.Stat(filepath.Join(s.Dir, n)); err != nil {
			t.Error(err)
		}
	}
	if left, err := filepath.Glob(filepath.Join(s.Dir, "..", "..", "blobs", "*.incomplete")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v (%v)", left, err)
	}
}

func TestPull(t *testing.T) {
	h, c := start(t)
	var mu sync.Mutex
	var seen []hub.Progress
	s, err := c.Pull(t.Context(), repo, "main", func(p hub.Progress) { mu.Lock(); seen = append(seen, p); mu.Unlock() })
	whole(t, s, err)
	last := seen[len(seen)-1]
	if last.BytesDone != last.Bytes || last.FilesDone != len(needed) || last.Bytes != s.Bytes || s.Downloaded != s.Bytes {
		t.Errorf("progress ends at %+v of %+v", last, s)
	}
	ref, err := os.ReadFile(filepath.Join(c.CacheDir, "models--org--tiny-model", "refs", "main"))
	if err != nil || string(ref) != hubtest.Commit {
		t.Errorf("refs/main is %q (%v)", ref, err)
	}
	for _, r := range h.Log() {
		if strings.Contains(r, "consolidated") || strings.Contains(r, ".bin") || strings.Contains(r, "gguf") {
			t.Errorf("asked for %s", r)
		}
	}
	// pulled again: nothing is downloaded
	before := h.Sent()
	s, err = c.Pull(t.Context(), repo, "main", nil)
	whole(t, s, err)
	if s.Downloaded != 0 || h.Sent() != before {
		t.Errorf("downloaded %d again", s.Downloaded)
	}
	// offline: only the cache is used
	n := len(h.Log())
	c.Offline = true
	s, err = c.Pull(t.Context(), repo, "main", nil)
	whole(t, s, err)
	if len(h.Log()) != n {
		t.Error("asked the hub while offline")
	}
	if s, err = c.Find(repo, hubtest.Commit); err != nil || s.Commit != hubtest.Commit {
		t.Errorf("by commit: %v", err)
	}
	if _, err = c.Find(repo, "v1"); !errors.Is(err, hub.ErrNotCached) {
		t.Errorf("a revision that was not pulled: %v", err)
	}
	// list and remove
	all, err := c.Cache()
	if err != nil || len(all) != 1 || all[0].Repo != repo || all[0].Bytes != s.Bytes || !all[0].Complete || len(all[0].Revisions) != 1 {
		t.Errorf("cache: %+v (%v)", all, err)
	}
	if freed, err := c.Remove(repo); err != nil || freed != s.Bytes {
		t.Errorf("freed %d (%v)", freed, err)
	}
	if _, err := c.Remove(repo); !errors.Is(err, hub.ErrNotCached) {
		t.Errorf("second removal: %v", err)
	}
}

// Whatever the connection does, a pull ends with the right bytes, and it never asks again for a byte that it could keep.
func TestPullRecovers(t *testing.T) {
	for _, tt := range []struct {
		name   string
		set    func(*hubtest.Hub)
		resend int64 // bytes that may be sent twice
	}{
		{"the connection is cut", func(h *hubtest.Hub) { h.CutAfter, h.Cuts = 90_000, 9 }, 0},
		{"addresses expire", func(h *hubtest.Hub) { h.Expire = 4 }, 0},
		{"cut, then the address is expired", func(h *hubtest.Hub) { h.CutAfter, h.Cuts, h.Expire = 100_000, 3, 3 }, 0},
		{"a byte is wrong", func(h *hubtest.Hub) { h.WrongByte = 1 }, 700_000},
		{"the hub is busy", func(h *hubtest.Hub) { h.Busy = 4 }, 0},
		{"the connection stalls", func(h *hubtest.Hub) { h.Stalls = 2 }, 0},
		{"no ranges", func(h *hubtest.Hub) { h.NoRanges, h.CutAfter, h.Cuts = true, 120_000, 2 }, 240_000},
		{"a mirror without blob ids", func(h *hubtest.Hub) { h.NoBlobs = true }, 0},
		{"a repository that was renamed", func(h *hubtest.Hub) {
			h.Repos["new/name"] = h.Repos[repo]
			delete(h.Repos, repo)
			h.Renamed[repo] = "new/name"
		}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h, c := start(t)
			tt.set(h)
			s, err := c.Pull(t.Context(), repo, "main", nil)
			whole(t, s, err)
			large := int64(700_000 + 300_000 + hubtest.Large + 17)
			if h.Sent() > large+tt.resend {
				t.Errorf("%d bytes were sent for %d", h.Sent(), large)
			}
		})
	}
}

// A pull that stops keeps what it has downloaded, and the next pull continues there.
func TestPullContinues(t *testing.T) {
	h, c := start(t)
	h.CutAfter, h.Cuts = 50_000, 1<<30
	c.Jobs = 1
	ctx, cancel := context.WithCancel(t.Context())
	_, err := c.Pull(ctx, repo, "main", func(p hub.Progress) {
		if p.BytesDone > 400_000 {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if _, err := c.Find(repo, "main"); !errors.Is(err, hub.ErrNotCached) {
		t.Errorf("half a model counts as cached: %v", err)
	}
	all, err := c.Cache()
	if err != nil || len(all) != 1 || all[0].Complete {
		t.Errorf("cache: %+v (%v)", all, err)
	}
	served := h.Sent()
	// what the server was still sending when the pull stopped counts for the first pull
	for before := int64(-1); before != served; served = h.Sent() {
		before = served
		time.Sleep(200 * time.Millisecond)
	}
	h.Lock()
	h.Cuts = 0
	h.Unlock()
	var first hub.Progress
	s, err := c.Pull(t.Context(), repo, "main", func(p hub.Progress) {
		if first.Files == 0 {
			first = p
		}
	})
	whole(t, s, err)
	if first.BytesBefore < 300_000 || s.Downloaded+first.BytesBefore != s.Bytes {
		t.Errorf("began at %d, downloaded %d of %d", first.BytesBefore, s.Downloaded, s.Bytes)
	}
	if h.Sent()-served > s.Bytes-first.BytesBefore {
		t.Errorf("%d bytes were sent, %d were missing", h.Sent()-served, s.Bytes-first.BytesBefore)
	}
	if !strings.Contains(fmt.Sprint(h.Log()), "bytes=") {
		t.Error("no range was asked for")
	}
}

func TestPullFails(t *testing.T) {
	for _, tt := range []struct {
		name, repo, revision string
		set                  func(*hubtest.Hub, *hub.Client)
		want, hint           string
	}{
		{"unknown", "org/nope", "main", nil, "there is no such model, or it is private", "HF_TOKEN"},
		{"revision", repo, "nope", nil, "there is no such revision", "@REVISION"},
		{"gated, no token", repo, "main", func(h *hubtest.Hub, _ *hub.Client) { h.Gated[repo] = true },
			"the model is gated", "accept its licence at "},
		{"bad token", repo, "main", func(h *hubtest.Hub, c *hub.Client) { h.Token = "right"; c.Token = "wrong" },
			"the token is not valid", "HF_TOKEN"},
		{"wrong bytes for ever", repo, "main", func(h *hubtest.Hub, _ *hub.Client) { h.WrongByte = 1 << 30 }, "twice", "changes bytes"},
		{"cut for ever", repo, "main", func(h *hubtest.Hub, _ *hub.Client) { h.Expire = 1 << 30 },
			"the download address answered HTTP 403", "run it again to continue"},
		{"busy for ever", repo, "main", func(h *hubtest.Hub, _ *hub.Client) { h.Busy = 1 << 30 }, "HTTP 503", ""},
		{"disk", repo, "main", func(_ *hubtest.Hub, c *hub.Client) {
			c.Free = func(string) (int64, bool) { return 1000, true }
		}, "are needed and 0.00 GiB are free", "wb models rm"},
		{"nobody there", repo, "main", func(_ *hubtest.Hub, c *hub.Client) { c.Endpoint = "http://127.0.0.1:1" },
			"connection refused", "HF_ENDPOINT"},
		{"offline", repo, "main", func(_ *hubtest.Hub, c *hub.Client) { c.Offline = true }, "not in the cache", "unset HF_HUB_OFFLINE"},
		{"no hub", repo, "main", func(_ *hubtest.Hub, c *hub.Client) { c.Endpoint += "/nothing" }, "there is no such model", ""},
		{"no weights", repo, "main", func(h *hubtest.Hub, _ *hub.Client) {
			h.Repos[repo] = map[string][]byte{"README.md": []byte("x")}
		}, "it has no weights that vLLM could load", "safetensors"},
		{"climbing names", repo, "main", func(h *hubtest.Hub, _ *hub.Client) {
			h.Repos[repo] = map[string][]byte{"../../config.json": []byte("x")}
		}, `it has a file named "../../config.json"`, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h, c := start(t)
			if tt.set != nil {
				tt.set(h, c)
			}
			_, err := c.Pull(t.Context(), tt.repo, tt.revision, nil)
			var e *hub.Error
			if !errors.As(err, &e) || !strings.Contains(e.Error(), tt.want) || !strings.Contains(e.Hint(), tt.hint) {
				t.Fatalf("%v", err)
			}
			if strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), "signature") {
				t.Errorf("the error is not fit for people: %v", err)
			}
			if _, err := c.Find(repo, "main"); !errors.Is(err, hub.ErrNotCached) {
				t.Errorf("it counts as cached: %v", err)
			}
		})
	}
}

// The token is sent only to the hub.
func TestTokenStaysHome(t *testing.T) {
	h, c := start(t)
	h.Gated[repo], h.Token, c.Token = true, "secret", "secret"
	s, err := c.Pull(t.Context(), repo, "main", nil)
	whole(t, s, err)
	if h.Leaked() {
		t.Error("the second host saw the token")
	}
}

// Two pulls at once do not disturb each other.
func TestPullTwice(t *testing.T) {
	h, c := start(t)
	h.CutAfter, h.Cuts = 60_000, 6
	other := *c
	var wg sync.WaitGroup
	for _, x := range []*hub.Client{c, &other} {
		x.Sleep = func(context.Context, time.Duration) {}
		wg.Go(func() {
			s, err := x.Pull(t.Context(), repo, "main", nil)
			if err != nil || s.Files != len(needed) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	s, err := c.Find(repo, "main")
	whole(t, s, err)
}

func TestFromEnv(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	if err := os.MkdirAll(filepath.Join(home, "hf"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(home, "hf", "token"), []byte("from-file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		env                    map[string]string
		endpoint, cache, token string
		offline, fails         bool
	}{
		{nil, hub.DefaultEndpoint, home + "/.cache/huggingface/hub", "", false, false},
		{map[string]string{"HF_HOME": home + "/hf"}, hub.DefaultEndpoint, home + "/hf/hub", "from-file", false, false},
		{map[string]string{
			"HF_HOME": home + "/hf", "HF_TOKEN": "t", "HF_HUB_CACHE": "/x", "HF_ENDPOINT": "http://mirror/", "HF_HUB_OFFLINE": "1",
		}, "http://mirror", "/x", "t", true, false},
		{map[string]string{"XDG_CACHE_HOME": "/c"}, hub.DefaultEndpoint, "/c/huggingface/hub", "", false, false},
		{map[string]string{"HF_ENDPOINT": "mirror"}, "", "", "", false, true},
	} {
		c, err := hub.FromEnv(func(k string) string { return tt.env[k] })
		if (err != nil) != tt.fails {
			t.Errorf("%v: %v", tt.env, err)
			continue
		}
		if err == nil && (c.Endpoint != tt.endpoint || c.CacheDir != tt.cache || c.Token != tt.token || c.Offline != tt.offline) {
			t.Errorf("%v: %+v", tt.env, c)
		}
	}
}

func TestParseRef(t *testing.T) {
	for in, want := range map[string]string{
		"a/b": "a/b main", "Qwen/Qwen3-0.6B@v1.0": "Qwen/Qwen3-0.6B v1.0", "a/b@refs/pr/1": "a/b refs/pr/1",
		"a": "", "a/b/c": "", "../b": "", "a/..": "", "a--b/c": "", "a/b@": "", "a/b@../x": "", "a/b@x y": "", "/b": "",
	} {
		repo, rev, err := hub.ParseRef(in)
		got := repo + " " + rev
		if err != nil {
			got = ""
		}
		if got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func FuzzParseRef(f *testing.F) {
	f.Add("a/b@refs/pr/1")
	f.Fuzz(func(t *testing.T, s string) {
		repo, rev, err := hub.ParseRef(s)
		if err != nil {
			return
		}
		if !filepath.IsLocal(rev) || !filepath.IsLocal(repo) || strings.Count(repo, "/") != 1 {
			t.Errorf("%q gives %q and %q", s, repo, rev)
		}
	})
}
