package client

import (
	"fmt"
	"slices"
	"strings"
)

// goodReasons are the finish reasons of replies that ended well: those of OpenAI's API, and those of other servers (Hugging Face's TGI:
// eos_token, stop_sequence; Mistral: model_length; Anthropic: end_turn, max_tokens, tool_use; Cohere: complete).
var goodReasons = []string{
	"stop", "length", "tool_calls", "function_call", "eos", "eos_token", "stop_sequence", "model_length", "end_turn", "max_tokens",
	"tool_use", "complete",
}

func endedWell(finish string) bool { return slices.Contains(goodReasons, strings.ToLower(finish)) }

// settle decides how a turn ended whose stream was read to its end. Nothing else decides this. The turn is ok only when the stream had a
// finish reason of a reply that ended well, a usage that can be believed and a text that was understood. unfinished says that the stream
// ended inside an event.
func (re *Reply) settle(maxTokens int, unfinished bool) (status Status, why string) {
	re.Doubts = append(re.Doubts, re.closing.usageBad...)
	re.believe(maxTokens)
	re.believeTimes()
	switch {
	case re.FinishReason == nil || !re.closing.usageSeen:
		what := "usage"
		if re.FinishReason == nil {
			what = "a finish reason"
		}
		if unfinished {
			what += ", inside an event"
		}
		switch {
		case re.FinishReason == nil || re.PromptTokens != nil || re.CompletionTokens != nil:
		case re.closing.usageEmpty:
			what += " that counts any tokens"
		default:
			what += "; the server must support stream_options.include_usage"
		}
		return StatusCut, "the stream ended without " + what
	case !endedWell(*re.FinishReason):
		why := fmt.Sprintf("the server ended the reply with finish_reason %q", *re.FinishReason)
		if re.closing.finishWhy != "" {
			why += ": " + re.closing.finishWhy
		}
		return StatusServerError, why
	case re.closing.others:
		return StatusDamaged, "the server sent several choices, and one was asked for: it is not known which tokens it counts"
	case re.CompletionTokens == nil:
		if len(re.Doubts) == 0 {
			return StatusCut, "the usage does not count completion tokens"
		}
		return StatusCut, "the usage has no completion_tokens that can be believed: " + strings.Join(re.Doubts, "; ")
	}
	return StatusOK, ""
}

// isDone says whether the data of an event marks the end of a stream: [DONE], as OpenAI writes it, or another spelling of it.
func isDone(data []byte) bool {
	const longest = 32 // bytes, spaces included
	if len(data) > longest {
		return false
	}
	word := strings.ToLower(strings.Trim(string(data), "\" \t\r\n"))
	return word == "[done]" || word == "done"
}
