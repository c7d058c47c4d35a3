package report

import (
	"fmt"
	"slices"
	"strings"

	"wb/data/plain"
	"wb/queries/table"
)

// Shares of all prompt tokens from which a cause of misses is worth advice.
const (
	someShare  = 0.01 // of tokens that had been sent before
	blockShare = 0.05 // of tokens of blocks that were not whole
)

// finding is one piece of advice about one run.
type finding struct {
	run      string
	kind     string // a word for programs
	title    string // what was found; the same words for every run
	evidence string // the figures of this run
	advice   string // what to do; may be ""
	report   string // saved query that shows more; may be ""
}

// adviser collects findings, the most serious first.
type adviser struct {
	flags string
	runs  []table.RunRef
	found []finding
}

func (a *adviser) add(r row, kind, title, report, advice, evidence string, args ...any) {
	a.found = append(a.found, finding{
		run: r.text("run"), kind: kind, title: title, evidence: fmt.Sprintf(evidence, args...), advice: advice, report: report,
	})
}

// advise finds what makes figures doubtful, and then what costs time.
func (a *adviser) advise(figures, causes, events, stalls, drift []row) {
	for _, r := range figures {
		a.ending(r)
	}
	for _, r := range events {
		a.event(r)
	}
	for _, r := range drift {
		// neighbours that are related matter to intervals over turns, and wb's are over sessions
		if s := r.text("remark"); s != "" && s != "neighbouring turns are correlated" {
			a.add(r, "drift", "The speed was not steady", "drift", "a larger --warmup or more repeats make this smaller", "%s: %s",
				strings.ToUpper(r.text("metric")), s)
		}
	}
	for _, r := range figures {
		a.cache(r)
	}
	for _, r := range causes {
		a.misses(r)
	}
	for _, r := range stalls {
		longest, _ := r.number("longest_ms")
		median, _ := r.number("median_ms")
		a.add(r, "stalls", "Tokens stalled", "stalls", "", "%s between tokens, the longest of %s in %s turn %d, where the median is %s",
			plain.Count(r.count("stalls"), "long gap"), shown(longest, "ms"), r.text("conversation"), r.count("turn"), shown(median, "ms"))
	}
	for _, r := range figures {
		a.server(r)
	}
}

// ending looks at how a run and its turns ended.
func (a *adviser) ending(r row) {
	if s := r.text("status"); s != "ok" {
		a.add(r, "not_finished", "The run did not end well", "run_events", "", "%s", sentence("it is "+s, r.text("error")))
	}
	if n := r.count("failed_turns"); n > 0 {
		a.add(r, "failed_turns", "Turns failed", "failed_turns", "no failed turn counts in any figure", "%d of %s, the first with: %s",
			n, plain.Count(r.count("played_turns"), "turn"), r.text("first_error"))
	}
	if n := r.count("warm_sessions"); n > 0 {
		a.add(r, "began_warm", "Sessions began warm", "cache_hit_by_turn", "--isolation restart, reset or salt gives each session a cold cache",
			"%d of %s found their first prompt in the prefix cache (isolation %s)", n, plain.Count(r.count("played_sessions"), "session"),
			r.text("isolation"))
	}
}

// event looks at one kind of events of a run.
func (a *adviser) event(r row) {
	n, message := r.count("times"), r.text("first_message")
	switch r.text("kind") {
	case "frozen":
		a.add(r, "frozen", "The machine kept wb from running", "run_events", "times around these moments are not the server's",
			"%s; the first: %s", plain.Count(n, "time"), message)
	case "clock_step":
		a.add(r, "clock_step", "The wall clock was moved", "run_events", "", "%s; the first: %s", plain.Count(n, "time"), message)
	case "buffer_full", "backlog_full", "beyond_selftest":
		a.add(r, "client_busy", "wb itself was near its limit", "client_overhead", "wb selftest measures what wb can keep up with here",
			"%s", message)
	case "not_steady":
		a.add(r, "not_steady", "The warm-up did not become steady", "drift", "a larger --warmup gives the server more time", "%s", message)
	case "buffered":
		a.add(r, "buffered", "Something between server and wb delayed tokens", "run_events", "no time between tokens can be trusted",
			"%s", message)
	case "not_isolated", "reset_unproven":
		a.add(r, "not_isolated", "Sessions may share the cache", "run_events", "", "%s", message)
	case "context_truncated":
		a.add(r, "truncated", "The server cut prompts", "run_events", "use a longer context or shorter conversations", "%s",
			sentence(plain.Count(n, "time"), message))
	case "usage_refused", "usage_disagrees":
		a.add(r, "usage", "The server's token counts are doubtful", "run_events", "", "%s", sentence(plain.Count(n, "turn"), message))
	case "no_answer":
		a.add(r, "no_answer", "Turns ended without an answer", "run_events", "", "%s; the first: %s", plain.Count(n, "turn"), message)
	}
}

// cache looks at whether the prefix cache did what it could.
func (a *adviser) cache(r row) {
	if r.count("turns") == 0 {
		return
	}
	_, ok := r.number("hit_ratio")
	achieved, _ := r.number("achieved_ratio")
	ideal, hasIdeal := r.number("block_ideal_ratio")
	switch {
	case r["prefix_caching"] == false:
		a.add(r, "caching_off", "Prefix caching is off", "cache_hit_by_turn", "each turn computes its whole prompt again",
			"%s prompt tokens were computed", plain.Comma(r.count("sent_tokens")-r.count("cached_tokens")))
	case !ok:
		a.add(r, "no_cached_tokens", "The hit ratio is not known", "cache_counters_agree",
			"vLLM reports cached tokens with --enable-prompt-tokens-details", "the server does not report cached tokens")
	case hasIdeal && ideal-achieved > 0.05:
		a.add(r, "below_ideal", "The prefix cache did less than it could", "cache_ideal_vs_achieved", "",
			"hit ratio %s, and %s %s", percent(achieved), allowed(r), percent(ideal))
	}
}

// misses looks at one cause of misses of a run. New text and last tokens are always computed, so that there is no advice about them.
func (a *adviser) misses(r row) {
	share, _ := r.number("of_prompt_ratio")
	cause := r.text("cause")
	if share < someShare || cause == "block_rounding" && share < blockShare {
		return
	}
	var title, advice string
	report := "cache_miss_causes"
	switch cause {
	case "changed_text":
		title, report, advice = "Hit ratio lost to changed text", "first_divergence", "put what changes behind what stays the same"
		if r["with_documents"] == true {
			advice = "documents that come, go or move cost it; wb run --rag-placement all measures which place costs least"
		}
	case "template_rewrote_history":
		title, report = "Hit ratio lost to the chat template", "first_divergence"
		advice = "a template that keeps the history as it was generated would not lose it"
	case "retokenized":
		title, report, advice = "Hit ratio lost to retokenized replies", "first_divergence", "replies sent back as token ids would not lose it"
	case "block_rounding":
		title, report, advice = "Hit ratio lost to whole blocks", "cache_ideal_vs_achieved", "a smaller --block-size of the server loses less"
	case "evicted":
		title = "Hit ratio lost to eviction"
		advice = "the KV cache is too small: fewer --users, a larger --gpu-memory-utilization or a shorter --max-model-len"
	case "slot_taken":
		title = "Hit ratio lost to a slot that another prompt took"
		advice = "more slots (-np) or host memory for prompts (--cache-ram) of llama-server keep more of them"
	case "host_memory_full":
		title = "Hit ratio lost to full host memory"
		advice = "a larger --cache-ram of llama-server holds more prompts"
	case "small_share":
		title = "Hit ratio lost to prompts that share little"
		advice = "the server brings a prompt back only for a large share; a lower --slot-prompt-similarity of llama-server uses a slot sooner"
	case "not_restorable":
		title = "Hit ratio lost to a window or a recurrent state"
		advice = "with a sliding window, --swa-full of llama-server keeps everything and takes more memory"
	case "context_shifted":
		title, advice = "Hit ratio lost to a shifted context", "a longer context of the server avoids the shift"
	case "hybrid_state":
		title = "Hit ratio lost to the state of a hybrid model"
		advice = "its state is cached at few places only; wb doctor shows how far apart they are"
	case "isolation":
		title = "Sessions share text that isolation keeps apart"
		advice = "in use without isolation these tokens would be cached"
	case "unknown":
		title, advice = "Cached text was computed again", "no cause is known"
	default:
		return
	}
	a.add(r, cause, title, report, advice, "%s prompt tokens, %s of all, in %s; most in %s turn %d", plain.Comma(r.count("tokens")),
		percent(share), plain.Count(r.count("turns"), "turn"), r.text("conversation"), r.count("turn"))
}

// server looks at the server's queue, and at what more repeats would give.
func (a *adviser) server(r row) {
	if n := r.count("queued_turns"); n > 0 {
		most, _ := r.number("queue_max_ms")
		a.add(r, "queue", "Turns waited in the server's queue", "ttft_split", "fewer --users or a larger --max-num-seqs of the server",
			"%s with more than a fifth of the TTFT there, at most %s", plain.Count(n, "turn"), shown(most, "ms"))
	}
	if n := r.count("preemptions"); n > 0 {
		a.add(r, "preemptions", "The server preempted requests", "stalls", "the KV cache was full: fewer --users or a shorter context",
			"%s", plain.Count(n, "time"))
	}
	if n := r.count("sessions"); n > 0 && n == r.count("placed_conversations") {
		a.add(r, "one_repeat", "Each conversation was played once", "", "--repeat shows how much equal turns differ",
			"%s in %s, and none was repeated", plain.Count(r.count("turns"), "turn"), plain.Count(n, "session"))
	}
}

// table gives the findings as a table. Those of one kind stand together.
func (a *adviser) table(of *table.Table) *table.Table {
	t := newTable(of, AdviceTable, "Advice", "What makes figures doubtful, what costs time, and what to do. command shows more.",
		textColumn("run"), textColumn("kind"), textColumn("finding"), textColumn("evidence"), textColumn("advice"), textColumn("command"))
	for _, f := range kinds(a.found) {
		t.Rows = append(t.Rows, []any{f.run, f.kind, f.title, f.evidence, f.advice, a.command(f)})
	}
	return t
}

// command gives the command that shows more about a run.
func (a *adviser) command(f finding) any {
	if f.report == "" {
		return nil
	}
	return "wb query " + f.report + " --runs " + selectorOf(a.runs, f.run) + a.flags
}

// kinds gives the findings in the order of their first appearance, those of one kind together.
func kinds(found []finding) []finding {
	var order []string
	for _, f := range found {
		if !slices.Contains(order, f.kind) {
			order = append(order, f.kind)
		}
	}
	out := slices.Clone(found)
	slices.SortStableFunc(out, func(a, b finding) int { return slices.Index(order, a.kind) - slices.Index(order, b.kind) })
	return out
}
