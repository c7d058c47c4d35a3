package plain

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestBytes(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0 bytes", 999: "999 bytes", 1e3: "1.0 kB", 4_500_000: "4.5 MB", 16_060_000_000: "16.06 GB",
	} {
		if got := Bytes(n); got != want {
			t.Errorf("Bytes(%d) = %q, want %q", n, got, want)
		}
	}
	for _, tt := range []struct {
		n        int64
		unit     Unit
		decimals int
		want     string
	}{
		{3 << 29, GiB, 1, "1.5 GiB"}, {3 << 29, GiB, 2, "1.50 GiB"},
		{2_340_000, MB, 1, "2.3 MB"}, {4_260_000_000, GB, 1, "4.3 GB"}, {0, MB, 1, "0.0 MB"},
	} {
		if got := BytesIn(tt.n, tt.unit, tt.decimals); got != tt.want {
			t.Errorf("BytesIn(%d, %s, %d) = %q, want %q", tt.n, tt.unit, tt.decimals, got, tt.want)
		}
	}
}

func TestInGiB(t *testing.T) {
	if got := InGiB(3 << 29); got != "1.5 GiB" {
		t.Errorf("got %s", got)
	}
}

func TestCount(t *testing.T) {
	for _, tt := range []struct{ got, want string }{
		{Count(0, "run"), "0 runs"}, {Count(1, "run"), "1 run"}, {Count(2, "run"), "2 runs"},
		{Count(1, "process", "processes"), "1 process"}, {Count(2, "process", "processes"), "2 processes"},
	} {
		if tt.got != tt.want {
			t.Errorf("got %q, want %q", tt.got, tt.want)
		}
	}
}

func TestLines(t *testing.T) {
	full := errors.Join(errors.New("record x: disk full"), errors.New("close x: disk full"), errors.New("record x: disk full"))
	for _, tt := range []struct{ got, want string }{
		{FirstLine("\n a\nb\n"), "a"}, {FirstLine(""), ""},
		{OneLine(full), "record x: disk full; close x: disk full"},
		{OneLineByCause(full), "record x: disk full"},
		{OneLine(errors.New("one")), "one"},
		{OneLineByCause(errors.New("one")), "one"},
	} {
		if tt.got != tt.want {
			t.Errorf("got %q, want %q", tt.got, tt.want)
		}
	}
}

func TestPathCause(t *testing.T) {
	_, err := os.Open(filepath.Join(t.TempDir(), "none"))
	if got := PathCause(fmt.Errorf("open: %w", err)); got.Error() != "no such file or directory" || !errors.Is(got, fs.ErrNotExist) {
		t.Errorf("got %v", got)
	}
	if other := errors.New("x"); !errors.Is(PathCause(other), other) {
		t.Error("an error without a path was changed")
	}
}

func TestQuote(t *testing.T) {
	for want, words := range map[string][]string{
		"wb run --seed=1":   {"wb", "run", "--seed=1"},
		"'a b' 'it'\\''s'":  {"a b", "it's"},
		"'' '$x' '*' 'a;b'": {"", "$x", "*", "a;b"},
		"--flag=/tmp/x.sql": {"--flag=/tmp/x.sql"},
	} {
		if got := Quote(words...); got != want {
			t.Errorf("Quote(%q) = %s, want %s", words, got, want)
		}
	}
}

// typed is an error of a type that has hints.
type typed struct{ hint string }

func (e *typed) Error() string { return "typed" }
func (e *typed) Hint() string  { return e.hint }

func TestHint(t *testing.T) {
	bare := errors.New("x")
	for _, tt := range []struct {
		name string
		err  error
		want string
	}{
		{"nil", nil, ""},
		{"none", bare, ""},
		{"added", WithHint(bare, "do it"), "do it"},
		{"of a type", &typed{"do that"}, "do that"},
		{"wrapped", fmt.Errorf("y: %w", WithHint(bare, "do it")), "do it"},
		{"the outermost counts", WithHint(&typed{"do that"}, "do it"), "do it"},
		{"an empty one does not", WithHint(&typed{"do that"}, ""), "do that"},
		{"joined: the first that has one", errors.Join(bare, &typed{}, &typed{"do that"}, WithHint(bare, "do it")), "do that"},
		{"two wrapped", fmt.Errorf("%w: %w", bare, &typed{"do that"}), "do that"},
	} {
		if got := Hint(tt.err); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
	if WithHint(nil, "do it") != nil {
		t.Error("nil was made an error")
	}
	if err := WithHint(&typed{}, "do it"); err.Error() != "typed" || !errors.As(err, new(*typed)) {
		t.Errorf("the error is hidden: %v", err)
	}
}

func TestRedact(t *testing.T) {
	for in, want := range map[string]string{
		"host=db password=geheim user=x":                 "host=db password=*** user=x",
		"password = 'a b\\' c' user=x":                   "password =*** user=x",
		"PASSWORD=x":                                     "PASSWORD=***",
		"postgres://me:geheim@db/wb":                     "postgres://me:***@db/wb",
		"postgres://me@db/wb":                            "postgres://me@db/wb",
		"postgres:host=h password=abc dbname=x":          "postgres:host=h password=*** dbname=x",
		"postgres:password = 'a b\\'c' host=h":           "postgres:password =*** host=h",
		"postgresql://me:abc@h:5432/x":                   "postgresql://me:***@h:5432/x",
		"postgres://me:p@ss@h/x?password=zzz":            "postgres://me:***@h/x?password=***",
		"postgres:host=h dbname=x":                       "postgres:host=h dbname=x",
		"postgres:password='my s3cret dbname=x":          "postgres:password=***",
		"connection to \"postgres:host=h PASSWORD=abc\"": "connection to \"postgres:host=h PASSWORD=***",
		"nothing in here":                                "nothing in here",
		"postgres://me:pa:ss@h/x":                        "postgres://me:***@h/x",
	} {
		if got := Redact(in); got != want {
			t.Errorf("Redact(%q) = %q, want %q", in, got, want)
		}
	}
	for in, want := range map[string]string{
		"Bearer key-1 and key-12 were refused":      "Bearer (secret) and (secret) were refused",
		"ValueError: password=hunter2 is not known": "ValueError: password=hunter2 is not known", // the words of a server stay
	} {
		if got := WithoutSecrets(in, []string{"", "key-1", "key-12"}); got != want {
			t.Errorf("WithoutSecrets(%q) = %q, want %q", in, got, want)
		}
	}
	for in, want := range map[string]string{
		"http://me:x@host:1/v1?key=s": "http://host:1/v1?redacted",
		"localhost:8001":              "localhost:8001",
		"me:x@host:1":                 "host:1",
		"http://%zz":                  "(not a url)",
	} {
		if got := RedactURL(in); got != want {
			t.Errorf("RedactURL(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestRetry(t *testing.T) {
	busy, broken := errors.New("busy"), errors.New("broken")
	for _, tt := range []struct {
		name   string
		policy Policy
		errs   []error // of the calls; the last one is repeated
		want   error
		pauses []time.Duration
	}{
		{"at once", Policy{}, []error{nil}, nil, nil},
		{"twice", Policy{First: 2, Most: 3}, []error{busy, busy, busy, nil}, nil, []time.Duration{2, 3, 3}},
		{"no limit of pauses", Policy{First: 2}, []error{busy, busy, busy, nil}, nil, []time.Duration{2, 4, 8}},
		{"another error", Policy{First: 1, Again: func(err error) bool { return errors.Is(err, busy) }},
			[]error{busy, broken}, broken, []time.Duration{1}},
		{"tries", Policy{First: 1, Most: 1, Tries: 3}, []error{busy}, busy, []time.Duration{1, 1}},
		{"time", Policy{First: 10, Most: 10, For: 25}, []error{busy}, busy, []time.Duration{10, 10, 10}},
		{"asked to wait", Policy{First: 10, Pause: func(n int, _ error, otherwise time.Duration) time.Duration {
			return otherwise + time.Duration(n)
		}}, []error{busy, busy, nil}, nil, []time.Duration{11, 22}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var clock time.Time
			var pauses []time.Duration
			tt.policy.Now = func() time.Time { return clock }
			tt.policy.Sleep = func(_ context.Context, d time.Duration) { clock, pauses = clock.Add(d), append(pauses, d) }
			n := 0
			err := Retry(t.Context(), tt.policy, func() error {
				n++
				return tt.errs[min(n, len(tt.errs))-1]
			})
			if !errors.Is(err, tt.want) || !slices.Equal(pauses, tt.pauses) {
				t.Errorf("got %v after pauses %v, want %v after %v", err, pauses, tt.want, tt.pauses)
			}
		})
	}
}

func TestRetryLimits(t *testing.T) {
	busy := errors.New("busy")
	synctest.Test(t, func(t *testing.T) { // with the real clock, which does not wait in this bubble
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		told := 0
		p := Policy{First: time.Second, Most: time.Second, Jitter: true, SlowAfter: 3 * time.Second, Slow: func(err error) {
			if told++; !errors.Is(err, busy) {
				t.Errorf("told of %v", err)
			}
		}}
		began := time.Now()
		err := Retry(ctx, p, func() error { return busy })
		if !errors.Is(err, context.DeadlineExceeded) || told != 1 || time.Since(began) != 10*time.Second {
			t.Errorf("%v after %v, told %d times", err, time.Since(began), told)
		}
	})
	for range 1000 {
		if d := (Policy{Jitter: true}).pause(1, nil, 100); d < 50 || d >= 150 {
			t.Fatalf("a pause of %d, want 50 to 150", d)
		}
	}
}

func TestBuild(t *testing.T) {
	lines := strings.Split(Build("v1.2.3", "v1.5.5"), "\n")
	want := []string{"wb        v1.2.3", "commit    ", "DuckDB    v1.5.5", "Go        go1.", "platform  " + runtime.GOOS + "/", ""}
	if len(lines) != len(want) {
		t.Fatalf("%q", lines)
	}
	for i, w := range want {
		if !strings.HasPrefix(lines[i], w) {
			t.Errorf("line %d is %q, want it to begin with %q", i+1, lines[i], w)
		}
	}
	if strings.TrimSpace(strings.TrimPrefix(lines[1], "commit")) == "" {
		t.Error("an unknown commit must say so")
	}
}
