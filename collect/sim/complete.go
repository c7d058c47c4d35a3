package sim

import (
	"context"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"
)

// complete answers chat completions and plain completions.
func (s *Server) complete(w http.ResponseWriter, r *http.Request, chat bool) {
	arrived := s.o.Now()
	nth := int(s.count.Add(1))
	var b body
	if !s.read(w, r, &b) {
		return
	}
	faults := s.faults(nth)
	if refused(w, r, faults) {
		return
	}
	ids, e := s.accept(&b, chat)
	if e != nil {
		writeError(w, e)
		return
	}
	ctx, leave := context.WithCancel(r.Context()) // when the answer ends, the engine stops computing
	defer leave()
	req := s.request(ctx, &b, ids, arrived)
	a := answer{s: s, w: w, req: req, chat: chat, body: &b, faults: faults, created: arrived.Unix(), id: "cmpl-"}
	if chat {
		a.id = "chatcmpl-"
	}
	a.id += strings.ReplaceAll(uuid.NewString(), "-", "")[:16]
	if b.Stream { // as in vLLM, the headers are sent before the prompt is tokenised and prefilled
		w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
		w.WriteHeader(http.StatusOK)
		a.flush()
	}
	if before := s.cost.Before(len(ids)) - s.o.Now().Sub(arrived); before > 0 {
		s.o.Sleep(ctx, before)
	}
	if ctx.Err() != nil {
		return
	}
	s.eng.submit(req)
	if b.Stream {
		a.stream()
		if s.o.Served != nil {
			s.o.Served(Served{a.id, s.started, arrived.Sub(s.started), a.served})
		}
	} else {
		a.whole()
	}
}

// refused answers the request if a fault prevents the completion. It returns whether it did.
func refused(w http.ResponseWriter, r *http.Request, faults []Fault) bool {
	for _, f := range faults {
		switch f.Kind {
		case "500":
			writeError(w, &apiError{Message: "Internal server error (simulated)", Type: "InternalServerError", Code: http.StatusInternalServerError})
			return true
		case "429":
			w.Header().Set("Retry-After", "1")
			writeError(w, &apiError{Message: "Too many requests (simulated)", Type: "TooManyRequestsError", Code: http.StatusTooManyRequests})
			return true
		case "hang":
			<-r.Context().Done()
			return true
		}
	}
	return false
}

// accept checks a body and returns the token ids of its prompt.
func (s *Server) accept(b *body, chat bool) ([]int32, *apiError) {
	ids, e := s.prompt(b, chat, true)
	if e == nil {
		e = b.check()
	}
	if e == nil && len(ids) == 0 {
		e = badRequest("prompt", "The decoder prompt cannot be empty")
	}
	if e == nil {
		e = b.fits(len(ids), s.o.MaxModelLen)
	}
	return ids, e
}

// faults returns the faults that apply to the nth request.
func (s *Server) faults(nth int) []Fault {
	var on []Fault
	for _, f := range s.o.Faults {
		if f.Kind != "refuse" && f.on(nth) {
			on = append(on, f)
		}
	}
	return on
}

// request turns a body into a request for the engine. A reply ends by itself after about 150 tokens (the median of a log-normal
// distribution), unless a limit comes first. Equal prompts and seeds give equal replies.
func (s *Server) request(ctx context.Context, b *body, ids []int32, arrived time.Time) *request {
	h := fnv.New64a()
	for _, t := range ids {
		_, _ = h.Write([]byte{byte(t), byte(t >> 8), byte(t >> 16), byte(t >> 24)})
	}
	seed := uint64(s.o.Seed)
	if b.Seed != nil {
		seed = seed*31 + uint64(*b.Seed)
	}
	rng := rand.New(rand.NewPCG(seed, h.Sum64()))
	room := s.o.MaxModelLen - len(ids)
	if l := b.limit(); l != nil {
		room = min(room, *l)
	} else if b.Messages == nil {
		room = min(room, 16) // the default of /v1/completions
	}
	natural := max(int(150*math.Exp(0.5*rng.NormFloat64())), 8, b.MinTokens+1) // includes <|end|>
	r := &request{prompt: ids, length: room, reply: reply{rng: rng}, gone: ctx, times: times{arrived: arrived}}
	if !b.IgnoreEOS && natural <= room {
		r.length, r.ends = natural, true
	}
	if b.CacheSalt != nil {
		r.salt = *b.CacheSalt
	}
	r.tokens = make(chan int32, r.length)
	return r
}
