package engine

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"wb/collect/client"
	"wb/data/plain"

	gnet "github.com/shirou/gopsutil/v4/net"
)

// ErrUnreachable is returned when nothing answers at the URL.
var ErrUnreachable = errors.New("unreachable")

// UpHint is the beginning of the hint for a server that does not answer.
const UpHint = "is the server up? try: wb doctor --url "

// Unreachable makes the error for a URL at which nothing answers. It wraps ErrUnreachable and why, and has a hint.
func Unreachable(url string, why error) error {
	err := fmt.Errorf("reach server %s: %w%w", url, ErrUnreachable, why)
	if plain.Hint(err) != "" { // the network error has a better hint
		return err
	}
	return plain.WithHint(err, UpHint+plain.Quote(url))
}

// ErrNoModel is returned when the server does not serve the model asked for.
var ErrNoModel = errors.New("model not served")

// Limits on finding out what a server is.
const (
	probeLimit   = 2 * time.Second // for one request that a server need not answer
	learnLimit   = 5 * time.Second // for what only one kind of server is asked
	modelsLimit  = 30 * time.Second
	LoadingLimit = 15 * time.Minute // loading a large model from a slow disk takes minutes
	AskAgain     = time.Second      // pause before a server that is loading is asked again
)

// Probe finds out what the server is, and opens the connection that turns will use. model "" means the model that the server serves. Probe
// waits for a server that is loading its model. waiting, which may be nil, is called once when that happens. Facts.Absent says what the
// server lacks.
func Probe(ctx context.Context, c *client.Client, model string, waiting func(string)) (*Server, error) {
	return ProbeAs(ctx, c, model, All(), waiting)
}

// ProbeAs is Probe with a list of kinds other than All.
func ProbeAs(ctx context.Context, c *client.Client, model string, kinds []Engine, waiting func(string)) (*Server, error) {
	f := &Facts{Model: model}
	if err := probeModels(ctx, c, f, waiting); err != nil {
		return nil, err
	}
	limited, cancel := context.WithTimeout(ctx, probeLimit)
	f.readVersion(c.Ask(limited, http.MethodGet, "/version", nil, client.MaxSmallAnswer))
	cancel()
	limited, cancel = context.WithTimeout(ctx, probeLimit)
	s := ReadMetrics(limited, c, false)
	cancel()
	f.readMetrics(s)
	i := slices.IndexFunc(kinds, func(k Engine) bool { return k.Recognises(f) })
	if i < 0 {
		return nil, fmt.Errorf("recognise %s: it is not of a kind that wb knows", c.Base())
	}
	kind := kinds[i]
	limited, cancel = context.WithTimeout(ctx, learnLimit)
	kind.Learn(limited, c, f)
	cancel()
	if why := probeTokenize(ctx, c, kind, f); why != "" {
		f.lacks("no_tokenize", "/tokenize "+why+": token ids and the possible prefix-cache hits are not known")
	} else {
		f.HasTokenize = true
	}
	switch {
	case s.Err != nil:
		f.lacks("no_metrics", "/metrics "+s.Err.Error()+": the server's counters are not known")
	case len(s.Series) == 0:
		f.lacks("no_metrics", "/metrics holds no counters: the server's counters are not known")
	}
	return &Server{*f, kind}, ctx.Err()
}

// Loading says whether an answer means that the server is still loading its model. said is the reason that the answer gives.
func Loading(status int, said string) bool {
	said = strings.ToLower(said)
	says := func(words ...string) bool {
		return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(said, w) })
	}
	return status == http.StatusServiceUnavailable && !says("fail", "error", "memory", "overload", "unable", "cannot", "could not") &&
		says("loading", "load model", "starting", "not ready", "warming", "initializing", "initialising")
}

// probeModels asks for the list of models, and chooses one.
func probeModels(ctx context.Context, c *client.Client, f *Facts, waiting func(string)) error {
	limited, cancel := context.WithTimeout(ctx, LoadingLimit)
	defer cancel()
	for {
		one, cancel := context.WithTimeout(limited, modelsLimit)
		resp, text, err := c.Ask(one, http.MethodGet, "/v1/models", nil, client.MaxModelsBytes)
		cancel()
		said := c.Clean(client.Reason(text))
		switch {
		case err != nil && resp == nil && f.Model != "" && errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil:
			f.lacks("no_models", fmt.Sprintf("/v1/models did not answer within %v: the model is assumed to be the one that was named, %s",
				modelsLimit, f.Model))
			return nil
		case err != nil && resp == nil:
			return Unreachable(c.Base(), fmt.Errorf(": %w", err))
		case err != nil:
			return fmt.Errorf("ask %s for its models: %w", c.Base(), err)
		case Loading(resp.StatusCode, said) && limited.Err() == nil:
			if waiting != nil {
				waiting(fmt.Sprintf("%s is loading its model: waiting (it says: %s)", c.Base(), said))
				waiting = nil
			}
			Sleep(limited, AskAgain)
			if err := ctx.Err(); err != nil {
				return err
			}
			continue
		}
		c.Follow(resp)
		return chooseModel(c, f, resp, text, said)
	}
}

// Sleep waits for d, or until the context ends.
func Sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// chooseModel reads the list of models and chooses one. A server without such a list can be used when the user named a model.
func chooseModel(c *client.Client, f *Facts, resp *http.Response, text []byte, said string) error {
	status := resp.StatusCode
	if to := c.Leads(resp.Request.URL.String(), resp.Header.Get("Location")); status/100 == 3 {
		cause := fmt.Sprintf("ask %s for its models: HTTP %d: it leads to %s", c.Base(), status, cmp.Or(to, "nowhere"))
		return plain.WithHint(errors.New(cause), client.ElsewhereHint)
	}
	if status == http.StatusUnauthorized || status == http.StatusForbidden {
		return plain.WithHint(fmt.Errorf("ask %s for its models: HTTP %d: %s", c.Base(), status, cmp.Or(said, resp.Status)), client.KeyHint)
	}
	low := strings.ToLower(said)
	if status == http.StatusBadRequest && strings.Contains(low, "http request") && strings.Contains(low, "https") {
		cause := fmt.Sprintf("ask %s for its models: HTTP %d: %s", c.Base(), status, said)
		return plain.WithHint(errors.New(cause), "the server speaks TLS: use https:// in the URL")
	}
	list := listedModels(text)
	if status != http.StatusOK || len(list) == 0 {
		why := "the answer lists no model"
		if status != http.StatusOK {
			why = fmt.Sprintf("HTTP %d: %s", status, cmp.Or(said, resp.Status))
		} else if said != "" {
			why += " (" + said + ")"
		}
		if f.Model != "" && (status < 502 || status > 504) { // a proxy sends 502 to 504 when the server behind it does not answer
			f.lacks("no_models", "/v1/models: "+why+": the model is assumed to be the one that was named, "+f.Model)
			return nil
		}
		return plain.WithHint(fmt.Errorf("ask %s for its models: %s", c.Base(), why), "is it an OpenAI-compatible server? "+
			"--model names a model that it does not list; --url wants the base URL, such as http://HOST:PORT")
	}
	var names []string
	for _, m := range list {
		names = append(names, string(m.ID))
	}
	i := slices.Index(names, f.Model)
	if i < 0 && f.Model != "" { // Ollama users leave out the usual tag
		i = slices.Index(names, f.Model+":latest")
	}
	if f.Model == "" {
		if len(names) > 1 {
			return fmt.Errorf("choose model: %w: %s serves %s; name one with --model", ErrNoModel, c.Base(), firstNames(names))
		}
		i = 0
	}
	if i < 0 {
		return fmt.Errorf("find model %q: %w: %s serves %s", f.Model, ErrNoModel, c.Base(), firstNames(names))
	}
	m := list[i]
	f.Model = string(m.ID)
	context := string(cmp.Or(m.MaxModelLen, m.Meta.ContextTokens))
	if n, err := strconv.ParseInt(context, 10, 64); err == nil && n > 0 && n <= client.MaxTokenCount {
		f.MaxModelLenTokens = &n
	}
	if m.Root != "" {
		f.ModelRoot = new(string(m.Root))
	}
	f.OwnedBy, f.Software = string(m.OwnedBy), resp.Header.Get("Server")
	f.ModelFacts = m.Meta.facts()
	return nil
}

// probeTokenize asks for the token ids of a fixed text and of fixed messages, which tell tokenizers and templates apart. It says why the
// answer cannot be used, "" when it can. llama.cpp answers a request that it does not understand with an empty list.
func probeTokenize(ctx context.Context, c *client.Client, kind Engine, f *Facts) (why string) {
	limited, cancel := context.WithTimeout(ctx, probeLimit)
	defer cancel()
	ids, err := kind.TokenIDs(limited, c, f.Model, Text{Part: sampleText})
	if err == nil {
		f.Tokenizer = fingerprint(ids)
		f.probeTemplate(ctx, c, kind)
	}
	var status *statusError
	switch {
	case errors.As(err, &status) && (status.code == http.StatusNotFound || status.code == http.StatusMethodNotAllowed):
		return "does not exist"
	case limited.Err() != nil:
		return fmt.Sprintf("did not answer within %v", probeLimit)
	case err != nil:
		return "cannot be used (" + strings.TrimPrefix(err.Error(), "tokenize: ") + ")"
	}
	return ""
}

// probeTemplate asks for the token ids of fixed messages. A template may refuse a system message, and then nothing is known of it.
func (f *Facts) probeTemplate(ctx context.Context, c *client.Client, kind Engine) {
	limited, cancel := context.WithTimeout(ctx, probeLimit)
	defer cancel()
	messages := []client.Message{{Role: "system", Content: "Be brief."}, {Role: "user", Content: sampleText}}
	if ids, err := kind.TokenIDs(limited, c, f.Model, Text{Messages: messages}); err == nil {
		f.Template = fingerprint(ids)
	}
}

// sampleText has words, digits, punctuation and letters of other scripts, which tokenizers cut differently.
const sampleText = "One two three: 1,234.5 tokens, naïve façade, Zürich, 日本語, привет!\n\tif (x_1 >= 42) { return \"done\"; }"

// fingerprint tells lists of token ids apart: the first 16 hexadecimal digits of their SHA-256.
func fingerprint(ids []int32) string {
	h := sha256.New()
	for _, id := range ids {
		_ = binary.Write(h, binary.LittleEndian, id) // a hash takes everything
	}
	return hex.EncodeToString(h.Sum(nil))[:16]
}

func (f *Facts) readVersion(resp *http.Response, text []byte, err error) {
	if err != nil || resp.StatusCode != http.StatusOK {
		return
	}
	var v struct {
		Version   client.LooseText `json:"version"`
		Simulated bool             `json:"simulated"`
		Imitates  client.RawValue  `json:"imitates"`
	}
	if json.Unmarshal(text, &v) != nil {
		return
	}
	if v.Version != "" {
		f.Version = new(client.Clip(string(v.Version[:min(len(v.Version), 64)])))
	}
	if v.Simulated {
		f.Simulated = true
		_ = json.Unmarshal(v.Imitates, &f.Imitates) // a simulator without this field imitates nothing
	}
}

var labelPattern = regexp.MustCompile(`([a-zA-Z_][a-zA-Z0-9_]*)=("(?:[^"\\]|\\.)*")`)

func (f *Facts) readMetrics(s *Scrape) {
	f.Namespaces = map[string]bool{}
	for _, x := range s.Series {
		switch {
		case x.Name == "vllm:cache_config_info":
			f.CacheConfig = map[string]string{}
			for _, m := range labelPattern.FindAllStringSubmatch(x.Labels, -1) {
				if v, err := strconv.Unquote(m[2]); err == nil {
					f.CacheConfig[m[1]] = v
				}
			}
		case x.Name == "process_start_time_seconds" && x.Value > 0 && x.Value < 1e11:
			whole, frac := math.Modf(x.Value)
			f.ProcessStartedAt = new(time.Unix(int64(whole), int64(frac*1e9)).UTC())
		}
		f.HasMetrics = true
		if space, _, ok := strings.Cut(x.Name, ":"); ok {
			f.Namespaces[space] = true
		}
	}
	number := func(label string, most int64) *int64 {
		if n, err := strconv.ParseInt(f.CacheConfig[label], 10, 64); err == nil && n > 0 && n <= most {
			return &n
		}
		return nil
	}
	const most = 1 << 40 // the largest KV cache that is believed, in tokens
	f.BlockSizeTokens, f.KVCacheSizeTokens = number("block_size", client.MaxTokenCount), number("kv_cache_size_tokens", most)
	if n := number("num_gpu_blocks", most/client.MaxTokenCount); f.KVCacheSizeTokens == nil && n != nil && f.BlockSizeTokens != nil {
		f.KVCacheSizeTokens = new(*n * *f.BlockSizeTokens) // older releases of vLLM do not give the size
	}
	if on, err := strconv.ParseBool(strings.ToLower(f.CacheConfig["enable_prefix_caching"])); err == nil {
		f.PrefixCaching = &on
	}
	f.MatchUnitTokens = number("prefix_match_unit", client.MaxTokenCount)
	f.AlignTokens = number("cache_hit_alignment_tokens", client.MaxTokenCount)
	f.HybridState = !slices.Contains([]string{"", "none", "None"}, f.CacheConfig["mamba_cache_mode"])
}

// Alive says whether the server still answers at all. It waits up to 5 s.
func Alive(ctx context.Context, c *client.Client) bool {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	resp, _, err := c.AskBeside(ctx, http.MethodGet, "/v1/models", nil, client.MaxModelsBytes)
	return err == nil || resp != nil
}

// ServerPID finds the process that listens at the client's URL. The result is false when the URL is not on this machine, or the process
// cannot be seen.
func ServerPID(ctx context.Context, c *client.Client) (int32, bool) {
	u, ok := c.Local()
	if !ok {
		return 0, false
	}
	port, err := strconv.ParseUint(u.Port(), 10, 16)
	if err != nil {
		return 0, false
	}
	return Listener(ctx, int(port))
}

// Listener finds the process that listens on a port of this machine. ok is false where it cannot be seen.
func Listener(ctx context.Context, port int) (pid int32, ok bool) {
	conns, err := gnet.ConnectionsWithoutUidsWithContext(ctx, "tcp")
	if err != nil {
		return 0, false
	}
	for _, x := range conns {
		if x.Status == "LISTEN" && int(x.Laddr.Port) == port && x.Pid != 0 {
			return x.Pid, true
		}
	}
	return 0, false
}
