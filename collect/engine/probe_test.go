package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"wb/collect/client"
	"wb/collect/client/clienttest"
)

// Lists of models come in several shapes.
func TestListedModels(t *testing.T) {
	for _, c := range []struct {
		answer, asked, model, err string
		context                   int64
	}{
		{`{"data":[{"id":"m","max_model_len":4096}]}`, "", "m", "", 4096},
		{`{"data":[{"id":"m","max_model_len":"auto"},{"id":"m"}]}`, "", "m", "", 0},
		{`{"data":[{"id":"m","max_model_len":"4096"}]}`, "", "m", "", 4096},
		{`{"data":[{"id":"m","meta":{"vocab_type":2,"n_ctx":4096,"n_ctx_train":8192}}]}`, "", "m", "", 4096},
		{`{"data":[{"id":"m","meta":{"n_ctx_train":8192}}]}`, "", "m", "", 0},
		{`{"data":[{"id":"m","meta":null}]}`, "", "m", "", 0},
		{`{"data":[{"id":"m","meta":5}]}`, "", "m", "", 0},
		{"\ufeff" + `[{"id":"m"}]`, "", "m", "", 0},
		{`{"models":[{"name":"m"}]}`, "", "m", "", 0},
		{`{"data":["m"]}`, "", "m", "", 0},
		{`{"data":[{"id":7}]}`, "", "7", "", 0},
		{`{"data":[{"id":"m:latest"},{"id":"n:latest"}]}`, "m", "m:latest", "", 0},
		{`{"data":[{"id":"m"},{"id":"n"}]}`, "", "", "serves m, n; name one with --model", 0},
		{`{"data":[]}`, "", "", "lists no model", 0},
		{`{"data":[{"id":""}]}`, "m", "m", "", 0},
	} {
		o := &clienttest.OddServer{Models: func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, c.answer) }}
		srv := httptest.NewServer(o)
		e, err := Probe(t.Context(), clientOf(t, srv.URL, ""), c.asked, nil)
		srv.Close()
		switch {
		case c.err != "":
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s: %v, want %s", c.answer, err, c.err)
			}
		case err != nil || e.Model != c.model || (e.MaxModelLenTokens == nil) != (c.context == 0) ||
			c.context > 0 && *e.MaxModelLenTokens != c.context:
			t.Errorf("%s: %+v, %v", c.answer, e, err)
		}
	}
}

// A server that failed to load its model is not waited for.
func TestLoadingOrNot(t *testing.T) {
	for said, want := range map[string]bool{
		"Loading model": true, "the model is currently loading": true, "starting up, not ready": true,
		"failed to load model: CUDA out of memory": false, "The server is overloaded or not ready yet.": false, "busy": false,
	} {
		if got := Loading(http.StatusServiceUnavailable, said); got != want {
			t.Errorf("%q: loading is %v", said, got)
		}
	}
	if Loading(http.StatusInternalServerError, "Loading model") {
		t.Error("an answer of 500 counts as loading")
	}
}

// Token ids that cannot be those of the text are refused.
func TestTokenizeLies(t *testing.T) {
	for answer, want := range map[string]string{
		`{"tokens":[1,2,3]}`: "", `{"tokens":[1,2,3],"count":3}`: "", `{"tokens":[1,2,3],"count":7}`: "counts 7",
		`{"tokens":[]}`: "0 token ids for 13 bytes", `{"tokens":[1,-2,3]}`: "negative", `{"count":3}`: "no token ids",
		`{"tokens":[` + strings.Repeat("1,", 299) + `1]}`: "300 token ids for 13 bytes",
	} {
		o := &clienttest.OddServer{Tokenize: func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, answer) }}
		srv := httptest.NewServer(o)
		_, err := vllm{}.TokenIDs(t.Context(), clientOf(t, srv.URL, ""), "m", Text{Part: "one two three"})
		srv.Close()
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%.40s: %v, want %q", answer, err, want)
		}
	}
}

func TestProbeFailures(t *testing.T) {
	status := func(code int, headers map[string]string, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			for k, v := range headers {
				w.Header().Set(k, v)
			}
			w.WriteHeader(code)
			fmt.Fprint(w, body)
		}
	}
	plainServer := &clienttest.OddServer{}
	for _, c := range []struct {
		name      string
		handler   http.Handler
		err, hint string
		base      string
		kind      Kind
	}{
		{"a prefix", http.StripPrefix("/api", plainServer), "HTTP 404", "base URL", "", ""},
		{"no key", status(401, nil, `{"error":{"message":"wrong key"}}`), "HTTP 401: wrong key", "--api-key-env", "", ""},
		{"forbidden", status(403, nil, ""), "HTTP 403", "--api-key-env", "", ""},
		{"elsewhere", status(302, map[string]string{"Location": "https://login.example/sign-in?next=x"}, ""),
			"it leads to https://login.example/sign-in", "--url", "", ""},
		{"round and round", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/x"+r.URL.Path, http.StatusTemporaryRedirect)
		}), "it leads to", "--url", "", ""},
		{"a page", status(200, map[string]string{"Content-Type": "text/html"}, "<title>Sign in</title>"),
			"lists no model (Sign in)", "OpenAI-compatible", "", ""},
		{"no end", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			for s := strings.Repeat("x", 1<<16); ; {
				if _, err := w.Write([]byte(s)); err != nil {
					return
				}
			}
		}), "longer than", "", "", ""},
		{"same host, another path", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !strings.HasPrefix(r.URL.Path, "/proxy") {
				http.Redirect(w, r, "/proxy"+r.URL.Path, http.StatusTemporaryRedirect)
				return
			}
			http.StripPrefix("/proxy", plainServer).ServeHTTP(w, r)
		}), "", "", "/proxy", KindOpenAI},
	} {
		t.Run(c.name, func(t *testing.T) {
			srv := httptest.NewServer(c.handler)
			defer srv.Close()
			cl := clientOf(t, srv.URL, "")
			e, err := Probe(t.Context(), cl, "", nil)
			if c.err == "" {
				if err != nil || e.Kind() != c.kind || !strings.HasSuffix(cl.Base(), c.base) {
					t.Fatalf("%v, at %s", err, cl.Base())
				}
				return
			}
			var h interface{ Hint() string }
			hint := ""
			if errors.As(err, &h) {
				hint = h.Hint()
			}
			if err == nil || !strings.Contains(err.Error(), c.err) || !strings.Contains(hint, c.hint) {
				t.Errorf("%v, hint %q; want %q, hint %q", err, hint, c.err, c.hint)
			}
		})
	}
}

// A server with TLS is asked without, and the other way round. A third server answers over IPv6.
func TestProbeByOtherWires(t *testing.T) {
	plainServer := &clienttest.OddServer{}
	tls := httptest.NewUnstartedServer(plainServer)
	tls.Config.ErrorLog = log.New(io.Discard, "", 0)
	tls.StartTLS()
	defer tls.Close()
	var h interface{ Hint() string }
	if _, err := Probe(t.Context(), clientOf(t, tls.URL, ""), "", nil); !errors.As(err, &h) ||
		!strings.Contains(h.Hint(), "SSL_CERT_FILE") || !errors.Is(err, ErrUnreachable) {
		t.Errorf("an unknown authority: %v", err)
	}
	plain := httptest.NewServer(plainServer)
	defer plain.Close()
	if _, err := Probe(t.Context(), clientOf(t, strings.Replace(tls.URL, "https:", "http:", 1), ""), "m", nil); err == nil ||
		!errors.As(err, &h) || !strings.Contains(h.Hint(), "https://") {
		t.Errorf("no TLS to a server that wants it: %v", err)
	}
	if _, err := Probe(t.Context(), clientOf(t, strings.Replace(plain.URL, "http:", "https:", 1), ""), "", nil); !errors.As(err, &h) ||
		!strings.Contains(h.Hint(), "http://") {
		t.Errorf("TLS to a server without: %v", err)
	}
	l, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		t.Skip("no IPv6 here")
	}
	six := &httptest.Server{Listener: l, Config: &http.Server{Handler: plainServer}}
	six.Start()
	defer six.Close()
	if _, err := Probe(context.Background(), clientOf(t, l.Addr().String(), ""), "", nil); err != nil {
		t.Errorf("over IPv6: %v", err)
	}
}

func clientOf(t testing.TB, url, key string) *client.Client {
	t.Helper()
	start := time.Now()
	c, err := client.New(url, key, func() int64 { return int64(time.Since(start)) })
	if err != nil {
		t.Fatal(err)
	}
	return c
}
