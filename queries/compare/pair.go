package compare

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"wb/queries/stats"
)

// What a comparison may be split by, besides the whole.
const (
	byTurn         = "turn"
	byContext      = "context"
	byConversation = "conversation"
)

// all is the group of all turns.
const all = "all"

// key is what turns of two sides are paired by.
type key struct {
	kind
	pass int // through the conversation and variant, over all runs of a side, from 0
}

// kind is a turn of a conversation, whichever pass it was played in.
type kind struct {
	conversation, variant string // variant is "" where the side played the conversation in one
	turn                  int64
}

// observation is one turn that is compared.
type observation struct {
	key
	session string // side, run and pass
	group   string
	process string // of the server; "" where it is not known
	prompt  int64  // tokens
	output  int64  // tokens
	values  []float64
}

// byKey finds turns by what they are paired by.
func byKey(os []observation) map[key]observation {
	out := map[key]observation{}
	for _, o := range os {
		out[o.key] = o
	}
	return out
}

// observe gives the turns of a side that are compared: those that the server did not cut, without sessions that began as skip says.
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
	passOf := map[string]int{} // of a session
	for _, t := range turns {
		if t.Truncated || skip != nil && t.BeganWarm != nil && *t.BeganWarm == *skip {
			continue
		}
		what := played{conversation: t.Conversation}
		if len(placements[t.Conversation]) > 1 { // one alone is paired with the other side's, whichever that is
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
		})
	}
	return out
}

// groupOf says which group a turn belongs to. Padded numbers sort as they count.
func groupOf(t Turn, by string) string {
	switch by {
	case byTurn:
		return fmt.Sprintf("turn %2d", t.Turn)
	case byConversation:
		return t.Conversation
	case byContext:
		if t.PromptTokens == unknownTokens {
			return "tokens not told"
		}
		return fmt.Sprintf("up to %7d tokens", int64(math.Exp2(math.Ceil(math.Log2(math.Max(float64(t.PromptTokens), 1))))))
	}
	return all
}

// pairing says how the turns of two sides are compared.
type pairing struct {
	base, head []observation
	paired     bool    // enough turns have an equal on the other side
	agree      float64 // share of the turns that have one
	unit       unit
	strangers  bool // the sides have no conversation in common
}

// enoughEquals is the share of turns from which they are paired.
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

// within is the pairing of one group's turns. Whether turns are paired, and what the unit is, is a matter of all of them.
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

// unknownTokens stands for a count that the server did not tell; it is equal to none.
const unknownTokens = -1

// partner finds the turn of the other side that one may be compared with: of the same key, with the same prompt and completion tokens.
func partner(o observation, other map[key]observation) (observation, bool) {
	b, ok := other[o.key]
	return b, ok && b.prompt == o.prompt && b.output == o.output && o.prompt != unknownTokens && o.output != unknownTokens
}

// unit is what counts as one piece of evidence.
type unit int

const (
	unitSession unit = iota
	unitOneEach      // sessions, for want of more: each side had one process, another one than the other side's
	unitProcess
)

// unitOf finds out whether sessions of a side hang together by the server process that served them. A process that served both sides
// falls out of their difference, and one that served a single session is that session.
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

// bySession gives one value a session: the median of what its turns give.
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

// byProcess gives one value a server process, and how many sessions they had.
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
