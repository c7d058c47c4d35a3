package data

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/bits"
	"slices"
	"strings"

	"wb/data/plain"
)

// Limits of a header. Real ones have some thousand tensors, fifty entries, and 20 MB for the largest vocabularies.
const (
	maxGGUFHeaderBytes = 256 << 20
	maxGGUFEntries     = 1 << 16
	maxGGUFTensors     = 1 << 20
	maxGGUFName        = 1024     // bytes of the name of an entry or a tensor that is kept
	maxGGUFText        = 16 << 20 // bytes of a text that is kept, such as a chat template
	maxGGUFKept        = 1 << 20  // numbers of arrays that are kept, over all entries
	maxGGUFDimensions  = 4        // GGML_MAX_DIMS
)

// The types of entries (enum gguf_type in ggml/include/gguf.h).
const (
	ggufBool   = 7
	ggufString = 8
	ggufArray  = 9
)

// ggufNumbers has the sizes in bytes of the types that are numbers, and of bool.
var ggufNumbers = map[uint32]int64{0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, ggufBool: 1, 10: 8, 11: 8, 12: 8}

// ggufHeader is what the header of a file says.
type ggufHeader struct {
	numbers  map[string]int64
	texts    map[string]string
	lists    map[string][]int64
	lengths  map[string]int64 // how many elements each array has
	tensors  []ggufTensor
	dataFrom int64 // where the tensors begin, bytes
}

type ggufTensor struct {
	name       string
	kind       ggmlType
	dimensions int
	elements   int64
	bytes      int64
	offset     int64
}

var errInsideHeader = errors.New("it ends inside its header")

// ggufReader reads a header from a file of size bytes. After a failure it only gives zeros.
type ggufReader struct {
	r    *bufio.Reader
	at   int64
	size int64
	kept int64 // numbers of arrays that were kept
	err  error
	buf  [8]byte
}

// parseGGUF reads the header of a GGUF file (docs/gguf.md of ggml), and checks that the file is long enough for its tensors.
func parseGGUF(r io.Reader, size int64) (*ggufHeader, error) {
	in := &ggufReader{r: bufio.NewReaderSize(r, 1<<16), size: size}
	h := &ggufHeader{numbers: map[string]int64{}, texts: map[string]string{}, lists: map[string][]int64{}, lengths: map[string]int64{}}
	if err := in.begin(); err != nil {
		return nil, err
	}
	tensors, entries := in.u64(), in.u64()
	switch {
	case in.err != nil:
		return nil, in.err
	case entries > maxGGUFEntries:
		return nil, fmt.Errorf("it says that its header has %d entries, and no model has so many", entries)
	case tensors > maxGGUFTensors:
		return nil, fmt.Errorf("it says that it has %d tensors, and no model has so many", tensors)
	}
	for range entries {
		in.entry(h)
		if in.err != nil {
			return nil, in.err
		}
	}
	for range tensors {
		t := in.tensor()
		if in.err != nil {
			return nil, in.err
		}
		h.tensors = append(h.tensors, t)
	}
	h.dataFrom = in.at
	return h, h.fits(size)
}

// begin reads the four letters at the beginning, and the version.
func (in *ggufReader) begin() error {
	magic := make([]byte, 4)
	if n, err := io.ReadFull(in.r, magic); err != nil && n == 0 {
		return errors.New("it is empty")
	}
	if string(magic) != "GGUF" {
		return fmt.Errorf("it is not a GGUF file (it begins with %q)", strings.TrimRight(string(magic), "\x00"))
	}
	in.at = 4
	version := in.u32()
	switch {
	case in.err != nil:
		return in.err
	case version == 2 || version == 3:
		return nil
	case bits.ReverseBytes32(version) == 2 || bits.ReverseBytes32(version) == 3:
		return errors.New("it is for machines that store the high byte first (big endian)")
	}
	return fmt.Errorf("its format is version %d, and wb reads versions 2 and 3", version)
}

// fits checks that the tensors lie in a file of size bytes.
func (h *ggufHeader) fits(size int64) error {
	alignment := int64(32)
	if a, ok := h.numbers["general.alignment"]; ok {
		if alignment = a; a < 1 || a > 1<<30 || a&(a-1) != 0 {
			return fmt.Errorf("its alignment is %d, and it must be a power of two", a)
		}
	}
	if len(h.tensors) == 0 {
		return nil
	}
	h.dataFrom = (h.dataFrom + alignment - 1) / alignment * alignment
	end := h.dataFrom
	for _, t := range h.tensors {
		if t.offset%alignment != 0 {
			return fmt.Errorf("tensor %q lies at byte %d, which is not a multiple of %d", t.name, t.offset, alignment)
		}
		end = max(end, h.dataFrom+t.offset+t.bytes)
	}
	if end > size {
		return fmt.Errorf("it is shorter than its tensors: %s", partOf(size, end))
	}
	return nil
}

// partOf writes "12 of 96 MB". Sizes that look alike in one unit are written in bytes.
func partOf(part, whole int64) string {
	a, b := plain.Bytes(part), plain.Bytes(whole)
	number, unit, _ := strings.Cut(a, " ")
	_, other, _ := strings.Cut(b, " ")
	switch {
	case a == b:
		return fmt.Sprintf("%d of %d bytes", part, whole)
	case unit == other:
		return number + " of " + b
	}
	return a + " of " + b
}

func (in *ggufReader) fail(err error) {
	if in.err == nil {
		in.err = err
	}
}

// left checks that n more bytes are there, before anything of this size is read or allocated.
func (in *ggufReader) left(n int64) bool {
	switch {
	case in.err != nil:
	case n < 0 || n > in.size-in.at:
		in.fail(errInsideHeader)
	case in.at+n > maxGGUFHeaderBytes:
		in.fail(fmt.Errorf("its header has more than %s", plain.Bytes(maxGGUFHeaderBytes)))
	}
	return in.err == nil
}

func (in *ggufReader) number(n int64) uint64 {
	if !in.left(n) {
		return 0
	}
	in.buf = [8]byte{}
	if _, err := io.ReadFull(in.r, in.buf[:n]); err != nil {
		in.fail(ended(err))
		return 0
	}
	in.at += n
	return binary.LittleEndian.Uint64(in.buf[:])
}

// ended gives errInsideHeader for a file that became shorter, else the error.
func ended(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errInsideHeader
	}
	return err
}

func (in *ggufReader) u64() uint64 { return in.number(8) }
func (in *ggufReader) u32() uint32 { return uint32(in.number(4)) }

func (in *ggufReader) skip(n int64) {
	if !in.left(n) {
		return
	}
	if _, err := in.r.Discard(int(n)); err != nil {
		in.fail(ended(err))
	}
	in.at += n
}

// length reads a count of bytes or elements. It fails for one that the file cannot hold.
func (in *ggufReader) length() int64 {
	n := in.u64()
	if n > math.MaxInt64 {
		in.fail(errInsideHeader)
		return 0
	}
	return int64(n)
}

// text reads a text. It gives "" for one that has more than most bytes.
func (in *ggufReader) text(most int64) string {
	n := in.length()
	if n > most {
		in.skip(n)
		return ""
	}
	if !in.left(n) {
		return ""
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(in.r, b); err != nil {
		in.fail(ended(err))
		return ""
	}
	in.at += n
	return strings.ToValidUTF8(string(b), "\uFFFD")
}

// entry reads one entry, and keeps it if wb uses it.
func (in *ggufReader) entry(h *ggufHeader) {
	name := in.text(maxGGUFName)
	keep := keptGGUF(name)
	switch kind := in.u32(); kind {
	case ggufString:
		if !keep {
			in.skip(in.length())
			return
		}
		h.texts[name] = in.text(maxGGUFText)
	case ggufArray:
		in.array(h, name, keep)
	default:
		if v, whole := in.scalar(kind); keep && whole && in.err == nil {
			h.numbers[name] = v
		}
	}
}

// scalar reads a number or a bool. whole is false for fractions, which wb does not use.
func (in *ggufReader) scalar(kind uint32) (v int64, whole bool) {
	size, ok := ggufNumbers[kind]
	if !ok {
		in.fail(fmt.Errorf("an entry of its header has the unknown type %d", kind))
		return 0, false
	}
	n := in.number(size)
	switch kind {
	case 1:
		return int64(int8(n)), true
	case 3:
		return int64(int16(n)), true
	case 5:
		return int64(int32(n)), true
	case 6, 12:
		return 0, false
	}
	return int64(min(n, math.MaxInt64)), kind != 11 || n <= math.MaxInt64 // a negative 64-bit number is none of the sizes
}

func (in *ggufReader) array(h *ggufHeader, name string, keep bool) {
	kind, n := in.u32(), in.length()
	if keep || name == "tokenizer.ggml.tokens" {
		h.lengths[name] = n
	}
	size, isNumber := ggufNumbers[kind]
	switch {
	case kind == ggufString:
		if n > (in.size-in.at)/8 { // each has a length of 8 bytes
			in.fail(errInsideHeader)
		}
		for range n {
			if in.skip(in.length()); in.err != nil {
				return
			}
		}
	case !isNumber:
		in.fail(fmt.Errorf("an array of its header has the unknown type %d", kind))
	case n > (in.size-in.at)/size:
		in.fail(errInsideHeader)
	case !keep || in.kept+n > maxGGUFKept:
		in.skip(n * size)
	default:
		in.kept += n
		list := make([]int64, 0, n)
		for range n {
			v, whole := in.scalar(kind)
			if !whole || in.err != nil {
				v = 0
			}
			list = append(list, v)
		}
		h.lists[name] = list
	}
}

// keptGGUF reports whether wb uses an entry.
func keptGGUF(name string) bool {
	group, rest, ok := strings.Cut(name, ".")
	switch {
	case !ok:
		return false
	case group == "general":
		return slices.Contains([]string{"architecture", "type", "file_type", "alignment", "name"}, rest)
	case group == "split":
		return rest == "count" || rest == "no"
	case group == "tokenizer":
		return rest == "chat_template"
	}
	return slices.Contains(ggufSizes, rest) || slices.ContainsFunc(ggufStates, func(s string) bool { return strings.HasPrefix(rest, s) })
}

// tensor reads what the header says about one tensor.
func (in *ggufReader) tensor() ggufTensor {
	t := ggufTensor{name: in.text(maxGGUFName), elements: 1}
	n := in.u32()
	if n > maxGGUFDimensions {
		in.fail(fmt.Errorf("tensor %q has %d dimensions", t.name, n))
		return t
	}
	t.dimensions = int(n)
	row := int64(1)
	for i := range n {
		d := in.length()
		if i == 0 {
			row = d
		}
		if d > 0 && t.elements > math.MaxInt64/64/d {
			in.fail(fmt.Errorf("tensor %q is too large", t.name))
			return t
		}
		t.elements *= d
	}
	kind := in.u32()
	offset := in.length()
	of, known := ggmlTypes[kind]
	t.kind = of
	switch {
	case in.err != nil:
		return t
	case !known:
		in.fail(fmt.Errorf("tensor %q has the unknown type %d", t.name, kind))
		return t
	case row%t.kind.values != 0:
		in.fail(fmt.Errorf("tensor %q has rows of %d values, and %s needs a multiple of %d", t.name, row, t.kind.name, t.kind.values))
		return t
	case offset > 1<<50 || t.elements > 1<<50:
		in.fail(fmt.Errorf("tensor %q is too large", t.name))
		return t
	}
	t.bytes, t.offset = t.elements/t.kind.values*t.kind.size, offset
	return t
}
