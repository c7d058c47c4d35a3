package client

import (
	"fmt"
	"maps"
	"reflect"
	"strings"
	"testing"
)

// decoded decodes events, either with the shortcut for events that are like an earlier one, or all as JSON. short counts the events that
// took the shortcut.
func decoded(shortcut bool, events ...string) (re *Reply, short int) {
	re = &Reply{RequestBytes: 1000}
	d := re.decoder(func(s string) string { return s })
	for i, data := range events {
		if !shortcut {
			d.like = alike{}
		} else if _, _, ok := d.like.read([]byte(data)); ok {
			short++
		}
		d.event(&sseEvent{data: []byte(data), stamp: stamp{seq: int32(i/2 + 1), tNs: int64(i), delayNs: -1}})
	}
	d.end()
	return re, short
}

// vllmEvent is an event as vLLM sends it with running usage.
func vllmEvent(text string, completion int) string {
	return fmt.Sprintf(`{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m",`+
		`"choices":[{"index":0,"delta":{"content":%s},"logprobs":null,"finish_reason":null}],`+
		`"usage":{"prompt_tokens":10,"total_tokens":%d,"completion_tokens":%d}}`, text, 10+completion, completion)
}

// alikeCase is a list of events, and how many of them are read without JSON.
type alikeCase struct {
	events []string
	short  int
}

// plainEvent is an event without a usage.
func plainEvent(text string) string {
	return `{"choices":[{"index":0,"delta":{"content":` + text + `},"finish_reason":null}],"usage":null}`
}

// alikeEvents are events of many shapes.
func alikeEvents() map[string]alikeCase {
	last := `{"choices":[],"usage":{"prompt_tokens":10,"completion_tokens":3,"total_tokens":13}}`
	return map[string]alikeCase{
		"running usage": {[]string{
			vllmEvent(`"one"`, 1),
			vllmEvent(`" two"`, 2),
			vllmEvent(`" 三"`, 13),
			vllmEvent(`"x"`, 13),
		}, 3},
		"no usage": {[]string{plainEvent(`"one"`), plainEvent(`" two"`), plainEvent(`" three"`), last}, 2},
		"escapes": {[]string{
			plainEvent(`"one"`),
			plainEvent(`"a\nb"`),
			plainEvent(`"\u00e9"`),
			plainEvent(`"c"`),
			plainEvent(`"d"`),
		}, 1},
		"empty texts":         {[]string{plainEvent(`"one"`), plainEvent(`""`), plainEvent(`null`), plainEvent(`"c"`)}, 0},
		"a quotation of JSON": {[]string{plainEvent(`"one"`), plainEvent(`"\"content\":\"x\""`), plainEvent(`"two"`)}, 0},
		"a finish reason": {[]string{
			vllmEvent(`"one"`, 1),
			strings.Replace(vllmEvent(`"two"`, 2), `"finish_reason":null`, `"finish_reason":"stop"`, 1),
			vllmEvent(`"x"`, 3),
		}, 0},
		"another choice": {[]string{
			plainEvent(`"one"`),
			strings.Replace(plainEvent(`"two"`), `"index":0`, `"index":1`, 1),
			strings.Replace(plainEvent(`"three"`), `"index":0`, `"index":1`, 1),
		}, 0},
		"two choices": {[]string{
			`{"choices":[{"index":0,"delta":{"content":"a"}},{"index":1,"delta":{}}]}`,
			`{"choices":[{"index":0,"delta":{"content":"b"}},{"index":1,"delta":{}}]}`,
		}, 0},
		"content twice": {[]string{
			`{"choices":[{"delta":{"content":"a"},"message":{"content":"b"}}]}`,
			`{"choices":[{"delta":{"content":"c"},"message":{"content":"b"}}]}`,
		}, 0},
		"reasoning beside": {[]string{
			`{"choices":[{"delta":{"reasoning_content":"r","content":"a"}}]}`,
			`{"choices":[{"delta":{"reasoning_content":"r","content":"b"}}]}`,
		}, 0},
		"token ids": {[]string{
			`{"choices":[{"delta":{"content":"a"},"token_ids":[1]}]}`,
			`{"choices":[{"delta":{"content":"b"},"token_ids":[1]}]}`,
		}, 0},
	}
}

// oddEvents are events whose counts or bytes are wrong or unusual.
func oddEvents() map[string]alikeCase {
	return map[string]alikeCase{
		"a usage that cannot be": {[]string{vllmEvent(`"one"`, -1), vllmEvent(`"two"`, -2), vllmEvent(`"three"`, 99999999)}, 0},
		"a usage under another name": {[]string{
			`{"choices":[{"delta":{"content":"a"}}],"usage":{"input_tokens":3,"output_tokens":1}}`,
			`{"choices":[{"delta":{"content":"b"}}],"usage":{"input_tokens":3,"output_tokens":2}}`,
		}, 0},
		"a count with a fraction": {[]string{
			vllmEvent(`"one"`, 1),
			strings.Replace(vllmEvent(`"two"`, 2), `_tokens":2}`, `_tokens":2.0}`, 1),
		}, 0},
		"a count with leading zeros": {[]string{
			vllmEvent(`"one"`, 1),
			strings.Replace(vllmEvent(`"two"`, 2), `_tokens":2}`, `_tokens":02}`, 1),
		}, 0},
		"bytes that are not text": {[]string{plainEvent(`"one"`), plainEvent("\"\xff\""), plainEvent(`"two"`)}, 0},
		"control characters":      {[]string{plainEvent(`"one"`), plainEvent("\"a\x01b\""), plainEvent(`"two"`)}, 0},
		"more behind":             {[]string{plainEvent(`"one"`), plainEvent(`"two"`) + "x", plainEvent(`"three"`) + ","}, 0},
		"a cut event":             {[]string{plainEvent(`"one"`), plainEvent(`"two"`)[:40], plainEvent(`"three"`)}, 0},
		"an error":                {[]string{plainEvent(`"one"`), `{"error":{"message":"x"}}`, plainEvent(`"three"`)}, 0},
		"an error among the choices": {[]string{
			`{"choices":[{"delta":{"content":"a"},"error":{"message":"x"}}]}`,
			`{"choices":[{"delta":{"content":"b"},"error":{"message":"x"}}]}`,
		}, 0},
		"a created that moves": {[]string{
			vllmEvent(`"one"`, 1),
			strings.Replace(vllmEvent(`"two"`, 2), `"created":1`, `"created":2`, 1),
			strings.Replace(vllmEvent(`"three"`, 3), `"created":1`, `"created":2`, 1),
		}, 1},
		"spaces": {[]string{
			`{"choices": [{"delta": {"content": "a"}}], "usage": {"completion_tokens": 1, "total_tokens": 4, "prompt_tokens": 3}}`,
			`{"choices": [{"delta": {"content": "b"}}], "usage": {"completion_tokens": 2, "total_tokens": 5, "prompt_tokens": 3}}`,
		}, 1},
		"usage before the choices": {[]string{
			`{"usage":{"total_tokens":4,"completion_tokens":1,"prompt_tokens":3},"choices":[{"delta":{"content":"a"}}]}`,
			`{"usage":{"total_tokens":5,"completion_tokens":2,"prompt_tokens":3},"choices":[{"delta":{"content":"b"}}]}`,
		}, 1},
	}
}

// Only an event that differs in nothing but its text and counts is read without JSON. The result is the same as with JSON.
func TestEventsAlike(t *testing.T) {
	cases := alikeEvents()
	maps.Copy(cases, oddEvents())
	for name, c := range cases {
		want, _ := decoded(false, c.events...)
		got, short := decoded(true, c.events...)
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
		if short != c.short {
			t.Errorf("%s: %d events took the shortcut, want %d", name, short, c.short)
		}
	}
}

// Any two events are decoded in turn several times. The shortcut must not change the result.
func FuzzAlike(f *testing.F) {
	f.Add(vllmEvent(`"one"`, 1), vllmEvent(`" two"`, 2))
	f.Add(vllmEvent(`"one"`, 1), vllmEvent(`"a\nb"`, 2))
	f.Add(`{"choices":[{"delta":{"content":"a"}}]}`, `{"choices":[{"delta":{"content":"b"}}]}`)
	f.Add(`{"choices":[{"delta":{"content":"a"}}],"usage":{"completion_tokens":1}}`,
		`{"choices":[{"delta":{"content":"b"}}],"usage":{"completion_tokens":1}}`)
	f.Fuzz(func(t *testing.T, a, b string) {
		events := []string{a, b, a, b, b, usageEvent}
		want, _ := decoded(false, events...)
		if got, _ := decoded(true, events...); !reflect.DeepEqual(got, want) {
			t.Errorf("%+v, want %+v", got, want)
		}
	})
}

func BenchmarkEvent(b *testing.B) {
	for name, shortcut := range map[string]bool{"alike": true, "as JSON": false} {
		b.Run(name, func(b *testing.B) {
			re := &Reply{}
			d := re.decoder(func(s string) string { return s })
			e := sseEvent{data: []byte(vllmEvent(`" word"`, 10))}
			for b.Loop() {
				if !shortcut {
					d.like = alike{}
				}
				d.event(&e)
				re.Chunks = re.Chunks[:0]
				d.content.Reset()
			}
		})
	}
}
