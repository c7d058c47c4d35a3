package hub

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestNeeded(t *testing.T) {
	const (
		hf    = "config.json tokenizer.json "
		parts = "consolidated-00001-of-00002.safetensors consolidated-00002-of-00002.safetensors " +
			"consolidated.safetensors.index.json"
		others = "model.safetensors tokenizer.model.v3 tokenizer.model.v11m tokenizer.model " +
			"additional_chat_templates/tool_use.jinja chat_template.jinja vocab.bpe merges.txt modeling_x.py code/util.py"
		inSubfolder = "it has no weights in its top folder that vLLM could load"
		adapter     = "it is an adapter for another model, not a model itself"
	)
	for _, c := range []struct{ name, have, want, why string }{
		{"plain", hf + "model.safetensors README.md .gitattributes", hf + "model.safetensors", ""},
		{"two formats", hf + "model.safetensors pytorch_model.bin pytorch_model.bin.index.json flax_model.msgpack",
			hf + "model.safetensors", ""},
		{"only .bin", hf + "pytorch_model.bin training_args.bin optimizer.pt", hf + "pytorch_model.bin", ""},
		{"both layouts", hf + "model.safetensors consolidated.safetensors params.json tekken.json",
			hf + "model.safetensors params.json tekken.json", ""},
		{"Mistral's layout", "params.json tekken.json consolidated.safetensors README.md",
			"params.json tekken.json consolidated.safetensors", ""},
		{"the same in parts", "params.json tekken.json " + parts, "params.json tekken.json " + parts, ""},
		{"weights of Mistral's layout only", hf + "consolidated.safetensors", "", inSubfolder},
		{"other files that are read", hf + others, hf + others, ""},
		{"poolings", hf + "model.safetensors modules.json 1_Pooling/config.json 2_Dense/config.json onnx/config.json",
			hf + "model.safetensors modules.json 1_Pooling/config.json 2_Dense/config.json", ""},
		{"variants", hf + "model.safetensors model.fp16.safetensors model.non_ema.safetensors", hf + "model.safetensors", ""},
		{"variants in parts", hf + "model-00001-of-00001.safetensors model.fp16-00001-of-00001.safetensors",
			hf + "model-00001-of-00001.safetensors", ""},
		{"nothing but a variant", hf + "model.fp16.safetensors", hf + "model.fp16.safetensors", ""},
		{"a part is missing", hf + "model-00001-of-00003.safetensors model-00003-of-00003.safetensors", "",
			"model-00002-of-00003.safetensors is missing"},
		{"no configuration", "pytorch_model.bin README.md", "", "it has weights but no config.json"},
		{"no weights", hf + "README.md", "", "it has no weights that vLLM could load"},
		{"GGUF", "config.json model-Q4_K_M.gguf", "", "its weights are GGUF files, which llama.cpp loads; vLLM needs safetensors"},
		{"an adapter", "adapter_config.json adapter_model.safetensors", "", adapter},
		{"an adapter with a configuration", hf + "adapter_model.safetensors", "", adapter},
		{"only an optimizer's", hf + "optimizer.safetensors", "", inSubfolder},
		{"a subfolder", "README.md model/config.json model/model.safetensors", "", inSubfolder},
		{"only left-overs", hf + "training_args.bin .safetensors", "", inSubfolder},
		{"nothing", "", "", "it has no weights that vLLM could load"},
	} {
		var files []File
		for _, n := range strings.Fields(c.have) {
			files = append(files, File{Path: n})
		}
		got, err := Needed(files)
		var names []string
		for _, f := range got {
			names = append(names, f.Path)
		}
		if err != nil {
			if err.Error() != c.why {
				t.Errorf("%s: %v, want %q", c.name, err, c.why)
			}
		} else if c.why != "" || !same(names, strings.Fields(c.want)) {
			t.Errorf("%s:\ngot  %s\nwant %s %s", c.name, strings.Join(names, " "), c.want, c.why)
		}
	}
}

func same(a, b []string) bool {
	n := map[string]int{}
	for _, x := range a {
		n[x]++
	}
	for _, x := range b {
		n[x]--
	}
	for _, d := range n {
		if d != 0 {
			return false
		}
	}
	return true
}

func header(size uint64, text string) string {
	return string(binary.LittleEndian.AppendUint64(nil, size)) + text
}

func TestCheckModel(t *testing.T) {
	good := header(8, "{\"a\":{}}weights")
	withIndex := func(index string) map[string]string {
		return map[string]string{"config.json": "{}", "a.safetensors": good, "model.safetensors.index.json": index}
	}
	pointer := "version https://git-lfs.github.com/spec/v1\noid sha256:0000\nsize 12345\n"
	for _, c := range []struct {
		name  string
		files map[string]string
		want  string
	}{
		{"whole", map[string]string{"config.json": "{}", "model.safetensors": good}, ""},
		{"a pickle", map[string]string{"config.json": "{}", "pytorch_model.bin": "PK\x03\x04"}, ""},
		{"Mistral's", map[string]string{"params.json": "{}", "consolidated.safetensors": good}, ""},
		{"no configuration", map[string]string{"model.safetensors": good}, "it has weights but no config.json"},
		{"no weights", map[string]string{"config.json": "{}", "params.json": "{}"}, "it has no weights that vLLM could load"},
		{"a pointer", map[string]string{"config.json": "{}", "model.safetensors": pointer},
			"model.safetensors: is a pointer that git keeps in place of a large file, not the file itself"},
		{"a pickle's pointer", map[string]string{"config.json": "{}", "pytorch_model.bin": pointer},
			"pytorch_model.bin: is a pointer that git keeps in place of a large file, not the file itself"},
		{"empty", map[string]string{"config.json": "{}", "model.safetensors": ""}, "model.safetensors: is empty"},
		{"a page", map[string]string{"config.json": "{}", "model.safetensors": "<html>Sign in"},
			"model.safetensors: is not a safetensors file"},
		{"cut in its header", map[string]string{"config.json": "{}", "model.safetensors": header(1000, "{\"a\"")},
			"model.safetensors: is not a safetensors file"},
		{"a part of two", map[string]string{"config.json": "{}", "model-00001-of-00002.safetensors": good},
			"model-00002-of-00002.safetensors is missing"},
		{"what the index names", withIndex(`{"weight_map": {"x": "a.safetensors", "y": "b.safetensors"}}`),
			"b.safetensors of model.safetensors.index.json is missing"},
		{"an index of nothing", withIndex(`{"metadata": {}}`),
			"model.safetensors.index.json has no weight_map"},
		{"a page as configuration", map[string]string{"config.json": "<html>", "model.safetensors": good},
			"config.json: is not a configuration in JSON"},
		{"an index that climbs", withIndex(`{"weight_map": {"x": "../a.safetensors"}}`),
			`model.safetensors.index.json names "../a.safetensors"`},
	} {
		dir := t.TempDir()
		for name, text := range c.files {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		got := ""
		if err := checkModel(dir); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

// mirror is a hub whose listing has neither hashes nor sizes.
type mirror struct {
	files map[string]string
	head  func(w http.ResponseWriter, r *http.Request, name string) (done bool)
	sha   string
}

func (m *mirror) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, "/api/models/") {
		var list []map[string]string
		for name := range m.files {
			list = append(list, map[string]string{"rfilename": name})
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"sha": m.sha, "siblings": list})
		return
	}
	name := filepath.Base(r.URL.Path)
	if m.head != nil && m.head(w, r, name) {
		return
	}
	w.Header().Set("ETag", `"`+gitID(m.files[name])+`"`)
	_, _ = w.Write([]byte(m.files[name]))
}

func TestMirrors(t *testing.T) {
	const commit = "0123456789abcdef0123456789abcdef01234567"
	files := map[string]string{"config.json": "{}", "model.safetensors": header(8, "{\"a\":{}}weights")}
	for _, c := range []struct {
		name string
		head func(http.ResponseWriter, *http.Request, string) bool
		sha  string
		want string // of the error
	}{
		{"plain", nil, commit, ""},
		{"a commit in capitals", nil, strings.ToUpper(commit), ""},
		{"a redirect on the same host", func(w http.ResponseWriter, r *http.Request, _ string) bool {
			if strings.HasPrefix(r.URL.Path, "/org/name/") {
				http.Redirect(w, r, "/canon"+r.URL.Path, http.StatusTemporaryRedirect)
				return true
			}
			return false
		}, commit, ""},
		{"a weak tag of a server that compresses", func(w http.ResponseWriter, r *http.Request, name string) bool {
			if r.Method == http.MethodHead {
				w.Header().Set("ETag", `W/"`+gitID(files[name])+`-gzip"`)
				w.(http.Flusher).Flush() // without a length
				return true
			}
			return false
		}, commit, ""},
		{"redirects without an end", func(w http.ResponseWriter, r *http.Request, _ string) bool {
			http.Redirect(w, r, r.URL.Path, http.StatusTemporaryRedirect)
			return true
		}, commit, "more than 8 redirects"},
		{"no hashes", func(w http.ResponseWriter, _ *http.Request, _ string) bool {
			w.Header().Set("ETag", `"5f3c-61a"`)
			return true
		}, commit, "does not give the file's hash and size"},
	} {
		s := httptest.NewServer(&mirror{files, c.head, c.sha})
		client := &Client{Endpoint: s.URL, CacheDir: t.TempDir(), Sleep: noSleep}
		snapshot, err := client.Pull(t.Context(), "org/name", "main", nil)
		switch {
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", c.name, err)
		case c.want == "":
			if b, err := os.ReadFile(filepath.Join(snapshot.Dir, "model.safetensors")); err != nil || string(b) != files["model.safetensors"] {
				t.Errorf("%s: %q, %v", c.name, b, err)
			}
		}
		s.Close()
	}
}

func noSleep(context.Context, time.Duration) {}

// gitID returns the name that git gives to a blob.
func gitID(text string) string {
	h := newHash(File{SizeBytes: int64(len(text))})
	h.Write([]byte(text))
	return hex.EncodeToString(h.Sum(nil))
}

// A model that another program left in the cache is complete only if nothing is missing.
func TestCacheComplete(t *testing.T) {
	c := &Client{CacheDir: t.TempDir()}
	for repo, files := range map[string]map[string]string{
		"org/whole":   {"config.json": "{}", "model.safetensors": header(8, "{\"a\":{}}")},
		"org/weights": {"model.safetensors": header(8, "{\"a\":{}}")},
		"org/gguf":    {"model-Q4.gguf": "GGUF\x03"},
		"org/pointer": {"model-Q4.gguf": "version https://git-lfs.github.com/spec/v1\n"},
		"org/tiny":    {"config.json": "{}", "tokenizer.json": "{}"},
	} {
		dir := filepath.Join(c.CacheDir, folder(repo), "snapshots", "0123456789abcdef0123456789abcdef01234567")
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		for name, text := range files {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	all, err := c.Cache()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]bool{}
	for _, x := range all {
		got[x.Repo] = x.Complete
	}
	for repo, want := range map[string]bool{
		"org/whole": true, "org/weights": false, "org/gguf": true, "org/pointer": false, "org/tiny": false,
	} {
		if got[repo] != want {
			t.Errorf("%s: complete %v, want %v", repo, got[repo], want)
		}
	}
}
