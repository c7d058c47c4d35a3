package client

import (
	"encoding/json"
	"fmt"
	"math"
)

// ServerTimes are what a server says about a request in its last event, by the server's clock. A value is nil when it does not say.
type ServerTimes struct {
	Source string // member of the event: timings or metrics

	QueueMs   *float64 // in the server's queue
	PrefillMs *float64 // from the start of prefill, or from scheduling, to the first token
	DecodeMs  *float64 // from the first token to the last
	TTFTMs    *float64 // from scheduling to the first token

	CachedTokens        *int64 // prompt tokens that were in the cache
	PrefillTokens       *int64 // prompt tokens that were computed
	DecodeTokens        *int64 // tokens that were generated
	DraftTokens         *int64 // draft tokens of speculation
	DraftTokensAccepted *int64 // how many of them needed no separate step
}

// Members of an event that hold a server's times.
const (
	FromTimings = "timings" // llama.cpp
	FromMetrics = "metrics" // vLLM with --enable-per-request-metrics
)

// lastWords are the members of the last events in which a server may speak of its times.
type lastWords struct{ timings, metrics RawValue }

// keep takes the members of an event that comes with the finish reason or after it. Those of a later event replace those of an earlier one.
func (l *lastWords) keep(w *wireChunk) {
	if len(w.Timings) > 0 {
		l.timings = w.Timings
	}
	if len(w.Metrics) > 0 {
		l.metrics = w.Metrics
	}
}

// times reads what was kept. It gives nil when there is nothing that can be believed.
func (l *lastWords) times() *ServerTimes {
	if t := timingsOf(l.timings); t != nil {
		return t
	}
	return metricsOf(l.metrics)
}

// timingsOf reads llama.cpp's timings (result_timings in tools/server/server-task.cpp). Without drafts they have no draft_n.
func timingsOf(raw RawValue) *ServerTimes {
	var w struct {
		Cached      RawValue `json:"cache_n"`
		Prompt      RawValue `json:"prompt_n"`
		Predicted   RawValue `json:"predicted_n"`
		Draft       RawValue `json:"draft_n"`
		Accepted    RawValue `json:"draft_n_accepted"`
		PromptMs    looseMs  `json:"prompt_ms"`
		PredictedMs looseMs  `json:"predicted_ms"`
	}
	if len(raw) > maxListBytes || json.Unmarshal(raw, &w) != nil {
		return nil
	}
	t := &ServerTimes{Source: FromTimings, PrefillMs: w.PromptMs.value, DecodeMs: w.PredictedMs.value, CachedTokens: counted(w.Cached),
		PrefillTokens: counted(w.Prompt), DecodeTokens: counted(w.Predicted), DraftTokens: counted(w.Draft),
		DraftTokensAccepted: counted(w.Accepted)}
	if t.PrefillMs == nil && t.DecodeMs == nil {
		return nil
	}
	return t
}

// metricsOf reads vLLM's metrics of a request. Its time to the first token counts from scheduling, so it is the time of prefill.
func metricsOf(raw RawValue) *ServerTimes {
	var w struct {
		Queue  looseMs `json:"queue_time_ms"`
		First  looseMs `json:"time_to_first_token_ms"`
		Decode looseMs `json:"generation_time_ms"`
	}
	if len(raw) > maxListBytes || json.Unmarshal(raw, &w) != nil || w.Queue.value == nil && w.First.value == nil && w.Decode.value == nil {
		return nil
	}
	return &ServerTimes{Source: FromMetrics, QueueMs: w.Queue.value, PrefillMs: w.First.value, TTFTMs: w.First.value, DecodeMs: w.Decode.value}
}

// slackMs is by how much a time of the server may exceed what the client saw, in ms: the server may begin before wb has seen the last byte
// of the request leave.
const slackMs = 5

// believeTimes compares what the server says about the request with the usage and with the client's times. What cannot be right becomes
// nil, and Doubts says so. It must be called after the usage was checked.
func (re *Reply) believeTimes() {
	s := re.Server
	if s == nil {
		return
	}
	refuse := func(what string, a ...any) {
		re.Doubts = append(re.Doubts, s.Source+": "+fmt.Sprintf(what, a...))
	}
	since := func(end *int64) float64 {
		if end == nil {
			return math.Inf(1)
		}
		return float64(*end-re.SubmitNs)/1e6 + slackMs
	}
	if ms := s.PrefillMs; ms != nil && *ms > since(re.FirstNs) {
		refuse("prefill took %.1f ms, and the first token came after %.1f ms", *ms, since(re.FirstNs)-slackMs)
		s.PrefillMs, s.TTFTMs = nil, nil
	}
	if ms := s.DecodeMs; ms != nil && *ms > since(&re.DoneNs) {
		refuse("decoding took %.1f ms, and the whole reply %.1f ms", *ms, since(&re.DoneNs)-slackMs)
		s.DecodeMs = nil
	}
	if s.CachedTokens != nil && s.PrefillTokens != nil && re.PromptTokens != nil && *s.CachedTokens+*s.PrefillTokens != *re.PromptTokens {
		refuse("%d cached and %d computed tokens, of a prompt of %d", *s.CachedTokens, *s.PrefillTokens, *re.PromptTokens)
		s.CachedTokens, s.PrefillTokens = nil, nil
	}
	if n := s.DecodeTokens; n != nil && re.CompletionTokens != nil && *n != *re.CompletionTokens {
		refuse("%d generated tokens, and the usage says %d", *n, *re.CompletionTokens)
		s.DecodeTokens = nil
	}
	n, all := s.DraftTokensAccepted, re.CompletionTokens
	if n != nil && (s.DraftTokens == nil || *n > *s.DraftTokens || all != nil && *n >= *all) {
		refuse("%d drafts were accepted, which are too many", *n)
		s.DraftTokens, s.DraftTokensAccepted = nil, nil
	}
	if s.PrefillMs != nil && *s.PrefillMs == 0 && s.PrefillTokens != nil && *s.PrefillTokens > 0 {
		s.PrefillMs, s.TTFTMs = nil, nil // computing takes time
	}
	if s.DecodeMs != nil && *s.DecodeMs == 0 && s.DecodeTokens != nil && *s.DecodeTokens > 1 {
		s.DecodeMs = nil
	}
}

// looseMs is a duration in ms, from 0 to a month. Anything else is unknown.
type looseMs struct{ value *float64 }

// mostMs is the longest time that is believed, in ms: a month.
const mostMs = 31 * 24 * 3600 * 1000

// UnmarshalJSON reads a number.
func (m *looseMs) UnmarshalJSON(b []byte) error {
	var f float64
	if err := json.Unmarshal(b, &f); err != nil || f < 0 || f > mostMs || math.IsNaN(f) || string(b) == "null" {
		m.value = nil
		return nil //nolint:nilerr // it stays unknown
	}
	m.value = &f
	return nil
}

// counted reads a count. It is nil for anything else.
func counted(raw RawValue) *int64 {
	if n, ok := readCount(json.RawMessage(raw)); ok && len(raw) > 0 {
		return &n
	}
	return nil
}
