package compare

import "strings"

// KindNotTheSame says how the servers of both sides differ, where they are of other kinds or read text in another way.
const KindNotTheSame Kind = "not_the_same"

// NotTheSame lists what differs between the servers of both sides, and what is not known to be the same.
type NotTheSame struct {
	Differ  []string // such as "engine (llamacpp b10434, vllm 0.32.0)"
	Unknown []string // such as "tokeniser (base does not say)"
}

// Kind is KindNotTheSame.
func (NotTheSame) Kind() Kind { return KindNotTheSame }

// Note gives both lists.
func (w NotTheSame) Note() string {
	note := "Not the same: " + strings.Join(w.Differ, ", ") + "."
	if len(w.Unknown) > 0 {
		note += " Not known to be the same: " + strings.Join(w.Unknown, ", ") + "."
	}
	return note
}

// List gives one entry for each difference, those that are not known last.
func (w NotTheSame) List() (out []string) {
	out = append(out, w.Differ...)
	for _, u := range w.Unknown {
		out = append(out, "not known: "+u)
	}
	return out
}

func notTheSame(r *Result) []Warning {
	if !r.engines.apart {
		return nil
	}
	return []Warning{NotTheSame{r.engines.differ, r.engines.unknown}}
}

// told says whether NotTheSame is about a setting, such as engine.version.
func (e engines) told(setting string) bool {
	name, ok := strings.CutPrefix(setting, "engine.")
	if !ok || !e.apart {
		return false
	}
	switch name {
	case saidKind, saidVersion, saidModel, saidTokenizer, saidTemplate, saidQuantization, saidContext, saidWeights:
		return true
	}
	return false
}
