package compare

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"wb/queries/stats"
)

// The groups into which the turns of a comparison can be split.
const (
	byTurn         = "turn"
	byContext      = "context"
	byConversation = "conversation"
)

// all is the group of all turns.
const all = "all"

// key identifies a turn of a side. Turns with the same key are paired.
type key struct {
	kind
	pass int // number of the session among those of its conversation and variant, over all runs of a side, from 0
}

// kind is a turn of a conversation, in whichever session it was played.
type kind struct {
	conversation, variant string // variant is "" where the side played the conversation in one variant only
	turn                  int64
}

// observation is one turn that is compared.
type observation struct {
	key
	session string // run, conversation, variant and number
	group   string
	process string // server process; "" where it is not known
	prompt  int64  // tokens
	output  int64  // tokens
	values  []float64

	script, history string  // as in Turn
	bytes           float64 // as in Turn
	byText          bool    // it is paired by text, and not by its counts of tokens
	text            string  // what was asked; "" where it is not known
	length          float64 // of the reply, in the unit that both sides have; NaN where it is not known
}

// byKey gives turns by their key.
func byKey(os []observation) map[key]observation {
	out := map[key]observation{}
	for _, o := range os {
		out[o.key] = o
	}
	return out
}

// observe gives the turns of a side that are compared: those whose history the server did not cut, without the sessions that began warm
// (skip is true) or cold (skip is false). A nil skip leaves out no session.
func observe(turns []Turn, by string, skip *bool) (out []observation) {
	placements := map[string]map[string]bool{}
	for _, t := range turns {
		if placements[t.Conversation] == nil {
			placements[t.Conversation] = map[string]bool{}
		}
		placements[t.Conversation][t.Variant] = true
	}
	type played struct{ conversation, variant string }
	passes := map[played]int{} // over all runs of the side
	passOf := map[string]int{} // by session
	for _, t := range turns {
		if t.Truncated || skip != nil && t.BeganWarm != nil && *t.BeganWarm == *skip {
			continue
		}
		what := played{conversation: t.Conversation}
		if len(placements[t.Conversation]) > 1 { // a single variant is paired with that of the other side, whichever that is
			what.variant = t.Variant
		}
		session := fmt.Sprint(t.Run, "/", what.conversation, "/", what.variant, "/", t.Nth)
		if _, ok := passOf[session]; !ok {
			passOf[session] = passes[what]
			passes[what]++
		}
		out = append(out, observation{
			key:     key{kind{what.conversation, what.variant, t.Turn}, passOf[session]},
			session: session, group: groupOf(t, by), process: t.Process,
			prompt: t.PromptTokens, output: t.OutputTokens, values: t.Values,
			script: t.Script, history: t.History, bytes: t.ReplyBytes,
		})
	}
	return out
}

// groupOf says which group a turn belongs to. Numbers are padded, so that groups sort by number.
func groupOf(t Turn, by string) string {
	switch by {
	case byTurn:
		return fmt.Sprintf("turn %2d", t.Turn)
	case byConversation:
		return t.Conversation
	case byContext:
		if t.PromptTokens == unknownTokens {
			return "tokens not known"
		}
		return fmt.Sprintf("up to %7d tokens", int64(math.Exp2(math.Ceil(math.Log2(math.Max(float64(t.PromptTokens), 1))))))
	}
	return all
}

// pairing says how the turns of two sides are compared.
type pairing struct {
	base, head []observation
	paired     bool    // enough turns have an equal turn on the other side
	agree      float64 // share of the turns that have one, 0 to 1
	unit       unit
	strangers  bool    // the sides have no conversation in common
	text       *byText // nil: turns are paired by their counts of tokens
}

// enoughEquals is the share of turns that must have an equal turn for turns to be paired.
const enoughEquals = 0.8

// pair finds out how two sides are compared.
func pair(base, head []observation) pairing {
	p := pairing{base: base, head: head, unit: unitOf(base, head), strangers: !share(base, head)}
	other := byKey(base)
	same, met := 0, 0
	for _, o := range head {
		if _, ok := other[o.key]; ok {
			met++
		}
		if _, ok := partner(o, other); ok {
			same++
		}
	}
	if met > 0 {
		p.agree = float64(same) / float64(max(met, min(len(base), len(head))))
	}
	p.paired = p.agree >= enoughEquals
	return p
}

// within gives the pairing of the turns of one group. Whether turns are paired, and what the unit is, was decided over all turns.
func (p pairing) within(group string) pairing {
	in := func(os []observation) (sel []observation) {
		for _, o := range os {
			if group == all || o.group == group {
				sel = append(sel, o)
			}
		}
		return sel
	}
	p.base, p.head = in(p.base), in(p.head)
	return p
}

// groups lists the groups of both sides, all of them together first.
func (p pairing) groups(by string) (groups []string) {
	for _, o := range slices.Concat(p.base, p.head) {
		if !slices.Contains(groups, o.group) {
			groups = append(groups, o.group)
		}
	}
	slices.Sort(groups)
	if by != "" {
		groups = append([]string{all}, groups...)
	}
	return groups
}

// share says whether some conversation was played on both sides.
func share(base, head []observation) bool {
	seen := map[string]bool{}
	for _, o := range base {
		seen[o.conversation] = true
	}
	return slices.ContainsFunc(head, func(o observation) bool { return seen[o.conversation] })
}

// unknownTokens stands for a count that the server did not report. It equals no other count.
const unknownTokens = -1

// partner finds the turn of the other side that a turn can be compared with: same key, same prompt tokens, same completion tokens. Where
// these cannot agree, the text that was asked must be the same.
func partner(o observation, other map[key]observation) (observation, bool) {
	b, ok := other[o.key]
	if o.byText {
		return b, ok && o.text != "" && b.text == o.text
	}
	return b, ok && b.prompt == o.prompt && b.output == o.output && o.prompt != unknownTokens && o.output != unknownTokens
}

// unit is what counts as one piece of evidence.
type unit int

const (
	unitSession unit = iota
	unitOneEach      // sessions, as there are no more processes: each side had one process, and not the same one
	unitProcess
)

// unitOf says whether sessions of a side depend on each other because one server process served several of them. A process that served both
// sides does not matter, as its speed cancels out in the difference. Neither does a process that served a single session.
func unitOf(base, head []observation) unit {
	b, h := sessionsByProcess(base), sessionsByProcess(head)
	shared := false
	for _, sides := range [][2]map[string]map[string]bool{{b, h}, {h, b}} {
		for process, s := range sides[0] {
			shared = shared || (len(s) > 1 && sides[1][process] == nil)
		}
	}
	switch {
	case !shared:
		return unitSession
	case len(b) <= 1 && len(h) <= 1:
		return unitOneEach
	}
	return unitProcess
}

// sessionsByProcess gives the sessions of each server process that is known.
func sessionsByProcess(os []observation) map[string]map[string]bool {
	per := map[string]map[string]bool{}
	for _, o := range os {
		if per[o.process] == nil {
			per[o.process] = map[string]bool{}
		}
		per[o.process][o.session] = true
	}
	delete(per, "")
	return per
}

// known gives the values that turns have.
func known(os []observation, value func(observation) float64) (out []float64) {
	for _, o := range os {
		if v := value(o); !math.IsNaN(v) {
			out = append(out, v)
		}
	}
	return out
}

// bySession gives one value per session: the median of the values of its turns.
func bySession(os []observation, value func(observation) float64) []float64 {
	per := map[string][]float64{}
	var order []string
	for _, o := range os {
		if v := value(o); !math.IsNaN(v) {
			if per[o.session] == nil {
				order = append(order, o.session)
			}
			per[o.session] = append(per[o.session], v)
		}
	}
	out := make([]float64, len(order))
	for i, s := range order {
		out[i] = stats.Median(per[s])
	}
	return out
}

// byProcess gives one value per server process, and how many sessions they served in all.
func byProcess(os []observation, value func(observation) float64) (out []float64, sessions int) {
	per := map[string][]observation{}
	var order []string
	for _, o := range os {
		p := cmp.Or(o.process, o.session)
		if per[p] == nil {
			order = append(order, p)
		}
		per[p] = append(per[p], o)
	}
	for _, p := range order {
		if d := bySession(per[p], value); len(d) > 0 {
			out = append(out, stats.Median(d))
			sessions += len(d)
		}
	}
	return out, sessions
}
