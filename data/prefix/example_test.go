package prefix_test

import (
	"fmt"
	"slices"

	"wb/data/prefix"
)

// ids returns n token ids from first on.
func ids(first, n int32) (out []int32) {
	for i := range n {
		out = append(out, first+i)
	}
	return out
}

// report prints what a turn could have reused and why the rest had to be computed.
func report(turn int, a prefix.Analysis) {
	fmt.Printf("turn %d: %d prompt tokens, block ideal %d\n", turn, a.PromptTokens, a.BlockIdeal)
	for _, c := range prefix.Causes() {
		if n := a.Missed[c]; n > 0 {
			fmt.Printf("  %s: %d\n", c, n)
		}
	}
}

// The second turn of a conversation extends the first: its prompt is the first prompt, the reply to it, and a new question.
func ExampleHistory_Analyse() {
	h := prefix.NewHistory(prefix.Options{UnitTokens: 16, CapacityTokens: 0}) // blocks of 16 tokens, and a pool without a limit

	// the first prompt has 40 tokens, and the reply to it has 11
	question := prefix.Text{Role: "user", Content: "What is a block?"}
	first := prefix.Turn{Prompt: ids(100, 40), Output: ids(500, 11), Generated: 11, Messages: []prefix.Text{question},
		Reply: "Tokens that are cached together.", Achieved: 0}
	report(1, h.Analyse(first))

	// the second question has 20 tokens
	second := prefix.Turn{
		Prompt: slices.Concat(first.Prompt, first.Output, ids(900, 20)),
		Messages: []prefix.Text{question, {Role: "assistant", Content: first.Reply},
			{Role: "user", Content: "And what is a hit?"}},
		Achieved: 48, // as the server reported it: three blocks
	}
	report(2, h.Analyse(second))

	// The 50 tokens of the first turn without its last one fill three blocks of 16. Two tokens are left over.

	// Output:
	// turn 1: 40 prompt tokens, block ideal 0
	//   new_text: 40
	// turn 2: 71 prompt tokens, block ideal 48
	//   new_text: 20
	//   block_rounding: 2
	//   last_token: 1
}

// A document that enters the system prompt changes the text in front of the history, so the history is computed again.
func ExampleHistory_Analyse_changedText() {
	h := prefix.NewHistory(prefix.Options{UnitTokens: 16, CapacityTokens: 0})
	system, document, history := ids(100, 32), ids(300, 24), ids(600, 40)

	h.Analyse(prefix.Turn{Prompt: slices.Concat(system, history), Messages: []prefix.Text{{Role: "system", Content: "Be brief."}}})
	a := h.Analyse(prefix.Turn{
		Prompt:   slices.Concat(system, document, history),
		Messages: []prefix.Text{{Role: "system", Content: "Be brief. # Document: rules"}},
		Achieved: 32,
	})
	report(2, a)
	fmt.Printf("differs after %d tokens: %q, then %q\n", a.Divergence.TokenIndex, a.Divergence.Before, a.Divergence.Now)

	// Output:
	// turn 2: 96 prompt tokens, block ideal 32
	//   new_text: 24
	//   changed_text: 40
	// differs after 32 tokens: "Be brief.", then "Be brief. # Document: rules"
}

// Equal prompts hit whole blocks, and at least one token is always computed. Another salt shares nothing.
func ExampleCache() {
	c := prefix.NewCache(16, 100)
	prompt := ids(100, 64)
	for _, salt := range []string{"", "", "other"} {
		s := c.Open(prompt, salt)
		if !s.Reserve(len(prompt)) {
			fmt.Println("the pool has too few blocks")
		}
		s.Computed(len(prompt))
		fmt.Printf("salt %q: hit %d of %d tokens\n", salt, s.Hit, len(prompt))
		s.Close()
	}

	// Output:
	// salt "": hit 0 of 64 tokens
	// salt "": hit 48 of 64 tokens
	// salt "other": hit 0 of 64 tokens
}
