package collect

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	gnet "github.com/shirou/gopsutil/v4/net"

	"wb/collect/vllm"
)

// Kinds of server.
const (
	KindVLLM      = "vllm"
	KindOpenAI    = "openai"
	KindSimulator = "simulator"
)

// Engine is what a server says of itself.
type Engine struct {
	Kind              string
	Version           *string
	Model             string
	ModelRoot         *string
	MaxModelLenTokens *int64
	BlockSizeTokens   *int64
	KVCacheSizeTokens *int64
	PrefixCaching     *bool
	CacheConfig       map[string]string // labels of vllm:cache_config_info
	HasMetrics        bool
	HasTokenize       bool
	ProcessStartedAt  *time.Time
	Details           bool // it is known to run with --enable-prompt-tokens-details
	Imitates          struct {
		Model string `json:"model"`
		GPU   string `json:"gpu"`
	} // what a simulator's costs were measured on
}

// Adapter knows the release of vLLM that answers.
func (e *Engine) Adapter() vllm.Adapter {
	if e.Version == nil {
		return vllm.NewAdapter("")
	}
	return vllm.NewAdapter(*e.Version)
}

// VLLM says whether the server takes vLLM's extra request fields.
func (e *Engine) VLLM() bool { return e.Kind != KindOpenAI }

// ErrUnreachable is returned when nothing answers at the URL.
var ErrUnreachable = errors.New("unreachable")

// ErrNoModel is returned when the server does not serve the model asked for.
var ErrNoModel = errors.New("model not served")

// Probe asks the server who it is and opens the connection that turns will use. model "" means the one it serves.
func (c *Client) Probe(ctx context.Context, model string) (*Engine, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	e := &Engine{Kind: KindOpenAI, Model: model}
	resp, text, err := c.call(ctx, c.turns, http.MethodGet, "/v1/models", nil, maxReplyBytes)
	if err != nil {
		return nil, fmt.Errorf("reach server %s: %w: %w", c.Base(), ErrUnreachable, err)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("ask %s for its models: HTTP %d: %s", c.Base(), resp.StatusCode, c.clean(serverMessage(text, resp.Status)))
	}
	var models struct {
		Data []struct {
			ID          string `json:"id"`
			Root        string `json:"root"`
			OwnedBy     string `json:"owned_by"`
			MaxModelLen *int64 `json:"max_model_len"`
		} `json:"data"`
	}
	if err := json.Unmarshal(text, &models); err != nil || len(models.Data) == 0 {
		return nil, fmt.Errorf("ask %s for its models: the answer lists none; is it an OpenAI-compatible server?", c.Base())
	}
	var names []string
	for _, m := range models.Data {
		names = append(names, m.ID)
	}
	i := slices.Index(names, model)
	if model == "" {
		if len(names) > 1 {
			return nil, fmt.Errorf("choose model: %w: %s serves %s; name one with --model", ErrNoModel, c.Base(), strings.Join(names, ", "))
		}
		i = 0
	}
	if i < 0 {
		return nil, fmt.Errorf("find model %q: %w: %s serves %s", model, ErrNoModel, c.Base(), strings.Join(names, ", "))
	}
	m := models.Data[i]
	e.Model, e.MaxModelLenTokens = m.ID, m.MaxModelLen
	if m.Root != "" {
		e.ModelRoot = &m.Root
	}
	if m.OwnedBy == "vllm" {
		e.Kind = KindVLLM
	}
	e.readVersion(c.call(ctx, c.turns, http.MethodGet, "/version", nil, 1<<20))
	if body, err := json.Marshal(map[string]string{"model": e.Model, "prompt": "a"}); err == nil {
		if resp, text, err := c.call(ctx, c.turns, http.MethodPost, "/tokenize", body, 1<<20); err == nil && resp.StatusCode == http.StatusOK {
			e.HasTokenize = strings.Contains(string(text), `"tokens"`)
		}
	}
	e.readMetrics(c.scrape(ctx, false))
	return e, nil
}

func (e *Engine) readVersion(resp *http.Response, text []byte, err error) {
	if err != nil || resp.StatusCode != http.StatusOK {
		return
	}
	var v struct {
		Version   string          `json:"version"`
		Simulated bool            `json:"simulated"`
		Imitates  json.RawMessage `json:"imitates"`
	}
	if json.Unmarshal(text, &v) != nil {
		return
	}
	if v.Version != "" {
		e.Version = &v.Version
	}
	if v.Simulated {
		e.Kind = KindSimulator
		_ = json.Unmarshal(v.Imitates, &e.Imitates) // a simulator that does not say imitates nothing
	}
}

var labelPattern = regexp.MustCompile(`([a-zA-Z_][a-zA-Z0-9_]*)=("(?:[^"\\]|\\.)*")`)

func (e *Engine) readMetrics(s *Scrape) {
	for _, x := range s.Series {
		switch {
		case x.Name == "vllm:cache_config_info":
			e.CacheConfig = map[string]string{}
			for _, m := range labelPattern.FindAllStringSubmatch(x.Labels, -1) {
				if v, err := strconv.Unquote(m[2]); err == nil {
					e.CacheConfig[m[1]] = v
				}
			}
		case x.Name == "process_start_time_seconds" && x.Value > 0 && x.Value < 1e11:
			whole, frac := math.Modf(x.Value)
			e.ProcessStartedAt = new(time.Unix(int64(whole), int64(frac*1e9)).UTC())
		}
		e.HasMetrics = e.HasMetrics || strings.HasPrefix(x.Name, "vllm:")
	}
	number := func(label string) *int64 {
		if n, err := strconv.ParseInt(e.CacheConfig[label], 10, 64); err == nil {
			return &n
		}
		return nil
	}
	e.BlockSizeTokens, e.KVCacheSizeTokens = number("block_size"), number("kv_cache_size_tokens")
	if n := number("num_gpu_blocks"); e.KVCacheSizeTokens == nil && n != nil && e.BlockSizeTokens != nil {
		e.KVCacheSizeTokens = new(*n * *e.BlockSizeTokens) // before vLLM told the size itself
	}
	if on, err := strconv.ParseBool(strings.ToLower(e.CacheConfig["enable_prefix_caching"])); err == nil {
		e.PrefixCaching = &on
	}
	if e.HasMetrics && e.Kind == KindOpenAI {
		e.Kind = KindVLLM
	}
}

// alive asks whether the server still answers at all.
func (c *Client) alive(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	_, _, err := c.call(ctx, c.side, http.MethodGet, "/v1/models", nil, maxReplyBytes)
	return err == nil
}

// local says whether the client's URL is on this machine.
func (c *Client) local() (*url.URL, bool) {
	u, err := url.Parse(c.base)
	return u, err == nil && (u.Hostname() == "localhost" || u.Hostname() == "::1" || strings.HasPrefix(u.Hostname(), "127."))
}

// serverPID finds the process that listens at the client's URL, when that is on this machine and may be seen.
func (c *Client) serverPID(ctx context.Context) (int32, bool) {
	u, ok := c.local()
	if !ok {
		return 0, false
	}
	port, err := strconv.ParseUint(u.Port(), 10, 16)
	if err != nil {
		return 0, false
	}
	conns, err := gnet.ConnectionsWithoutUidsWithContext(ctx, "tcp")
	if err != nil {
		return 0, false
	}
	for _, x := range conns {
		if x.Status == "LISTEN" && uint64(x.Laddr.Port) == port && x.Pid != 0 {
			return x.Pid, true
		}
	}
	return 0, false
}
