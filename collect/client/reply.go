package client

// Status is how a turn ended. Only StatusOK counts as success: a finish reason and the usage were both seen.
type Status string

// Statuses of a turn.
const (
	StatusOK          Status = "ok"
	StatusRefused     Status = "refused"      // no connection
	StatusHTTPError   Status = "http_error"   // an answer other than 200
	StatusTimeout     Status = "timeout"      // the limit of the turn passed
	StatusCut         Status = "cut"          // the stream ended before it was complete
	StatusDamaged     Status = "damaged"      // bytes that are no SSE or no JSON
	StatusServerError Status = "server_error" // an error inside a stream whose status was 200
	StatusInterrupted Status = "interrupted"  // wb was told to stop
	StatusOverflow    Status = "overflow"     // longer than the server's context; not sent
)

// Statuses lists them.
func Statuses() []Status {
	return []Status{StatusOK, StatusRefused, StatusHTTPError, StatusTimeout, StatusCut, StatusDamaged, StatusServerError, StatusInterrupted,
		StatusOverflow}
}

// Chunk is one streamed event.
type Chunk struct {
	Seq         int32 // from 1
	ReadSeq     int32 // socket read, from 1
	TNs         int64
	ReadDelayNs *int64 // at most how long it lay in the kernel before TNs; nil when that does not say
	Kind        string // role, content, reasoning, tool, empty, usage, error or other
	Tokens      *int32 // nil when the server does not say
	TextBytes   int32
}

// Reply is everything observed of one request.
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
	Flow // of the events that carried text or tokens

	Chunks   []Chunk
	Doubts   []string // what the server says and cannot be, one sentence each
	Streamed int64    // events that were counted as they came

	closing closing
}

// Times are ns since run start; nil: it did not come to that.
type Times struct {
	SubmitNs       int64
	WrittenNs      *int64 // of the request's last byte
	HeadersNs      *int64
	FirstChunkNs   *int64
	FirstNs        *int64 // of the first text or tokens
	FirstContentNs *int64
	LastNs         *int64
	DoneNs         int64
	Reused         *bool // the connection was used before
}

// Usage is what the server counts, in tokens, and how it says that the reply ended; nil: it does not say.
type Usage struct {
	PromptTokens     *int64
	CachedTokens     *int64
	CompletionTokens *int64
	ReasoningTokens  *int64
	FinishReason     *string
}

// Text is what came.
type Text struct {
	Content   string
	Reasoning string
	PromptIDs []int32 // nil: not told
	TokenIDs  []int32 // generated ones; nil unless told for every event
	toolBytes int     // of tool calls
}

// closing is what is known of the end of a stream, from which settle decides.
type closing struct {
	usageSeen  bool     // the closing usage, not only running figures
	usageEmpty bool     // a usage came that counts nothing
	usageBad   []string // what of it cannot be
	finishWhy  string   // what the server says of its finish reason
	others     bool     // choices came beside the one that was asked for
}
