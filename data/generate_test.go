package data

import (
	"errors"
	"strings"
	"testing"
)

// wordCount takes the place of a tokeniser that differs from the estimate: three tokens per two words.
func wordCount(text string) (int, error) { return len(strings.Fields(text)) * 3 / 2, nil }

// With any tokeniser the longest prompt has the requested size, within 2 %. The same seed gives the same text.
func TestGenerated(t *testing.T) {
	all, err := Load("")
	if err != nil {
		t.Fatal(err)
	}
	made := 0
	for _, c := range all {
		if c.Generate == nil {
			continue
		}
		made++
		for name, count := range map[string]Count{"estimate": EstimateTokens, "words": wordCount} {
			b, err := c.Build(count)
			if err != nil {
				t.Fatal(err)
			}
			again, err := c.Build(count)
			if err != nil || again.SHA256() != b.SHA256() || b.SHA256() == c.SHA256() {
				t.Errorf("%s: the same seed gives another text (%v)", c.ID, err)
			}
			if at, msg := func() ([]any, string) { x := *b; x.Generate = nil; return x.problem() }(); msg != "" {
				t.Errorf("%s: %v: %s", c.ID, at, msg)
			}
			longest := 0
			for d := b.Start(Style{}); d.Next(); {
				tokens := 0
				for _, m := range d.Prompt().Messages {
					n, err := count(m.Content)
					if err != nil {
						t.Fatal(err)
					}
					tokens += n + 6 // tokens that a template puts around a message
				}
				longest = max(longest, tokens)
				turn := d.Current()
				planted := 0
				for _, doc := range b.Documents {
					planted += strings.Count(doc.Text, turn.Checks[0])
				}
				if planted != 1 || turn.Passed(turn.Assistant) != 1 {
					t.Errorf("%s turn %d: %q is planted %d times", c.ID, d.Turn(), turn.Checks[0], planted)
				}
				d.Reply(turn.Assistant)
			}
			if got := float64(longest) / float64(c.Generate.Tokens); got < 0.98 || got > 1.02 {
				t.Errorf("%s by %s: %d tokens, %.3f of %d", c.ID, name, longest, got, c.Generate.Tokens)
			}
		}
	}
	if made != 4 {
		t.Errorf("%d generated conversations", made)
	}
	c := &Conversation{ID: "x", Generate: &Generate{Kinds: []string{"logs"}, Tokens: 4000, Turns: 4}}
	broken := errors.New("no tokeniser")
	if _, err := c.Build(func(string) (int, error) { return 0, broken }); !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
	if _, err := c.Build(func(string) (int, error) { return 0, nil }); err == nil {
		t.Error("a tokeniser that counts nothing")
	}
	for _, g := range []Generate{{}, {Kinds: []string{"poems"}, Tokens: 4000, Turns: 4}, {Kinds: []string{"logs"}, Tokens: 10, Turns: 4},
		{Kinds: []string{"logs"}, Tokens: 4000, Turns: 1}} {
		if g.problem() == "" {
			t.Errorf("%+v passes", g)
		}
	}
}

func TestSelect(t *testing.T) {
	all, err := Load("")
	if err != nil {
		t.Fatal(err)
	}
	added := &Conversation{ID: "added", File: "/x/added.yaml", Tags: []string{"mine"}, ExpectedTokens: 100, Turns: []Turn{{User: "hi"}}}
	all = append(all, added)
	ids := func(cs []*Conversation) string {
		var out []string
		for _, c := range cs {
			out = append(out, c.ID)
		}
		return strings.Join(out, " ")
	}
	sending := Sending{Scripted: true, MaxTokens: 64}
	for _, tt := range []struct {
		s          Selection
		want, left string // left: a conversation that is left out, and why
	}{
		{Selection{}, "simple_qa code_discussion rag_simulation deep_technical ultra_long added",
			"long_16k is not one of the core set; name it, or choose it by a tag"},
		{Selection{ContextTokens: 8192, Sending: sending}, "simple_qa code_discussion rag_simulation deep_technical added",
			"ultra_long needs 14.6K tokens, and the context has 8.2K"},
		{Selection{Include: []string{"rag", "long"}, ContextTokens: 32000, Sending: sending},
			"rag_topk german_handbook rag_injection rag_simulation deep_technical ultra_long long_16k long_32k",
			"long_64k needs 63.6K tokens, and the context has 32K"},
		{Selection{Include: []string{"rag", "long"}, Exclude: []string{"needle", "multilingual"}},
			"rag_topk rag_injection rag_simulation deep_technical ultra_long", "long_16k is tagged needle or multilingual"},
		{Selection{Include: []string{"agent"}, Max: 1}, "agent_operator", "agent_tools is beyond the first 1"},
		{Selection{IDs: []string{"ultra_long"}, ContextTokens: 100}, "ultra_long", ""},
	} {
		chosen, left, err := Select(all, tt.s)
		if err != nil || ids(chosen) != tt.want {
			t.Errorf("%+v: %s (%v)", tt.s, ids(chosen), err)
		}
		var said []string
		for _, l := range left {
			said = append(said, l.Conversation.ID+" "+l.Why)
		}
		if tt.left != "" && !strings.Contains(strings.Join(said, "|")+"|", tt.left+"|") {
			t.Errorf("%+v: left out are %q", tt.s, said)
		}
	}
	for _, s := range []Selection{{Include: []string{"nope"}}, {ContextTokens: 10}, {IDs: []string{"nope"}}} {
		if _, _, err := Select(all, s); err == nil {
			t.Errorf("%+v passes", s)
		}
	}
}

// Each placement puts the documents of the turn in its place. The history never holds documents.
func TestPlacements(t *testing.T) {
	c := &Conversation{ID: "c", Title: "T", System: "S", Documents: []Document{{ID: "a", Text: "AAA"}, {ID: "b", Text: "BBB"}},
		Turns: []Turn{{User: "u1"}, {User: "u2", Assistant: "scripted", Inject: []string{"a", "b"}}, {User: "u3", Retrieve: []string{"b", "a"}},
			{User: "u4", Retrieve: []string{}}}}
	const a, b = "# Document: a\n\nAAA", "# Document: b\n\nBBB"
	for place, want := range map[Placement][]string{
		PlaceSystem:     {"S|u1", "S\n\n" + a + "\n\n" + b + "|u1|r|u2", "S\n\n" + b + "\n\n" + a + "|u1|r|u2|r|u3", "S|u1|r|u2|r|u3|r|u4"},
		PlaceFirstUser:  {"S|u1", "S|" + a + "\n\n" + b + "\n\nu1|r|u2", "S|" + b + "\n\n" + a + "\n\nu1|r|u2|r|u3", "S|u1|r|u2|r|u3|r|u4"},
		PlaceBeforeLast: {"S|u1", "S|u1|r|" + a + "\n\n" + b + "\n\nu2", "S|u1|r|u2|r|" + b + "\n\n" + a + "\n\nu3", "S|u1|r|u2|r|u3|r|u4"},
		PlaceAppend:     {"S|u1", "S|u1|r|u2\n\n" + a + "\n\n" + b, "S|u1|r|u2|r|u3\n\n" + b + "\n\n" + a, "S|u1|r|u2|r|u3|r|u4"},
	} {
		d := c.Start(Style{Placement: place})
		for i := 0; d.Next(); i++ {
			var got []string
			for _, m := range d.Prompt().Messages {
				got = append(got, m.Content)
			}
			if s := strings.Join(got, "|"); s != want[i] {
				t.Errorf("%s, turn %d:\n%q, want\n%q", place, i+1, s, want[i])
			}
			d.Reply("r")
		}
	}
	d := c.Start(Style{Scripted: true})
	d.Reply("live")
	d.Reply("live")
	if got := d.Prompt().Messages; got[2].Content != "live" || got[4].Content != "scripted" {
		t.Errorf("scripted history is %v", got)
	}
}
