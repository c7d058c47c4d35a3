package compare

import (
	"slices"
	"strconv"

	"wb/data/plain"
)

// Said is what the servers of a side say about themselves: by name, the values of the side's runs, in order. "" stands for a server that
// does not say, and comes last.
type Said map[string]values

// values are what the servers of a side say, as in Said.
type values []string

// Names of what servers say. They are names of settings, too.
const (
	saidKind         = "kind"
	saidVersion      = "version"
	saidModel        = "model"
	saidTokenizer    = "tokenizer" // hash of the token ids of a fixed text
	saidTemplate     = "template"  // hash of the token ids of fixed messages: equal only with an equal tokeniser
	saidQuantization = "quantization"
	saidContext      = "max_model_len_tokens"
	saidWeights      = "weights_bytes"
)

// alike says whether two things are the same.
type alike int

const (
	alikeUnknown alike = iota
	alikeSame
	alikeOther
)

// alike compares what both sides say under a name. It is not known where a server of one side does not say it, or where both sides have
// several.
func (s Said) alike(head Said, name string) alike {
	b, h := s[name], head[name]
	switch {
	case !b.known(), !h.known():
		return alikeUnknown
	case !slices.Equal(b, h):
		return alikeOther
	case len(b) > 1:
		return alikeUnknown
	}
	return alikeSame
}

// engines says how the servers of two sides differ.
type engines struct {
	// apart: the servers are of other kinds, or their tokenisers are not the same. Equal token counts cannot be expected of them, so turns
	// are paired by the text that was asked. A template that differs shows in the counts: it may only print another date.
	apart     bool
	tokenizer alike
	differ    []string // what is not the same, with the values of both sides
	unknown   []string // what is not known to be the same, and who does not say it
}

// enginesOf finds out how the servers of two sides differ. A simulated server is not compared with a real one.
func enginesOf(base, head Side) (e engines) {
	b, h := base.Said, head.Said
	kind, template := b.alike(h, saidKind), b.alike(h, saidTemplate)
	if slices.Contains(b[saidKind], "openai") != slices.Contains(h[saidKind], "openai") {
		kind = alikeUnknown // openai is any server that is not known; an older wb called llama.cpp's so
	}
	e.tokenizer = b.alike(h, saidTokenizer)
	e.apart = (kind == alikeOther || e.tokenizer == alikeOther) && base.Simulated() == head.Simulated()
	if !e.apart {
		return engines{}
	}
	if kind == alikeOther || b.alike(h, saidVersion) == alikeOther {
		e.differ = append(e.differ, "engine ("+b.engine()+", "+h.engine()+")")
	}
	e.compare(b, h, saidModel, "model", as)
	e.compareTokens(b, h, template)
	e.compare(b, h, saidQuantization, "quantisation", as)
	e.compare(b, h, saidContext, "context", tokens)
	e.compare(b, h, saidWeights, "weights", bytes)
	return e
}

// compareTokens says whether tokenisers and templates are the same. Those of templates can be compared only where tokenisers are the same.
func (e *engines) compareTokens(b, h Said, template alike) {
	switch e.tokenizer {
	case alikeOther:
		e.differ = append(e.differ, "tokeniser")
	case alikeUnknown:
		e.unknown = append(e.unknown, "tokeniser ("+silent(b[saidTokenizer], h[saidTokenizer])+")")
	}
	switch {
	case e.tokenizer == alikeOther:
		e.unknown = append(e.unknown, "template (compared only with equal tokenisers)")
	case e.tokenizer == alikeUnknown:
		e.unknown = append(e.unknown, "template")
	case template == alikeOther:
		e.differ = append(e.differ, "template")
	case template == alikeUnknown:
		e.unknown = append(e.unknown, "template ("+silent(b[saidTemplate], h[saidTemplate])+")")
	}
}

// compare adds a thing to those that differ or are not known. shown writes a value for people.
func (e *engines) compare(b, h Said, name, words string, shown func(values) string) {
	x, y := b[name], h[name]
	switch {
	case x.silent() && y.silent():
		if name == saidQuantization { // it decides speed as much as the engine does
			e.unknown = append(e.unknown, words+" ("+silent(x, y)+")")
		}
	case !slices.Equal(x, y):
		e.differ = append(e.differ, words+" ("+shown(x)+", "+shown(y)+")")
	}
}

// engine gives the kinds and versions of a side's servers, such as "vllm 0.32.0".
func (s Said) engine() string {
	kinds, versions := s[saidKind], s[saidVersion]
	if versions.silent() {
		return as(kinds)
	}
	return as(kinds) + " " + as(versions)
}

// known says whether all servers of the side say it.
func (v values) known() bool { return len(v) > 0 && !slices.Contains(v, "") }

// silent says whether none of them does.
func (v values) silent() bool { return len(v) == 0 || v[0] == "" }

// as gives values as they are.
func as(v values) string { return v.shown(func(s string) string { return s }) }

// tokens gives counts of tokens.
func tokens(v values) string {
	return v.shown(func(s string) string {
		return counted(s, func(n int64) string { return plain.Comma(int(n)) + " tokens" })
	})
}

// bytes gives sizes.
func bytes(v values) string {
	return v.shown(func(s string) string { return counted(s, plain.ShortBytes) })
}

// counted writes a whole number for people; a text that is none stays as it is.
func counted(text string, write func(int64) string) string {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return text
	}
	return write(n)
}

// shown joins values, each written for people.
func (v values) shown(write func(string) string) string {
	if v.silent() {
		return notSaid
	}
	var out []string
	for _, s := range v {
		if s == "" {
			out = append(out, notSaid)
			continue
		}
		out = append(out, write(s))
	}
	return joined(out)
}

const notSaid = "not said"

// silent says which side does not say something, where not both do.
func silent(base, head values) string {
	switch b, h := base.known(), head.known(); {
	case b && h:
		return "each side has several"
	case b:
		return "head does not say"
	case h:
		return "base does not say"
	}
	return "neither side says"
}
