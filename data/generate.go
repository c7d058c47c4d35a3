package data

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

// Generate is the recipe of a long conversation. The same seed, size and tokeniser give the same text.
type Generate struct {
	Kinds  []string `yaml:"kinds" json:"kinds"`   // materials to mix: logs, code, notes, manual
	Seed   int64    `yaml:"seed" json:"seed"`     // of the random choices
	Tokens int      `yaml:"tokens" json:"tokens"` // of the longest prompt, by the server's tokeniser
	Turns  int      `yaml:"turns" json:"turns"`   // questions, each about a planted fact
}

// materials are the kinds of text that Generate can mix.
var materials = map[string]func(*writer) (title string, body []string){
	"logs": serviceLog, "code": sourceCode, "notes": meetingNotes, "manual": manualChapter,
}

// Limits of Generate.
const (
	minGenerated   = 2_000
	maxGenerated   = 2_000_000
	generatedTurns = 24
)

func (g *Generate) problem() string {
	switch {
	case len(g.Kinds) == 0:
		return "generate: kinds: at least one of logs, code, notes, manual"
	case g.Tokens < minGenerated || g.Tokens > maxGenerated:
		return fmt.Sprintf("generate: tokens: wants %d to %d", minGenerated, maxGenerated)
	case g.Turns < 2 || g.Turns > generatedTurns:
		return fmt.Sprintf("generate: turns: wants 2 to %d", generatedTurns)
	}
	for _, k := range g.Kinds {
		if materials[k] == nil {
			return fmt.Sprintf("generate: kinds: %q is not one of logs, code, notes, manual", k)
		}
	}
	return ""
}

// Count returns the number of tokens of a text.
type Count func(text string) (int, error)

// EstimateTokens takes the place of a tokeniser: four bytes per token, which is about right for English.
func EstimateTokens(text string) (int, error) { return (len(text) + 3) / 4, nil }

// answerTokens is how many tokens the reply to a question of a generated conversation may have.
const answerTokens = 96

// turnOverhead is how many tokens a turn takes in addition to the texts of its question and answer: what a chat template puts around
// them. It was measured with the templates of SmolLM2 and of the simulator. The documents take up the rest.
const turnOverhead = 24

// Build returns the conversation itself, or for a generated one a copy with documents and turns. The longest prompt of the copy has
// the number of tokens that Generate asks for, within 2 %, as count counts them. The last document leaves before the last two turns.
func (c *Conversation) Build(count Count) (*Conversation, error) {
	g := c.Generate
	if g == nil {
		return c, nil
	}
	out := *c
	out.Documents, out.Turns = nil, nil
	w := &writer{rng: rand.New(rand.NewPCG(uint64(g.Seed), 0x6c6f6e67))}
	facts := make([]fact, g.Turns)
	talk := c.System
	for i := range facts {
		facts[i] = w.fact(i)
		talk += facts[i].question + facts[i].answer
	}
	around, err := count(talk)
	if err != nil {
		return nil, fmt.Errorf("size conversation %s: %w", c.ID, err)
	}
	room := g.Tokens - around - g.Turns*turnOverhead
	if room < g.Tokens/4 {
		return nil, fmt.Errorf("size conversation %s: %d tokens leave no room for documents beside %d turns", c.ID, g.Tokens, g.Turns)
	}
	// there are four documents, so that one can leave while the others stay
	const parts = 4
	for part := range parts {
		want := room * (part + 1) / parts
		have := 0
		for _, d := range out.Documents {
			n, err := count(d.Text)
			if err != nil {
				return nil, fmt.Errorf("size conversation %s: %w", c.ID, err)
			}
			have += n
		}
		planted := slices.DeleteFunc(slices.Clone(facts), func(f fact) bool { return f.index%parts != part })
		doc, err := w.document(g.Kinds, part, want-have, planted, count)
		if err != nil {
			return nil, fmt.Errorf("size conversation %s: %w", c.ID, err)
		}
		out.Documents = append(out.Documents, doc)
	}
	for i, f := range facts {
		t := Turn{User: f.question, Assistant: f.answer, Checks: []string{f.value}, MaxTokens: answerTokens}
		switch {
		case i == 0:
			t.Inject = []string{"part-1", "part-2", "part-3", "part-4"}
		case i == g.Turns-2 && g.Turns > 3:
			t.Remove = []string{"part-4"}
		}
		out.Turns = append(out.Turns, t)
	}
	return &out, nil
}

// fact is a sentence planted in a document, with a question about it.
type fact struct {
	index                             int
	sentence, question, answer, value string
}

// writer makes up texts.
type writer struct {
	rng  *rand.Rand
	line int
}

func pick[T any](w *writer, from []T) T { return from[w.rng.IntN(len(from))] }

var (
	sites = []string{
		"Arlen", "Brevik", "Coalport", "Dunmore", "Eskdale", "Farrow", "Glenmuir", "Hollin", "Ivalo", "Jarrow", "Kelso", "Lunna",
		"Moray", "Nairn", "Oban", "Penrith", "Quoyness", "Rannoch", "Selkirk", "Tarbert", "Ullapool", "Voss", "Wexcombe", "Yarmouth",
	}
	things = []string{
		"failover key", "maintenance code", "spare part number", "escalation phrase", "archive volume", "calibration seal",
		"router serial", "contract reference",
	}
	words1   = []string{"MARLIN", "OSPREY", "COBALT", "JUNIPER", "TANSY", "LARCH", "HERON", "BASALT", "KESTREL", "SORREL", "FLINT", "MALLOW"}
	services = []string{"gateway", "orders", "billing", "search", "ledger", "notify", "identity", "catalog", "shipping", "quota"}
	people   = []string{"Ines", "Tomas", "Priya", "Olu", "Mei", "Sven", "Farah", "Jonas", "Aiko", "Bram", "Lucia", "Dawit"}
	nouns    = []string{
		"buffer", "lease", "cursor", "segment", "batch", "window", "token", "quorum", "shard", "digest", "ticket", "envelope",
		"snapshot", "channel",
	}
	verbs = []string{"flush", "renew", "merge", "rotate", "admit", "drain", "seal", "probe", "split", "acquire", "replay", "trim"}
	parts = []string{
		"inlet valve", "drive belt", "pressure cell", "cooling loop", "limit switch", "feed screw", "oil sump", "encoder", "brake pad",
		"relief port", "heater band", "spindle",
	}
)

func (w *writer) fact(i int) fact {
	f := fact{index: i, value: fmt.Sprintf("%s-%d", pick(w, words1), 1000+w.rng.IntN(9000))}
	site, thing := sites[i%len(sites)], pick(w, things)
	f.sentence = fmt.Sprintf("For the %s site the %s is %s.", site, thing, f.value)
	f.question = fmt.Sprintf("According to the documents, what is the %s of the %s site? Answer with it alone.", thing, site)
	f.answer = fmt.Sprintf("The %s of the %s site is %s.", thing, site, f.value)
	return f
}

// document writes one document of about tokens tokens, with the facts spread over it.
func (w *writer) document(kinds []string, part, tokens int, facts []fact, count Count) (Document, error) {
	var sections []string
	have := 0
	for have < tokens {
		title, body := materials[kinds[(part+len(sections))%len(kinds)]](w)
		text := "## " + title + "\n\n" + strings.Join(body, "\n")
		n, err := count(text)
		if err != nil {
			return Document{}, err
		}
		if n <= 0 {
			return Document{}, fmt.Errorf("the tokeniser counts %d tokens in %d bytes", n, len(text))
		}
		if over := have + n - tokens; over > 0 { // cut the last section to size, by its ratio of lines to tokens
			body = body[:max(1, len(body)*(n-over)/n)]
			sections = append(sections, "## "+title+"\n\n"+strings.Join(body, "\n"))
			break
		}
		have += n
		sections = append(sections, text)
	}
	for i, f := range facts { // the facts stand at the end of sections, evenly spread
		at := (2*i + 1) * len(sections) / (2 * len(facts))
		at = min(at, len(sections)-1)
		sections[at] += "\n" + f.sentence
	}
	return Document{
		ID: fmt.Sprintf("part-%d", part+1), Title: fmt.Sprintf("Archive, part %d", part+1), Text: strings.Join(sections, "\n\n") + "\n",
	}, nil
}

func serviceLog(w *writer) (string, []string) {
	day, sec := 1+w.rng.IntN(28), w.rng.IntN(80_000)
	svc := pick(w, services)
	var lines []string
	for range 40 {
		sec += w.rng.IntN(9)
		at := fmt.Sprintf("2026-03-%02dT%02d:%02d:%02d.%03dZ", day, sec/3600, sec/60%60, sec%60, w.rng.IntN(1000))
		req := fmt.Sprintf("%06x", w.rng.IntN(1<<24))
		switch w.rng.IntN(8) {
		case 0:
			lines = append(lines, fmt.Sprintf("%s WARN  %s slow call to %s request %s took %d ms, budget %d ms",
				at, svc, pick(w, services), req, 400+w.rng.IntN(2000), 100*(1+w.rng.IntN(5))))
		case 1:
			lines = append(lines, fmt.Sprintf("%s ERROR %s request %s failed: %s of %s %d was not possible, retry %d of 3",
				at, svc, req, pick(w, verbs), pick(w, nouns), w.rng.IntN(900), 1+w.rng.IntN(3)))
		case 2:
			lines = append(lines, fmt.Sprintf("%s INFO  %s cache %s: %d entries, %d hits, %d misses since start",
				at, svc, pick(w, nouns), w.rng.IntN(9000), w.rng.IntN(90000), w.rng.IntN(9000)))
		default:
			lines = append(lines, fmt.Sprintf("%s INFO  %s request %s route /v1/%s status %d in %d ms, %d bytes",
				at, svc, req, pick(w, nouns), []int{200, 200, 200, 201, 204, 404}[w.rng.IntN(6)], 3+w.rng.IntN(90), 200+w.rng.IntN(20000)))
		}
	}
	return fmt.Sprintf("Log of service %s, %d March 2026", svc, day), lines
}

func sourceCode(w *writer) (string, []string) {
	noun := pick(w, nouns)
	w.line++
	name := fmt.Sprintf("%s%d", noun, w.line)
	lines := []string{
		"package " + noun,
		"",
		fmt.Sprintf("// %s keeps what the %s service needs to %s a %s.", title(name), pick(w, services), pick(w, verbs), noun),
		fmt.Sprintf("type %s struct {", title(name)),
		"\tmu    sync.Mutex",
		"\titems map[string]int64",
		fmt.Sprintf("\tlimit int // at most %d", 10*(1+w.rng.IntN(400))),
		"}",
	}
	for range 3 + w.rng.IntN(3) {
		verb := pick(w, verbs)
		lines = append(lines,
			"",
			fmt.Sprintf("// %s tries to %s one entry and gives what is left of the limit.", title(verb), verb),
			fmt.Sprintf("func (x *%s) %s(key string, n int64) (int64, error) {", title(name), title(verb)),
			"\tx.mu.Lock()",
			"\tdefer x.mu.Unlock()",
			fmt.Sprintf("\tif n < %d || key == \"\" {", w.rng.IntN(10)),
			fmt.Sprintf("\t\treturn 0, fmt.Errorf(\"%s %s: bad argument %%d\", n)", verb, noun),
			"\t}",
			fmt.Sprintf("\tx.items[key] += n * %d", 1+w.rng.IntN(9)),
			fmt.Sprintf("\tif len(x.items) > x.limit/%d {", 1+w.rng.IntN(4)),
			fmt.Sprintf("\t\tx.%sOldest()", pick(w, verbs)),
			"\t}",
			fmt.Sprintf("\treturn int64(x.limit) - int64(len(x.items)) - %d, nil", w.rng.IntN(100)),
			"}")
	}
	return "Source file " + noun + "/" + name + ".go", lines
}

func title(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

func meetingNotes(w *writer) (string, []string) {
	a, b := pick(w, people), pick(w, people)
	topic := fmt.Sprintf("the %s of the %s service", pick(w, nouns), pick(w, services))
	lines := []string{fmt.Sprintf("Present: %s, %s, %s. Notes by %s.", a, b, pick(w, people), pick(w, people)), "Topic: " + topic + "."}
	for range 10 + w.rng.IntN(8) {
		who := pick(w, people)
		switch w.rng.IntN(5) {
		case 0:
			lines = append(lines, fmt.Sprintf(
				"- %s: after the change of last week the %s takes %d ms instead of %d ms; "+
					"nobody knows yet whether that holds under load.",
				who, pick(w, nouns), 5+w.rng.IntN(80), 20+w.rng.IntN(300)))
		case 1:
			lines = append(lines, fmt.Sprintf("- Decided: %s will %s the %s before the %d of April, and tell %s when it is done.",
				who, pick(w, verbs), pick(w, nouns), 1+w.rng.IntN(28), pick(w, people)))
		case 2:
			lines = append(lines, fmt.Sprintf("- %s asks whether %s could wait until %s has measured it again. Agreed, for one week.",
				who, topic, pick(w, people)))
		case 3:
			lines = append(lines, fmt.Sprintf("- Open: who pays for %d more machines in %s? %s will ask.", 1+w.rng.IntN(12), pick(w, sites), who))
		default:
			lines = append(lines, fmt.Sprintf(
				"- %s shows the figures of %s: %d requests a second at the peak, %d of %d failed, "+
					"all of them while the %s was full.",
				who, pick(w, services), 50+w.rng.IntN(4000), w.rng.IntN(60), 10000+w.rng.IntN(90000), pick(w, nouns)))
		}
	}
	return fmt.Sprintf("Meeting of %d March 2026, %s", 1+w.rng.IntN(28), topic), lines
}

func manualChapter(w *writer) (string, []string) {
	part := pick(w, parts)
	chapter := 1 + w.rng.IntN(40)
	var lines []string
	for i := range 12 + w.rng.IntN(6) {
		n := fmt.Sprintf("%d.%d ", chapter, i+1)
		switch w.rng.IntN(5) {
		case 0:
			lines = append(lines, n+fmt.Sprintf(
				"Check the %s every %d operating hours. The permitted play is %.1f mm; "+
					"above that replace it together with the %s.",
				part, 50*(1+w.rng.IntN(40)), float64(w.rng.IntN(40))/10, pick(w, parts)))
		case 1:
			lines = append(lines, n+fmt.Sprintf("Tighten the four screws crosswise to %d Nm. Never use the %s as a lever.",
				5+w.rng.IntN(90), pick(w, parts)))
		case 2:
			lines = append(lines, n+fmt.Sprintf(
				"Fault F%d: the %s reports more than %d kPa for %d seconds. Stop the machine, let it cool to %d °C, "+
					"and vent the %s before you start again.",
				100+w.rng.IntN(800), part, 100+w.rng.IntN(900), 2+w.rng.IntN(60), 30+w.rng.IntN(40), pick(w, parts)))
		case 3:
			lines = append(lines, n+fmt.Sprintf(
				"Fill in %.1f litres of oil of class %d. Let the machine run for %d minutes without load, "+
					"then read the glass at the %s.",
				0.5+float64(w.rng.IntN(60))/10, 22*(1+w.rng.IntN(6)), 2+w.rng.IntN(20), pick(w, parts)))
		default:
			lines = append(lines, n+fmt.Sprintf(
				"The %s may be replaced by the operator. Order it with the number on its plate; "+
					"the warranty of %d months begins when it is fitted.",
				part, 6*(1+w.rng.IntN(6))))
		}
	}
	return fmt.Sprintf("Manual, chapter %d: the %s", chapter, part), lines
}
