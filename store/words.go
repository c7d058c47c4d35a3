//go:build duckdb_arrow

package store

// The words that columns hold. sql/ names some of them; a test holds those against these.

// RunStatus is how a run stands: raw.run.status.
type RunStatus string

// How a run stands.
const (
	RunRunning     RunStatus = "running"
	RunOK          RunStatus = "ok"
	RunFailed      RunStatus = "failed"
	RunInterrupted RunStatus = "interrupted"
)

// RunStatuses are all of them.
func RunStatuses() []RunStatus { return []RunStatus{RunRunning, RunOK, RunFailed, RunInterrupted} }

// SessionStatus is how a session stands: raw.session.status.
type SessionStatus string

// How a session stands.
const (
	SessionRunning     SessionStatus = "running"
	SessionOK          SessionStatus = "ok"
	SessionFailed      SessionStatus = "failed"
	SessionInterrupted SessionStatus = "interrupted"
	SessionRepeated    SessionStatus = "repeated" // it was cut short, and a resumed plan played it again
)

// SessionStatuses are all of them.
func SessionStatuses() []SessionStatus {
	return []SessionStatus{SessionRunning, SessionOK, SessionFailed, SessionInterrupted, SessionRepeated}
}

// EventKind is what an event is about: raw.event.kind.
type EventKind string

// What events are about.
const (
	EventFrozen              EventKind = "frozen"                // wb itself did not run for a moment
	EventClockStep           EventKind = "clock_step"            // the wall clock was moved
	EventBufferFull          EventKind = "buffer_full"           // the Recorder had to write during a turn
	EventBacklogFull         EventKind = "backlog_full"          // turns ended faster than they could be recorded
	EventSamplerFailed       EventKind = "sampler_failed"        // a reading failed
	EventSamplerSlow         EventKind = "sampler_slow"          // a reading took long
	EventSamplerStuck        EventKind = "sampler_stuck"         // a sampler did not end with the run
	EventNoGPU               EventKind = "no_gpu"                // there is no GPU to read
	EventNoMetrics           EventKind = "no_metrics"            // the server has no /metrics, or did not answer there
	EventMetricsLine         EventKind = "metrics_line"          // a line of /metrics was not understood
	EventNoModels            EventKind = "no_models"             // the server lists no models
	EventNoTokenize          EventKind = "no_tokenize"           // the server has no /tokenize
	EventNoTokenIDs          EventKind = "no_token_ids"          // token ids of a prompt could not be had
	EventServerLoading       EventKind = "server_loading"        // the server was still loading its model
	EventMemoryHeld          EventKind = "memory_held"           // GPU memory was still taken when the server was gone
	EventNotIsolated         EventKind = "not_isolated"          // a session began with the cache of another
	EventIsolatedByLine      EventKind = "isolated_by_line"      // sessions are told apart by a line in their prompts
	EventResetProved         EventKind = "reset_proved"          // a reset of the prefix cache was seen to work
	EventResetUnproven       EventKind = "reset_unproven"        // whether a reset works cannot be seen
	EventIgnoreEOS           EventKind = "ignore_eos"            // --ignore-eos was not sent
	EventWarmup              EventKind = "warmup"                // how warming up went
	EventNotSteady           EventKind = "not_steady"            // the server did not get steady
	EventTurnsSkipped        EventKind = "turns_skipped"         // turns were left out, since they would lack a reply
	EventNoAnswer            EventKind = "no_answer"             // a turn ended well and without an answer
	EventUsageRefused        EventKind = "usage_refused"         // figures of the server's usage cannot be
	EventUsageDisagrees      EventKind = "usage_disagrees"       // the usage and what came differ
	EventBuffered            EventKind = "buffered"              // something held events back on the way
	EventContextTruncated    EventKind = "context_truncated"     // the server cut a prompt
	EventContextFull         EventKind = "context_full"          // of an older wb: a conversation did not fit any more
	EventTemplateSame        EventKind = "template_same"         // a prompt rendered here is the server's own
	EventTemplateDiffers     EventKind = "template_differs"      // a prompt rendered here is not the server's own
	EventTemplateNotCompared EventKind = "template_not_compared" // whether they are the same could not be found out
	EventBeyondSelftest      EventKind = "beyond_selftest"       // the run is faster than the self-test was exact
)

// EventKinds are all of them.
func EventKinds() []EventKind {
	return []EventKind{
		EventFrozen, EventClockStep, EventBufferFull, EventBacklogFull, EventSamplerFailed, EventSamplerSlow,
		EventSamplerStuck, EventNoGPU, EventNoMetrics, EventMetricsLine, EventNoModels, EventNoTokenize, EventNoTokenIDs,
		EventServerLoading, EventMemoryHeld, EventNotIsolated, EventIsolatedByLine, EventResetProved, EventResetUnproven,
		EventIgnoreEOS, EventWarmup, EventNotSteady, EventTurnsSkipped, EventNoAnswer, EventUsageRefused,
		EventUsageDisagrees, EventBuffered, EventContextTruncated, EventContextFull, EventTemplateSame, EventTemplateDiffers,
		EventTemplateNotCompared, EventBeyondSelftest,
	}
}
