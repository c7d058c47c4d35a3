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

// Spec says what is played, as values only. raw.run records it, and a plan that was cut short is resumed from it.
type Spec struct {
	Plan  string `json:"plan,omitempty"` // its name; "" for a single run
	File  string `json:"file,omitempty"` // where the plan was read, for messages
	Text  string `json:"-"`              // of the plan's file; it is recorded beside the spec
	Given Given  `json:"given,omitempty"`
	Repetition
	Cells []CellSpec `json:"cells"`
}

// Given are the settings from the command line, by the names of their flags. The name "" holds the arguments for the server.
type Given map[string][]string

// CellSpec is one run of a spec: the only one, or one cell of a plan.
type CellSpec struct {
	Cell string `json:"cell,omitempty"` // such as block-size=16/rag-placement=append; "" when nothing varies
	RunSpec
}

// RunSpec says what one run plays, and against which server.
type RunSpec struct {
	Name string   `json:"name,omitempty"` // "": wb makes one from the model and the time
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
	Context string   `json:"context_size,omitempty"`      // tokens, such as 32K; "": the server's context
	Dir     string   `json:"data,omitempty"`              // a directory with the user's conversation files
}

// Prompting says what is sent in a turn.
type Prompting struct {
	Placement    string  `json:"rag_placement,omitempty"` // of documents; all: each conversation in every one; "": in the system prompt
	Replies      string  `json:"replies,omitempty"`       // scripted: the replies in the files go into the history; live, or "": the model's
	API          string  `json:"api,omitempty"`           // chat, or completions
	ChatTemplate string  `json:"chat_template,omitempty"` // with which wb renders prompts for the completions API
	TokenIDs     string  `json:"token_ids,omitempty"`     // TokenIDsNone, TokenIDsPrompt (as "" is) or TokenIDsAll
	MaxTurns     int     `json:"max_turns,omitempty"`     // of each conversation; 0: all
	MaxTokens    int     `json:"max_tokens,omitempty"`    // most completion tokens per turn; 0: what the conversation or the server allows
	Temperature  float64 `json:"temperature,omitempty"`
	Seed         int64   `json:"seed,omitempty"`
	IgnoreEOS    bool    `json:"ignore_eos,omitempty"`
}

// Load says how many sessions are played at once, and when they begin.
type Load struct {
	Users     int           `json:"users,omitempty"` // at once; 0: one without a rate, and up to MaxUsers with a rate
	Rate      float64       `json:"rate,omitempty"`  // sessions begun per second; 0: each user begins one when the last has ended
	Arrival   string        `json:"arrival,omitempty"`
	Ramp      time.Duration `json:"ramp_ns,omitempty"`
	Warmup    Warmup        `json:"warmup"`
	Isolation Isolation     `json:"isolation,omitempty"`  // "": salt where the server takes one, else line
	Timeout   time.Duration `json:"timeout_ns,omitempty"` // of one turn; 0: none
}

// Recording says what is kept.
type Recording struct {
	SampleHz float64 `json:"sample_hz,omitempty"` // samples per second of the fast GPU group; 0: no samples at all
	NoText   bool    `json:"no_text,omitempty"`   // hashes instead of prompts and replies
}

// Repetition says how often everything is played.
type Repetition struct {
	Repeats    int    `json:"repeats"`
	MaxRepeats int    `json:"max_repeats,omitempty"` // limit of the repeats that UntilCI adds
	UntilCI    string `json:"until_ci,omitempty"`    // such as 2%; "" for none
	Metric     string `json:"metric,omitempty"`      // whose interval UntilCI is about
}

// Isolation is what keeps one session from using cached tokens of another.
type Isolation string

// Isolation modes.
const (
	IsolationRestart Isolation = "restart" // a fresh server process for each session
	IsolationReset   Isolation = "reset"   // the prefix cache is emptied before each session
	IsolationSalt    Isolation = "salt"    // each session has a different cache_salt
	IsolationLine    Isolation = "line"    // each session has a different line at the head of its first message
	IsolationNone    Isolation = "none"
)

// Isolations lists the names of the isolation modes.
func Isolations() []string {
	return []string{string(IsolationRestart), string(IsolationReset), string(IsolationSalt), string(IsolationLine), string(IsolationNone)}
}

// Values of Prompting.TokenIDs: which token ids wb gets.
const (
	TokenIDsNone   = "none"
	TokenIDsPrompt = "prompt" // of prompts, and of the texts of replies, from /tokenize after the turn
	TokenIDsAll    = "all"    // of prompts and generated tokens, in the stream
)

// TokenIDs lists the values of Prompting.TokenIDs.
func TokenIDs() []string { return []string{TokenIDsNone, TokenIDsPrompt, TokenIDsAll} }

// Values of Prompting.Replies, Prompting.API and Prompting.Placement. PlaceAll plays each conversation in every placement.
const (
	RepliesLive     = "live"
	RepliesScripted = "scripted"
	APIChat         = "chat"
	APICompletions  = "completions"
	PlaceAll        = "all"
)

// Scripted says whether the replies in the files go into the history.
func (p Prompting) Scripted() bool { return p.Replies == RepliesScripted }

// Placements gives the placements of documents. Each of them is a different variant, and so a different session.
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

// Label is the value of the tag plan=… of the plan's runs: the name that was given on the command line, or else the plan's name.
func (s *Spec) Label() string {
	if name := s.Given["name"]; name != nil {
		return name[0]
	}
	return s.Plan
}

// concurrent says whether several sessions may be under way at once.
func (l Load) concurrent() bool { return l.Users > 1 || l.Rate > 0 }

// users is how many users may play at once.
func (l Load) users() int {
	if l.Users == 0 && l.Rate > 0 {
		return MaxUsers
	}
	return max(l.Users, 1)
}

// shared gives a key of what a cell needs from a server. Cells with equal keys can use one server in turns.
func (s CellSpec) shared() string {
	restarts, resets := s.Isolation == IsolationRestart, s.Isolation == IsolationReset
	key := fmt.Sprint(s.Target.Engine, s.Target.URL, s.Target.Model, s.Target.Words, s.Seed, s.Target.SimProfile, s.Target.SimFaults,
		s.Target.Serve, resets, restarts)
	if s.Isolation == IsolationNone && s.Target.Engine != target.URL { // or one cell would warm the next one's cache
		key += s.Cell
	}
	return key
}

// Verbose says whether the end of the server's log is printed after a failure.
func (s *Spec) Verbose() bool {
	return slices.ContainsFunc(s.Cells, func(c CellSpec) bool { return c.Target.Serve.Verbose })
}

// Recorded gives the spec with these cells as text for raw.run, without secrets. The paths of servers and of the logs depend on the
// machine, so they are left out when they are the default ones.
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
		if at.LlamaServer == usual.Target.Serve.LlamaServer {
			at.LlamaServer = ""
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
		at.LlamaServer = cmp.Or(at.LlamaServer, usual.Target.Serve.LlamaServer)
	}
	return s, nil
}

// Redacted gives a copy of the settings without secrets.
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
