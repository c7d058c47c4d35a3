package data

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"wb/data/plain"
)

// ReadGGUF reads what the header of a GGUF file says about its model, and never its tensors. A model in several parts is named by its
// first one, NAME-00001-of-00003.gguf, and all parts must be there. It fails for a file that is damaged, incomplete or for big-endian
// machines, and for one that is not a language model.
func ReadGGUF(path string) (*ModelFacts, error) {
	h, err := readGGUFParts(path)
	if err != nil {
		return nil, err
	}
	f, err := h.facts()
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return f, nil
}

// CheckGGUF returns an error for a file that is damaged or incomplete, or that lacks one of its parts. It reads headers only, and does not
// ask whether wb knows the model.
func CheckGGUF(path string) error {
	_, err := readGGUFParts(path)
	return err
}

// readGGUFParts reads the headers of all parts of a model.
func readGGUFParts(path string) (*ggufHeader, error) {
	h, err := readGGUFHeader(path)
	if err == nil {
		err = h.addParts(path)
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return h, nil
}

// readGGUFHeader reads the header of one file. Its errors do not name the file.
func readGGUFHeader(path string) (*ggufHeader, error) {
	st, err := os.Stat(path) // before it is opened: opening a pipe waits for its other end
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, errors.New("no such file")
	case err != nil:
		return nil, plain.PathCause(err)
	case !st.Mode().IsRegular():
		return nil, errors.New("it is not a file")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, plain.PathCause(err)
	}
	defer f.Close()
	return parseGGUF(f, st.Size())
}

// ggufPart matches the name of one of several parts of a model (llama_split_path in llama.cpp).
var ggufPart = regexp.MustCompile(`^(.*)-(\d{5})-of-(\d{5})\.gguf$`)

// GGUFParts returns the paths of all parts of the model that a file belongs to, whether they exist or not. For a model in one file that is
// the file itself.
func GGUFParts(path string) []string {
	m := ggufPart.FindStringSubmatch(path)
	if m == nil {
		return []string{path}
	}
	n, err := strconv.Atoi(m[3])
	if err != nil || n < 1 {
		return []string{path}
	}
	parts := make([]string, n)
	for i := range parts {
		parts[i] = fmt.Sprintf("%s-%05d-of-%s.gguf", m[1], i+1, m[3])
	}
	return parts
}

// addParts adds the tensors of the other parts of a model. path is that of the first part.
func (h *ggufHeader) addParts(path string) error {
	count := h.numbers["split.count"]
	if count <= 1 {
		return nil
	}
	if no := h.numbers["split.no"]; no != 0 {
		return fmt.Errorf("it is part %d of %d, and a model is named by its first part", no+1, count)
	}
	parts := GGUFParts(path)
	if int64(len(parts)) != count || parts[0] != path {
		return fmt.Errorf("it is the first of %d parts, and its name does not end in -00001-of-%05d.gguf", count, count)
	}
	for i, p := range parts[1:] {
		part, err := readGGUFHeader(p)
		switch {
		case err != nil && !fileExists(p):
			return fmt.Errorf("part %s is missing", filepath.Base(p))
		case err != nil:
			return fmt.Errorf("part %s: %w", filepath.Base(p), err)
		case part.numbers["split.count"] != count || part.numbers["split.no"] != int64(i)+1:
			return fmt.Errorf("part %s belongs to another model", filepath.Base(p))
		}
		if h.tensors = append(h.tensors, part.tensors...); len(h.tensors) > maxGGUFTensors {
			return errors.New("its parts have more tensors than any model")
		}
	}
	return nil
}

func fileExists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// notModels has the values of general.type of files that are not language models.
var notModels = map[string]string{
	"adapter": "it is an adapter for another model, not a model itself",
	"mmproj":  "it is the part of a model for images or sound, not a language model",
	"imatrix": "it has figures for quantising a model, not a model",
	"vocab":   "it has a vocabulary, and no model",
}

// facts makes the facts of a model from its header.
func (h *ggufHeader) facts() (*ModelFacts, error) {
	if why := notModels[h.texts["general.type"]]; why != "" {
		return nil, errors.New(why)
	}
	arch := h.texts["general.architecture"]
	switch {
	case arch == "clip":
		return nil, errors.New(notModels["mmproj"])
	case arch == "":
		return nil, errors.New("it does not name the architecture of its model (general.architecture)")
	case len(h.tensors) == 0:
		return nil, errors.New("it has no tensors")
	}
	g := &ggufShape{ggufHeader: h, arch: arch, most: map[string]int64{}}
	f := &ModelFacts{Architecture: arch, ModelType: arch, ChatTemplate: h.texts["tokenizer.chat_template"],
		ContextTokens: believedContext(g.size("context_length")), Recurrent: g.recurrent()}
	if err := g.fill(&f.Shape); err != nil {
		return nil, err
	}
	f.counts.attention = g.attention
	var most int64
	byType := map[string]int64{}
	for _, t := range h.tensors {
		f.WeightsBytes += t.bytes
		f.ExactParameters += t.elements
		f.addTensor(t)
		if byType[t.kind.name] += t.bytes; byType[t.kind.name] > most {
			most, f.Quantization = byType[t.kind.name], t.kind.name
		}
	}
	if n, ok := h.numbers["general.file_type"]; ok {
		if name := fileTypes[n&^fileTypeGuessed]; name != "" {
			f.Quantization = name
		}
	}
	return f, nil
}

var (
	ggufBlock = regexp.MustCompile(`^blk\.(\d+)\.`)
	// the experts of a layer are one tensor; in files of the first Mixtral, each was one
	ggufExperts = regexp.MustCompile(`^blk\.\d+\.ffn_(?:gate|down|up|gate_up)(?:_exps\.|\.\d+\.)`)
)

// believedContext gives a length of context in tokens. No model has one of 16 million: such a length counts as unknown.
func believedContext(tokens int64) int64 {
	if tokens > 1<<24 {
		return 0
	}
	return tokens
}

// addTensor adds a tensor to the figures that Work uses. Layers behind the last one predict further tokens, and plain decoding does not
// read them.
func (f *ModelFacts) addTensor(t ggufTensor) {
	block := ggufBlock.FindStringSubmatch(t.name)
	if block != nil {
		if n, err := strconv.ParseInt(block[1], 10, 64); err != nil || n >= f.Layers {
			return
		}
	}
	f.tensors.total += t.bytes
	switch {
	case t.name == "token_embd.weight":
		f.tensors.embedding += t.bytes
	case t.name == "output.weight":
		f.tensors.head += t.bytes
	case t.name == "per_layer_token_embd.weight": // gemma3n: a second table, of which a token reads one row
		f.tensors.lookup += t.bytes
	case block == nil || t.dimensions < 2: // norms and biases
	case ggufExperts.MatchString(t.name):
		f.tensors.routed += t.bytes
		f.counts.routed += t.elements
	case strings.HasSuffix(t.name, ".weight"):
		f.counts.layers += t.elements
	}
}
