package report

import (
	"fmt"

	"wb/data/plain"
	"wb/queries/table"
)

// slowest gives the slowest turns with their cause.
func slowest(found *table.Table) *table.Table {
	t := newTable(found, SlowestTable, "Slowest turns",
		"The turns with the longest TTFT, at most five of each run. Of the repeats of a turn, only the slowest is here.",
		textColumn("run"), textColumn("conversation"), textColumn("placement"), table.Column{Name: "repeat", Type: "INTEGER"},
		table.Column{Name: "turn", Type: "INTEGER"}, table.Column{Name: "ttft_ms", Type: "DOUBLE"},
		table.Column{Name: "prompt_tokens", Type: "BIGINT"}, table.Column{Name: "uncached_tokens", Type: "BIGINT"}, textColumn("cause"),
		textColumn("summary"))
	placements := map[string]bool{}
	for _, r := range rows(found) {
		placements[r.text("placement")] = true
	}
	for _, r := range rows(found) {
		cause, words := causeOf(r)
		ttft, _ := r.number("ttft_ms")
		name := r.text("conversation")
		if len(placements) > 1 {
			name += " (" + r.text("placement") + ")"
		}
		name += fmt.Sprintf(" turn %d", r.count("turn"))
		if r.count("plays") > 1 {
			name += fmt.Sprintf(", repeat %d", r.count("repeat"))
		}
		t.Rows = append(t.Rows, []any{
			r["run"], r["conversation"], r["placement"], r["repeat"], r["turn"], r["ttft_ms"], r["prompt_tokens"], r["uncached_tokens"], cause,
			name + ": " + sentence(shown(ttft, "ms"), computed(r), words),
		})
	}
	return t
}

// computed says how much of a prompt had to be computed, or is empty where that is not known.
func computed(r row) string {
	if _, ok := r.number("uncached_tokens"); !ok {
		if n := r.count("prompt_tokens"); n > 0 {
			return "a prompt of " + plain.Count(n, "token")
		}
		return ""
	}
	return fmt.Sprintf("%s of %s tokens computed", plain.Comma(r.count("uncached_tokens")), plain.Comma(r.count("prompt_tokens")))
}

// causeOf says why the first token of a turn came late: a word for programs, and words for people. It names what was observed with that
// turn: wb did not run, the request waited in the server's queue, other turns ran beside it, or its prompt was not in the prefix cache.
func causeOf(r row) (cause, words string) {
	ttft, _ := r.number("ttft_ms")
	typical, _ := r.number("typical_ttft_ms")
	queue, _ := r.number("server_queue_ms")
	uncached, known := r.number("uncached_tokens")
	prompt, _ := r.number("prompt_tokens")
	others := r.count("other_turns")
	beside := ""
	if others > 0 {
		beside = "beside " + plain.Count(others, "other turn")
	}
	unlike := ""
	if r.count("plays") > 2 && ttft > 1.5*typical {
		unlike = fmt.Sprintf("the median of its %d repeats is %s", r.count("plays"), shown(typical, "ms"))
	}
	switch {
	case r.count("freezes") > 0:
		return "frozen", "wb itself did not run for a moment"
	case queue > ttft/2:
		return "queue", sentence("waited "+shown(queue, "ms")+" in the server's queue", beside)
	case others > 0 && (unlike != "" || !known || uncached < prompt/2):
		return "load", sentence(beside, unlike)
	case unlike != "":
		return "stall", unlike
	case r["prefix_caching"] == false:
		return "caching_off", sentence("prefix caching is off", beside)
	case !known:
		return "unknown", "the server does not report cached tokens"
	case r.count("turn") == 1 && uncached == prompt:
		return "cold", sentence("cold cache at the first turn", beside)
	case uncached < prompt/10:
		return "unknown", "most of it was cached, and no cause was observed"
	case r.text("cause") != "":
		return r.text("cause"), sentence(causeWords(r.text("cause")), beside)
	}
	return "unknown", sentence("the causes of misses are not known without token ids", beside)
}
