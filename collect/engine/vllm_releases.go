package engine

import (
	"regexp"
	"strconv"
)

// Adapter says what a release of vLLM can do and how it reports things. The facts were read in the sources of 0.10 to 0.33 and seen in
// recorded answers of 0.17, 0.22, 0.26 and 0.32 (testdata here and in collect).
type Adapter struct {
	Version Version
	Known   bool // the release lies in the range whose sources were read; outside it, the nearest release is assumed
}

// oldest and newest are the releases between which the sources were read.
var oldest, newest = Version{0, 10}, Version{0, 33}

// NewAdapter makes the adapter for what /version answered. An answer that cannot be read counts as the newest release.
func NewAdapter(version string) Adapter {
	v, ok := ParseVersion(version)
	if !ok {
		return Adapter{newest, false}
	}
	return Adapter{v, v.AtLeast(oldest.Major, oldest.Minor) && newest.AtLeast(v.Major, v.Minor)}
}

// CachedTokens decides how many tokens were cached when the server did not report cached_tokens. Through 0.22 vLLM leaves the field out
// when it is 0, with or without the flag. Later releases send 0. detailsOn says that --enable-prompt-tokens-details is known to be on.
// countersMissed says that the server's counters show that this request's prompt was looked up and nothing was found. Where neither is the
// case, nil stays nil: a number that was not reported is not 0.
func (a Adapter) CachedTokens(reported *int64, detailsOn, countersMissed bool) *int64 {
	if reported != nil || a.Version.AtLeast(0, 23) || (!detailsOn && !countersMissed) {
		return reported
	}
	return new(int64(0))
}

// TakesSalt says whether the release understands cache_salt: it does since 0.9.
func (a Adapter) TakesSalt() bool { return a.Version.AtLeast(0, 9) }

// DefaultUtilization is the default of --gpu-memory-utilization.
func (a Adapter) DefaultUtilization() float64 {
	if a.Version.AtLeast(0, 19) {
		return 0.92
	}
	return 0.9
}

// endpoints are those that wb uses or mentions. Those with dev exist only with VLLM_SERVER_DEV_MODE=1.
var endpoints = []struct {
	path  string
	since Version
	dev   bool
}{
	{"/health", oldest, false},
	{"/version", oldest, false},
	{"/metrics", oldest, false},
	{"/v1/models", oldest, false},
	{"/v1/chat/completions", oldest, false},
	{"/v1/completions", oldest, false},
	{"/tokenize", oldest, false},
	{"/detokenize", oldest, false},
	{"/reset_prefix_cache", oldest, true},
	{"/server_info", oldest, true},
	{"/sleep", oldest, true},
}

// Endpoint says whether a release has an endpoint, and whether only in development mode.
func (a Adapter) Endpoint(path string) (exists, devMode bool) {
	for _, e := range endpoints {
		if e.path == path {
			return a.Version.AtLeast(e.since.Major, e.since.Minor), e.dev
		}
	}
	return false, false
}

// metricNames gives the names that a metric has had, newest first. sql/views/ holds the same list as metric_names, so that a report finds
// them in every file. A test compares the two lists.
var metricNames = map[string][]string{
	"prefix_cache_queries": {"vllm:prefix_cache_queries_total", "vllm:prefix_cache_queries",
		"vllm:gpu_prefix_cache_queries_total", "vllm:gpu_prefix_cache_queries"},
	"prefix_cache_hits": {"vllm:prefix_cache_hits_total", "vllm:prefix_cache_hits",
		"vllm:gpu_prefix_cache_hits_total", "vllm:gpu_prefix_cache_hits"},
	"kv_cache_usage_ratio":       {"vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc"},
	"inter_token_latency":        {"vllm:inter_token_latency_seconds", "vllm:time_per_output_token_seconds"},
	"request_success":            {"vllm:request_success_total", "vllm:request_success"},
	"external_prefix_cache_hits": {"vllm:external_prefix_cache_hits_total", "vllm:external_prefix_cache_hits"},
	"spec_decode_accepted":       {"vllm:spec_decode_num_accepted_tokens_total", "vllm:spec_decode_num_accepted_tokens"},
	"preemptions":                {"vllm:num_preemptions_total", "vllm:num_preemptions"},
}

// Version is a vLLM release.
type Version struct{ Major, Minor int }

var versionPattern = regexp.MustCompile(`^v?(\d+)\.(\d+)`)

// ParseVersion reads what /version answers, such as 0.32.0 or 0.11.1rc2.dev3+g1a2b3c4. The result is false for anything else.
func ParseVersion(s string) (Version, bool) {
	m := versionPattern.FindStringSubmatch(s)
	if m == nil {
		return Version{}, false
	}
	major, err1 := strconv.Atoi(m[1])
	minor, err2 := strconv.Atoi(m[2])
	return Version{major, minor}, err1 == nil && err2 == nil
}

// AtLeast says whether a release is major.minor or newer.
func (v Version) AtLeast(major, minor int) bool {
	return v.Major > major || (v.Major == major && v.Minor >= minor)
}
