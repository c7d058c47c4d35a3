package compare

import (
	"fmt"
	"math"
	"slices"

	"wb/queries/stats"
)

// Kinds of warnings about turns that are paired by the text that was asked.
const (
	KindByText       Kind = "paired_by_text" // token counts need not agree
	KindOtherTexts   Kind = "other_texts"    // no text was asked of both sides
	KindNotCompared  Kind = "not_compared"   // metrics in tokens that are not the same unit
	KindOtherLengths Kind = "other_lengths"  // replies differ in length
)

// ByText says that turns are paired by text. OtherHistory: in some turns, the replies before them are not the same on both sides.
type ByText struct{ OtherHistory bool }

// Kind is KindByText.
func (ByText) Kind() Kind { return KindByText }

// Note says what that means for token counts.
func (w ByText) Note() string {
	note := "Turns are paired by the text that was asked, as token counts of both sides need not agree."
	if w.OtherHistory {
		note += " Turns after replies that are not the same have no equal, as replies are part of later prompts (--replies scripted makes " +
			"them the same)."
	}
	return note
}

// OtherTexts says that no text was asked of both sides.
type OtherTexts struct{}

// Kind is KindOtherTexts.
func (OtherTexts) Kind() Kind { return KindOtherTexts }

// Note says what that means for the difference.
func (OtherTexts) Note() string {
	return "No turn was asked the same text on both sides: sessions are compared as two samples, and what was asked is a part of the " +
		"difference."
}

func pairedByText(r *Result) []Warning {
	p := r.pairing
	switch {
	case p.text == nil || p.strangers:
		return nil
	case p.text.other:
		return []Warning{OtherTexts{}}
	}
	other := byKey(p.base)
	return []Warning{ByText{slices.ContainsFunc(p.head, func(o observation) bool {
		b, ok := other[o.key]
		return ok && o.script == b.script && o.history != b.history && o.text != "" && b.text != ""
	})}}
}

// NotComparedMetrics lists the metrics that have no verdict because they count tokens.
type NotComparedMetrics struct {
	Metrics []string
	Why     string // a sentence
}

// Kind is KindNotCompared.
func (NotComparedMetrics) Kind() Kind { return KindNotCompared }

// Note names them.
func (w NotComparedMetrics) Note() string {
	return fmt.Sprintf("Figures in tokens are not compared, as %s: %s.", w.Why, joined(w.Metrics))
}

// whyNot says why figures in tokens are not compared.
func (r *Result) whyNot() string {
	if r.engines.tokenizer == alikeOther {
		return "the tokenisers are not the same"
	}
	return "it is not known whether the tokenisers are the same"
}

// refused gives the metrics that are not compared, each by what name gives of it.
func (r *Result) refused(name func(Metric) string) (out []string) {
	for _, v := range r.Verdicts {
		if v.Group == all && v.Outcome == NotCompared {
			out = append(out, name(v.Metric))
		}
	}
	return out
}

func notCompared(r *Result) []Warning {
	names := r.refused(func(m Metric) string { return m.Name })
	if len(names) == 0 {
		return nil
	}
	return []Warning{NotComparedMetrics{names, r.whyNot()}}
}

// OtherLengths holds how long replies are on both sides, as medians over the compared turns. A figure that is not known is NaN.
type OtherLengths struct {
	Metric                 string
	BaseTokens, HeadTokens float64 // each counted by the side's tokeniser
	BaseBytes, HeadBytes   float64
	Apart                  bool // the lengths differ by more than the margin, or are not known
}

const unknownLengths = "The lengths of replies are not known"

// Kind is KindOtherLengths.
func (OtherLengths) Kind() Kind { return KindOtherLengths }

// Note gives the lengths, and what they mean for the time of a whole reply.
func (w OtherLengths) Note() string {
	lengths := unknownLengths
	switch tokens := !math.IsNaN(w.BaseTokens) && !math.IsNaN(w.HeadTokens); {
	case !math.IsNaN(w.BaseBytes) && !math.IsNaN(w.HeadBytes):
		lengths = fmt.Sprintf("Replies have %.0f bytes of text in base and %.0f in head", w.BaseBytes, w.HeadBytes)
		if tokens {
			lengths += fmt.Sprintf(", and %.0f and %.0f tokens", w.BaseTokens, w.HeadTokens)
		}
		lengths += " (medians)"
	case tokens:
		lengths = fmt.Sprintf("Replies have %.0f tokens in base and %.0f in head (medians)", w.BaseTokens, w.HeadTokens)
	}
	switch {
	case !w.Apart:
		return lengths + "."
	case lengths == unknownLengths:
		return unknownLengths + ", so " + w.Metric + " has no verdict."
	}
	return fmt.Sprintf("%s: %s includes that, and has a verdict only where the time over the length has the same one.", lengths, w.Metric)
}

func otherLengths(r *Result) (out []Warning) {
	p := r.pairing
	if p.text == nil || !p.paired {
		return nil
	}
	for _, v := range r.Verdicts {
		if v.Group != all || !v.Metric.Whole || !v.Measured {
			continue
		}
		w := OtherLengths{Metric: v.Metric.Name, Apart: v.OtherLengths}
		w.BaseTokens, w.HeadTokens = p.medians(func(o observation) float64 {
			if o.output == unknownTokens {
				return math.NaN()
			}
			return float64(o.output)
		})
		w.BaseBytes, w.HeadBytes = p.medians(func(o observation) float64 { return o.bytes })
		if w.Apart || w.BaseTokens != w.HeadTokens {
			out = append(out, w)
		}
	}
	return out
}

// medians gives the medians of a figure over the turns of each side that have a partner.
func (p pairing) medians(value func(observation) float64) (base, head float64) {
	paired := func(side, other []observation) float64 {
		partners := byKey(other)
		return stats.Median(known(side, func(o observation) float64 {
			if _, ok := partner(o, partners); !ok {
				return math.NaN()
			}
			return value(o)
		}))
	}
	return paired(p.base, p.head), paired(p.head, p.base)
}
