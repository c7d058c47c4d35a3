package hub

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// weights by format, best first; vLLM loads one of them (its default_loader.py prefers safetensors).
var weightFormats = []string{".safetensors", ".bin", ".pt"}

// Files that stand for a model: vLLM reads the one of Hugging Face's layout, or the other of Mistral's own with its consolidated weights.
const (
	hubConfig     = "config.json"
	mistralConfig = "params.json"
	consolidated  = "consolidated"
)

// Needed gives the files that vLLM reads: configuration, tokenizer, templates, code, and the weights in one format. Left out are other
// frameworks' weights, quantised copies in GGUF, documentation, and what some publishers add: the original/ and consolidated duplicates,
// and variants in another precision. It fails where there is no configuration or no weights: what would be pulled then is no model.
func Needed(files []File) ([]File, error) {
	names := make([]string, len(files))
	for i, f := range files {
		names[i] = f.Path
	}
	weights, why := chooseWeights(names)
	if why != "" {
		return nil, errors.New(why)
	}
	format := path.Ext(weights[0])
	modules := slices.Contains(names, "modules.json")
	var out []File
	for _, f := range files {
		switch ext := path.Ext(f.Path); {
		case slices.Contains(weights, f.Path):
			out = append(out, f)
		case strings.HasPrefix(path.Base(f.Path), "."),
			strings.HasSuffix(f.Path, ".index.json") && !strings.HasSuffix(f.Path, format+".index.json"):
		case slices.Contains(weightFormats, ext):
		case strings.Contains(f.Path, "/") && !inFolder(f.Path, modules):
		case slices.Contains([]string{".json", ".txt", ".model", ".jinja", ".tiktoken", ".py", ".vocab", ".bpe", ".yaml"}, ext),
			tokenizer.MatchString(f.Path):
			out = append(out, f)
		}
	}
	return out, nil
}

// tokenizer is Mistral's, with a version: tokenizer.model.v3, tokenizer.model.v11m.
var tokenizer = regexp.MustCompile(`^tokenizer\.model\.v\w+$`)

// inFolder says whether a file below the top is read: code, templates for tools, and the poolings that modules.json lists. original/, onnx/
// and checkpoints/ are not.
func inFolder(file string, modules bool) bool {
	return path.Ext(file) == ".py" || strings.HasPrefix(file, "additional_chat_templates/") && path.Ext(file) == ".jinja" ||
		modules && path.Base(file) == hubConfig && pooling.MatchString(file)
}

var pooling = regexp.MustCompile(`^\d+_\w+/`)

// chooseWeights gives the files of weights that vLLM would load, or why it could load none.
func chooseWeights(names []string) (weights []string, why string) {
	has := func(name string) bool { return slices.Contains(names, name) }
	for _, format := range weightFormats {
		for _, n := range names {
			if isWeight(n, format) {
				weights = append(weights, n)
			}
		}
		if len(weights) > 0 {
			break
		}
	}
	if len(weights) > 0 && has(hubConfig) {
		weights = withoutVariants(weights)
		return weights, missingPart(weights)
	}
	if has(mistralConfig) {
		for _, n := range names {
			if !strings.Contains(n, "/") && strings.HasPrefix(n, consolidated) && path.Ext(n) == ".safetensors" {
				weights = append(weights, n)
			}
		}
		if i := slices.IndexFunc(weights, func(n string) bool { return strings.HasPrefix(n, consolidated) }); i >= 0 {
			return weights[i:], missingPart(weights[i:])
		}
	}
	ends := func(ext string) bool {
		return slices.ContainsFunc(names, func(n string) bool { return path.Ext(n) == ext })
	}
	switch {
	case has("adapter_config.json"), slices.ContainsFunc(names, func(n string) bool { return strings.HasPrefix(n, "adapter_model.") }):
		return nil, "it is an adapter for another model, and no model itself"
	case len(weights) > 0:
		return nil, "it has weights and no config.json"
	case ends(".gguf"):
		return nil, "its weights are GGUF files, which llama.cpp loads; vLLM wants safetensors"
	case ends(".safetensors"), ends(".bin"):
		return nil, "it has no weights in its own folder that vLLM could load"
	}
	return nil, "it has no weights that vLLM could load"
}

func isWeight(file, format string) bool {
	base := path.Base(file)
	others := []string{"training_args", "optimizer", "scheduler", "rng_state", "adapter_model", "adapter", "trainer_state"}
	return !strings.Contains(file, "/") && path.Ext(file) == format && !strings.HasPrefix(base, consolidated) &&
		!strings.HasPrefix(base, ".") && !slices.Contains(others, strings.TrimSuffix(base, format))
}

// part is the number in the name of a file of several: model-00001-of-00002.safetensors.
var part = regexp.MustCompile(`-(\d+)-of-(\d+)\.`)

// missingPart says which of several files of weights is not among them; "" when none is missing.
func missingPart(weights []string) string {
	for _, w := range weights {
		m := part.FindStringSubmatchIndex(w)
		if m == nil {
			continue
		}
		of, err := strconv.Atoi(w[m[4]:m[5]])
		for n := 1; err == nil && n <= min(of, maxFiles); n++ {
			name := fmt.Sprintf("%s%0*d%s", w[:m[2]], m[3]-m[2], n, w[m[3]:])
			if !slices.Contains(weights, name) {
				return name + " is missing"
			}
		}
	}
	return ""
}

// variant is the name of weights in another precision: model.fp16.safetensors, model.fp16-00001-of-00002.safetensors (diffusers' and
// transformers' variant=).
var variant = regexp.MustCompile(`^(.+)\.[A-Za-z0-9_]+((?:-\d+-of-\d+)?\.[a-z]+)$`)

// withoutVariants leaves out weights in another precision where there are others.
func withoutVariants(weights []string) []string {
	plain := slices.DeleteFunc(slices.Clone(weights), variant.MatchString)
	if len(plain) == 0 {
		return weights
	}
	return plain
}

// whole says what a folder lacks to be a model that vLLM loads: configuration, weights, every file that an index of weights names. Links
// lead to what is there, and weights look like such: a download of another program may have ended halfway, or have brought the pointers
// that stand for large files in git.
func whole(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	weights, why := chooseWeights(names)
	if why != "" {
		return errors.New(why)
	}
	if err := shardsThere(dir, names); err != nil {
		return err
	}
	for _, w := range weights {
		if err := looksWhole(filepath.Join(dir, w)); err != nil {
			return fmt.Errorf("%s: %w", w, err)
		}
	}
	for _, name := range []string{hubConfig, mistralConfig} {
		if !slices.Contains(names, name) {
			continue
		}
		var config map[string]any
		if b, err := os.ReadFile(filepath.Join(dir, name)); err != nil {
			return err
		} else if json.Unmarshal(b, &config) != nil {
			return fmt.Errorf("%s: is no configuration in JSON", name)
		}
	}
	return nil
}

// shardsThere checks that every file that an index of weights names is there: huggingface_hub names a snapshot before it is whole.
func shardsThere(dir string, names []string) error {
	for _, name := range names {
		if !strings.HasSuffix(name, ".index.json") {
			continue
		}
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		var index struct {
			WeightMap map[string]string `json:"weight_map"`
		}
		if err := json.Unmarshal(b, &index); err != nil {
			return fmt.Errorf("read %s: %w", name, err)
		}
		if index.WeightMap == nil {
			return fmt.Errorf("%s has no weight_map", name)
		}
		for _, file := range index.WeightMap {
			if !filepath.IsLocal(file) {
				return fmt.Errorf("%s names %q", name, file)
			}
			if _, err := os.Stat(filepath.Join(dir, file)); err != nil {
				return fmt.Errorf("%s of %s is missing", file, name)
			}
		}
	}
	return nil
}

// looksWhole checks the first bytes of a file of weights: a safetensors file begins with the length of its header, which is JSON (the
// format's README).
func looksWhole(file string) error {
	f, err := os.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		return errors.New("is missing")
	}
	if err != nil {
		return err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	head := make([]byte, 64)
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return err
	}
	head = head[:n]
	switch {
	case n == 0:
		return errors.New("is empty")
	case bytes.HasPrefix(head, []byte("version https://git-lfs.github.com/spec/")):
		return errors.New("is a pointer that git keeps in place of a large file, and not the file")
	case filepath.Ext(file) == ".safetensors" && (n < 9 || head[8] != '{' || binary.LittleEndian.Uint64(head) > uint64(st.Size()-8)):
		return errors.New("is no safetensors file")
	case filepath.Ext(file) == ".gguf" && !bytes.HasPrefix(head, []byte("GGUF")):
		return errors.New("is no GGUF file")
	}
	return nil
}

// anyGGUF says whether a folder holds a model for llama.cpp, which keeps its configuration in the file itself.
func anyGGUF(dir string) bool {
	entries, err := os.ReadDir(dir)
	return err == nil && slices.ContainsFunc(entries, func(e fs.DirEntry) bool {
		return filepath.Ext(e.Name()) == ".gguf" && looksWhole(filepath.Join(dir, e.Name())) == nil
	})
}
