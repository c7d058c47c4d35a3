package compare

import (
	"math"

	"wb/queries/stats"
)

// byText is how turns are compared whose token counts cannot agree: by the text that was asked.
type byText struct {
	tokenizer alike // whether tokens of both sides are the same unit
	other     bool  // no text was asked of both sides
}

// pairByText pairs turns of the same conversation, placement, turn and repeat in which the same messages were sent. All other turns count
// in no figure. If there is no such turn, sessions are compared as two samples.
func pairByText(base, head []observation, tokenizer alike) pairing {
	base, head = asTexts(base, tokenizer), asTexts(head, tokenizer)
	other := byKey(base)
	for i := range head { // token counts of a prompt differ: groups are those of base
		if b, ok := partner(head[i], other); ok {
			head[i].group = b.group
		}
	}
	p := pair(base, head)
	p.paired = p.agree > 0
	p.text = &byText{tokenizer: tokenizer, other: !p.paired && !p.strangers}
	return p
}

// asTexts gives observations that are paired by their text. The length of a reply is in tokens where both sides have the same tokeniser,
// else in bytes.
func asTexts(os []observation, tokenizer alike) []observation {
	out := make([]observation, len(os))
	for i, o := range os {
		o.text = o.script + " " + o.history
		o.byText = true
		if o.script == "" || o.history == "" {
			o.text = ""
		}
		o.length = o.bytes
		if tokenizer == alikeSame {
			o.length = math.NaN()
			if o.output > 0 {
				o.length = float64(o.output)
			}
		}
		out[i] = o
	}
	return out
}

// otherTexts says whether no text was asked of both sides, although turns are paired by it.
func (p pairing) otherTexts() bool { return p.text != nil && p.text.other }

// uncounted says whether figures of the metric are in tokens that are not the same unit on both sides, or not known to be.
func (p pairing) uncounted(m Metric) bool {
	return p.text != nil && m.Tokens && p.text.tokenizer != alikeSame
}

// refuse makes a verdict of a metric that is not compared: it keeps both medians, which each hold for their side.
func (v *Verdict) refuse() {
	nan := math.NaN()
	v.Estimate = Estimate{Base: v.Base, Head: v.Head, Change: nan, Low: nan, High: nan, P: nan, Adjusted: nan}
	v.Evidence = Evidence{}
	v.Outcome = NotCompared
}

// lengthChange says by how much replies of head are longer than those of base, as a share. It is NaN where that is not known.
func (p pairing) lengthChange() float64 {
	other := byKey(p.base)
	change := stats.Median(bySession(p.head, func(o observation) float64 {
		b, ok := partner(o, other)
		if !ok {
			return math.NaN()
		}
		return math.Log(o.length) - math.Log(b.length)
	}))
	return math.Expm1(change)
}

// byLength withdraws the verdict on the time of whole replies where they differ in length and that may be the reason.
// The time of a reply is a constant part and a part that grows with its length. So the change at equal length lies between the change of
// the time and the change of the time per length: only where both have the same verdict, there is one.
func (p pairing) byLength(v *Verdict, i int, margin float64, questions int) {
	if p.text == nil || !v.Metric.Whole || !v.Measured {
		return
	}
	change := p.lengthChange()
	if math.Abs(change) <= margin { // false for NaN
		return
	}
	v.OtherLengths = true
	q := p
	q.base, q.head = perLength(p.base, i), perLength(p.head, i)
	per := Verdict{Metric: v.Metric}
	per.Estimate, per.Evidence = estimate(q, i, v.Metric)
	per.Adjusted = per.P * float64(questions)
	if per.outcome(margin) != v.Outcome {
		v.Outcome, v.More = Inconclusive, 0
	}
}

// perLength gives observations whose i-th figure is over the length of the reply.
func perLength(os []observation, i int) []observation {
	out := make([]observation, len(os))
	for k, o := range os {
		values := append([]float64(nil), o.values...)
		values[i] /= o.length
		o.values = values
		out[k] = o
	}
	return out
}
