package data

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// ModelFacts is what the files of a model say about it: a directory with config.json, or a GGUF file.
type ModelFacts struct {
	Shape
	Architecture  string
	ModelType     string
	ContextTokens int64 // longest context that the configuration allows; 0 when it does not say
	Quantization  string
	WeightsBytes  int64 // sum of the files that vLLM would load; without files, 16 bits per parameter of the shape; of GGUF, of all tensors

	ExactParameters int64  // counted in the headers of GGUF files; 0 when they follow from the shape
	Recurrent       bool   // layers keep a recurrent state, in place of a KV cache or beside it; known for GGUF files
	ChatTemplate    string // that of a GGUF file; "" when it has none

	tensors tensorBytes  // from the headers of safetensors or GGUF files; empty without them
	counts  tensorCounts // from the headers of GGUF files
}

// tensorCounts counts parameters by what they are for, norms and biases left out.
type tensorCounts struct {
	layers    int64 // of all layers, without routed experts; 0 when they follow from the shape
	routed    int64 // of experts that a token may use
	attention int64 // how many layers have attention
}

// Parameters returns the number of the model's parameters: that of its files, or else the one that follows from its shape.
func (f *ModelFacts) Parameters() int64 {
	if f.ExactParameters > 0 {
		return f.ExactParameters
	}
	return f.Shape.Parameters()
}

// maxConfigBytes is the largest config.json that is read. Real ones have a few kilobytes.
const maxConfigBytes = 8 << 20

// ErrNoConfig is returned for a directory that holds neither config.json nor params.json.
var ErrNoConfig = errors.New("no config.json there")

// ReadModel reads the config.json of a model directory, or the params.json of Mistral's layout, and adds up the sizes of its weights.
// It fails when the directory does not exist, when it holds neither file (ErrNoConfig), and when the file does not describe a
// transformer.
func ReadModel(dir string) (*ModelFacts, error) {
	st, err := os.Stat(dir)
	if err != nil || !st.IsDir() {
		return nil, fmt.Errorf("read model %s: no such directory", dir)
	}
	b, err := os.ReadFile(filepath.Join(dir, "config.json"))
	parse := ParseModelConfig
	if errors.Is(err, fs.ErrNotExist) {
		b, err = os.ReadFile(filepath.Join(dir, "params.json"))
		parse = parseMistral
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read model %s: %w", dir, ErrNoConfig)
	}
	if err == nil && len(b) > maxConfigBytes {
		err = errors.New("config.json is too large")
	}
	if err != nil {
		return nil, fmt.Errorf("read model %s: %w", dir, err)
	}
	f, err := parse(b)
	if err != nil {
		return nil, fmt.Errorf("read model %s: %w", dir, err)
	}
	for _, ext := range []string{".safetensors", ".bin", ".pt", consolidated} {
		files, err := weightFiles(dir, ext)
		if err != nil {
			return nil, fmt.Errorf("read model %s: %w", dir, err)
		}
		for _, p := range files {
			if st, err := os.Stat(p); err == nil {
				f.WeightsBytes += st.Size()
			}
			if ext == ".safetensors" {
				if err := f.tensors.read(p); err != nil { // then the work is computed from the shape
					f.tensors = tensorBytes{damaged: true}
				}
			}
		}
		if f.WeightsBytes > 0 {
			break
		}
	}
	if f.WeightsBytes == 0 { // --load-format dummy, or the weights are elsewhere
		f.WeightsBytes = 2 * f.Parameters()
	}
	return f, nil
}

// consolidated is how the weights of Mistral's layout are named. weightFiles takes it in place of a file ending.
const consolidated = "consolidated"

// weightFiles returns the files that vLLM would load: those that the safetensors index names, or all with the ending ext except
// the copies in Mistral's layout.
func weightFiles(dir, ext string) ([]string, error) {
	if b, err := os.ReadFile(filepath.Join(dir, "model.safetensors.index.json")); err == nil && ext == ".safetensors" {
		var index struct {
			Map map[string]string `json:"weight_map"`
		}
		if err := json.Unmarshal(b, &index); err == nil && len(index.Map) > 0 {
			var files []string
			for _, name := range index.Map {
				files = append(files, filepath.Join(dir, filepath.Base(name)))
			}
			slices.Sort(files)
			return slices.Compact(files), nil
		}
	}
	entries, err := os.ReadDir(dir)
	var files []string
	for _, e := range entries {
		mistral := strings.HasPrefix(e.Name(), consolidated)
		if filepath.Ext(e.Name()) == ext && !mistral || mistral && ext == consolidated && filepath.Ext(e.Name()) == ".safetensors" {
			files = append(files, filepath.Join(dir, e.Name()))
		}
	}
	return files, err
}
