package client

// Status is how a turn ended. Only StatusOK counts as success: a finish reason and the usage were both seen.
type Status string

// Statuses of a turn.
const (
	StatusOK          Status = "ok"
	StatusRefused     Status = "refused"      // no connection
	StatusHTTPError   Status = "http_error"   // an HTTP status other than 200
	StatusTimeout     Status = "timeout"      // the time limit of the turn passed
	StatusCut         Status = "cut"          // the stream ended before it was complete
	StatusDamaged     Status = "damaged"      // bytes that are not server-sent events, or not JSON
	StatusServerError Status = "server_error" // an error inside a stream whose status was 200
	StatusInterrupted Status = "interrupted"  // wb was told to stop
	StatusOverflow    Status = "overflow"     // longer than the server's context; not sent
)

// Statuses lists all statuses.
func Statuses() []Status {
	return []Status{StatusOK, StatusRefused, StatusHTTPError, StatusTimeout, StatusCut, StatusDamaged, StatusServerError, StatusInterrupted,
		StatusOverflow}
}

// Chunk is one event of a stream.
type Chunk struct {
	Seq         int32  // number of the event, from 1
	ReadSeq     int32  // number of the socket read that completed it, from 1
	TNs         int64  // when that read returned
	ReadDelayNs *int64 // the longest that it can have waited in the kernel before TNs; nil when the kernel does not say
	Kind        string // role, content, reasoning, tool, empty, usage, error or other
	Tokens      *int32 // nil when the server does not say
	TextBytes   int32
}

// Reply is everything that was observed of one request.
type Reply struct {
	Status       Status
	Err          string
	HTTPStatus   *int32
	ErrorBody    *string
	RequestID    *string
	RequestBytes int64

	Times
	Usage
	Text
	Flow
	Server *ServerTimes // nil when the server says nothing about the request beyond the usage

	Chunks   []Chunk
	Doubts   []string // what the server says and what cannot be right, one sentence each
	Streamed int64    // events that CountEvents counted

	closing closing
}

// Times are ns since the run's start. A time is nil when the turn did not get that far.
type Times struct {
	SubmitNs       int64
	WrittenNs      *int64 // the last byte of the request was written
	HeadersNs      *int64 // the first bytes of the answer were read
	FirstChunkNs   *int64 // the first event
	FirstNs        *int64 // the first event with text or tokens
	FirstContentNs *int64 // the first event with content, which is not reasoning
	LastNs         *int64 // the last event with text or tokens
	DoneNs         int64
	Reused         *bool // the connection was used before
}

// Usage is what the server counts, in tokens, and why it says that the reply ended. A value is nil when the server does not say.
type Usage struct {
	PromptTokens     *int64
	CachedTokens     *int64
	CompletionTokens *int64
	ReasoningTokens  *int64
	FinishReason     *string
}

// Text is the text and the token ids that came.
type Text struct {
	Content   string
	Reasoning string
	PromptIDs []int32 // nil when the server does not send them
	TokenIDs  []int32 // ids of generated tokens; nil unless they came with every event
	toolBytes int     // bytes of tool calls
}

// closing is what is known about the end of a stream. settle decides from it.
type closing struct {
	usageSeen  bool     // the last usage came at the end, not only along with the text
	usageEmpty bool     // a usage came that counts nothing
	usageBad   []string // counts of the last usage that cannot be right
	finishWhy  string   // what the server says about its finish reason
	others     bool     // choices came beside the one that was asked for
	last       lastWords
}
