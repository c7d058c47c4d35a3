package queries

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"

	"wb/queries/stats"
	"wb/store"
)

// Metric is something two sets of runs are compared by.
type Metric struct {
	Name   string // as on the command line
	Column string // of the saved query compare_turns
	Ratio  bool   // a ratio from 0 to 1, compared by its difference; everything else by its quotient
	Higher bool   // more is better
}

// Metrics lists what can be compared, the primary one first.
func Metrics() []Metric {
	return []Metric{{"ttft", "ttft_ms", false, false}, {"itl_p50", "itl_p50_ms", false, false}, {"itl_p99", "itl_p99_ms", false, false}, {"tpot", "tpot_ms", false, false}, {"e2e", "e2e_ms", false, false},
		{"tok_s", "decode_tokens_per_s", false, true}, {"hit_ratio", "hit_ratio", true, true}, {"j_per_token", "energy_per_token_j", false, false},
		{"peak_mem", "peak_memory_bytes", false, false}}
}

// Verdicts.
const (
	VerdictFaster       = "faster" // better, for what is no time
	VerdictSlower       = "slower"
	VerdictEquivalent   = "equivalent"
	VerdictInconclusive = "inconclusive"
)

// Comparison says what to hold against what.
type Comparison struct {
	Base, Head string // selectors
	Metrics    []string
	By         string  // "", turn, context or conversation
	Margin     float64 // differences within it are of no account, 0.02 for 2 %
}

// Verdict is the answer for one metric and group.
type Verdict struct {
	Metric      Metric
	Group       string // "all", or a value of what it is grouped by
	Base, Head  float64
	Change      float64                      // quotient less 1, or difference of ratios; positive: head has more
	Low, High   float64                      // 95 % interval of Change
	P, Adjusted float64                      // Wilcoxon's, and after Holm over the metrics of the group
	Sessions    int                          // pairs of sessions, or the smaller number of sessions when they are not paired
	Processes   int                          // of servers, the smaller number; 0 where sessions are the unit of evidence
	Enough      bool                         // sessions, or processes, for a verdict
	Measured    bool                         // there are figures of it, on one side at least
	Foreign     bool                         // the sides do not do the same: one is simulated, or they have no conversation in common
	pAt         func(change float64) float64 // Wilcoxon's p of the true change being this one; nil where nothing is held against each other
	Turns       int
	Paired      bool
	Noise       float64 // the largest change that the interval of equal runs holds; NaN: not known
	Verdict     string
	More        int // sessions that would settle an inconclusive one; 0: not known, or more than a thousand
}

const (
	level = 0.95
	draws = 1000
	// ends that stand far out in the tails want more draws, and few sessions cost little
	fewDraws, fewUnits = 2000, 40
	// many sessions cost much, and the ends of 500 draws scatter by 3 % of the interval only
	manyDraws, manyUnits = 500, 400
	// fewer sessions than this say nothing that could be relied on: an exact two-sided test of 5 cannot reach p = 0.05
	fewSessions  = 6
	manySessions = 1000 // of which nobody wants to hear that so many more would do
)

// observation is one turn.
type observation struct {
	session string // side, run and pass
	key     string // conversation, variant, turn and pass: what it is paired by
	group   string
	process string // of the server; "" where it is not known
	prompt  int64
	output  int64
	values  []float64 // by metric; NaN: not known
}

// kind is the key without the pass: conversation, variant and turn.
func (o observation) kind() string {
	parts := strings.Split(o.key, "/")
	return strings.Join(slices.Delete(parts, len(parts)-2, len(parts)-1), "/")
}

func (o observation) conversation() string {
	c, _, _ := strings.Cut(o.key, "/")
	return c
}

// byKey finds turns by what they are paired by.
func byKey(os []observation) map[string]observation {
	out := map[string]observation{}
	for _, o := range os {
		out[o.key] = o
	}
	return out
}

// ErrNothingMeasured is returned when a side has no turn that counts.
var ErrNothingMeasured = errors.New("no measured turn")

// Compare holds two selections of runs against each other. The unit of evidence is a session: each gives one value, the median over
// its turns of the quotient with the same turn of the other side, where prompt and output tokens agree in four of five turns;
// otherwise sessions are compared without pairing, and a note says so. Where a side had several server processes and one of them
// served several sessions, the unit is the process: its sessions hang together by the level that a process has of its own.
func Compare(ctx context.Context, db *store.DB, c Comparison) (*Table, []Verdict, error) {
	var metrics []Metric
	for k, name := range c.Metrics {
		if slices.Contains(c.Metrics[:k], name) { // asked once is enough
			continue
		}
		i := slices.IndexFunc(Metrics(), func(m Metric) bool { return m.Name == name })
		if i < 0 {
			var known []string
			for _, m := range Metrics() {
				known = append(known, m.Name)
			}
			return nil, nil, fmt.Errorf("choose metric %q: there is none of that name; there are %s", name, strings.Join(known, ", "))
		}
		metrics = append(metrics, Metrics()[i])
	}
	if len(metrics) == 0 {
		return nil, nil, errors.New("compare runs: no metric is named")
	}
	q, err := Builtin("compare_turns")
	if err != nil {
		return nil, nil, err
	}
	base, err := q.Run(ctx, db, Options{Runs: c.Base})
	if err != nil {
		return nil, nil, err
	}
	head, err := q.Run(ctx, db, Options{Runs: c.Head})
	if err != nil {
		return nil, nil, err
	}
	for _, r := range base.Runs {
		if slices.ContainsFunc(head.Runs, func(h RunRef) bool { return h.ID == r.ID }) {
			return nil, nil, fmt.Errorf("compare %s with %s: run %s is on both sides", c.Base, c.Head, r.Name)
		}
	}
	states := warmth(base, head)
	b, err := observe(base, metrics, c.By, states.skip)
	if err != nil {
		return nil, nil, err
	}
	h, err := observe(head, metrics, c.By, states.skip)
	if err != nil {
		return nil, nil, err
	}
	for _, side := range []struct {
		selector string
		turns    int
	}{{c.Base, len(b)}, {c.Head, len(h)}} {
		if side.turns == 0 {
			return nil, nil, fmt.Errorf("compare runs: %s: %w", side.selector, ErrNothingMeasured)
		}
	}
	verdicts, paired, agree := judge(b, h, metrics, c)
	strangers := !share(b, h)
	if base.Simulated() != head.Simulated() || strangers || states.apart {
		for i := range verdicts {
			verdicts[i].Foreign = true
			if base.Simulated() != head.Simulated() || states.apart {
				verdicts[i].Verdict, verdicts[i].More = VerdictInconclusive, 0
			}
		}
	}
	unit := clusters(b, h)
	calibration, when, err := calibrated(ctx, db, base, metrics, c)
	if err != nil {
		return nil, nil, err
	}
	for i := range verdicts {
		v := &verdicts[i]
		if unit != unitProcess { // passes of one process do not show how processes differ
			v.Noise = noise(b, slices.Index(metrics, v.Metric), v.Metric, v.Group)
		}
		for _, a := range calibration {
			if a.Metric == v.Metric && a.Group == v.Group {
				v.Noise = math.Max(math.Abs(a.Low), math.Abs(a.High))
			}
		}
	}
	t := comparisonTable(c, base, head, verdicts)
	t.Notes = append(append(t.Notes, namesakes(base, c.Base)...), namesakes(head, c.Head)...)
	if when != "" {
		t.Notes = append(t.Notes, "noise_ratio: equal runs on this machine, "+when+" (wb calibrate).")
	}
	for _, v := range verdicts {
		if (v.Verdict == VerdictFaster || v.Verdict == VerdictSlower) && math.Abs(v.Change) <= v.Noise {
			t.Notes = append(t.Notes, fmt.Sprintf("%s (%s): the change is no larger than what equal runs show on this machine (noise_ratio).", v.Metric.Name, strings.Join(strings.Fields(v.Group), " ")))
		}
	}
	switch unit {
	case unitProcess:
		t.Notes = append(t.Notes, "Server processes served several sessions each, and processes differ by themselves: they are the unit of evidence (--isolation restart gives each session its own).")
	case unitOneEach:
		t.Notes = append(t.Notes, "Each side was served by one server process: the level that a process has of its own, often some percent, is part of the change (a plan, or --isolation restart, takes several).")
	}
	switch {
	case strangers:
		t.Notes = append(t.Notes, "The sides have no conversation in common: the difference is one of what was asked, too.")
	case paired && unit == unitProcess: // which holds turns against the middle of their kind
	case paired:
		t.Notes = append(t.Notes, leftAlone(b, h)...)
	default:
		advice, err := unpaired(ctx, db, t.Runs)
		if err != nil {
			return nil, nil, err
		}
		t.Notes = append(t.Notes, fmt.Sprintf("Turns are not paired: prompt and output tokens agree in %.0f %% of them; %s.", 100*agree, advice))
	}
	t.Notes = append(t.Notes, states.notes...)
	t.Notes = append(t.Notes, doubtful(base, head)...)
	t.Notes = append(t.Notes, sparse(verdicts)...)
	if one := conversations(b, h); one != "" {
		t.Notes = append(t.Notes, "All sessions are of "+one+": what holds for it need not hold for other conversations.")
	}
	if err := notes(ctx, db, t, base, head, verdicts); err != nil {
		return nil, nil, err
	}
	return t, verdicts, nil
}

// CalibrationTag is the label of runs that are equal on purpose: what differs between them is the machine's noise.
const CalibrationTag = "calibration=aa"

// calibrated compares the two halves of the newest calibration on the same machine with the same server, its settings and model; when says of which day it is, "" for none.
func calibrated(ctx context.Context, db *store.DB, base *Table, metrics []Metric, c Comparison) (
	verdicts []Verdict, when string, err error,
) {
	var a, b string
	key, value, _ := strings.Cut(CalibrationTag, "=")
	err = db.SQL().QueryRowContext(ctx, `WITH like_base AS (SELECT r.hostname, e.kind, e.model, (SELECT any_value(name) FROM raw.gpu g WHERE g.run_id = r.run_id AND g.gpu = 0) AS gpu FROM raw.run r JOIN raw.engine e USING (run_id) WHERE r.run_id = ?::UUID)
		SELECT arg_min(r.run_id::VARCHAR, r.cell), arg_max(r.run_id::VARCHAR, r.cell), strftime(min(r.started_at), '%Y-%m-%d')
		FROM raw.run r JOIN raw.engine e USING (run_id) JOIN raw.run_tag t ON t.run_id = r.run_id AND t.key = ? AND t.value = ? JOIN like_base l ON l.hostname IS NOT DISTINCT FROM r.hostname AND l.kind = e.kind AND l.model = e.model
			AND l.gpu IS NOT DISTINCT FROM (SELECT any_value(name) FROM raw.gpu g WHERE g.run_id = r.run_id AND g.gpu = 0)
		WHERE r.status = 'ok' AND r.plan_id IS NOT NULL
			AND NOT EXISTS (SELECT 1 FROM (SELECT source, name, value, run_id FROM raw.setting WHERE (source = 'server' AND name NOT IN ('--port', '--host')) OR (source = 'engine' AND name IN ('version', 'model_root')) OR (source = 'plan' AND name IN ('users', 'rate', 'arrival'))) s
				WHERE s.run_id IN (r.run_id, ?::UUID) GROUP BY s.source, s.name HAVING count(DISTINCT s.value) > 1 OR count(DISTINCT s.run_id) < 2)
		GROUP BY r.plan_id HAVING count(*) = 2 ORDER BY min(r.started_at) DESC LIMIT 1`, base.Runs[0].ID, key, value, base.Runs[0].ID).Scan(&a, &b, &when)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, "", nil
	}
	if err != nil {
		return nil, "", fmt.Errorf("find calibration: %w", err)
	}
	if slices.ContainsFunc(base.Runs, func(r RunRef) bool { return r.ID == a || r.ID == b }) { // it is what is being looked at
		return nil, "", nil
	}
	q, err := Builtin("compare_turns")
	if err != nil {
		return nil, "", err
	}
	var tables [2]*Table
	var sides [2][]observation
	for i, id := range []string{a, b} {
		if tables[i], err = q.Run(ctx, db, Options{Runs: id}); err != nil {
			return nil, "", err
		}
	}
	states := warmth(tables[0], tables[1])
	if states.apart {
		return nil, "", nil
	}
	for i, t := range tables {
		if sides[i], err = observe(t, metrics, c.By, states.skip); err != nil {
			return nil, "", err
		}
	}
	verdicts, _, _ = judge(sides[0], sides[1], metrics, c)
	verdicts = slices.DeleteFunc(verdicts, func(v Verdict) bool { return math.IsNaN(v.Low) || !v.Enough })
	if len(verdicts) == 0 {
		when = ""
	}
	return verdicts, when, nil
}

// warmStates says which sessions of two sides are compared: those that began cold, or those that began with their first prompt in the
// prefix cache.
type warmStates struct {
	skip  *bool // sessions that began so are left out; nil: none are
	apart bool  // no state is on both sides: there is no verdict
	notes []string
}

// warmth finds out how sessions began. Cold and warm are different experiments: a prompt that is cached takes a hundredth of the time. Of
// two states that state is compared of which both sides have more. Sessions of which it is not known stay.
func warmth(base, head *Table) (w warmStates) {
	var sessions [2]map[bool]map[string]bool // by whether they began warm
	for i, t := range []*Table{base, head} {
		sessions[i] = map[bool]map[string]bool{true: {}, false: {}}
		for _, row := range t.Rows {
			session := ""
			for _, column := range []string{"run_id", "conversation", "variant", "nth"} {
				session += fmt.Sprint(row[t.ColumnIndex(column)], "/")
			}
			if warm, known := row[t.ColumnIndex("began_warm")].(bool); known {
				sessions[i][warm][session] = true
			}
		}
	}
	of := func(side int, warm bool) int { return len(sessions[side][warm]) }
	both := func(warm bool) int { return min(of(0, warm), of(1, warm)) }
	switch {
	case of(0, true)+of(1, true) == 0 || of(0, false)+of(1, false) == 0:
		return w
	case both(true)+both(false) > 0:
		w.skip = new(both(false) >= both(true))
		for i, side := range []string{"base", "head"} {
			if n := of(i, *w.skip); n > 0 {
				how := "they began cold, and others warm"
				if *w.skip {
					how = "they began warm, with their first prompt in the prefix cache"
				}
				w.notes = append(w.notes, fmt.Sprintf("%d of %d sessions of %s are left out: %s.", n, of(i, true)+of(i, false), side, how))
			}
		}
	case of(0, true)+of(0, false) > 0 && of(1, true)+of(1, false) > 0:
		w.apart = true
		w.notes = []string{fmt.Sprintf("%d sessions of base and %d of head began warm, "+
			"with their first prompt in the prefix cache, and %d and %d cold: these are different experiments, and there is no verdict.",
			of(0, true), of(1, true), of(0, false), of(1, false))}
	}
	return w
}

// observe reads the rows of compare_turns, without those of sessions that began as skip says.
func observe(t *Table, metrics []Metric, by string, skip *bool) ([]observation, error) {
	col := func(name string) int { return t.ColumnIndex(name) }
	number := func(v any) float64 {
		switch v := v.(type) {
		case float64:
			return v
		case int64:
			return float64(v)
		}
		return math.NaN()
	}
	placements := map[any]map[any]bool{}
	for _, row := range t.Rows {
		c, v := row[col("conversation")], row[col("variant")]
		if placements[c] == nil {
			placements[c] = map[any]bool{}
		}
		placements[c][v] = true
	}
	passes := map[string]int{} // of a conversation and variant, over all runs of the side
	at := map[string]int{}
	var out []observation
	for _, row := range t.Rows {
		get := func(name string) any { return row[col(name)] }
		cut, _ := get("truncated").(bool)
		warm, known := get("began_warm").(bool)
		if cut || skip != nil && known && warm == *skip {
			continue
		}
		what := fmt.Sprint(get("conversation"), "/")
		if len(placements[get("conversation")]) > 1 { // one alone is paired with the other side's, whichever that is
			what += fmt.Sprint(get("variant"))
		}
		session := fmt.Sprint(get("run_id"), "/", what, "/", get("nth"))
		if _, ok := at[session]; !ok {
			at[session] = passes[what]
			passes[what]++
		}
		process, _ := get("process").(string)
		o := observation{session: session, process: process, key: fmt.Sprint(what, "/", at[session], "/", get("turn")), group: "all"}
		o.prompt, o.output = unknownTokens, unknownTokens
		if n, ok := get("prompt_tokens").(int64); ok {
			o.prompt = n
		}
		if n, ok := get("completion_tokens").(int64); ok {
			o.output = n
		}
		switch by {
		case "":
		case "turn":
			o.group = fmt.Sprintf("turn %2v", get("turn"))
		case "conversation":
			o.group = fmt.Sprint(get("conversation"))
		case "context":
			o.group = fmt.Sprintf("up to %7d tokens", int64(math.Exp2(math.Ceil(math.Log2(math.Max(number(get("prompt_tokens")), 1))))))
		default:
			return nil, fmt.Errorf("compare by %q: wants turn, context or conversation", by)
		}
		for _, m := range metrics {
			v := number(get(m.Column))
			if !m.Ratio && v <= 0 {
				v = math.NaN()
			}
			o.values = append(o.values, v)
		}
		out = append(out, o)
	}
	return out, nil
}

// ErrNoFigures is returned when nothing was measured of a metric.
var ErrNoFigures = errors.New("no figures of this metric")

// Width says how well a metric is known: half of the 95 % interval, as a share. Of several runs it is that of the change against the first, the
// widest; of one run that of its own level, from how its passes through the same conversation differ. NaN: too few sessions.
func Width(ctx context.Context, db *store.DB, metric string, runs []string) (float64, error) {
	if len(runs) == 0 {
		return math.NaN(), nil
	}
	half := func(v Verdict) float64 {
		if !v.Enough {
			return math.NaN()
		}
		return (v.High - v.Low) / 2
	}
	widest := 0.0
	for _, head := range runs[1:] {
		_, v, err := Compare(ctx, db, Comparison{Base: runs[0], Head: head, Metrics: []string{metric}})
		if err != nil {
			return 0, err
		}
		if !v[0].Measured {
			return 0, ErrNoFigures
		}
		if h := half(v[0]); math.IsNaN(h) || h > widest {
			widest = h
		}
		if math.IsNaN(widest) {
			return widest, nil
		}
	}
	if len(runs) > 1 {
		return widest, nil
	}
	i := slices.IndexFunc(Metrics(), func(m Metric) bool { return m.Name == metric })
	if i < 0 {
		return 0, fmt.Errorf("choose metric %q: there is none of that name", metric)
	}
	q, err := Builtin("compare_turns")
	if err != nil {
		return 0, err
	}
	t, err := q.Run(ctx, db, Options{Runs: runs[0]})
	if err != nil {
		return 0, err
	}
	os, err := observe(t, Metrics()[i:i+1], "", warmth(t, t).skip)
	if err != nil {
		return 0, err
	}
	if len(known(os, func(o observation) float64 { return o.values[0] })) == 0 {
		return 0, ErrNoFigures
	}
	return half(ownLevel(os, Metrics()[i])), nil
}

// ownLevel gives the interval of one side's own level: each turn is held against the mean of its kind over the passes, whose own error the factor √(n/(n−1))
// gives back.
func ownLevel(os []observation, m Metric) Verdict {
	scale, back := m.scales()
	sum, n := map[string]float64{}, map[string]float64{}
	for _, o := range os {
		if v := scale(o.values[0]); !math.IsNaN(v) {
			sum[o.kind()] += v
			n[o.kind()]++
		}
	}
	d := bySession(os, func(o observation) float64 {
		k := o.kind()
		if n[k] < 2 {
			return math.NaN()
		}
		return (scale(o.values[0]) - sum[k]/n[k]) * math.Sqrt(n[k]/(n[k]-1))
	})
	v := Verdict{Metric: m, Sessions: len(d), Enough: len(d) >= fewSessions, Low: math.NaN(), High: math.NaN()}
	if len(d) > 0 {
		low, high := interval(d, m.seeded(22))
		v.Low, v.High = back(low), back(high)
	}
	return v
}

// unpaired says why turns may not be equal: runs that did not take the means to make them so, or settings that make them differ.
func unpaired(ctx context.Context, db *store.DB, runs []RunRef) (string, error) {
	var ids []string
	for _, r := range runs {
		ids = append(ids, r.ID)
	}
	var live int64
	var differ sql.NullString
	err := db.SQL().QueryRowContext(ctx, `SELECT count(*) FILTER (WHERE (name = 'replies' AND value <> 'scripted') OR (name = 'ignore_eos' AND value <> 'true')),
		(SELECT string_agg(name, ' and ' ORDER BY name) FROM (SELECT name FROM raw.setting WHERE source IN ('plan', 'engine') AND name IN ('rag_placement', 'max_tokens', 'max_turns', 'conversations', 'api', 'model', 'max_model_len_tokens') AND list_contains(string_split($1, ','), run_id::VARCHAR) GROUP BY name HAVING count(DISTINCT value) > 1))
		FROM raw.setting WHERE source = 'plan' AND list_contains(string_split($1, ','), run_id::VARCHAR)`, strings.Join(ids, ",")).Scan(&live, &differ)
	switch {
	case err != nil:
		return "", fmt.Errorf("compare settings: %w", err)
	case differ.String != "":
		return differ.String + " differ, and sessions are held against each other as two samples", nil
	case live > 0:
		return "--replies scripted and --ignore-eos make runs send and get equal amounts", nil
	}
	return "sessions are held against each other as two samples", nil
}

// conversations gives the conversation when there is only one.
func conversations(sides ...[]observation) string {
	one := ""
	for _, os := range sides {
		for _, o := range os {
			c := o.conversation()
			if one != "" && c != one {
				return ""
			}
			one = c
		}
	}
	return one
}

// share says whether some conversation was played on both sides.
func share(base, head []observation) bool {
	seen := map[string]bool{}
	for _, o := range base {
		seen[o.conversation()] = true
	}
	return slices.ContainsFunc(head, func(o observation) bool { return seen[o.conversation()] })
}

// leftAlone tells of turns that have no equal on the other side.
func leftAlone(base, head []observation) (notes []string) {
	for i, side := range [][]observation{base, head} {
		other, n := byKey([][]observation{head, base}[i]), 0
		for _, o := range side {
			if _, ok := partner(o, other); !ok {
				n++
			}
		}
		if n > 0 {
			notes = append(notes, fmt.Sprintf("%d of %d turns of %s have no equal on the other side, and count in no figure.", n, len(side), []string{"base", "head"}[i]))
		}
	}
	return notes
}

// unknownTokens stands for a count that the server did not tell; it is equal to none.
const unknownTokens = -1

// partner finds the turn of the other side that one may be held against: of the same key, with the same prompt and completion tokens.
func partner(o observation, other map[string]observation) (observation, bool) {
	b, ok := other[o.key]
	return b, ok && b.prompt == o.prompt && b.output == o.output && o.prompt != unknownTokens && o.output != unknownTokens
}

// doubtful tells of turns that are left out, or whose times are those of blocks.
func doubtful(base, head *Table) (notes []string) {
	for i, t := range []*Table{base, head} {
		side := []string{"base", "head"}[i]
		count := func(column string) (n int) {
			for _, row := range t.Rows {
				if yes, _ := row[t.ColumnIndex(column)].(bool); yes {
					n++
				}
			}
			return n
		}
		if n := count("truncated"); n > 0 {
			notes = append(notes, fmt.Sprintf("%d of %d turns of %s are left out: the server cut their history (context_truncated).",
				n, len(t.Rows), side))
		}
		if n := count("buffered"); n > 0 {
			notes = append(notes, fmt.Sprintf("%d of %d turns of %s came in blocks (buffered): their TTFT is when the first block came.",
				n, len(t.Rows), side))
		}
	}
	return notes
}

// sparse tells of metrics that few turns have, or none.
func sparse(verdicts []Verdict) (notes []string) {
	most := 0
	for _, v := range verdicts {
		most = max(most, v.Turns)
	}
	var none []string
	for _, v := range verdicts {
		switch {
		case v.Group != "all":
		case !v.Measured:
			none = append(none, v.Metric.Name)
		case v.Turns < most/2:
			notes = append(notes, fmt.Sprintf("%s: only %d of %d turns have a figure on both sides.", v.Metric.Name, v.Turns, most))
		}
	}
	if len(none) > 0 {
		notes = append(notes, "Not measured: "+strings.Join(none, ", ")+".")
	}
	return notes
}

// judge compares observations; paired says whether turns could be paired, agree in which share of them.
func judge(base, head []observation, metrics []Metric, c Comparison) (out []Verdict, paired bool, agree float64) {
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
		agree = float64(same) / float64(max(met, min(len(base), len(head))))
	}
	paired = agree >= 0.8
	compare := compareOne
	if clusters(base, head) == unitProcess {
		compare = compareProcesses
	}
	groups := []string{}
	for _, o := range slices.Concat(base, head) {
		if !slices.Contains(groups, o.group) {
			groups = append(groups, o.group)
		}
	}
	slices.Sort(groups)
	if c.By != "" {
		groups = append([]string{"all"}, groups...)
	}
	for _, g := range groups {
		in := func(os []observation) (sel []observation) {
			for _, o := range os {
				if g == "all" || o.group == g {
					sel = append(sel, o)
				}
			}
			return sel
		}
		first := len(out)
		for i, m := range metrics {
			v := compare(in(base), in(head), i, m, paired)
			v.Group, v.Adjusted = g, v.P
			out = append(out, v)
		}
		// the first metric is the question; the others are looked at besides, and their verdicts pay for it: those that there is something to see of
		var p []float64
		var besides []*Verdict
		for i := range out[first+1:] {
			if v := &out[first+1+i]; v.Measured {
				besides, p = append(besides, v), append(p, v.P)
			}
		}
		for i, adjusted := range stats.Holm(nanToOne(p)) {
			besides[i].Adjusted = adjusted
		}
		for i := range metrics {
			questions := 1
			if i > 0 {
				questions = len(besides)
			}
			out[first+i].settle(c.Margin, questions)
		}
	}
	return out, paired, agree
}

func nanToOne(p []float64) []float64 {
	out := slices.Clone(p)
	for i, v := range out {
		if math.IsNaN(v) {
			out[i] = 1
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

// scales give what differences are taken of, and what a difference means.
func (m Metric) scales() (scale, back func(float64) float64) {
	if m.Ratio {
		same := func(v float64) float64 { return v }
		return same, same
	}
	return math.Log, math.Expm1
}

// step is a change in what differences are taken in.
func (m Metric) step(change float64) float64 {
	if m.Ratio {
		return change
	}
	return math.Log1p(change)
}

// unit is what counts as one piece of evidence.
type unit int

const (
	unitSession unit = iota
	unitOneEach      // sessions, for want of more: each side had one process, another one than the other side's
	unitProcess
)

// clusters finds out whether sessions of a side hang together by the server process that served them. A process that served both sides
// falls out of their difference, and one that served a single session is that session.
func clusters(base, head []observation) unit {
	sessions := func(os []observation) map[string]map[string]bool {
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
	b, h := sessions(base), sessions(head)
	shared := false
	for _, pair := range [][2]map[string]map[string]bool{{b, h}, {h, b}} {
		for process, s := range pair[0] {
			shared = shared || (len(s) > 1 && pair[1][process] == nil)
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

// newVerdict has no answer yet.
func newVerdict(base, head []observation, i int, m Metric, paired bool) Verdict {
	value := func(o observation) float64 { return o.values[i] }
	b, h := known(base, value), known(head, value)
	return Verdict{Metric: m, Paired: paired, P: math.NaN(), Adjusted: math.NaN(), Noise: math.NaN(), Base: stats.Median(b), Head: stats.Median(h), Measured: len(b)+len(h) > 0, Change: math.NaN(), Low: math.NaN(), High: math.NaN(), Verdict: VerdictInconclusive}
}

// seeded gives the numbers that intervals of a metric are drawn with: the same figures give the same interval, whatever else is asked.
func (m Metric) seeded(stream uint64) *rand.Rand {
	return rand.New(rand.NewPCG(stream, uint64(slices.IndexFunc(Metrics(), func(k Metric) bool { return k.Name == m.Name })))) //nolint:gosec // statistics, and -1 for no metric is a seed too
}

// drawsFor says how many bootstrap draws so many sessions take.
func drawsFor(n int) int {
	switch {
	case n <= fewUnits:
		return fewDraws
	case n > manyUnits:
		return manyDraws
	}
	return draws
}

// interval bootstraps the Hodges–Lehmann estimate of paired differences, one a session; NaN for fewer than two.
func interval(d []float64, rng *rand.Rand) (low, high float64) {
	if len(d) < 2 {
		return math.NaN(), math.NaN()
	}
	return stats.Bootstrap(slices.Sorted(slices.Values(d)), stats.HodgesLehmann, stats.SmallSample(level, len(d)), drawsFor(len(d)), rng)
}

// compareProcesses holds server processes against each other as two samples. Each gives one value: the median over its sessions of the
// median over their turns of how far the turn is from the middle between both sides' means of its kind. The interval is exact, as
// the bootstrap of a handful would be too narrow.
func compareProcesses(base, head []observation, i int, m Metric, paired bool) Verdict {
	scale, back := m.scales()
	v := newVerdict(base, head, i, m, paired)
	equal := func(o observation) string { return fmt.Sprint(o.kind(), " ", o.prompt, " ", o.output) } // what may be held against each other
	middle := map[string]float64{}
	if paired {
		means := func(os []observation) map[string]float64 {
			per := map[string][]float64{}
			for _, o := range os {
				if x := scale(o.values[i]); !math.IsNaN(x) {
					per[equal(o)] = append(per[equal(o)], x)
				}
			}
			out := map[string]float64{}
			for k, x := range per {
				out[k] = stats.Mean(x)
			}
			return out
		}
		b := means(base)
		for k, y := range means(head) {
			if x, ok := b[k]; ok {
				middle[k] = (x + y) / 2
			}
		}
	}
	value := func(o observation) float64 {
		x, ok := middle[equal(o)]
		if paired && !ok {
			return math.NaN()
		}
		return scale(o.values[i]) - x
	}
	if paired { // the figures beside the change are those that it is of
		held := func(o observation) float64 {
			if math.IsNaN(value(o)) {
				return math.NaN()
			}
			return o.values[i]
		}
		v.Base, v.Head = stats.Median(known(base, held)), stats.Median(known(head, held))
	}
	a, x := byProcess(base, value)
	b, y := byProcess(head, value)
	v.Sessions, v.Turns, v.Processes = min(x, y), min(len(known(base, value)), len(known(head, value))), min(len(a), len(b))
	if v.Processes == 0 {
		return v
	}
	v.Change = back(stats.Shift(a, b))
	low, high := stats.ShiftInterval(a, b, level)
	v.Low, v.High = back(low), back(high)
	v.P, _ = stats.RankSum(a, b)
	v.pAt = samplesAt(a, b, m)
	v.Enough = !math.IsNaN(low)
	return v
}

// samplesAt gives RankSum's p of a change.
func samplesAt(a, b []float64, m Metric) func(float64) float64 {
	return func(change float64) float64 {
		moved := slices.Clone(a)
		for i := range moved {
			moved[i] += m.step(change)
		}
		p, _ := stats.RankSum(moved, b)
		return p
	}
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

func compareOne(base, head []observation, i int, m Metric, paired bool) Verdict {
	scale, back := m.scales()
	v := newVerdict(base, head, i, m, paired)
	rng := m.seeded(20)
	if paired {
		other := byKey(base)
		var x, y []float64
		d := bySession(head, func(o observation) float64 {
			b, ok := partner(o, other)
			if !ok {
				return math.NaN()
			}
			change := scale(o.values[i]) - scale(b.values[i])
			if !math.IsNaN(change) {
				x, y = append(x, b.values[i]), append(y, o.values[i])
			}
			return change
		})
		v.Sessions, v.Turns, v.Enough = len(d), len(x), len(d) >= fewSessions
		if len(d) == 0 {
			return v
		}
		v.Base, v.Head = stats.Median(x), stats.Median(y) // of what the change is of
		v.Change = back(stats.HodgesLehmann(d))
		low, high := interval(d, rng)
		v.Low, v.High = back(low), back(high)
		_, v.P, _ = stats.SignedRank(d)
		v.pAt = func(change float64) float64 {
			moved := slices.Clone(d)
			for i := range moved {
				moved[i] -= m.step(change)
			}
			_, p, _ := stats.SignedRank(moved)
			return p
		}
		return v
	}
	value := func(o observation) float64 { return scale(o.values[i]) }
	a, b := bySession(base, value), bySession(head, value)
	v.Sessions, v.Turns = min(len(a), len(b)), min(len(known(base, value)), len(known(head, value)))
	v.Enough = v.Sessions >= fewSessions
	if v.Sessions == 0 {
		return v
	}
	v.Change = back(stats.Shift(a, b))
	v.P, _ = stats.RankSum(a, b)
	v.pAt = samplesAt(a, b, m)
	if v.Sessions < 2 {
		return v
	}
	slices.Sort(a)
	slices.Sort(b)
	found := stats.Draws(drawsFor(len(a)+len(b)), func() [2][]float64 { return [2][]float64{stats.Drawn(a, rng), stats.Drawn(b, rng)} },
		func(s [2][]float64) float64 { return stats.Shift(s[0], s[1]) })
	out := (1 - stats.SmallSample(level, v.Sessions)) / 2
	v.Low, v.High = back(stats.Quantile(found, out)), back(stats.Quantile(found, 1-out))
	return v
}

// settle gives the verdict; questions is how many are asked at once. Equivalence goes first: a difference that is certain and of no account is no difference.
func (v *Verdict) settle(margin float64, questions int) {
	units := cmp.Or(v.Processes, v.Sessions)
	defer func() {
		if v.Verdict != VerdictInconclusive || !v.Measured {
			v.More = 0
			return
		}
		// with fewer, not even differences that all point one way reach p: the exact tests' floor, times the questions asked
		floor := stats.SignedRankFloor
		if !v.Paired || v.Processes > 0 {
			floor = func(n int) float64 { return stats.RankSumFloor(n, n) }
		}
		least := units
		for floor(least)*float64(questions) > 1-level {
			least++
		}
		v.More = max(v.More, least-units)
		if v.Processes > 0 { // told in sessions, as the others are
			v.More = (v.More*v.Sessions + v.Processes - 1) / v.Processes
		}
		if v.More > manySessions {
			v.More = 0
		}
	}()
	switch {
	case !v.Enough && v.Processes > 0:
		v.More = 1
	case !v.Enough:
		v.More = fewSessions - v.Sessions
	case v.Low >= -margin && v.High <= margin:
		v.Verdict = VerdictEquivalent
	case v.Low > 0 && v.Adjusted <= 1-level:
		v.Verdict = map[bool]string{true: VerdictFaster, false: VerdictSlower}[v.Metric.Higher]
	case v.High < 0 && v.Adjusted <= 1-level:
		v.Verdict = map[bool]string{true: VerdictSlower, false: VerdictFaster}[v.Metric.Higher]
	default:
		// the interval shrinks with the root of the number of sessions; it has to get off 0, or into the margin
		half := (v.High - v.Low) / 2
		off := math.Max(math.Abs(v.Change), margin-math.Abs(v.Change))
		if off > 0 && half > 0 {
			factor := half / off
			v.More = int(math.Ceil(float64(units)*factor*factor)) - units
			v.More = max(v.More, 1)
		}
	}
}

// noise compares a side with itself, passes 1, 3, 5 … with 2, 4, 6 …: the largest change that the interval holds.
func noise(base []observation, i int, m Metric, group string) float64 {
	scale, back := m.scales()
	next := byKey(base)
	d := bySession(base, func(o observation) float64 {
		parts := strings.Split(o.key, "/")
		var pass int
		if _, err := fmt.Sscan(parts[len(parts)-2], &pass); err != nil || pass%2 != 0 || (group != "all" && o.group != group) {
			return math.NaN()
		}
		parts[len(parts)-2] = fmt.Sprint(pass + 1)
		n, ok := next[strings.Join(parts, "/")]
		if !ok {
			return math.NaN()
		}
		return scale(n.values[i]) - scale(o.values[i])
	})
	if len(d) < fewSessions {
		return math.NaN()
	}
	low, high := interval(d, m.seeded(21))
	return math.Max(math.Abs(back(low)), math.Abs(back(high)))
}

func known(os []observation, value func(observation) float64) (out []float64) {
	for _, o := range os {
		if v := value(o); !math.IsNaN(v) {
			out = append(out, v)
		}
	}
	return out
}

func counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprint(n, " ", many)
}

// sideName is the run's name where there is one run.
func sideName(t *Table, selector string) string {
	if len(t.Runs) == 1 {
		return t.Runs[0].Name
	}
	return selector
}

// namesakes warns of a name that several runs have: whoever gave it may have meant one of them.
func namesakes(t *Table, name string) []string {
	var ids []string
	for _, r := range t.Runs {
		id := r.ID[:min(8, len(r.ID))]
		if r.Name != name+" "+id { // as the view runs tells those of one name apart
			return nil
		}
		ids = append(ids, id)
	}
	if len(ids) == 0 {
		return nil
	}
	return []string{fmt.Sprintf("%d runs have the name %s and count as repeats of one; the start of an id selects one of them: %s.",
		len(ids), name, strings.Join(ids, ", "))}
}

func comparisonTable(c Comparison, base, head *Table, verdicts []Verdict) *Table {
	t := &Table{Name: "compare", Title: fmt.Sprintf("%s against %s", sideName(head, c.Head), sideName(base, c.Base)), SQL: base.SQL, Runs: slices.Concat(base.Runs, head.Runs),
		About: fmt.Sprintf("change_ratio: head over base less 1 (for hit_ratio the difference): Hodges–Lehmann over sessions, each the median of its turns, or over server processes where those served several sessions; low_ratio and high_ratio hold it in 95 of 100 cases (bootstrap over sessions, or exact over processes). "+
			"p: Wilcoxon; p_holm: after Holm over the secondary metrics; each group is asked for itself. faster is better, also for what is no time. noise_ratio: the largest change that the interval between equal runs holds: a calibration's, or base's passes against each other. equivalent: the interval lies within ±%.1f %%. more_sessions: about how many more would settle it.", 100*c.Margin),
		Columns: []Column{{Name: "metric"}, {Name: "group"}, {Name: "base"}, {Name: "head"}, {Name: "change_ratio", Unit: "ratio"}, {Name: "low_ratio", Unit: "ratio"}, {Name: "high_ratio", Unit: "ratio"}, {Name: "verdict"}, {Name: "p"}, {Name: "p_holm"},
			{Name: "noise_ratio", Unit: "ratio"}, {Name: "sessions"}, {Name: "processes"}, {Name: "turns"}, {Name: "more_sessions"}, {Name: "label"}},
		Charts: []Chart{{Kind: "interval", X: "label", Y: []string{"change_ratio", "low_ratio", "high_ratio"}, Title: "Change with its 95 % interval"}}}
	num := func(f float64) any {
		if math.IsNaN(f) {
			return nil
		}
		return math.Round(f*1e5) / 1e5
	}
	for _, v := range verdicts {
		var more, processes any
		if v.Processes > 0 {
			processes = int64(v.Processes)
		}
		if v.More > 0 {
			more = int64(v.More)
		}
		label := v.Metric.Name
		if c.By != "" {
			label += " · " + strings.Join(strings.Fields(v.Group), " ")
		}
		t.Rows = append(t.Rows, []any{v.Metric.Name, strings.Join(strings.Fields(v.Group), " "), num(v.Base), num(v.Head), num(v.Change), num(v.Low), num(v.High), v.Verdict, num(v.P), num(v.Adjusted), num(v.Noise),
			int64(v.Sessions), processes, int64(v.Turns), more, label})
	}
	return t
}

// notes adds what a reader of the verdicts must know.
func notes(ctx context.Context, db *store.DB, t, base, head *Table, verdicts []Verdict) error {
	t.Notes = append(t.Notes, slices.Concat(base.Notes, head.Notes)...)
	if base.Simulated() != head.Simulated() {
		t.Notes = append(t.Notes, "One side is simulated and the other measured: their difference says nothing about a server.")
	}
	if i := slices.IndexFunc(verdicts, func(v Verdict) bool { return v.Measured }); i >= 0 && !verdicts[i].Enough {
		switch v := verdicts[i]; {
		case v.Processes > 0:
			t.Notes = append(t.Notes, "Only "+counted(v.Processes, "server process", "server processes")+" on a side: too few for any verdict (--repeat in a plan, or more runs with the server restarted between them).")
		default:
			t.Notes = append(t.Notes, fmt.Sprintf("Only %s a side: at least %d are needed for any verdict (--repeat).", counted(v.Sessions, "session", "sessions"), fewSessions))
		}
	}
	conn, err := db.SQL().Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	list := func(rs []RunRef) string {
		var ids []string
		for _, r := range rs {
			ids = append(ids, r.ID)
		}
		return strings.Join(ids, ",")
	}
	both := list(t.Runs)
	var differing []string
	rows, err := conn.QueryContext(ctx, `WITH s AS (SELECT source, name, value, run_id, list_contains(string_split($1, ','), run_id::VARCHAR) AS base FROM raw.setting
			WHERE source IN ('plan', 'conversation', 'server', 'engine', 'cache_config', 'gpu', 'host') AND list_contains(string_split($1 || ',' || $2, ','), run_id::VARCHAR))
		SELECT source || '.' || name FROM s GROUP BY source, name
		HAVING (list_sort(list(DISTINCT value) FILTER (WHERE base)) IS DISTINCT FROM list_sort(list(DISTINCT value) FILTER (WHERE NOT base)) AND (source IN ('plan', 'server', 'conversation') OR count(DISTINCT base) = 2))
			OR (source IN ('plan', 'server', 'conversation') AND (count(DISTINCT run_id) FILTER (WHERE base) < $3) <> (count(DISTINCT run_id) FILTER (WHERE NOT base) < $4)) ORDER BY 1`, list(base.Runs), list(head.Runs), len(base.Runs), len(head.Runs))
	if err != nil {
		return fmt.Errorf("compare settings: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			return fmt.Errorf("compare settings: %w", err)
		}
		differing = append(differing, s)
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("compare settings: %w", err)
	}
	if len(differing) > 0 {
		more := ""
		if len(differing) > 8 {
			more = fmt.Sprintf(" and %d more", len(differing)-8)
		}
		t.Notes = append(t.Notes, "Settings that differ: "+strings.Join(differing[:min(8, len(differing))], ", ")+more+" (wb query run_differences).")
	}
	var frozen, hot int64
	var busy, baseClock, headClock sql.NullFloat64
	err = conn.QueryRowContext(ctx, `SELECT (SELECT count(*) FROM raw.event WHERE kind = 'frozen' AND list_contains(string_split($1, ','), run_id::VARCHAR)),
		(SELECT count(*) FROM raw.gpu_sample WHERE throttle_reasons & 104 <> 0 AND list_contains(string_split($1, ','), run_id::VARCHAR)),
		(SELECT max(c) FROM (SELECT quantile_cont(cpu_cores, 0.9) AS c FROM processes WHERE role = 'wb' AND cpu_cores IS NOT NULL AND run_id IN (SELECT run_id FROM raw.run WHERE NOT simulated) AND list_contains(string_split($1, ','), run_id::VARCHAR) GROUP BY run_id)),
		(SELECT median(sm_clock_mhz) FROM raw.gpu_sample WHERE gpu_util_ratio > 0.1 AND list_contains(string_split($2, ','), run_id::VARCHAR)),
		(SELECT median(sm_clock_mhz) FROM raw.gpu_sample WHERE gpu_util_ratio > 0.1 AND list_contains(string_split($3, ','), run_id::VARCHAR))`, both, list(base.Runs), list(head.Runs)).Scan(&frozen, &hot, &busy, &baseClock, &headClock)
	if err != nil {
		return fmt.Errorf("compare events: %w", err)
	}
	say := func(format string, a ...any) { t.Notes = append(t.Notes, fmt.Sprintf(format, a...)) }
	if frozen > 0 {
		say("The machine kept wb from running %d times; times around those moments are not the server's (wb query run_events).", frozen)
	}
	if hot > 0 { // nvml.h: software thermal 32, hardware thermal 64, hardware slowdown 8
		say("The GPU was slowed down by heat or by its hardware in %d samples (wb query gpu_timeline).", hot)
	}
	if a, b := baseClock.Float64, headClock.Float64; a > 0 && b > 0 && math.Abs(b/a-1) > 0.02 {
		say("The GPU's SM clock was not the same: %.0f MHz (median while busy) in base, %.0f in head.", a, b)
	}
	if busy.Float64 > 0.9 { // of one core, in a tenth of the readings
		say("Client-bound: wb itself kept a core busy (%.1f cores at p90), so times may be its own.", busy.Float64)
	}
	return drift(ctx, db, t)
}

// drift adds what the report of that name remarks on the runs.
func drift(ctx context.Context, db *store.DB, t *Table) error {
	q, err := Builtin("drift")
	if err != nil {
		return err
	}
	var ids []string
	for _, r := range t.Runs {
		ids = append(ids, r.ID)
	}
	d, err := q.Run(ctx, db, Options{Runs: strings.Join(ids, ",")})
	if err != nil {
		return err
	}
	for _, row := range d.Rows {
		if remark, ok := row[d.ColumnIndex("remark")].(string); ok {
			t.Notes = append(t.Notes, fmt.Sprintf("%s of run %s: %s (wb query drift).", row[d.ColumnIndex("metric")], row[d.ColumnIndex("run")], remark))
		}
	}
	return nil
}

// Gate is a limit on a change, such as ttft<=+3% or hit_ratio>=-1pp.
type Gate struct {
	Metric string
	AtMost bool
	Limit  float64
	Text   string
}

// ParseGate reads limits, several with commas.
func ParseGate(text string) ([]Gate, error) {
	var out []Gate
	for part := range strings.SplitSeq(text, ",") {
		part = strings.TrimSpace(part)
		g := Gate{Text: part, AtMost: true}
		name, limit, ok := strings.Cut(part, "<=")
		if !ok {
			g.AtMost = false
			if name, limit, ok = strings.Cut(part, ">="); !ok {
				return nil, fmt.Errorf("read gate %q: wants METRIC<=LIMIT or METRIC>=LIMIT, such as ttft<=+3%%", part)
			}
		}
		g.Metric = strings.TrimSpace(name)
		i := slices.IndexFunc(Metrics(), func(m Metric) bool { return m.Name == g.Metric })
		if i < 0 {
			return nil, fmt.Errorf("read gate %q: there is no metric %q", part, g.Metric)
		}
		unit := "%"
		if Metrics()[i].Ratio {
			unit = "pp"
		}
		limit = strings.TrimSpace(limit)
		number, ok := strings.CutSuffix(limit, unit)
		if _, err := fmt.Sscanf(number+"\n", "%g\n", &g.Limit); err != nil || !ok || math.IsNaN(g.Limit) || math.IsInf(g.Limit, 0) {
			return nil, fmt.Errorf("read gate %q: wants a limit in %s, not %q", part, unit, limit)
		}
		g.Limit /= 100
		out = append(out, g)
	}
	return out, nil
}

// How a gate stands.
const (
	GateHolds    = "holds"
	GateBreached = "breached"     // certainly
	GateOpen     = "not shown"    // neither to hold nor to be breached
	GateUnknown  = "not measured" // there is nothing to hold against it
	GateForeign  = "not checked"  // the sides do not do the same
)

// CheckGates holds verdicts over all turns against limits and says how each stands. A breach is certain when the whole interval lies beyond the limit and Wilcoxon's test
// refuses a change as large as the limit at 5 %, after Holm over the limits; a limit holds when the whole interval is within it.
func CheckGates(gates []Gate, verdicts []Verdict) []string {
	of := func(g Gate) *Verdict {
		i := slices.IndexFunc(verdicts, func(v Verdict) bool { return v.Metric.Name == g.Metric && v.Group == "all" })
		if i < 0 || !verdicts[i].Measured || verdicts[i].pAt == nil {
			return nil
		}
		return &verdicts[i]
	}
	p := make([]float64, len(gates))
	for i, g := range gates {
		p[i] = math.NaN()
		if v := of(g); v != nil {
			p[i] = v.pAt(g.Limit)
		}
	}
	p = stats.Holm(nanToOne(p))
	out := make([]string, len(gates))
	for i, g := range gates {
		v := of(g)
		switch {
		case v == nil:
			out[i] = GateUnknown
		case v.Foreign:
			out[i] = GateForeign
		case !v.Enough:
			out[i] = GateOpen
		case (g.AtMost && v.Low > g.Limit || !g.AtMost && v.High < g.Limit) && p[i] <= 1-level:
			out[i] = GateBreached
		case g.AtMost && v.High <= g.Limit || !g.AtMost && v.Low >= g.Limit:
			out[i] = GateHolds
		default:
			out[i] = GateOpen
		}
	}
	return out
}
