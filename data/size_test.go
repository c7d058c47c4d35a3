package data

import (
	"strings"
	"testing"
)

// What a conversation needs depends on how it is sent.
func TestNeed(t *testing.T) {
	text := func(tokens int) string { return strings.Repeat("abc ", tokens) }
	c := &Conversation{
		System:    text(100),
		Documents: []Document{{ID: "d", Text: text(1000)}},
		Turns: []Turn{
			{User: text(10), Assistant: text(200), Inject: []string{"d"}},
			{User: text(10), Assistant: text(300), MaxTokens: 20},
			{User: text(10), Assistant: text(50), Remove: []string{"d"}},
			{User: text(10)},
		},
	}
	generated := &Conversation{Generate: &Generate{Tokens: 16_000, Turns: 5}}
	stated := *c
	stated.ExpectedTokens = 2 * c.Tokens() // a tokeniser that makes twice as many
	for _, tt := range []struct {
		name string
		c    *Conversation
		s    Sending
		want int64
	}{
		{"scripted", c, Sending{Scripted: true, MaxTokens: 64}, 1320 + 20},
		{"scripted, without a limit", c, Sending{Scripted: true}, 1320 + 20},
		{"scripted, one turn", c, Sending{Scripted: true, MaxTokens: 64, MaxTurns: 1}, 1110 + 64},
		{"live: at most max-tokens for each reply", c, Sending{MaxTokens: 64}, 1110 + 64 + 10 + 20},
		{"live, long replies", c, Sending{MaxTokens: 2000}, 130 + 2000 + 20 + 2000 + 10 + 2000},
		{"live, without a limit: as long as the file's", c, Sending{}, 1320 + 20},
		{"the file says how large it is", &stated, Sending{Scripted: true, MaxTokens: 64}, 2*1320 + 20},
		{"generated", generated, Sending{Scripted: true, MaxTokens: 64}, 16_064},
		{"generated, live", generated, Sending{MaxTokens: 1000}, 16_000 + 5*96},
	} {
		if got := tt.c.Need(tt.s); got != tt.want {
			t.Errorf("%s: needs %d tokens, want %d", tt.name, got, tt.want)
		}
	}
	if got := c.Tokens(); got != 1320 {
		t.Errorf("the longest prompt has %d tokens", got)
	}
}
