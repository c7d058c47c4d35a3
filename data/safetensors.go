package data

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// tensorBytes adds up the tensors of a model by kind, since the kind decides when they are read. All fields are bytes.
type tensorBytes struct {
	total     int64 // of the language part: the parts for images and sound are not read for text
	embedding int64 // the embedding table
	head      int64 // the output head; 0 when it is the embedding table
	lookup    int64 // other tables of which only some rows are read
	routed    int64 // experts that a token may use
	damaged   bool
}

// maxHeaderBytes is the largest safetensors header that is read. The library has the same limit, 100 MB.
const maxHeaderBytes = 100_000_000

// read adds a file. It begins with 8 bytes that give the length of the header. The header is JSON with the offsets of each tensor (see
// the README of the format).
func (t *tensorBytes) read(file string) error {
	if t.damaged {
		return errors.New("damaged")
	}
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	var size uint64
	if err := binary.Read(f, binary.LittleEndian, &size); err != nil {
		return fmt.Errorf("read %s: %w", file, err)
	}
	if size > maxHeaderBytes {
		return fmt.Errorf("read %s: a header of %d bytes is too long", file, size)
	}
	header, err := io.ReadAll(io.LimitReader(f, int64(size)))
	if err != nil {
		return fmt.Errorf("read %s: %w", file, err)
	}
	return t.add(header)
}

func (t *tensorBytes) add(header []byte) error {
	var tensors map[string]struct {
		Offsets [2]int64 `json:"data_offsets"`
	}
	if err := json.Unmarshal(header, &tensors); err != nil {
		return fmt.Errorf("safetensors header: %w", err)
	}
	for name, x := range tensors {
		n := x.Offsets[1] - x.Offsets[0]
		switch {
		case name == "__metadata__":
			continue
		case n < 0 || x.Offsets[0] < 0 || n > 1<<50:
			return fmt.Errorf("safetensors header: tensor %q lies at %v", name, x.Offsets)
		case containsAny(name, "vision_tower.", "vision_model.", "visual.", "multi_modal_projector.", "audio_tower.", "embed_vision.",
			"embed_audio."):
			continue
		case containsAny(name, "embed_tokens.", "wte.", "word_embeddings.", "embed_in."):
			t.embedding += n
		case containsAny(name, "lm_head.", "embed_out."):
			t.head += n
		case strings.Contains(name, ".experts."):
			t.routed += n
		}
		t.total += n
	}
	return nil
}

func containsAny(s string, parts ...string) bool {
	for _, p := range parts {
		if strings.Contains(s, p) {
			return true
		}
	}
	return false
}
