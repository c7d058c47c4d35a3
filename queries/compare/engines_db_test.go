//go:build duckdb_arrow

package compare

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/uuid"

	"wb/queries/internal/fixture"
	"wb/store"
)

// server is one run of a file with several engines.
type server struct {
	name, kind, tokenizer, template string
	isolation, replies              string
	slower                          float64 // factor of all times
	tokens                          int64   // of each reply, all with 400 bytes
	quiet                           bool    // no messages are recorded
}

func (s server) id() uuid.UUID { return uuid.NewSHA1(uuid.Nil, []byte(s.name)) }

// record adds the run: four repeats of two conversations with three turns each.
func (s server) record(ctx context.Context, r *store.Recorder) error {
	run := s.id()
	errs := []error{
		store.Add(ctx, r, store.Run{RunID: run, Name: s.name, Status: "ok"}),
		store.Add(ctx, r, store.Engine{RunID: run, Kind: s.kind, Model: "m",
			Quantization: map[string]*string{"llamacpp": new("Q4_1")}[s.kind]}),
	}
	for _, x := range [][3]string{
		{"engine", "kind", s.kind}, {"engine", "version", "v-" + s.kind}, {"engine", "max_model_len_tokens", "2048"},
		{"engine", "tokenizer", s.tokenizer}, {"engine", "template", s.template},
		{"plan", "replies", s.replies}, {"plan", "isolation", s.isolation},
	} {
		if x[2] != "" {
			errs = append(errs, store.Add(ctx, r, store.Setting{RunID: run, Source: x[0], Name: x[1], Value: x[2]}))
		}
	}
	for i := range int32(8) {
		at := float64(i) * 50
		session := store.Session{RunID: run, SessionID: i + 1, Conversation: fmt.Sprint("c", i%2), ConversationSHA256: fmt.Sprint("sha", i%2),
			Variant: "system", Repeat: i/2 + 1, Isolation: s.isolation, StartedNs: fixture.Sec(at), EndedNs: new(fixture.Sec(at + 50)), Status: "ok"}
		errs = append(errs, store.Add(ctx, r, session))
		for turn := range int32(3) {
			errs = append(errs, s.turn(ctx, r, session, turn+1, at+float64(turn)*10))
		}
	}
	return errors.Join(errs...)
}

// turn adds a turn whose text comes in ten events, and its messages. The first of them holds the isolation line.
func (s server) turn(ctx context.Context, r *store.Recorder, session store.Session, n int32, at float64) error {
	run, id := session.RunID, session.SessionID*10+n
	first, step := at+0.1*s.slower, 0.01*s.slower
	last := first + 9*step
	row := fixture.Turn(run, id, session.SessionID, n, "ok", at, at, first, last, last, 100*int64(n)+s.tokens, 0, s.tokens)
	chunks := fixture.Chunks(run, id)
	for i := range int32(10) {
		chunks = append(chunks, store.Chunk{RunID: run, TurnID: id, Seq: i + 1, ReadSeq: i + 1, TNs: fixture.Sec(first + float64(i)*step),
			Kind: "content", TextBytes: 40})
	}
	var sent []store.TurnMessage
	for position := int32(1); position < 2*n+1 && !s.quiet; position++ {
		sha := fmt.Sprint(session.Conversation, " message ", position)
		if position == 1 && s.isolation == "line" {
			sha = fmt.Sprint("line of ", run, session.SessionID)
		}
		if position%2 == 1 && position > 1 && s.replies == "live" {
			sha = "reply of " + s.name
		}
		sent = append(sent, store.TurnMessage{RunID: run, TurnID: id, Position: position, SHA256: sha})
	}
	return errors.Join(store.Add(ctx, r, row), store.Add(ctx, r, chunks...), store.Add(ctx, r, sent...))
}

// One comparison over engines says what is not the same, and compares the time to answer the same text.
func TestCompareEngines(t *testing.T) {
	ctx := context.Background()
	servers := []server{
		{"llama", "llamacpp", "t1", "p1", "line", "scripted", 1, 64, false},
		{"vllm", "vllm", "t2", "p2", "salt", "scripted", 1.5, 80, false},
		{"twin", "vllm", "t1", "p3", "salt", "scripted", 1.5, 64, false},
		{"untold", "sglang", "", "", "none", "scripted", 1.5, 64, true},
		{"live", "vllm", "t2", "p2", "salt", "live", 1.5, 64, false},
		{"live, without messages", "sglang", "", "", "none", "live", 1.5, 64, true},
	}
	db := fixture.Record(t, fixture.Path(t), func(ctx context.Context, r *store.Recorder) error {
		var errs []error
		for _, s := range servers {
			errs = append(errs, s.record(ctx, r))
		}
		return errors.Join(errs...)
	})
	for _, c := range []struct {
		head, note, outcomes string
		turns                int
	}{
		{"vllm", "Not the same: engine (llamacpp v-llamacpp, vllm v-vllm), tokeniser, quantisation (Q4_1, not said). Not known to be the same: " +
			"template (compared only with equal tokenisers).", "ttft slower tpot not compared e2e slower hit_ratio not compared bytes_s slower", 24},
		{"twin", "Not the same: engine (llamacpp v-llamacpp, vllm v-vllm), template, quantisation (Q4_1, not said).",
			"ttft slower tpot slower e2e slower hit_ratio equivalent", 24},
		{"untold", "Not the same: engine (llamacpp v-llamacpp, sglang v-sglang), quantisation (Q4_1, not said). Not known to be the same: " +
			"tokeniser (head does not say), template.", "", 8}, // what was sent after the first turn is known of one side only
		{"live", "Turns after replies that are not the same have no equal",
			"ttft slower tpot not compared e2e slower hit_ratio not compared bytes_s slower", 8},
	} {
		r, err := Run(ctx, db, Comparison{Base: "llama", Head: c.head, Metrics: []string{"ttft", "tpot", "e2e", "hit_ratio"}, Margin: 0.02})
		if err != nil {
			t.Fatal(err)
		}
		tb := r.Table()
		notes := strings.Join(tb.Notes, "\n")
		var outcomes []string
		for _, v := range r.Verdicts {
			outcomes = append(outcomes, v.Metric.Name, string(v.Outcome))
		}
		if got := strings.Join(outcomes, " "); c.outcomes != "" && got != c.outcomes {
			t.Errorf("%s: %s, want %s", c.head, got, c.outcomes)
		}
		if !strings.Contains(notes, c.note) || strings.Contains(notes, "engine.") || len(tb.NotSame) == 0 || r.Verdicts[0].Turns != c.turns {
			t.Errorf("%s: %d turns, list %q, notes:\n%s", c.head, r.Verdicts[0].Turns, tb.NotSame, notes)
		}
	}
	// without messages, scripted histories are taken as the same, and live ones are not known
	for head, turns := range map[string]int{"live, without messages": 8, "untold": 24} {
		base := server{name: "other untold", kind: "llamacpp", replies: "scripted", isolation: "none", slower: 1, tokens: 64, quiet: true}
		db := fixture.Record(t, fixture.Path(t), func(ctx context.Context, r *store.Recorder) error {
			return errors.Join(base.record(ctx, r), servers[3].record(ctx, r), servers[5].record(ctx, r))
		})
		r, err := Run(ctx, db, Comparison{Base: base.name, Head: head, Metrics: []string{"ttft"}, Margin: 0.02})
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Verdicts) != 1 || r.Verdicts[0].Turns != turns || r.Verdicts[0].Outcome != Slower {
			t.Errorf("%s: %+v", head, r.Verdicts)
		}
	}
}
