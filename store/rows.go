//go:build duckdb_arrow

package store

import (
	"time"

	"github.com/google/uuid"
)

// Row is one fact: a row of one raw table. The db tag of a field names its column, and a pointer field may be NULL.
// The COMMENT ON lines of sql/schema say what each column means, and its unit.
type Row interface{ table() string }

// Run is a row of raw.run.
//
// wide: one field per column of raw.run
type Run struct {
	RunID            uuid.UUID  `db:"run_id"`
	Name             string     `db:"name"`
	Status           RunStatus  `db:"status"`
	Error            *string    `db:"error"`
	StartedAt        time.Time  `db:"started_at"`
	EndedAt          *time.Time `db:"ended_at"`
	Simulated        bool       `db:"simulated"`
	WbVersion        string     `db:"wb_version"`
	WbCommit         *string    `db:"wb_commit"`
	GoVersion        string     `db:"go_version"`
	DuckDBVersion    string     `db:"duckdb_version"`
	Argv             string     `db:"argv"`
	Seed             int64      `db:"seed"`
	Hostname         *string    `db:"hostname"`
	PID              int64      `db:"pid"`
	ProcessStartedAt *time.Time `db:"process_started_at"`
	PlanID           *uuid.UUID `db:"plan_id"`
	Plan             *string    `db:"plan"`
	Spec             *string    `db:"spec"`
	Cell             *string    `db:"cell"`
	Executions       *int32     `db:"executions"`
	ChangedAt        *time.Time `db:"changed_at"`
}

// RunTag is a row of raw.run_tag.
type RunTag struct {
	RunID uuid.UUID `db:"run_id"`
	Key   string    `db:"key"`
	Value string    `db:"value"`
}

// Setting is a row of raw.setting.
type Setting struct {
	RunID  uuid.UUID `db:"run_id"`
	Source string    `db:"source"`
	Name   string    `db:"name"`
	Value  string    `db:"value"`
}

// Host is a row of raw.host.
//
// wide: one field per column of raw.host
type Host struct {
	RunID            uuid.UUID  `db:"run_id"`
	Hostname         *string    `db:"hostname"`
	OS               *string    `db:"os"`
	Kernel           *string    `db:"kernel"`
	Arch             *string    `db:"arch"`
	Virtualization   *string    `db:"virtualization"`
	CPUModel         *string    `db:"cpu_model"`
	CPUCores         *int32     `db:"cpu_cores"`
	CPUThreads       *int32     `db:"cpu_threads"`
	CPUMaxMHz        *float64   `db:"cpu_max_mhz"`
	CPUGovernor      *string    `db:"cpu_governor"`
	MemoryTotalBytes *int64     `db:"memory_total_bytes"`
	SwapTotalBytes   *int64     `db:"swap_total_bytes"`
	DiskFreeBytes    *int64     `db:"disk_free_bytes"`
	BootedAt         *time.Time `db:"booted_at"`

	MemoryReadBytesPerS *int64 `db:"memory_read_bytes_per_s"`
}

// GPU is a row of raw.gpu.
//
// wide: one field per column of raw.gpu
type GPU struct {
	RunID             uuid.UUID `db:"run_id"`
	GPU               int32     `db:"gpu"`
	UUID              *string   `db:"uuid"`
	Name              *string   `db:"name"`
	DriverVersion     *string   `db:"driver_version"`
	CUDAVersion       *string   `db:"cuda_version"`
	ComputeCapability *string   `db:"compute_capability"`
	MemoryTotalBytes  *int64    `db:"memory_total_bytes"`
	PowerLimitW       *float64  `db:"power_limit_w"`
	SMClockMaxMHz     *int64    `db:"sm_clock_max_mhz"`
	MemoryClockMaxMHz *int64    `db:"memory_clock_max_mhz"`
	PCIeGeneration    *int32    `db:"pcie_generation"`
	PCIeWidth         *int32    `db:"pcie_width"`
	Persistence       *bool     `db:"persistence"`
	ECC               *bool     `db:"ecc"`
	MIG               *bool     `db:"mig"`
	GPM               *bool     `db:"gpm"`
}

// Engine is a row of raw.engine.
//
// wide: one field per column of raw.engine
type Engine struct {
	RunID             uuid.UUID  `db:"run_id"`
	Kind              string     `db:"kind"`
	Version           *string    `db:"version"`
	URL               string     `db:"url"`
	Model             string     `db:"model"`
	ModelRoot         *string    `db:"model_root"`
	MaxModelLenTokens *int64     `db:"max_model_len_tokens"`
	BlockSizeTokens   *int64     `db:"block_size_tokens"`
	KVCacheSizeTokens *int64     `db:"kv_cache_size_tokens"`
	PrefixCaching     *bool      `db:"prefix_caching"`
	CacheConfig       *string    `db:"cache_config"`
	PID               *int64     `db:"pid"`
	HasMetrics        bool       `db:"has_metrics"`
	HasTokenize       bool       `db:"has_tokenize"`
	TokenCounts       string     `db:"token_counts"`
	ProcessStartedAt  *time.Time `db:"process_started_at"`
	Quantization      *string    `db:"quantization"`
	Parameters        *int64     `db:"parameters"`
	WeightsBytes      *int64     `db:"weights_bytes"`
	Slots             *int64     `db:"slots"`
}

// Model is a row of raw.model.
//
// wide: one field per column of raw.model
type Model struct {
	RunID               uuid.UUID `db:"run_id"`
	Source              string    `db:"source"`
	Architecture        *string   `db:"architecture"`
	Quantization        *string   `db:"quantization"`
	Parameters          int64     `db:"parameters"`
	WeightsBytes        int64     `db:"weights_bytes"`
	PrefillWeightsBytes int64     `db:"prefill_weights_bytes"`
	DecodeWeightsBytes  int64     `db:"decode_weights_bytes"`
	LayerParameters     int64     `db:"layer_parameters"`
	HeadParameters      int64     `db:"head_parameters"`
	Layers              int64     `db:"layers"`
	SlidingLayers       int64     `db:"sliding_layers"`
	SlidingWindowTokens int64     `db:"sliding_window_tokens"`
	AttentionWidth      int64     `db:"attention_width"`
	KVLayerBytes        int64     `db:"kv_layer_bytes"`
	Arithmetic          string    `db:"arithmetic"`
	GPUName             *string   `db:"gpu_name"`
	GPUs                int32     `db:"gpus"`
	OnCPU               *bool     `db:"on_cpu"`
}

// EngineStart is a row of raw.engine_start.
type EngineStart struct {
	RunID             uuid.UUID `db:"run_id"`
	StartID           int32     `db:"start_id"`
	PID               *int64    `db:"pid"`
	Status            string    `db:"status"`
	Error             *string   `db:"error"`
	Command           string    `db:"command"`
	LogPath           *string   `db:"log_path"`
	KVCacheSizeTokens *int64    `db:"kv_cache_size_tokens"`
	KVCacheBytes      *int64    `db:"kv_cache_bytes"`
	WeightsBytes      *int64    `db:"weights_bytes"`
	GraphBytes        *int64    `db:"graph_bytes"`
	WeightsLoadS      *float64  `db:"weights_load_s"`
	CompileS          *float64  `db:"compile_s"`
}

// EnginePhase is a row of raw.engine_phase.
type EnginePhase struct {
	RunID   uuid.UUID `db:"run_id"`
	StartID int32     `db:"start_id"`
	Phase   string    `db:"phase"`
	TNs     int64     `db:"t_ns"`
}

// Session is a row of raw.session.
type Session struct {
	RunID              uuid.UUID     `db:"run_id"`
	SessionID          int32         `db:"session_id"`
	Conversation       string        `db:"conversation"`
	ConversationSHA256 string        `db:"conversation_sha256"`
	Variant            string        `db:"variant"`
	Repeat             int32         `db:"repeat"`
	Warmup             bool          `db:"warmup"`
	Isolation          string        `db:"isolation"`
	StartID            *int32        `db:"start_id"`
	ClientUser         int32         `db:"client_user"`
	StartedNs          int64         `db:"started_ns"`
	EndedNs            *int64        `db:"ended_ns"`
	Status             SessionStatus `db:"status"`
	FirstCachedTokens  *int64        `db:"first_cached_tokens"`
}

// Turn is a row of raw.turn.
//
// wide: one field per column of raw.turn
type Turn struct {
	RunID            uuid.UUID `db:"run_id"`
	TurnID           int32     `db:"turn_id"`
	SessionID        int32     `db:"session_id"`
	Turn             int32     `db:"turn"`
	Status           string    `db:"status"`
	Error            *string   `db:"error"`
	HTTPStatus       *int32    `db:"http_status"`
	ErrorBody        *string   `db:"error_body"`
	RequestID        *string   `db:"request_id"`
	IntendedNs       *int64    `db:"intended_ns"`
	SubmitNs         int64     `db:"submit_ns"`
	WrittenNs        *int64    `db:"written_ns"`
	HeadersNs        *int64    `db:"headers_ns"`
	FirstChunkNs     *int64    `db:"first_chunk_ns"`
	FirstNs          *int64    `db:"first_ns"`
	FirstContentNs   *int64    `db:"first_content_ns"`
	LastNs           *int64    `db:"last_ns"`
	DoneNs           int64     `db:"done_ns"`
	ConnectionReused *bool     `db:"connection_reused"`
	PromptTokens     *int64    `db:"prompt_tokens"`
	CachedTokens     *int64    `db:"cached_tokens"`
	CompletionTokens *int64    `db:"completion_tokens"`
	ReasoningTokens  *int64    `db:"reasoning_tokens"`
	FinishReason     *string   `db:"finish_reason"`
	MaxTokens        *int64    `db:"max_tokens"`
	Messages         int32     `db:"messages"`
	Documents        int32     `db:"documents"`
	RequestBytes     int64     `db:"request_bytes"`
	PromptSHA256     string    `db:"prompt_sha256"`
	ReplySHA256      *string   `db:"reply_sha256"`
	Checks           int32     `db:"checks"`
	ChecksPassed     *int32    `db:"checks_passed"`
	TokenEvents      *int32    `db:"token_events"`
	TokenReads       *int32    `db:"token_reads"`
	FirstReadEvents  *int32    `db:"first_read_events"`
	StreamedTokens   *int64    `db:"streamed_tokens"`
	FirstReadTokens  *int64    `db:"first_read_tokens"`
}

// TurnTokenPart is how many token ids a row of raw.turn_token holds at most.
// DuckDB merges up to 122,880 rows at once, which is 31 MB of ids with this limit.
// With whole prompts of 30,000 tokens a merge took up to 11 s, and in parts it takes 0.1 s (docs/design/storage.md).
const TurnTokenPart = 64

// TurnTokens makes the rows for a prompt or a reply. x describes it and the tokens it shares with an earlier turn, and ids are the tokens
// that follow. n ids make max(1, ⌈n/TurnTokenPart⌉) rows.
func TurnTokens(x TurnToken, ids []int32) []TurnToken {
	rows := make([]TurnToken, 0, len(ids)/TurnTokenPart+1)
	for {
		n := min(len(ids), TurnTokenPart)
		x.Part, x.Tokens, ids = new(int32(len(rows))), ids[:n], ids[n:]
		if rows = append(rows, x); len(ids) == 0 {
			return rows
		}
		x.SharedTurnID, x.SharedTokens = nil, 0
	}
}

// TurnToken is a row of raw.turn_token.
type TurnToken struct {
	RunID        uuid.UUID `db:"run_id"`
	TurnID       int32     `db:"turn_id"`
	Kind         string    `db:"kind"`
	SharedTurnID *int32    `db:"shared_turn_id"`
	SharedTokens int64     `db:"shared_tokens"`
	Tokens       []int32   `db:"tokens"`
	Part         *int32    `db:"part"`
}

// TurnServer is a row of raw.turn_server.
type TurnServer struct {
	RunID               uuid.UUID `db:"run_id"`
	TurnID              int32     `db:"turn_id"`
	Source              string    `db:"source"`
	QueueMs             *float64  `db:"queue_ms"`
	PrefillMs           *float64  `db:"prefill_ms"`
	DecodeMs            *float64  `db:"decode_ms"`
	TTFTMs              *float64  `db:"ttft_ms"`
	CachedTokens        *int64    `db:"cached_tokens"`
	PrefillTokens       *int64    `db:"prefill_tokens"`
	DecodeTokens        *int64    `db:"decode_tokens"`
	DraftTokens         *int64    `db:"draft_tokens"`
	DraftTokensAccepted *int64    `db:"draft_tokens_accepted"`
}

// CacheTurn is a row of raw.cache_turn.
type CacheTurn struct {
	RunID               uuid.UUID `db:"run_id"`
	TurnID              int32     `db:"turn_id"`
	BlockSizeTokens     int64     `db:"block_size_tokens"`
	CommonTokens        int64     `db:"common_tokens"`
	BlockIdealTokens    int64     `db:"block_ideal_tokens"`
	TextIdealTokens     int64     `db:"text_ideal_tokens"`
	PredictedTokens     int64     `db:"predicted_tokens"`
	DivergenceMessage   *int32    `db:"divergence_message"`
	DivergenceRole      *string   `db:"divergence_role"`
	DivergenceCharacter *int64    `db:"divergence_character"`
	DivergenceToken     *int64    `db:"divergence_token"`
	DivergenceReference *string   `db:"divergence_reference"`
	DivergenceBefore    *string   `db:"divergence_before"`
	DivergenceNow       *string   `db:"divergence_now"`
}

// CacheMiss is a row of raw.cache_miss.
type CacheMiss struct {
	RunID  uuid.UUID `db:"run_id"`
	TurnID int32     `db:"turn_id"`
	Cause  string    `db:"cause"`
	Tokens int64     `db:"tokens"`
}

// Message is a row of raw.message.
type Message struct {
	SHA256       string  `db:"sha256"`
	Role         string  `db:"role"`
	Content      *string `db:"content"`
	Reasoning    *string `db:"reasoning"`
	ContentBytes int64   `db:"content_bytes"`
}

// TurnMessage is a row of raw.turn_message.
type TurnMessage struct {
	RunID    uuid.UUID `db:"run_id"`
	TurnID   int32     `db:"turn_id"`
	Position int32     `db:"position"`
	SHA256   string    `db:"sha256"`
}

// Chunk is a row of raw.chunk.
type Chunk struct {
	RunID       uuid.UUID `db:"run_id"`
	TurnID      int32     `db:"turn_id"`
	Seq         int32     `db:"seq"`
	ReadSeq     int32     `db:"read_seq"`
	TNs         int64     `db:"t_ns"`
	Kind        string    `db:"kind"`
	Tokens      *int32    `db:"tokens"`
	TextBytes   int32     `db:"text_bytes"`
	ReadDelayNs *int64    `db:"read_delay_ns"`
}

// Scrape is a row of raw.scrape.
type Scrape struct {
	RunID         uuid.UUID `db:"run_id"`
	ScrapeID      int32     `db:"scrape_id"`
	TurnID        *int32    `db:"turn_id"`
	Phase         string    `db:"phase"`
	TNs           int64     `db:"t_ns"`
	CostNs        int64     `db:"cost_ns"`
	ResponseBytes int64     `db:"response_bytes"`
	Error         *string   `db:"error"`
}

// EngineMetric is a row of raw.engine_metric.
type EngineMetric struct {
	RunID    uuid.UUID `db:"run_id"`
	ScrapeID int32     `db:"scrape_id"`
	TNs      int64     `db:"t_ns"`
	Name     string    `db:"name"`
	Labels   string    `db:"labels"`
	Value    float64   `db:"value"`
}

// GPUSample is a row of raw.gpu_sample.
//
// wide: one field per column of raw.gpu_sample
type GPUSample struct {
	RunID             uuid.UUID `db:"run_id"`
	GPU               int32     `db:"gpu"`
	TNs               int64     `db:"t_ns"`
	CostNs            int64     `db:"cost_ns"`
	SampleGroup       string    `db:"sample_group"`
	GPUUtilRatio      *float64  `db:"gpu_util_ratio"`
	MemoryUtilRatio   *float64  `db:"memory_util_ratio"`
	PowerW            *float64  `db:"power_w"`
	SMClockMHz        *int64    `db:"sm_clock_mhz"`
	MemoryClockMHz    *int64    `db:"memory_clock_mhz"`
	TemperatureC      *float64  `db:"temperature_c"`
	ThrottleReasons   *int64    `db:"throttle_reasons"`
	MemoryUsedBytes   *int64    `db:"memory_used_bytes"`
	EnergyMJ          *int64    `db:"energy_mj"`
	PowerInstantW     *float64  `db:"power_instant_w"`
	MemoryTempC       *float64  `db:"memory_temperature_c"`
	PerformanceState  *int32    `db:"performance_state"`
	PCIeTxBytesPerS   *float64  `db:"pcie_tx_bytes_per_s"`
	PCIeRxBytesPerS   *float64  `db:"pcie_rx_bytes_per_s"`
	SMActiveRatio     *float64  `db:"sm_active_ratio"`
	SMOccupancyRatio  *float64  `db:"sm_occupancy_ratio"`
	TensorActiveRatio *float64  `db:"tensor_active_ratio"`
	DRAMActiveRatio   *float64  `db:"dram_active_ratio"`
}

// HostSample is a row of raw.host_sample.
type HostSample struct {
	RunID                uuid.UUID `db:"run_id"`
	TNs                  int64     `db:"t_ns"`
	CostNs               int64     `db:"cost_ns"`
	LateNs               int64     `db:"late_ns"`
	CPURatio             *float64  `db:"cpu_ratio"`
	CPUBusiestRatio      *float64  `db:"cpu_busiest_ratio"`
	Load1                *float64  `db:"load1"`
	MemoryUsedBytes      *int64    `db:"memory_used_bytes"`
	MemoryAvailableBytes *int64    `db:"memory_available_bytes"`
	SwapUsedBytes        *int64    `db:"swap_used_bytes"`
	DiskReadBytes        *int64    `db:"disk_read_bytes"`
	DiskWriteBytes       *int64    `db:"disk_write_bytes"`
	NetReceivedBytes     *int64    `db:"net_received_bytes"`
	NetSentBytes         *int64    `db:"net_sent_bytes"`
}

// ProcessSample is a row of raw.process_sample.
type ProcessSample struct {
	RunID      uuid.UUID `db:"run_id"`
	TNs        int64     `db:"t_ns"`
	CostNs     int64     `db:"cost_ns"`
	PID        int64     `db:"pid"`
	Role       string    `db:"role"`
	Name       string    `db:"name"`
	CPUS       *float64  `db:"cpu_s"`
	RSSBytes   *int64    `db:"rss_bytes"`
	Threads    *int32    `db:"threads"`
	GCPauseNs  *int64    `db:"gc_pause_ns"`
	Goroutines *int32    `db:"goroutines"`
	OpenFiles  *int32    `db:"open_files"`
}

// Served is a row of raw.truth.
type Served struct {
	RunID     uuid.UUID `db:"run_id"`
	RequestID string    `db:"request_id"`
	Seq       int32     `db:"seq"`
	TNs       int64     `db:"t_ns"`
	Tokens    int32     `db:"tokens"`
}

// Event is a row of raw.event.
type Event struct {
	RunID   uuid.UUID `db:"run_id"`
	TNs     int64     `db:"t_ns"`
	Kind    EventKind `db:"kind"`
	Source  string    `db:"source"`
	TurnID  *int32    `db:"turn_id"`
	Message string    `db:"message"`
}

func (Run) table() string           { return "run" }
func (RunTag) table() string        { return "run_tag" }
func (Setting) table() string       { return "setting" }
func (Host) table() string          { return "host" }
func (GPU) table() string           { return "gpu" }
func (Engine) table() string        { return "engine" }
func (Model) table() string         { return "model" }
func (EngineStart) table() string   { return "engine_start" }
func (EnginePhase) table() string   { return "engine_phase" }
func (Session) table() string       { return "session" }
func (Turn) table() string          { return "turn" }
func (Message) table() string       { return "message" }
func (TurnMessage) table() string   { return "turn_message" }
func (TurnToken) table() string     { return "turn_token" }
func (TurnServer) table() string    { return "turn_server" }
func (CacheTurn) table() string     { return "cache_turn" }
func (CacheMiss) table() string     { return "cache_miss" }
func (Chunk) table() string         { return "chunk" }
func (Scrape) table() string        { return "scrape" }
func (EngineMetric) table() string  { return "engine_metric" }
func (GPUSample) table() string     { return "gpu_sample" }
func (HostSample) table() string    { return "host_sample" }
func (ProcessSample) table() string { return "process_sample" }
func (Served) table() string        { return "truth" }
func (Event) table() string         { return "event" }

// rowTypes lists every type of row in the order in which they are inserted: a row comes after the rows that it refers to.
func rowTypes() []Row {
	return []Row{
		Run{}, RunTag{}, Setting{}, Host{}, GPU{}, Engine{}, Model{}, EngineStart{}, EnginePhase{}, Session{}, Message{},
		Turn{}, TurnMessage{}, TurnToken{}, TurnServer{}, CacheTurn{}, CacheMiss{}, Chunk{}, Scrape{}, EngineMetric{}, GPUSample{},
		HostSample{}, ProcessSample{}, Served{}, Event{},
	}
}

// Tables returns the names of the raw tables in the order in which their rows are recorded: a run comes before its other rows.
func Tables() []string {
	var names []string
	for _, row := range rowTypes() {
		names = append(names, row.table())
	}
	return names
}
