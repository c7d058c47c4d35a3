package sim

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// maxBodyBytes is the largest body that a client may send.
const maxBodyBytes = 64 << 20

// Handler returns a handler for HTTP requests. Completions need Run at the same time. After Close it answers 503.
func (s *Server) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Server", "wb-sim")
		s.mu.Lock()
		if s.closed {
			s.mu.Unlock()
			writeJSON(w, http.StatusServiceUnavailable, map[string]string{"detail": "Service Unavailable"})
			return
		}
		s.done.Add(1)
		s.mu.Unlock()
		defer s.done.Done()
		h, pattern := s.mux.Handler(r)
		if pattern == "" {
			status, text := http.StatusNotFound, "Not Found"
			for _, m := range []string{http.MethodGet, http.MethodPost} {
				other := r.Clone(r.Context())
				other.Method = m
				if _, p := s.mux.Handler(other); p != "" && m != r.Method {
					status, text = http.StatusMethodNotAllowed, "Method Not Allowed"
					w.Header().Set("Allow", m)
				}
			}
			writeJSON(w, status, map[string]string{"detail": text})
			return
		}
		h.ServeHTTP(w, r)
	})
}

func (s *Server) routes() {
	empty := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }
	s.mux.HandleFunc("GET /health", empty)
	s.mux.HandleFunc("GET /ping", empty)
	s.mux.HandleFunc("GET /version", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]any{"version": Version, "simulated": true,
			"imitates": map[string]string{"model": s.cost.Model, "gpu": s.cost.GPU}})
	})
	s.mux.HandleFunc("GET /v1/models", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]any{"object": "list", "data": []any{s.card()}})
	})
	s.mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=1.0.0; charset=utf-8")
		running, waiting, used := s.eng.load()
		s.met.write(w, running, waiting, used, s.config())
	})
	s.mux.HandleFunc("POST /reset_prefix_cache", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]bool{"success": s.eng.reset()})
	})
	s.mux.HandleFunc("POST /tokenize", s.tokenize)
	s.mux.HandleFunc("POST /detokenize", s.detokenize)
	s.mux.HandleFunc("POST /v1/chat/completions", func(w http.ResponseWriter, r *http.Request) { s.complete(w, r, true) })
	s.mux.HandleFunc("POST /v1/completions", func(w http.ResponseWriter, r *http.Request) { s.complete(w, r, false) })
}

// card returns the model as /v1/models lists it.
func (s *Server) card() map[string]any {
	permission := map[string]any{
		"id": "modelperm-simulated", "object": "model_permission", "created": s.started.Unix(),
		"allow_create_engine": false, "allow_sampling": true, "allow_logprobs": false, "allow_search_indices": false, "allow_view": true,
		"allow_fine_tuning": false, "organization": "*", "group": nil, "is_blocking": false,
	}
	return map[string]any{
		"id": s.o.Model, "object": "model", "created": s.started.Unix(), "owned_by": "vllm", "root": "simulator:" + s.o.Profile,
		"parent": nil, "max_model_len": s.o.MaxModelLen, "permission": []any{permission},
	}
}

// config returns the labels of vllm:cache_config_info.
func (s *Server) config() []string {
	python := map[bool]string{true: "True", false: "False"}
	blocks := s.o.CapacityTokens / s.o.BlockSize
	return []string{fmt.Sprintf(`block_size="%d"`, s.o.BlockSize), `cache_dtype="auto"`,
		fmt.Sprintf(`enable_prefix_caching="%s"`, python[!s.o.DisablePrefixCaching]),
		`engine="0"`, `gpu_memory_utilization="0.92"`, fmt.Sprintf(`kv_cache_size_tokens="%d"`, blocks*s.o.BlockSize), `num_cpu_blocks="None"`,
		fmt.Sprintf(`num_gpu_blocks="%d"`, blocks), `prefix_caching_hash_algo="sha256"`, `sliding_window="None"`}
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		status, b = http.StatusInternalServerError, []byte(`{"detail":"Internal Server Error"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(b) // an error means that the client left
}

func writeError(w http.ResponseWriter, e *apiError) {
	writeJSON(w, e.Code, map[string]*apiError{"error": e})
}

// read decodes a request body. If that fails, it answers with the error and returns false.
func (s *Server) read(w http.ResponseWriter, r *http.Request, into any) bool {
	if media, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";"); !strings.EqualFold(strings.TrimSpace(media), "application/json") {
		e := badRequest("", "1 validation error:\n  Unsupported Media Type: Only 'application/json' is allowed")
		e.Type = "Bad Request"
		writeError(w, e)
		return false
	}
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBodyBytes))
	if err != nil {
		writeError(w, badRequest("", "the request body could not be read"))
		return false
	}
	if e := decode(text, into); e != nil {
		writeError(w, e)
		return false
	}
	return true
}

func (s *Server) tokenize(w http.ResponseWriter, r *http.Request) {
	var b struct {
		body
		AddGenerationPrompt *bool `json:"add_generation_prompt"`
		ReturnTokenStrs     bool  `json:"return_token_strs"`
	}
	if !s.read(w, r, &b) {
		return
	}
	ids, e := s.prompt(&b.body, b.Messages != nil, b.AddGenerationPrompt == nil || *b.AddGenerationPrompt)
	if e != nil {
		writeError(w, e)
		return
	}
	var strs []string
	if b.ReturnTokenStrs {
		strs = s.tok.pieces(ids)
	}
	writeJSON(w, http.StatusOK, map[string]any{"count": len(ids), "max_model_len": s.o.MaxModelLen, "tokens": ids, "token_strs": strs})
}

// prompt returns the token ids of the messages or the prompt of a body.
func (s *Server) prompt(b *body, chat, generate bool) ([]int32, *apiError) {
	if e := b.known(s.o.Model); e != nil {
		return nil, e
	}
	switch {
	case chat && b.Messages == nil:
		return nil, invalid("body.messages", "missing", "Field required", "None")
	case chat && len(b.Messages) == 0:
		return nil, badRequest("", "Cannot apply chat template to an empty conversation. Provide at least one message.")
	case chat:
		return s.tok.encode(render(b.Messages, generate)), nil
	case !b.Prompt.given:
		return nil, invalid("body.prompt", "missing", "Field required", "None")
	case b.Prompt.ids != nil:
		return b.Prompt.ids, nil
	}
	return s.tok.encode(b.Prompt.text), nil
}

func (s *Server) detokenize(w http.ResponseWriter, r *http.Request) {
	var b struct {
		Tokens []int32 `json:"tokens"`
	}
	if s.read(w, r, &b) {
		writeJSON(w, http.StatusOK, map[string]string{"prompt": strings.Join(s.tok.pieces(b.Tokens), "")})
	}
}
