package client

import (
	"testing"
)

// The table gives what people type as a URL, where the server is asked, and how the URL is shown.
func TestURLs(t *testing.T) {
	for _, c := range []struct{ given, want, shown string }{
		{"localhost:8001", "http://localhost:8001/v1/models", "http://localhost:8001"},
		{"me:secret@localhost:8001/v1", "http://me:secret@localhost:8001/v1/models", "http://localhost:8001"},
		{"http://h:1/v1/", "http://h:1/v1/models", "http://h:1"},
		{"http://h:1/api/v1/chat/completions", "http://h:1/api/v1/models", "http://h:1/api"},
		{"https://h/v1?api-version=1&key=abcdefghij", "https://h/v1/models?api-version=1&key=abcdefghij", "https://h?redacted"},
		{"http://[::1]:8001/v1", "http://[::1]:8001/v1/models", "http://[::1]:8001"},
		{"[::1]:8001", "http://[::1]:8001/v1/models", "http://[::1]:8001"},
		{"http://me:secret@h/x", "http://me:secret@h/x/v1/models", "http://h/x"},
		{"http://h/a%20b", "http://h/a%20b/v1/models", "http://h/a%20b"},
		{"http://h/a%2Fb/v1", "http://h/a%2Fb/v1/models", "http://h/a%2Fb"},
		{"http://h/api/v3/chat/completions", "http://h/api/v3/models", "http://h/api/v3"},
		{"h:8001/v1?to=http://x/y", "http://h:8001/v1/models?to=http://x/y", "http://h:8001?redacted"},
		{"http://h:99999", "!", ""}, {"http:/h:1", "!", ""},
		{"http://h/v1#part", "http://h/v1/models", "http://h"},
		{"http://::1:8001", "!", ""}, {"ftp://h", "!", ""}, {"http://", "!", ""}, {"", "!", ""}, {"http://h:port", "!", ""},
	} {
		cl, err := New(c.given, "", nil)
		got, shown := "!", ""
		if err == nil {
			got, shown = cl.address("/v1/models"), cl.Base()
		}
		if got != c.want || shown != c.shown {
			t.Errorf("%q is asked at %s and shown as %s (%v), want %s and %s", c.given, got, shown, err, c.want, c.shown)
		}
	}
}
