package client

import (
	"encoding/json"
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

// keep takes the members of an event. Those of a later event replace those of an earlier one.
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

// timingsOf reads llama.cpp's timings (result_timings in tools/server/server-task.cpp). Without speculation they have no draft_n.
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
	if t.DecodeTokens != nil && len(w.Draft) == 0 {
		t.DraftTokens, t.DraftTokensAccepted = new(int64(0)), new(int64(0))
	}
	if t.DraftTokens != nil && t.DraftTokensAccepted != nil && *t.DraftTokensAccepted > *t.DraftTokens {
		t.DraftTokens, t.DraftTokensAccepted = nil, nil
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
