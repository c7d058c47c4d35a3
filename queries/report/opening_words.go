package report

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"wb/data/plain"
)

// shown gives a figure with three or four significant digits and its unit. A ratio is a percentage.
func shown(v float64, unit string) string {
	if unit == "ratio" {
		return percent(v)
	}
	a, places := math.Abs(v), 3
	switch {
	case a >= 1000:
		return plain.Comma(int(math.Round(v))) + " " + unit
	case a >= 100:
		places = 0
	case a >= 10:
		places = 1
	case a >= 1:
		places = 2
	}
	return strconv.FormatFloat(v, 'f', places, 64) + " " + unit
}

// percent gives a ratio as a percentage, with one decimal below 10 % and near 100 %.
func percent(ratio float64) string {
	p := 100 * ratio
	if p != 0 && p < 10 || p > 99 && p < 100 {
		return fmt.Sprintf("%.1f %%", p)
	}
	return fmt.Sprintf("%.0f %%", p)
}

// allowed says what limits the hits of a run's server, before the ratio.
func allowed(r row) string {
	if r.count("block_size_tokens") == 1 {
		return "what was sent before allows"
	}
	return "whole blocks allow"
}

// causeWords gives the words of a cause of misses.
func causeWords(cause string) string {
	switch cause {
	case "template_rewrote_history":
		return "the chat template rewrote the history"
	case "retokenized":
		return "the reply was tokenized differently"
	case "block_rounding":
		return "not whole blocks"
	case "last_token":
		return "the last token is always computed"
	case "slot_taken":
		return "another prompt took the slot"
	case "small_share":
		return "too little was shared to be used"
	case "not_restorable":
		return "a window or a recurrent state cannot be taken up there"
	case "context_shifted":
		return "the server shifted its context"
	case "hybrid_state":
		return "the state of a hybrid model is cached at few places"
	case "isolation":
		return "isolation keeps sessions apart"
	case "unknown":
		return "no cause is known"
	}
	return strings.ReplaceAll(cause, "_", " ") // new text, changed text, evicted, host memory full
}
