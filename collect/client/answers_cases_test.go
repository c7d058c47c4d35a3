package client

import (
	"fmt"
	"math"

	"wb/collect/client/clienttest"
)

const end = "0\r\n\r\n"

const (
	plainUsage = `{"prompt_tokens":9,"completion_tokens":2}`
	two        = "Hello there" // the text of clienttest.Hellos: two words, two tokens
)

// answer is what a server sends, and what the client must make of it.
type answer struct {
	name, answer       string
	status             Status
	err                string
	counts             string // prompt, cached, completion, reasoning
	content, reasoning string
	doubt              string
}

// whole is a complete answer with the text "Hello there" and the given usage.
func whole(usage string) string {
	return clienttest.Hellos() + clienttest.Ended("stop") + clienttest.Used(usage) + clienttest.Event("[DONE]") + end
}

// answersHowItEnded are answers that end in different ways.
func answersHowItEnded() []answer {
	return []answer{
		{"plain", whole(plainUsage), StatusOK, "", "9 nil 2 nil", two, "", ""},
		{"empty finish reason",
			clienttest.Text(`{"content":"Hello"}`, `,"finish_reason":""`, `,"usage":{"prompt_tokens":9,"completion_tokens":1}`) + end,
			StatusCut, "without a finish reason", "9 nil 1 nil", "Hello", "", ""},
		{"abort",
			clienttest.Hellos() + clienttest.Ended("abort") + clienttest.Used(plainUsage) + end,
			StatusServerError, `finish_reason "abort"`, "9 nil 2 nil", two, "", ""},
		{"error as reason",
			clienttest.Hellos() + clienttest.Ended("error") + clienttest.Used(plainUsage) + end,
			StatusServerError, `finish_reason "error"`, "9 nil 2 nil", two, "", ""},
		{"filtered",
			clienttest.Hellos() + clienttest.Ended("content_filter") + clienttest.Used(plainUsage) + end,
			StatusServerError, `finish_reason "content_filter"`, "9 nil 2 nil", two, "", ""},
		{"reason in capitals",
			clienttest.Hellos() + clienttest.Ended("STOP") + clienttest.Used(plainUsage) + end,
			StatusOK, "", "9 nil 2 nil", two, "", ""},
		{"tool calls",
			clienttest.Text(`{"tool_calls":[{"index":0,"function":{"name":"f","arguments":"{}"}}]}`, "", "") +
				clienttest.Ended("tool_calls") + clienttest.Used(plainUsage) + end,
			StatusOK, "", "9 nil 2 nil", "", "", ""},
		{"message for delta",
			clienttest.Event(`{"object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"Hello there"},`+
				`"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":2}}`) + clienttest.Event("[DONE]") + end,
			StatusOK, "", "9 nil 2 nil", two, "", ""},
		{"message beside the deltas",
			clienttest.Hellos() +
				clienttest.Event(`{"choices":[{"index":0,"delta":{},"message":{"content":"Hello there"},"finish_reason":"stop"}],`+
					`"usage":`+plainUsage+`}`) + end,
			StatusOK, "", "9 nil 2 nil", two, "", ""},
		{"error in a choice",
			clienttest.Hellos() +
				clienttest.Event(`{"choices":[{"index":0,"delta":{},"finish_reason":"error","error":{"code":502,"message":"provider died"}}]}`) +
				end,
			StatusServerError, "provider died", "nil nil nil nil", two, "", ""},
		{"two choices",
			clienttest.Event(`{"choices":[{"index":0,"delta":{"content":"a"}}]}`) +
				clienttest.Event(`{"choices":[{"index":1,"delta":{"content":"b"}}]}`) + clienttest.Ended("stop") +
				clienttest.Used(plainUsage) + end,
			StatusDamaged, "several choices", "9 nil 2 nil", "a", "", ""},
		{"one choice with another number",
			clienttest.Event(`{"choices":[{"index":1,"delta":{"content":"a"}}]}`) +
				clienttest.Event(`{"choices":[{"index":1,"delta":{},"finish_reason":"stop"}]}`) + clienttest.Used(plainUsage) + end,
			StatusOK, "", "9 nil 2 nil", "a", "", ""},
		{"a delta that is a text",
			clienttest.Event(`{"choices":[{"index":0,"delta":"Hello there"}]}`) + clienttest.Ended("stop") +
				clienttest.Used(plainUsage) + end,
			StatusOK, "", "9 nil 2 nil", two, "", ""},
		{"choices that are texts", clienttest.Event(`{"choices":["Hello"]}`) + clienttest.Ended("stop") + clienttest.Used(plainUsage) + end,
			StatusDamaged, "a choice of event 1 is not an object", "9 nil 2 nil", "", "", ""},
		{"two choices without a number",
			clienttest.Event(`{"choices":[{"delta":{"content":"a"}},{"delta":{"content":"b"}}]}`) + clienttest.Ended("stop") +
				clienttest.Used(plainUsage) + end,
			StatusDamaged, "several choices", "9 nil 2 nil", "a", "", ""},
		{"abort, then stop", clienttest.Hellos() + clienttest.Ended("abort") + clienttest.Ended("stop") + clienttest.Used(plainUsage) + end,
			StatusServerError, `finish_reason "abort"`, "9 nil 2 nil", two, "", ""},
		{"a reason with a reason", clienttest.Hellos() +
			clienttest.Text("{}", `,"finish_reason":{"type":"abort","message":"out of memory"}`, "") + clienttest.Used(plainUsage) + end,
			StatusServerError, `finish_reason "abort": out of memory`, "9 nil 2 nil", two, "", ""},
		{"a reason as an object",
			clienttest.Hellos() + clienttest.Text("{}", `,"finish_reason":{"type":"length","length":2}`, "") +
				clienttest.Used(plainUsage) + end,
			StatusOK, "", "9 nil 2 nil", two, "", ""},
		{"usage before the text only",
			clienttest.Used(`{"prompt_tokens":9,"completion_tokens":1}`) + clienttest.Hellos() + clienttest.Ended("stop") +
				clienttest.Event("[DONE]") + end,
			StatusCut, "without usage", "9 nil 1 nil", two, "", ""},
		{"nothing after [DONE]",
			clienttest.Hellos() + clienttest.Ended("stop") + clienttest.Used(plainUsage) + clienttest.Event("[DONE]"),
			StatusOK, "", "9 nil 2 nil", two, "", ""},
		{"other last words", clienttest.Hellos() + clienttest.Ended("stop") + clienttest.Used(plainUsage) +
			clienttest.Event("[END]") + clienttest.Event("done") + clienttest.Event(`"[DONE]"`) + clienttest.Event("bye") + end,
			StatusOK, "", "9 nil 2 nil", two, "", ""},
	}
}

// answersUsage are answers with different usages.
func answersUsage() []answer {
	return []answer{
		{"a few more than was asked for", whole(`{"prompt_tokens":9,"completion_tokens":600}`),
			StatusCut, "at most 8 were asked for", "9 nil nil nil", two, "", "completion_tokens is 600"},
		{"hidden reasoning that is reported",
			whole(`{"prompt_tokens":9,"completion_tokens":600,"completion_tokens_details":{"reasoning_tokens":598}}`),
			StatusOK, "", "9 nil 600 598", two, "", ""},
		{"60,000 for a line", whole(`{"prompt_tokens":60000,"completion_tokens":2}`),
			StatusOK, "", "nil nil 2 nil", two, "", "prompt_tokens is 60000"},
		{"a text that is not UTF-8", whole("{\"prompt_tokens\":\"\xe9t\xe9\",\"completion_tokens\":2}"),
			StatusOK, "", "nil nil 2 nil", two, "", "prompt_tokens is \"\ufffdt\ufffd\""},
		{"no completion tokens named", whole(`{"prompt_tokens":9,"total_tokens":11}`),
			StatusCut, "does not count completion tokens", "9 nil nil nil", two, "", ""},
		{"all null", whole(`{"prompt_tokens":null,"completion_tokens":null}`),
			StatusCut, "without usage that counts any tokens", "nil nil nil nil", two, "", ""},
		{"in two events", clienttest.Used(`{"prompt_tokens":9}`) + whole(`{"completion_tokens":2}`), StatusOK, "", "9 nil 2 nil", two, "", ""},
		{"then zeros",
			clienttest.Hellos() + clienttest.Ended("stop") + clienttest.Used(plainUsage) +
				clienttest.Used(`{"prompt_tokens":0,"completion_tokens":0}`) + end,
			StatusOK, "", "9 nil 2 nil", two, "", ""},
		{"Anthropic's names", whole(`{"input_tokens":2,"cache_read_input_tokens":7,"cache_creation_input_tokens":1,"output_tokens":2}`),
			StatusOK, "", "10 7 2 nil", two, "", ""},
		{"usage {}", whole(`{}`), StatusCut, "without usage", "nil nil nil nil", two, "", ""},
		{"usage null", whole(`null`), StatusCut, "without usage", "nil nil nil nil", two, "", ""},
		{"usage a text", whole(`"many"`), StatusCut, `can be believed: usage is "many"`, "nil nil nil nil", two, "", `usage is "many"`},
		{"strings", whole(`{"prompt_tokens":"9","completion_tokens":"2"}`), StatusOK, "", "9 nil 2 nil", two, "", ""},
		{"9.0", whole(`{"prompt_tokens":9.0,"completion_tokens":2.0}`), StatusOK, "", "9 nil 2 nil", two, "", ""},
		{"9.5", whole(`{"prompt_tokens":9.5,"completion_tokens":2}`), StatusOK, "", "nil nil 2 nil", two, "", "prompt_tokens is 9.5"},
		{"no prompt tokens", whole(`{"prompt_tokens":0,"completion_tokens":2}`), StatusOK, "", "nil nil 2 nil", two, "", "prompt_tokens is 0"},
		{"-1",
			whole(`{"prompt_tokens":9,"completion_tokens":-1}`),
			StatusCut, "completion_tokens is -1", "9 nil nil nil", two, "", "completion_tokens is -1"},
		{"no completion tokens",
			whole(`{"prompt_tokens":9,"completion_tokens":0}`),
			StatusCut, "completion_tokens is 0", "9 nil nil nil", two, "", "completion_tokens is 0, and 11 bytes of text came"},
		{"2⁶³−1",
			whole(fmt.Sprintf(`{"prompt_tokens":%d,"completion_tokens":2}`, int64(math.MaxInt64))),
			StatusOK, "", "nil nil 2 nil", two, "", "prompt_tokens is 9223372036854775807"},
		{"1e30",
			whole(`{"prompt_tokens":1e30,"completion_tokens":99999999999999999999}`),
			StatusCut, "can be believed", "nil nil nil nil", two, "", "prompt_tokens is 1e30"},
		{"a billion",
			whole(`{"prompt_tokens":1000000000,"completion_tokens":2}`),
			StatusOK, "", "nil nil 2 nil", two, "", "prompt_tokens is 1000000000"},
		{"more than was sent",
			whole(`{"prompt_tokens":900000,"completion_tokens":2}`),
			StatusOK, "", "nil nil 2 nil", two, "", "prompt_tokens is 900000, and the request has"},
		{"more than was asked for",
			whole(`{"prompt_tokens":9,"completion_tokens":900000}`),
			StatusCut, "at most 8 were asked for", "9 nil nil nil", two, "", "completion_tokens is 900000"},
		{"true", whole(`{"prompt_tokens":true,"completion_tokens":2}`), StatusOK, "", "nil nil 2 nil", two, "", "prompt_tokens is true"},
		{"cached above prompt",
			whole(`{"prompt_tokens":9,"completion_tokens":2,"prompt_tokens_details":{"cached_tokens":4000}}`),
			StatusOK, "", "9 nil 2 nil", two, "", "cached_tokens is 4000, and prompt_tokens 9"},
		{"cached -3",
			whole(`{"prompt_tokens":9,"completion_tokens":2,"prompt_tokens_details":{"cached_tokens":-3}}`),
			StatusOK, "", "9 nil 2 nil", two, "", "cached_tokens is -3"},
		{"reasoning above completion",
			whole(`{"prompt_tokens":9,"completion_tokens":2,"completion_tokens_details":{"reasoning_tokens":7}}`),
			StatusOK, "", "9 nil 2 nil", two, "", "reasoning_tokens is 7"},
		{"details null",
			whole(`{"prompt_tokens":9,"completion_tokens":2,"prompt_tokens_details":null,"completion_tokens_details":{"reasoning_tokens":null}}`),
			StatusOK, "", "9 nil 2 nil", two, "", ""},
	}
}

// answersOtherNames are answers that have things under other names or in other places.
func answersOtherNames() []answer {
	return []answer{
		{"cached_tokens of the usage",
			whole(`{"prompt_tokens":9,"completion_tokens":2,"cached_tokens":7}`),
			StatusOK, "", "9 7 2 nil", two, "", ""},
		{"DeepSeek's names",
			whole(`{"prompt_tokens":9,"completion_tokens":2,"prompt_cache_hit_tokens":7,"prompt_cache_miss_tokens":2}`),
			StatusOK, "", "9 7 2 nil", two, "", ""},
		{"the responses API's names",
			whole(`{"input_tokens":9,"output_tokens":2,"input_tokens_details":{"cached_tokens":7},"output_tokens_details":{"reasoning_tokens":1}}`),
			StatusOK, "", "9 7 2 1", two, "", ""},
		{"usage in a choice",
			clienttest.Hellos() +
				clienttest.Text("{}", `,"finish_reason":"stop","usage":{"prompt_tokens":9,"completion_tokens":2,"cached_tokens":7}`, "") +
				end,
			StatusOK, "", "9 7 2 nil", two, "", ""},
		{"Groq's place",
			clienttest.Hellos() +
				clienttest.Event(`{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"x_groq":{"usage":`+plainUsage+`}}`) + end,
			StatusOK, "", "9 nil 2 nil", two, "", ""},
		{"finish reason beside the running usage",
			clienttest.Text(`{"content":"Hello"}`, "", `,"usage":{"prompt_tokens":9,"completion_tokens":1}`) +
				clienttest.Text(`{"content":" there"}`, `,"finish_reason":"stop"`, `,"usage":`+plainUsage) + clienttest.Event("[DONE]") +
				end,
			StatusOK, "", "9 nil 2 nil", two, "", ""},
		{"usage after [DONE]",
			clienttest.Hellos() + clienttest.Ended("stop") + clienttest.Event("[DONE]") + clienttest.Used(plainUsage) + end,
			StatusOK, "", "9 nil 2 nil", two, "", ""},
		{"usage in the delta", clienttest.Hellos() + clienttest.Text(`{"usage":`+plainUsage+`}`, `,"finish_reason":"stop"`, "") + end,
			StatusOK, "", "9 nil 2 nil", two, "", ""},
		{"llama.cpp's timings", clienttest.Hellos() +
			clienttest.Text("{}", `,"finish_reason":"stop"`, `,"timings":{"prompt_n":6,"cache_n":3,"predicted_n":2,"prompt_ms":1.5}`) + end,
			StatusOK, "", "9 3 2 nil", two, "", ""},
		{"an older llama.cpp's timings", clienttest.Hellos() +
			clienttest.Text("{}", `,"finish_reason":"stop"`, `,"timings":{"prompt_n":6,"predicted_n":2}`) + clienttest.Used(plainUsage) + end,
			StatusOK, "", "9 nil 2 nil", two, "", ""},
		{"Google's names",
			clienttest.Hellos() + clienttest.Ended("STOP") +
				clienttest.Event(`{"usageMetadata":{"promptTokenCount":9,"candidatesTokenCount":2}}`) + end,
			StatusOK, "", "9 nil 2 nil", two, "", ""},
		{"usage before the finish reason",
			clienttest.Hellos() + clienttest.Text("{}", "", `,"usage":`+plainUsage) + clienttest.Ended("stop") +
				clienttest.Event("[DONE]") + end,
			StatusOK, "", "9 nil 2 nil", two, "", ""},
	}
}

// answersOddShapes are answers whose events or members have an unusual shape.
func answersOddShapes() []answer {
	return []answer{
		{"heartbeats", clienttest.HTTPChunk("data:\n\n: ping\n\ndata: \n\n") + whole(plainUsage), StatusOK, "", "9 nil 2 nil", two, "", ""},
		{"[DONE] with spaces",
			clienttest.Hellos() + clienttest.Ended("stop") + clienttest.Used(plainUsage) + clienttest.Event(" [DONE] ") + end,
			StatusOK, "", "9 nil 2 nil", two, "", ""},
		{"unknown fields",
			clienttest.HTTPChunk("trace: 8f2\nid: 1\nretry: 3\nevent: message\n") + whole(plainUsage),
			StatusOK, "", "9 nil 2 nil", two, "", ""},
		{"unknown events",
			clienttest.Event(`{"type":"ping"}`) + clienttest.Event(`{"id":"x","choices":null,"usage":null}`) +
				clienttest.Event(`{"choices":[{"index":0,"delta":null}]}`) + clienttest.Event(`{"choices":[{"index":0}]}`) +
				whole(plainUsage),
			StatusOK, "", "9 nil 2 nil", two, "", ""},
		{"members of other types",
			clienttest.Event(`{"id":7,"object":[],"created":"now","choices":[{"index":"0","delta":{"role":1,"content":"Hello",`+
				`"tool_calls":{}},"token_ids":["a"],"logprobs":3}]}`) + clienttest.Word(" there") + clienttest.Ended("stop") +
				clienttest.Used(plainUsage) + end,
			StatusOK, "", "9 nil 2 nil", two, "", ""},
		{"content as a list",
			clienttest.Text(`{"content":[{"type":"thinking","thinking":[{"type":"text","text":"Hm."}]}]}`, "", "") +
				clienttest.Text(`{"content":[{"type":"text","text":"Hello"}]}`, "", "") + clienttest.Word(" there") +
				clienttest.Ended("stop") + clienttest.Used(plainUsage) + end,
			StatusOK, "", "9 nil 2 nil", two, "Hm.", ""},
		{"content as an object",
			clienttest.Text(`{"content":{"type":"text","text":"Hello there"}}`, "", "") + clienttest.Ended("stop") +
				clienttest.Used(plainUsage) + end,
			StatusOK, "", "9 nil 2 nil", two, "", ""},
		{"content as a number",
			clienttest.Text(`{"content":5}`, "", "") + clienttest.Ended("stop") + clienttest.Used(plainUsage) + end,
			StatusDamaged, "content is neither a text nor a list", "9 nil 2 nil", "", "", ""},
		{"text and delta",
			clienttest.Event(`{"choices":[{"index":0,"text":"Hello","delta":{"content":"Hello"}}]}`) + clienttest.Word(" there") +
				clienttest.Ended("stop") + clienttest.Used(plainUsage) + end,
			StatusOK, "", "9 nil 2 nil", two, "", ""},
		{"PHP's empty object",
			clienttest.Hellos() +
				clienttest.Event(`{"choices":[{"index":"0","delta":[],"finish_reason":"stop"}],"usage":`+plainUsage+`}`) + end,
			StatusOK, "", "9 nil 2 nil", two, "", ""},
		{"choices an object", clienttest.Hellos() + clienttest.Ended("stop") + clienttest.Event(`{"choices":{},"usage":`+plainUsage+`}`) + end,
			StatusOK, "", "9 nil 2 nil", two, "", ""},
		{"Python's numbers",
			clienttest.Text(`{"content":"Hello: NaN"}`, "", `,"timings":{"a":Infinity,"b":-Infinity,"c":NaN}`) +
				clienttest.Ended("stop") + clienttest.Used(plainUsage) + end,
			StatusOK, "", "9 nil 2 nil", "Hello: NaN", "", ""},
		{"a named ping", clienttest.HTTPChunk("event: ping\ndata: ping\n\n") + whole(plainUsage), StatusOK, "", "9 nil 2 nil", two, "", ""},
		{"no space after data:",
			clienttest.HTTPChunk(`data:{"choices":[{"delta":{"content":"Hello there"},"finish_reason":"stop"}],"usage":`+
				plainUsage+"}\r\n\r\n") + end,
			StatusOK, "", "9 nil 2 nil", two, "", ""},
	}
}

// answersReasons are answers that give a reason for a failure.
func answersReasons() []answer {
	return []answer{
		{"error as a field",
			clienttest.Word("a") + clienttest.HTTPChunk("error: {\"code\":400,\"message\":\"prompt is longer than the context\"}\n\n") +
				clienttest.Event("[DONE]") + end,
			StatusServerError, "prompt is longer than the context", "nil nil nil nil", "a", "", ""},
		{"event: error",
			clienttest.Word("a") + clienttest.HTTPChunk("event: error\ndata: {\"message\":\"overloaded\",\"type\":\"x\"}\n\n") + end,
			StatusServerError, "overloaded", "nil nil nil nil", "a", "", ""},
		{"object: error",
			clienttest.Event(`{"object":"error","message":"KV cache exhausted","code":500}`) + end,
			StatusServerError, "KV cache exhausted", "nil nil nil nil", "", "", ""},
		{"error as a text",
			clienttest.Event(`{"error":"model runner stopped"}`) + end,
			StatusServerError, "model runner stopped", "nil nil nil nil", "", "", ""},
		{"error of a gateway",
			clienttest.Event(`{"error":{"message":"Provider returned error","metadata":{"raw":"{\"error\":{\"message\":\"out of memory\"}}"}}}`) +
				end,
			StatusServerError, "Provider returned error: out of memory", "nil nil nil nil", "", "", ""},
		{"detail as a list",
			clienttest.Event(`{"detail":[{"loc":["body"],"msg":"n must be 1"},{"msg":"and more"}]}`) + end,
			StatusServerError, "n must be 1; and more", "nil nil nil nil", "", "", ""},
		{"a list of events", clienttest.Event(`[{"choices":[{"delta":{"content":"a"}}]}]`) + whole(plainUsage),
			StatusDamaged, "event 1 is not a JSON object", "9 nil 2 nil", two, "", ""},
		{"bare text", clienttest.Event("n has to be positive.") + end, StatusDamaged, "n has to be positive.", "nil nil nil nil", "", "", ""},
		{"empty errors",
			clienttest.Event(`{"error":"","choices":[]}`) + clienttest.Event(`{"error":{}}`) + clienttest.Event(`{"error":null}`) +
				whole(plainUsage),
			StatusOK, "", "9 nil 2 nil", two, "", ""},
		{"a document without data:", clienttest.Word("a") + clienttest.HTTPChunk("{\"error\":{\"message\":\"too long\"}}") + end,
			StatusServerError, "too long", "nil nil nil nil", "a", "", ""},
		{"a page without data:", clienttest.HTTPChunk("Internal Server Error: no memory") + end,
			StatusDamaged, "Internal Server Error: no memory", "nil nil nil nil", "", "", ""},
		{"an error that is not ended", clienttest.Word("a") + clienttest.HTTPChunk("data: {\"error\":{\"message\":\"too long\"}}\n") + end,
			StatusServerError, "too long", "nil nil nil nil", "a", "", ""},
		{"FastChat", clienttest.Event(`{"text":"too much traffic","error_code":50001}`) + end,
			StatusServerError, "too much traffic", "nil nil nil nil", "", "", ""},
		{"MiniMax", clienttest.Event(`{"choices":null,"base_resp":{"status_code":1008,"status_msg":"no balance"}}`) + end,
			StatusServerError, "no balance", "nil nil nil nil", "", "", ""},
		{"Baidu", clienttest.Event(`{"error_code":17,"error_msg":"no requests left"}`) + end,
			StatusServerError, "no requests left", "nil nil nil nil", "", "", ""},
		{"code and msg",
			clienttest.Event(`{"code":500,"msg":"engine died"}`) + end,
			StatusServerError, "engine died", "nil nil nil nil", "", "", ""},
		{"code and message of success", clienttest.Event(`{"code":0,"message":"Success","choices":[]}`) + whole(plainUsage),
			StatusOK, "", "9 nil 2 nil", two, "", ""},
		{"Groq's error", clienttest.Event(`{"choices":[],"x_groq":{"error":"over capacity"}}`) + end,
			StatusServerError, "over capacity", "nil nil nil nil", "", "", ""},
		{"an error that is a number", clienttest.Event(`{"error":500}`) + end, StatusServerError, `{"error":500}`, "nil nil nil nil", "", "", ""},
		{"an error that says nothing",
			clienttest.Event(`{"error":{"code":0,"message":""},"choices":[]}`) + clienttest.Event(`{"error":{ }}`) + whole(plainUsage),
			StatusOK, "", "9 nil 2 nil", two, "", ""},
		{"Python's dict", clienttest.Event(`{'error': 'out of memory'}`) + end, StatusDamaged, "out of memory", "nil nil nil nil", "", "", ""},
	}
}

// answersDeltas are answers whose deltas have other parts than content.
func answersDeltas() []answer {
	return []answer{
		{"thinking", clienttest.Text(`{"thinking":"Hm."}`, "", "") + whole(plainUsage), StatusOK, "", "9 nil 2 nil", two, "Hm.", ""},
		{"reasoning_details", clienttest.Text(`{"reasoning_details":[{"type":"reasoning.text","text":"Hm."}]}`, "", "") + whole(plainUsage),
			StatusOK, "", "9 nil 2 nil", two, "Hm.", ""},
		{"reasoning and content at once",
			clienttest.Text(`{"reasoning_content":"Hm. ","content":null}`, "", "") +
				clienttest.Text(`{"reasoning_content":"END","content":"Hello there"}`, "", "") + clienttest.Ended("stop") +
				clienttest.Used(`{"prompt_tokens":9,"completion_tokens":4,"completion_tokens_details":{"reasoning_tokens":2}}`) + end,
			StatusOK, "", "9 nil 4 2", two, "Hm. END", ""},
		{"reasoning under two names",
			clienttest.Text(`{"reasoning":"Hm.","reasoning_content":"Hm."}`, "", "") + clienttest.Hellos() + clienttest.Ended("stop") +
				clienttest.Used(plainUsage) + end,
			StatusOK, "", "9 nil 2 nil", two, "Hm.", ""},
		{"a refusal",
			clienttest.Text(`{"refusal":"I cannot."}`, "", "") + clienttest.Ended("stop") + clienttest.Used(plainUsage) + end,
			StatusOK, "", "9 nil 2 nil", "I cannot.", "", ""},
		{"tools and text",
			clienttest.Text(`{"content":"Hello there","tool_calls":[{"index":0,"function":{"arguments":"{}"}}]}`, "", "") +
				clienttest.Ended("tool_calls") + clienttest.Used(plainUsage) + end,
			StatusOK, "", "9 nil 2 nil", two, "", ""},
	}
}
