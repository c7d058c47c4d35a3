package hub_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"wb/data/hub"
	"wb/data/hub/hubtest"
)

// ggufBytes returns n bytes that begin as a GGUF file does.
func ggufBytes(n int, seed uint64) []byte {
	b := random(n, seed)
	copy(b, "GGUF\x03\x00\x00\x00")
	return b
}

const ggufRepo = "org/tiny-GGUF"

func startGGUF(t *testing.T) (*hubtest.Hub, *hub.Client) {
	t.Helper()
	h, c := start(t)
	same := ggufBytes(120_000, 9)
	h.Repos[ggufRepo] = map[string][]byte{
		"config.json": []byte("{}"), "README.md": []byte("# readme"), "imatrix_unsloth.gguf": ggufBytes(50, 1),
		"mmproj-F16.gguf":                        ggufBytes(150_000, 2),
		"tiny-Q4_K_M.gguf":                       ggufBytes(300_000, 3),
		"tiny-UD-Q4_K_XL.gguf":                   ggufBytes(50_000, 4),
		"tiny-q8_0.gguf":                         same,
		"BF16/tiny-BF16-00001-of-00002.gguf":     ggufBytes(200_000, 5),
		"BF16/tiny-BF16-00002-of-00002.gguf":     same, // the bytes of another file: one blob
		"Q6_K/part-00001-of-00001.gguf":          ggufBytes(20_000, 6),
		"broken/tiny-Q5_K_M-00001-of-00002.gguf": ggufBytes(20_000, 7),
	}
	return h, c
}

func TestParseGGUFRef(t *testing.T) {
	for name, want := range map[string]hub.GGUFRef{
		"org/a":                       {Repo: "org/a"},
		"org/a:Q4_K_M":                {Repo: "org/a", Quant: "Q4_K_M"},
		"org/a:ud-q4_k_xl@v1":         {Repo: "org/a", Quant: "ud-q4_k_xl", Revision: "v1"},
		"org/a@v1:Q8_0":               {Repo: "org/a", Quant: "Q8_0", Revision: "v1"},
		"org/a/b.gguf":                {Repo: "org/a", File: "b.gguf"},
		"org/a/Q4/b.gguf@main":        {Repo: "org/a", File: "Q4/b.gguf", Revision: "main"},
		"org/a.b-c/x-00001-of-2.gguf": {Repo: "org/a.b-c", File: "x-00001-of-2.gguf"},
	} {
		if got, err := hub.ParseGGUFRef(name); err != nil || got != want {
			t.Errorf("%s: %+v (%v)", name, got, err)
		}
	}
	for _, name := range []string{"", "a", "a:Q4", "org/a:", "org/a:Q4/b", "org/a/b", "org/a/../b.gguf", "org/a/b.gguf:Q4", "org/a@",
		"org/a@../x", "org/a--b", "../a:Q4", "org/a:Q4:Q5"} {
		if got, err := hub.ParseGGUFRef(name); err == nil {
			t.Errorf("%q is taken as %+v", name, got)
		}
	}
}

func TestPullGGUF(t *testing.T) {
	for _, tt := range []struct {
		name, first string
		files       int
		fails       string
	}{
		{ggufRepo, "tiny-Q4_K_M.gguf", 1, ""},
		{ggufRepo + ":q4_k_m", "tiny-Q4_K_M.gguf", 1, ""},
		{ggufRepo + ":Q8_0", "tiny-q8_0.gguf", 1, ""},
		{ggufRepo + ":UD-Q4_K_XL", "tiny-UD-Q4_K_XL.gguf", 1, ""},
		{ggufRepo + ":Q4_K_XL", "tiny-UD-Q4_K_XL.gguf", 1, ""},
		{ggufRepo + ":BF16", "BF16/tiny-BF16-00001-of-00002.gguf", 2, ""},
		{ggufRepo + "/BF16/tiny-BF16-00002-of-00002.gguf", "BF16/tiny-BF16-00001-of-00002.gguf", 2, ""},
		{ggufRepo + ":Q6_K", "Q6_K/part-00001-of-00001.gguf", 1, ""},
		{ggufRepo + "/mmproj-F16.gguf", "mmproj-F16.gguf", 1, ""},
		{ggufRepo + ":F16", "", 0, "it has no F16; it has BF16, Q6_K, Q5_K_M, Q4_K_M, UD-Q4_K_XL, Q8_0"},
		{ggufRepo + ":Q4_K", "", 0, "it has no Q4_K; it has "},
		{ggufRepo + ":Q5_K_M", "", 0, "the hub has 1 of the 2 parts of broken/tiny-Q5_K_M"},
		{ggufRepo + "/x.gguf", "", 0, "it has no file x.gguf"},
		{repo + ":Q8_0", "", 0, "it has no Q8_0; it has Q4"},
	} {
		h, c := startGGUF(t)
		ref, err := hub.ParseGGUFRef(tt.name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.FindGGUF(ref); !errors.Is(err, hub.ErrNotCached) {
			t.Errorf("%s is found before it is there: %v", tt.name, err)
		}
		g, err := c.PullGGUF(t.Context(), ref, nil)
		if tt.fails != "" {
			if err == nil || !strings.Contains(err.Error(), ": "+tt.fails) || h.Sent() > 0 {
				t.Errorf("%s: error is %v, want %q; %d bytes were sent", tt.name, err, tt.fails, h.Sent())
			}
			continue
		}
		if err != nil || g.Ref.File != tt.first || g.Files != tt.files {
			t.Errorf("%s: %+v (%v)", tt.name, g, err)
			continue
		}
		for name, want := range h.Repos[ggufRepo] {
			got, err := os.ReadFile(filepath.Join(c.CacheDir, "models--org--tiny-GGUF", "snapshots", hubtest.Commit, filepath.FromSlash(name)))
			pulled := err == nil
			wanted := name == tt.first || tt.files == 2 && strings.HasPrefix(name, "BF16/")
			if pulled != wanted || pulled && !bytes.Equal(got, want) {
				t.Errorf("%s: %s is pulled: %v", tt.name, name, pulled)
			}
		}
		c.Offline = true
		if f, err := c.FindGGUF(ref); err != nil || f.Path != g.Path || !f.Complete || f.Bytes != g.Bytes || f.Name() != g.Name() {
			t.Errorf("%s: found %+v (%v)", tt.name, f, err)
		}
		if f, err := c.PullGGUF(t.Context(), ref, nil); err != nil || f.Downloaded != 0 {
			t.Errorf("%s: pulled again %+v (%v)", tt.name, f, err)
		}
	}
}

// Which model is taken when the name does not say.
func TestChooseGGUF(t *testing.T) {
	for _, tt := range []struct{ files, want, fails string }{
		{"a-Q8_0.gguf a-Q4_0.gguf", "a-Q8_0.gguf", ""},
		{"a-Q4_0.gguf mmproj-a-F16.gguf", "a-Q4_0.gguf", ""},
		{"a.gguf", "a.gguf", ""},
		{"a-Q4_0.gguf a-Q5_0.gguf", "", "it has neither Q4_K_M nor Q8_0; name one of Q4_0, Q5_0 as org/x:QUANT"},
		{"a-Q8_0.gguf b-Q8_0.gguf", "", "it has several files that are Q8_0: a-Q8_0.gguf, b-Q8_0.gguf; name one as org/x/FILE.gguf"},
		{"mmproj-a.gguf", "", "it has no GGUF files"},
	} {
		h, c := start(t)
		h.Repos["org/x"] = map[string][]byte{}
		for i, name := range strings.Fields(tt.files) {
			h.Repos["org/x"][name] = ggufBytes(100, uint64(i))
		}
		g, err := c.PullGGUF(t.Context(), hub.GGUFRef{Repo: "org/x"}, nil)
		switch {
		case tt.fails != "" && (err == nil || err.Error() != "pull org/x: "+tt.fails):
			t.Errorf("%s: error is %v, want %q", tt.files, err, tt.fails)
		case tt.fails == "" && (err != nil || g.Ref.File != tt.want):
			t.Errorf("%s: %+v (%v)", tt.files, g, err)
		}
	}
}

// A download that is cut goes on, and one that is damaged is fetched again, as for other models.
func TestPullGGUFRecovers(t *testing.T) {
	h, c := startGGUF(t)
	h.CutAfter, h.Cuts, h.WrongByte = 90_000, 2, 1
	g, err := c.PullGGUF(t.Context(), hub.GGUFRef{Repo: ggufRepo, Quant: "Q4_K_M"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(g.Path); err != nil || !bytes.Equal(b, h.Repos[ggufRepo]["tiny-Q4_K_M.gguf"]) {
		t.Errorf("the file has %d bytes (%v)", len(b), err)
	}
}

func TestPullOfGGUFOnly(t *testing.T) {
	h, c := startGGUF(t)
	if _, err := c.Pull(t.Context(), ggufRepo, "main", nil); !errors.Is(err, hub.ErrOnlyGGUF) || h.Sent() > 0 {
		t.Errorf("error is %v", err)
	}
}

// Removal leaves what other models use: shared blobs, other files, other repositories.
func TestRemoveGGUF(t *testing.T) {
	_, c := startGGUF(t)
	pull := func(quant string) *hub.GGUF {
		t.Helper()
		g, err := c.PullGGUF(t.Context(), hub.GGUFRef{Repo: ggufRepo, Quant: quant}, nil)
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
	remove := func(quant string, want int64) {
		t.Helper()
		if freed, err := c.RemoveGGUF(hub.GGUFRef{Repo: ggufRepo, Quant: quant}); err != nil || freed != want {
			t.Errorf("removal of %s frees %d bytes, want %d (%v)", quant, freed, want, err)
		}
	}
	pull("BF16")
	q8 := pull("Q8_0")
	if _, err := c.Pull(t.Context(), repo, "main", nil); err != nil {
		t.Fatal(err)
	}
	all, err := c.GGUFs()
	if err != nil || len(all) != 2 || all[0].Name() != ggufRepo+":BF16" || all[0].Bytes != 320_000 || !all[0].Complete ||
		all[1].Stem() != "tiny-q8_0" {
		t.Errorf("%+v (%v)", all, err)
	}
	remove("bf16", 200_000) // the second part has the bytes of Q8_0
	if b, err := os.ReadFile(q8.Path); err != nil || len(b) != 120_000 {
		t.Errorf("Q8_0 has %d bytes (%v)", len(b), err)
	}
	if _, err := os.Stat(filepath.Join(filepath.Dir(q8.Path), "BF16")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the empty folder is still there: %v", err)
	}
	if _, err := c.RemoveGGUF(hub.GGUFRef{Repo: ggufRepo, Quant: "BF16"}); !errors.Is(err, hub.ErrNotCached) {
		t.Errorf("removed twice: %v", err)
	}
	remove("Q8_0", 120_000)
	for _, dir := range []string{"models--org--tiny-GGUF", ".locks/models--org--tiny-GGUF"} {
		if _, err := os.Stat(filepath.Join(c.CacheDir, dir)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is still there", dir)
		}
	}
	if _, err := c.Find(repo, "main"); err != nil {
		t.Errorf("the other model: %v", err)
	}
}

// Parts that are missing or damaged make a model incomplete, and it is listed as such.
func TestIncompleteGGUF(t *testing.T) {
	_, c := startGGUF(t)
	ref := hub.GGUFRef{Repo: ggufRepo, Quant: "BF16"}
	g, err := c.PullGGUF(t.Context(), ref, nil)
	if err != nil {
		t.Fatal(err)
	}
	check := func(cause string) {
		t.Helper()
		if _, err := c.FindGGUF(ref); !errors.Is(err, hub.ErrNotCached) || !strings.HasSuffix(err.Error(), "only part of it is there: "+cause) {
			t.Errorf("error is %v", err)
		}
		all, err := c.Cache()
		if err != nil || len(all) != 1 || all[0].Complete || len(all[0].GGUFs) != 1 || all[0].GGUFs[0].Complete {
			t.Errorf("%+v (%v)", all, err)
		}
	}
	second := strings.Replace(g.Path, "00001", "00002", 1)
	blob, err := filepath.EvalSymlinks(second)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(blob, blob+".incomplete"); err != nil {
		t.Fatal(err)
	}
	check("BF16/tiny-BF16-00002-of-00002.gguf: is missing")
	if err := os.Remove(second); err != nil {
		t.Fatal(err)
	}
	check("1 of its 2 parts are there")
	if _, err := c.PullGGUF(t.Context(), ref, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := c.FindGGUF(ref); err != nil {
		t.Errorf("after another pull: %v", err)
	}
}

func FuzzParseGGUFRef(f *testing.F) {
	for _, s := range []string{"org/a:Q4_K_M", "org/a/b.gguf@main", "org/a@v1:Q8_0", "a:b@c/d", "org/a/../x.gguf"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		ref, err := hub.ParseGGUFRef(name)
		if err != nil {
			return
		}
		if again, err := hub.ParseGGUFRef(ref.String()); err != nil || again.String() != ref.String() {
			t.Errorf("%q is %+v, which is read again as %+v (%v)", name, ref, again, err)
		}
		if ref.File != "" && !filepath.IsLocal(ref.File) {
			t.Errorf("%q leads out of the folder", name)
		}
	})
}
