package sim

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Upper limits of the buckets in the histograms of vLLM 0.26, read from its /metrics.
var (
	ttftBuckets  = []float64{0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80, 160, 640, 2560}
	itlBuckets   = []float64{0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80}
	e2eBuckets   = []float64{0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480, 960, 1920, 7680}
	tokenBuckets = []float64{1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000, 50000, 100000}
	stepBuckets  = []float64{1, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384}
)

type histogram struct {
	name, help string
	limits     []float64
	counts     []uint64 // one more than limits
	sum        float64
}

func newHistogram(name, help string, limits []float64) *histogram {
	return &histogram{name, help, limits, make([]uint64, len(limits)+1), 0}
}

func (h *histogram) observe(v float64) {
	i, _ := slices.BinarySearch(h.limits, v)
	h.counts[i]++
	h.sum += v
}

// metrics holds the counters and histograms of a vLLM server, under its names.
type metrics struct {
	model   string
	started time.Time

	mu sync.Mutex
	counters
	histograms
}

// counters are values that only grow.
type counters struct {
	queries, hits             float64 // of the prefix cache, in tokens
	promptTokens, generated   float64
	cachedTokens, preemptions float64
	success                   map[string]float64 // by finish reason
}

// histograms are in seconds, except the last three, which are in tokens.
type histograms struct {
	ttft, itl, tpot, e2e              *histogram
	queue, prefill, decode, inference *histogram
	prompts, generations, iteration   *histogram
}

func newMetrics(model string, started time.Time) *metrics {
	return &metrics{model: model, started: started, counters: counters{success: map[string]float64{}}, histograms: newHistograms()}
}

func newHistograms() histograms {
	seconds := func(name, help string, limits []float64) *histogram {
		return newHistogram("vllm:"+name+"_seconds", help, limits)
	}
	phase := func(name, state string) *histogram {
		return seconds("request_"+name+"_time", "Histogram of time spent in "+state+" phase for request.", e2eBuckets)
	}
	return histograms{
		ttft: seconds("time_to_first_token", "Histogram of time to first token in seconds.", ttftBuckets),
		itl:  seconds("inter_token_latency", "Histogram of inter-token latency in seconds.", itlBuckets),
		tpot: seconds("request_time_per_output_token", "Histogram of time_per_output_token_seconds per request.", itlBuckets),
		e2e:  seconds("e2e_request_latency", "Histogram of e2e request latency in seconds.", e2eBuckets),

		queue: phase("queue", "WAITING"), prefill: phase("prefill", "PREFILL"),
		decode: phase("decode", "DECODE"), inference: phase("inference", "RUNNING"),

		prompts:     newHistogram("vllm:request_prompt_tokens", "Number of prefill tokens processed.", tokenBuckets),
		generations: newHistogram("vllm:request_generation_tokens", "Number of generation tokens processed.", tokenBuckets),
		iteration:   newHistogram("vllm:iteration_tokens_total", "Histogram of number of tokens per engine_step.", stepBuckets),
	}
}

func (m *metrics) lookedUp(prompt, cached int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.queries += float64(prompt)
	m.hits += float64(cached)
	m.cachedTokens += float64(cached)
}

func (m *metrics) firstToken(r *request) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.promptTokens += float64(len(r.prompt))
	m.ttft.observe(r.first.Sub(r.arrived).Seconds())
}

func (m *metrics) interToken(d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.itl.observe(d.Seconds())
}

// stepped counts a step that emitted tokens and completed the prefill of prompts uncached prompt tokens.
func (m *metrics) stepped(tokens, prompts int) {
	if tokens == 0 { // as in vLLM, a step that emits nothing is not counted
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.generated += float64(tokens)
	m.iteration.observe(float64(tokens + prompts))
}

func (m *metrics) preempted() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.preemptions++
}

func (m *metrics) finished(r *request, at time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.success[r.reason()]++
	m.e2e.observe(at.Sub(r.arrived).Seconds())
	m.queue.observe(r.scheduled.Sub(r.queued).Seconds())
	m.prefill.observe(r.first.Sub(r.scheduled).Seconds())
	m.decode.observe(r.last.Sub(r.first).Seconds())
	m.inference.observe(r.last.Sub(r.scheduled).Seconds())
	if n := len(r.generated) - 1; n > 0 {
		m.tpot.observe(r.last.Sub(r.first).Seconds() / float64(n))
	}
	m.prompts.observe(float64(len(r.prompt)))
	m.generations.observe(float64(len(r.generated)))
}

func number(v float64) string {
	if v == math.Trunc(v) && math.Abs(v) < 1e15 {
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(v, 'g', -1, 64)
}

// inOrder returns the histograms in the order of vLLM's page.
func (h *histograms) inOrder() []*histogram {
	return []*histogram{h.iteration, h.prompts, h.generations, h.ttft, h.itl, h.tpot, h.e2e, h.queue, h.inference, h.prefill, h.decode}
}

// write writes the samples of a histogram: its buckets, its count and its sum.
func (h *histogram) write(w io.Writer, model, labels string) {
	var n uint64
	for i, c := range h.counts {
		n += c
		le := "+Inf"
		if i < len(h.limits) {
			le = number(h.limits[i])
		}
		fmt.Fprintf(w, "%s_bucket{engine=\"0\",le=%q,model_name=%q} %s\n", h.name, le, model, number(float64(n)))
	}
	fmt.Fprintf(w, "%s_count{%s} %s\n%s_sum{%s} %s\n", h.name, labels, number(float64(n)), h.name, labels, number(h.sum))
}

// write writes the Prometheus text. running and waiting count requests, used is the share of KV blocks that they hold (0 to 1), and
// config holds the labels of vllm:cache_config_info.
func (m *metrics) write(w io.Writer, running, waiting int, used float64, config []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	labels := fmt.Sprintf(`engine="0",model_name=%q`, m.model)
	family := func(name, kind, help string) { fmt.Fprintf(w, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind) }
	plain := func(name, kind, help string, v float64) {
		family(name, kind, help)
		fmt.Fprintf(w, "%s{%s} %s\n", name, labels, number(v))
	}
	family("process_start_time_seconds", "gauge", "Start time of the process since unix epoch in seconds.")
	fmt.Fprintf(w, "process_start_time_seconds %s\n", number(float64(m.started.UnixMilli())/1e3))
	plain("vllm:num_requests_running", "gauge", "Number of requests in model execution batches.", float64(running))
	plain("vllm:num_requests_waiting", "gauge", "Number of requests waiting to be processed.", float64(waiting))
	plain("vllm:kv_cache_usage_perc", "gauge", "KV-cache usage. 1 means 100 percent usage.", used)
	plain("vllm:prefix_cache_queries_total", "counter", "Prefix cache queries, in terms of number of queried tokens.", m.queries)
	plain("vllm:prefix_cache_hits_total", "counter", "Prefix cache hits, in terms of number of cached tokens.", m.hits)
	plain("vllm:num_preemptions_total", "counter", "Cumulative number of preemption from the engine.", m.preemptions)
	plain("vllm:prompt_tokens_total", "counter", "Number of prefill tokens processed.", m.promptTokens)
	plain("vllm:prompt_tokens_cached_total", "counter", "Number of cached prompt tokens (local + external).", m.cachedTokens)
	plain("vllm:generation_tokens_total", "counter", "Number of generation tokens processed.", m.generated)
	family("vllm:request_success_total", "counter", "Count of successfully processed requests.")
	for _, reason := range []string{"stop", "length", "abort", "error", "repetition"} {
		fmt.Fprintf(w, "vllm:request_success_total{engine=\"0\",finished_reason=%q,model_name=%q} %s\n", reason, m.model,
			number(m.success[reason]))
	}
	for _, h := range m.inOrder() {
		family(h.name, "histogram", h.help)
		h.write(w, m.model, labels)
	}
	family("vllm:cache_config_info", "gauge", "Information of the LLMEngine CacheConfig")
	fmt.Fprintf(w, "vllm:cache_config_info{%s} 1.0\n", strings.Join(config, ","))
}
