package machine

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"wb/collect/client"
	"wb/collect/client/clienttest"
)

// What doctor says about the prefix cache of vLLM, by the labels of vllm:cache_config_info and the length of the context.
func TestDiagnosePrefixCache(t *testing.T) {
	for _, c := range []struct {
		labels  string
		context int
		want    string
	}{
		{`enable_prefix_caching="True",block_size="16"`, 8192, "ok: on, blocks of 16 tokens"},
		{`enable_prefix_caching="False",block_size="16"`, 8192, "note: off"},
		{`block_size="16"`, 8192, "ok: on, blocks of 16 tokens"},
		{`enable_prefix_caching="True",block_size="8320"`, 8192,
			"warn: on, blocks of 8320 tokens, in a context of 8192: no prompt fills a block, so nothing can be cached"},
		{`enable_prefix_caching="True",block_size="528",cache_hit_alignment_tokens="1056",mamba_cache_mode="align"`, 8192,
			"ok: on, blocks of 528 tokens, hits at multiples of 1056 (a hybrid model)"},
		{`enable_prefix_caching="True",block_size="528",cache_hit_alignment_tokens="8448",mamba_cache_mode="align"`, 8192,
			"warn: on, blocks of 528 tokens, hits at multiples of 8448 (a hybrid model), in a context of 8192: no prompt reaches one, " +
				"so nothing can be cached"},
		{`enable_prefix_caching="True",block_size="528",prefix_match_unit="16",mamba_cache_mode="all"`, 8192,
			"ok: on, blocks of 16 tokens, a hybrid model: its state is cached at certain places only"},
		{`enable_prefix_caching="True",block_size="16",mamba_cache_mode="none"`, 8192, "ok: on, blocks of 16 tokens"},
		{`enable_prefix_caching="True"`, 8192, "ok: on"},
		{`cache_dtype="auto"`, 8192, "note: the server does not say"},
	} {
		srv := httptest.NewServer(&clienttest.OddServer{
			Models: func(w http.ResponseWriter, _ *http.Request) {
				fmt.Fprintf(w, `{"data":[{"id":"m","owned_by":"vllm","max_model_len":%d}]}`, c.context)
			},
			Metrics: func(w http.ResponseWriter, _ *http.Request) {
				fmt.Fprintf(w, "vllm:cache_config_info{%s} 1\n", c.labels)
			},
		})
		conn, err := client.New(srv.URL, "", func() int64 { return 0 })
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, f := range DiagnoseServer(t.Context(), conn, "") {
			if f.Check == "prefix cache" {
				got = f.Level + ": " + f.Found
			}
		}
		srv.Close()
		if got != c.want {
			t.Errorf("%s: %q, want %q", c.labels, strings.TrimSpace(got), c.want)
		}
	}
}
