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

// weightFormats are the formats of weights, the best first. vLLM loads one of them (its default_loader.py prefers safetensors).
var weightFormats = []string{".safetensors", ".bin", ".pt"}

// Names of the configuration of a model: in Hugging Face's layout, and in Mistral's layout, which has consolidated weights.
// vLLM reads both layouts.
const (
	hubConfig     = "config.json"
	mistralConfig = "params.json"
	consolidated  = "consolidated"
)

// ErrOnlyGGUF is returned for a repository whose weights are GGUF files. PullGGUF downloads one of them.
var ErrOnlyGGUF = errors.New(onlyGGUF)

const onlyGGUF = "its weights are GGUF files, which llama.cpp loads; vLLM needs safetensors"

// Needed returns the files that vLLM reads: configuration, tokenizer, templates, code, and the weights in one format.
// It leaves out the weights of other frameworks, quantised copies in GGUF, and documentation.
// It also leaves out what some publishers add: duplicates in original/ or named consolidated, and variants in another precision.
// It returns an error if there is no configuration or there are no weights, because the files are then not a model.
func Needed(files []File) ([]File, error) {
	names := make([]string, len(files))
	for i, f := range files {
		names[i] = f.Path
	}
	weights, why := chooseWeights(names)
	if why == onlyGGUF {
		return nil, ErrOnlyGGUF
	}
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

// tokenizer matches the tokenizers of Mistral, which have a version: tokenizer.model.v3, tokenizer.model.v11m.
var tokenizer = regexp.MustCompile(`^tokenizer\.model\.v\w+$`)

// inFolder reports whether vLLM reads a file in a subfolder. It reads code, templates for tools, and the poolings that modules.json lists.
// It does not read original/, onnx/ and checkpoints/.
func inFolder(file string, modules bool) bool {
	return path.Ext(file) == ".py" || strings.HasPrefix(file, "additional_chat_templates/") && path.Ext(file) == ".jinja" ||
		modules && path.Base(file) == hubConfig && pooling.MatchString(file)
}

var pooling = regexp.MustCompile(`^\d+_\w+/`)

// chooseWeights returns the files of weights that vLLM would load, or why it cannot load any.
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
		return nil, "it is an adapter for another model, not a model itself"
	case len(weights) > 0:
		return nil, "it has weights but no config.json"
	case ends(".gguf"):
		return nil, onlyGGUF
	case ends(".safetensors"), ends(".bin"):
		return nil, "it has no weights in its top folder that vLLM could load"
	}
	return nil, "it has no weights that vLLM could load"
}

func isWeight(file, format string) bool {
	base := path.Base(file)
	others := []string{"training_args", "optimizer", "scheduler", "rng_state", "adapter_model", "adapter", "trainer_state"}
	return !strings.Contains(file, "/") && path.Ext(file) == format && !strings.HasPrefix(base, consolidated) &&
		!strings.HasPrefix(base, ".") && !slices.Contains(others, strings.TrimSuffix(base, format))
}

// part matches the number in the name of one of several files: model-00001-of-00002.safetensors.
var part = regexp.MustCompile(`-(\d+)-of-(\d+)\.`)

// missingPart says which of several files of weights is missing, or returns "".
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

// variant matches the name of weights in another precision: model.fp16.safetensors, model.fp16-00001-of-00002.safetensors.
// Diffusers and transformers choose these with variant=.
var variant = regexp.MustCompile(`^(.+)\.[A-Za-z0-9_]+((?:-\d+-of-\d+)?\.[a-z]+)$`)

// withoutVariants removes weights in another precision, unless there are no others.
func withoutVariants(weights []string) []string {
	plain := slices.DeleteFunc(slices.Clone(weights), variant.MatchString)
	if len(plain) == 0 {
		return weights
	}
	return plain
}

// checkModel returns an error unless a folder is a model that vLLM can load. It must have a configuration, weights, and every file that an
// index of weights names. Links must lead to existing files, and weights must begin as weights do: another program may have stopped in the
// middle of a download, or may have downloaded the pointers that git keeps in place of large files.
func checkModel(dir string) error {
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
			return fmt.Errorf("%s: is not a configuration in JSON", name)
		}
	}
	return nil
}

// shardsThere checks that every file that an index of weights names exists. huggingface_hub names a snapshot before it is complete.
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

// looksWhole checks the first bytes of a file of weights. A safetensors file begins with the length of its header, which is JSON
// (README of the format).
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
		return errors.New("is a pointer that git keeps in place of a large file, not the file itself")
	case filepath.Ext(file) == ".safetensors" && (n < 9 || head[8] != '{' || binary.LittleEndian.Uint64(head) > uint64(st.Size()-8)):
		return errors.New("is not a safetensors file")
	case filepath.Ext(file) == ".gguf" && !bytes.HasPrefix(head, []byte("GGUF")):
		return errors.New("is not a GGUF file")
	}
	return nil
}
