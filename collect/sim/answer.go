package sim

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// answer writes the answer to one completion request.
type answer struct {
	s       *Server
	w       http.ResponseWriter
	req     *request
	chat    bool
	body    *body
	faults  []Fault
	id      string
	created int64
	events  int  // sent so far
	dead    bool // nothing more can be sent
	carries int  // tokens of the event that is being sent
	served  []ServedEvent
}

func (a *answer) flush() {
	if f, ok := a.w.(http.Flusher); ok {
		f.Flush()
	}
}

// kill closes the connection in the middle of the response.
func (a *answer) kill() {
	a.dead = true
	if a.req.gone.Err() != nil { // the client is gone
		return
	}
	if h, ok := a.w.(http.Hijacker); ok {
		if c, _, err := h.Hijack(); err == nil {
			_ = c.Close()
			return
		}
	}
	panic(http.ErrAbortHandler)
}

// engineError is the event that vLLM streams when its engine fails during a stream.
const engineError = `{"error": {"message": "EngineCore encountered an issue. See stack trace (above) for the root cause.", ` +
	`"type": "InternalServerError", "param": null, "code": 500}}`

// event sends one event and applies the faults for it.
func (a *answer) event(v any) {
	if a.dead {
		return
	}
	a.events++
	text, err := json.Marshal(v)
	if err != nil {
		a.kill()
		return
	}
	cut := false
	for _, f := range a.faults {
		if a.events != f.Chunk {
			continue
		}
		switch f.Kind {
		case "cut":
			cut = true
		case "stall":
			a.s.o.Sleep(a.req.gone, f.Pause)
		case "damage":
			text = text[:len(text)/2]
		case "error":
			a.send([]byte(engineError))
			a.send([]byte("[DONE]"))
			a.dead = true
			return
		}
	}
	a.send(text)
	if cut {
		a.kill()
	}
}

func (a *answer) send(text []byte) {
	if a.s.o.Served != nil {
		a.served = append(a.served, ServedEvent{a.s.o.Now().Sub(a.s.started), a.carries})
		a.carries = 0
	}
	if _, err := fmt.Fprintf(a.w, "data: %s\n\n", text); err != nil {
		a.dead = true
		return
	}
	a.flush()
}

// ids returns the token ids if the client asked for them, else null.
func (a *answer) ids(tokens []int32) any {
	if a.body.ReturnTokenIDs {
		return tokens
	}
	return null
}

// total returns the closing usage after n tokens.
func (a *answer) total(n int) *usage {
	prompt, size := len(a.req.prompt), a.s.o.BlockSize
	d := &promptDetails{CachedTokens: a.req.cached}
	if a.chat {
		created := 0
		if !a.s.o.DisablePrefixCaching {
			created = prompt/size*size - a.req.cached
		}
		d.CreatedTokens = &created
	}
	return &usage{PromptTokens: prompt, CompletionTokens: n, TotalTokens: prompt + n, PromptDetails: d}
}

// whole waits for all tokens and sends them at once.
func (a *answer) whole() {
	var ids []int32
	for id := range a.req.tokens {
		ids = append(ids, id)
	}
	if len(ids) < a.req.length {
		a.kill()
		return
	}
	text := ids
	if a.req.ends {
		text = ids[:len(ids)-1]
	}
	out := strings.Join(a.s.tok.pieces(text), "")
	use := a.total(len(ids))
	use.PromptDetails.Multimodal, use.CompletionDetails = null, null
	c := map[string]any{
		"index": 0, "logprobs": nil, "finish_reason": a.req.reason(), "stop_reason": nil, "token_ids": a.ids(ids), "routed_experts": nil,
	}
	reply := map[string]any{
		"id": a.id, "object": "text_completion", "created": a.created, "model": a.s.o.Model, "choices": []any{c}, "usage": use,
		"service_tier": nil, "system_fingerprint": fingerprint, "kv_transfer_params": nil, "ec_transfer_params": nil, "metrics": nil,
	}
	if a.chat {
		reply["object"], reply["prompt_token_ids"] = "chat.completion", a.ids(a.req.prompt)
		reply["prompt_text"], reply["prompt_logprobs"] = nil, nil
		c["message"] = map[string]any{
			"role": "assistant", "content": out, "refusal": nil, "annotations": nil, "audio": nil, "function_call": nil, "reasoning": nil,
		}
	} else {
		c["text"], c["prompt_token_ids"], c["prompt_logprobs"] = out, a.ids(a.req.prompt), nil
	}
	writeJSON(a.w, http.StatusOK, reply)
}
