package main

import (
	"bytes"
	"encoding/json"
	"math"
	"net/http"
	"testing"

	"wb/data"
)

// The longest prompts of the built-in conversations have the sizes that their files state, by the real tokeniser.
func statedSizes(t *testing.T, url string) {
	count := func(text string) int {
		t.Helper()
		body, err := json.Marshal(map[string]any{"prompt": text, "add_special_tokens": false})
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.Post(url+"/tokenize", "application/json", bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var got struct{ Tokens []int }
		if err := json.NewDecoder(resp.Body).Decode(&got); err != nil || len(got.Tokens) == 0 {
			t.Fatalf("%d tokens, %s (%v)", len(got.Tokens), resp.Status, err)
		}
		return len(got.Tokens)
	}
	all, err := data.Load("")
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]int{} // by message, as the model's template renders it; special tokens stand between them, so the counts add up
	for _, c := range all {
		if c.Generate != nil {
			continue
		}
		longest := 0
		for d := c.Start(data.Style{Scripted: true}); d.Next(); d.Reply("") {
			n := count("<|im_start|>assistant\n")
			for _, m := range d.Prompt().Messages {
				text := "<|im_start|>" + m.Role + "\n" + m.Content + "<|im_end|>\n"
				if known[text] == 0 {
					known[text] = count(text)
				}
				n += known[text]
			}
			longest = max(longest, n)
		}
		if math.Abs(float64(longest-c.ExpectedTokens)) > 20 {
			t.Errorf("%s: expected_tokens is %d, and the longest prompt has %d", c.ID, c.ExpectedTokens, longest)
		}
		stated := map[string]int{"simple_qa": 800, "code_discussion": 2500, "deep_technical": 7000, "ultra_long": 15000}[c.ID]
		if stated > 0 && math.Abs(float64(longest-stated)) > 0.1*float64(stated) {
			t.Errorf("%s: the longest prompt has %d tokens, and the documentation says %d", c.ID, longest, stated)
		}
	}
}
