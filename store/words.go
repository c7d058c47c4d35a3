//go:build duckdb_arrow

package store

// The words that columns hold. The SQL in sql/ uses some of them, and a test checks that they are declared here.

// RunStatus is the status of a run: raw.run.status.
type RunStatus string

// The statuses of a run.
const (
	RunRunning     RunStatus = "running"
	RunOK          RunStatus = "ok"
	RunFailed      RunStatus = "failed"
	RunInterrupted RunStatus = "interrupted"
)

// RunStatuses returns all statuses of a run.
func RunStatuses() []RunStatus { return []RunStatus{RunRunning, RunOK, RunFailed, RunInterrupted} }

// SessionStatus is the status of a session: raw.session.status.
type SessionStatus string

// The statuses of a session.
const (
	SessionRunning     SessionStatus = "running"
	SessionOK          SessionStatus = "ok"
	SessionFailed      SessionStatus = "failed"
	SessionInterrupted SessionStatus = "interrupted"
	SessionRepeated    SessionStatus = "repeated" // it was cut short, and a resumed plan played it again
)

// SessionStatuses returns all statuses of a session.
func SessionStatuses() []SessionStatus {
	return []SessionStatus{SessionRunning, SessionOK, SessionFailed, SessionInterrupted, SessionRepeated}
}

// EventKind says what an event is about: raw.event.kind.
type EventKind string

// The kinds of events.
const (
	EventFrozen              EventKind = "frozen"                // wb itself did not run for a moment
	EventClockStep           EventKind = "clock_step"            // the wall clock was moved
	EventBufferFull          EventKind = "buffer_full"           // the Recorder had to write during a turn
	EventBacklogFull         EventKind = "backlog_full"          // turns ended faster than they could be recorded
	EventSamplerFailed       EventKind = "sampler_failed"        // a reading failed
	EventSamplerSlow         EventKind = "sampler_slow"          // a reading took long
	EventSamplerStuck        EventKind = "sampler_stuck"         // a sampler did not stop at the end of the run
	EventNoGPU               EventKind = "no_gpu"                // there is no GPU to read
	EventNoMetrics           EventKind = "no_metrics"            // the server has no /metrics, or did not answer there
	EventMetricsLine         EventKind = "metrics_line"          // a line of /metrics was not understood
	EventNoModels            EventKind = "no_models"             // the server lists no models
	EventNoProps             EventKind = "no_props"              // llama.cpp's server does not answer at /props
	EventNoTokenize          EventKind = "no_tokenize"           // the server has no /tokenize
	EventNoTokenIDs          EventKind = "no_token_ids"          // the server did not give the token ids of a prompt
	EventServerLoading       EventKind = "server_loading"        // the server was still loading its model
	EventMemoryHeld          EventKind = "memory_held"           // GPU memory was still in use after the server had ended
	EventNotIsolated         EventKind = "not_isolated"          // a session began with tokens cached for another session
	EventIsolatedByLine      EventKind = "isolated_by_line"      // each session has a line in its prompts that no other has
	EventResetProved         EventKind = "reset_proved"          // a reset of the prefix cache was checked, and it works
	EventResetUnproven       EventKind = "reset_unproven"        // it could not be checked whether a reset works
	EventIgnoreEOS           EventKind = "ignore_eos"            // --ignore-eos was not sent
	EventWarmup              EventKind = "warmup"                // what happened in the warm-up
	EventNotSteady           EventKind = "not_steady"            // the speed of the server did not become steady
	EventTurnsSkipped        EventKind = "turns_skipped"         // turns were left out, because a reply before them is missing
	EventNoAnswer            EventKind = "no_answer"             // a turn ended well but has no answer
	EventUsageRefused        EventKind = "usage_refused"         // figures in the server's usage are impossible
	EventUsageDisagrees      EventKind = "usage_disagrees"       // the server's usage and what it sent differ
	EventBuffered            EventKind = "buffered"              // something between server and client delayed events
	EventContextTruncated    EventKind = "context_truncated"     // the server cut a prompt
	EventContextFull         EventKind = "context_full"          // written by older versions only: a conversation no longer fitted
	EventTemplateSame        EventKind = "template_same"         // wb rendered a prompt as the server did
	EventTemplateDiffers     EventKind = "template_differs"      // wb rendered a prompt differently from the server
	EventTemplateNotCompared EventKind = "template_not_compared" // it could not be checked whether wb and the server render alike
	EventBeyondSelftest      EventKind = "beyond_selftest"       // the run is faster than what the self-test proved to be exact
)

// EventKinds returns all kinds of events.
func EventKinds() []EventKind {
	return []EventKind{
		EventFrozen, EventClockStep, EventBufferFull, EventBacklogFull, EventSamplerFailed, EventSamplerSlow,
		EventSamplerStuck, EventNoGPU, EventNoMetrics, EventMetricsLine, EventNoModels, EventNoProps, EventNoTokenize, EventNoTokenIDs,
		EventServerLoading, EventMemoryHeld, EventNotIsolated, EventIsolatedByLine, EventResetProved, EventResetUnproven,
		EventIgnoreEOS, EventWarmup, EventNotSteady, EventTurnsSkipped, EventNoAnswer, EventUsageRefused,
		EventUsageDisagrees, EventBuffered, EventContextTruncated, EventContextFull, EventTemplateSame, EventTemplateDiffers,
		EventTemplateNotCompared, EventBeyondSelftest,
	}
}
