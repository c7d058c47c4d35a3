package bench

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"wb/collect/target"
	"wb/data"
	"wb/data/plain"
)

// Spec says what is played: values only. It is what raw.run records, and what a plan that was cut short is gone on with.
type Spec struct {
	Plan  string `json:"plan,omitempty"` // its name; "" for a single run
	File  string `json:"file,omitempty"` // where the plan was read, for messages
	Text  string `json:"-"`              // of the plan, which is recorded beside the spec
	Given Given  `json:"given,omitempty"`
	Repetition
	Cells []CellSpec `json:"cells"`
}

// Given are the settings that a person gave beside the plan, by the names of their flags; those of "" are vLLM's own arguments.
type Given map[string][]string

// CellSpec is one run of a spec: the only one, or a combination of what a plan varies.
type CellSpec struct {
	Cell string `json:"cell,omitempty"` // such as block-size=16/rag-placement=append; "" when nothing varies
	RunSpec
}

// RunSpec says what one run plays, and against whom.
type RunSpec struct {
	Name string   `json:"name,omitempty"` // "" makes one from model and time
	Tags []string `json:"tags,omitempty"` // key=value

	Target    target.Spec `json:"target"`
	Selection Selection   `json:"selection"`
	Prompting
	Load
	Recording
}

// Selection chooses conversations.
type Selection struct {
	IDs     []string `json:"conversations,omitempty"`
	Include []string `json:"include_tags,omitempty"`
	Exclude []string `json:"exclude_tags,omitempty"`
	Most    int      `json:"max_conversations,omitempty"` // 0: no limit
	Context string   `json:"context_size,omitempty"`      // tokens, such as 32K; "": the server's own
	Dir     string   `json:"data,omitempty"`              // with conversation files of the user's own
}

// Prompting says what is sent in a turn.
type Prompting struct {
	Placement    string  `json:"rag_placement,omitempty"` // of documents; all: each conversation in every way; "": in the system prompt
	Replies      string  `json:"replies,omitempty"`       // live, or scripted: the files' own go into the history
	API          string  `json:"api,omitempty"`           // chat, or completions
	ChatTemplate string  `json:"chat_template,omitempty"` // renders prompts here, for the completions API
	TokenIDs     string  `json:"token_ids,omitempty"`     // TokenIDsNone, TokenIDsPrompt (as "" is) or TokenIDsAll
	MaxTurns     int     `json:"max_turns,omitempty"`     // of each conversation; 0: all
	MaxTokens    int     `json:"max_tokens,omitempty"`    // most completion tokens a turn; 0: what the conversation or the server allows
	Temperature  float64 `json:"temperature,omitempty"`
	Seed         int64   `json:"seed,omitempty"`
	IgnoreEOS    bool    `json:"ignore_eos,omitempty"`
}

// Load says how sessions follow each other.
type Load struct {
	Users     int           `json:"users,omitempty"` // at once; 0: one (closed loop), or as many as come, up to MaxUsers (open loop)
	Rate      float64       `json:"rate,omitempty"`  // sessions begun a second; 0: closed loop
	Arrival   string        `json:"arrival,omitempty"`
	Ramp      time.Duration `json:"ramp_ns,omitempty"`
	Warmup    Warmup        `json:"warmup"`
	Isolation Isolation     `json:"isolation,omitempty"`  // "": by salt where the server takes one, else by line
	Timeout   time.Duration `json:"timeout_ns,omitempty"` // of one turn; 0: none
}

// Recording says what is kept.
type Recording struct {
	SampleHz float64 `json:"sample_hz,omitempty"` // of the fast GPU group; 0 samples nothing
	NoText   bool    `json:"no_text,omitempty"`   // hashes instead of prompts and replies
}

// Repetition says how often everything is played.
type Repetition struct {
	Repeats    int    `json:"repeats"`
	MaxRepeats int    `json:"max_repeats,omitempty"` // as far as UntilCI may go
	UntilCI    string `json:"until_ci,omitempty"`    // such as 2%; "" for none
	Metric     string `json:"metric,omitempty"`      // what UntilCI looks at
}

// Isolation is how sessions are kept from each other's prefix cache.
type Isolation string

// Isolation modes.
const (
	IsolationRestart Isolation = "restart" // a fresh server process for each session
	IsolationReset   Isolation = "reset"   // the prefix cache is emptied before each session
	IsolationSalt    Isolation = "salt"    // a cache_salt of its own for each session
	IsolationLine    Isolation = "line"    // a line of its own at the head of each session's first message
	IsolationNone    Isolation = "none"
)

// Isolations lists the modes.
func Isolations() []string {
	return []string{string(IsolationRestart), string(IsolationReset), string(IsolationSalt), string(IsolationLine), string(IsolationNone)}
}

// Which token ids are got.
const (
	TokenIDsNone   = "none"
	TokenIDsPrompt = "prompt" // of prompts, and of the texts of replies, by /tokenize after the turn
	TokenIDsAll    = "all"    // of prompts and generated tokens, in the stream
)

// TokenIDs lists them.
func TokenIDs() []string { return []string{TokenIDsNone, TokenIDsPrompt, TokenIDsAll} }

// Ways to say what goes into the history, by which API prompts are sent, and to place documents in every way.
const (
	RepliesLive     = "live"
	RepliesScripted = "scripted"
	APIChat         = "chat"
	APICompletions  = "completions"
	PlaceAll        = "all"
)

// Scripted says whether the files' own replies go into the history.
func (p Prompting) Scripted() bool { return p.Replies == RepliesScripted }

// Placements are those of documents; several make sessions of their own.
func (p Prompting) Placements() []data.Placement {
	if p.Placement == PlaceAll {
		return data.Placements()
	}
	return []data.Placement{cmp.Or(data.Placement(p.Placement), data.PlaceSystem)}
}

// TagMap gives the tags by key.
func (s RunSpec) TagMap() map[string]string {
	tags := map[string]string{}
	for _, t := range s.Tags {
		k, v, _ := strings.Cut(t, "=")
		tags[k] = v
	}
	return tags
}

// Label is what runs of the plan are labelled with, plan=…: its name, or the one that was given.
func (s *Spec) Label() string {
	if name := s.Given["name"]; name != nil {
		return name[0]
	}
	return s.Plan
}

// concurrent says whether several sessions may be under way at once.
func (l Load) concurrent() bool { return l.Users > 1 || l.Rate > 0 }

// users is how many may play at once.
func (l Load) users() int {
	if l.Users == 0 && l.Rate > 0 {
		return MaxUsers
	}
	return max(l.Users, 1)
}

// shared tells cells apart that cannot be served by one server in turn.
func (s CellSpec) shared() string {
	restarts, resets := s.Isolation == IsolationRestart, s.Isolation == IsolationReset
	key := fmt.Sprint(s.Target.Engine, s.Target.URL, s.Target.Model, s.Target.Words, s.Seed, s.Target.SimProfile, s.Target.SimFaults,
		s.Target.Serve, resets, restarts)
	if s.Isolation == IsolationNone && s.Target.Engine != target.URL { // or one cell would warm the next one's cache
		key += s.Cell
	}
	return key
}

// Verbose says whether a failure tells the end of the server's log.
func (s *Spec) Verbose() bool {
	return slices.ContainsFunc(s.Cells, func(c CellSpec) bool { return c.Target.Serve.Verbose })
}

// Recorded gives the spec with these cells as text for raw.run, without secrets. Where vLLM is and where logs go is this machine's
// affair: what stands there by default is not on record.
func (s *Spec) Recorded(cells []CellSpec) (string, error) {
	_, usual, _ := blank()
	c := *s
	c.Given = c.Given.Redacted()
	c.Cells = make([]CellSpec, len(cells))
	for i, cell := range cells {
		cell.Target.Words = target.WithoutSecrets(cell.Target.Words)
		if cell.Target.URL != "" {
			cell.Target.URL = plain.RedactURL(cell.Target.URL)
		}
		at := &cell.Target.Serve
		if at.VLLM == usual.Target.Serve.VLLM {
			at.VLLM = ""
		}
		if at.LogDir == usual.Target.Serve.LogDir {
			at.LogDir = ""
		}
		c.Cells[i] = cell
	}
	b, err := json.Marshal(c)
	if err != nil {
		return "", fmt.Errorf("record spec: %w", err)
	}
	return string(b), nil
}

// ReadSpec reads a recorded spec and the text of its plan.
func ReadSpec(recorded, planText string) (*Spec, error) {
	s := &Spec{Text: planText}
	if err := json.Unmarshal([]byte(recorded), s); err != nil {
		return nil, fmt.Errorf("read recorded spec: %w", err)
	}
	_, usual, _ := blank()
	for i := range s.Cells {
		at := &s.Cells[i].Target.Serve
		at.VLLM, at.LogDir = cmp.Or(at.VLLM, usual.Target.Serve.VLLM), cmp.Or(at.LogDir, usual.Target.Serve.LogDir)
	}
	return s, nil
}

// Redacted gives them without secrets.
func (g Given) Redacted() Given {
	out := maps.Clone(g)
	if words := out[""]; len(words) > 0 {
		out[""] = target.WithoutSecrets(words)
	}
	if url := out["url"]; len(url) == 1 {
		out["url"] = []string{plain.RedactURL(url[0])}
	}
	return out
}
