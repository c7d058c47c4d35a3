package plain

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
)

var password = regexp.MustCompile(`(?i)(password\s*=\s*)('(?:[^'\\]|\\.)*(?:'|$)|\S+)|(://[^/@\s:]*:)[^\s/]*@`)

// WithoutSecrets replaces each of secrets in a text by "(secret)".
func WithoutSecrets(text string, secrets []string) string {
	// a secret that begins with another one is replaced whole
	longest := slices.SortedStableFunc(slices.Values(secrets), func(a, b string) int { return len(b) - len(a) })
	for _, s := range longest {
		if s != "" {
			text = strings.ReplaceAll(text, s, "(secret)")
		}
	}
	return text
}

// Redact takes passwords out of a text that may be or quote a connection text: PASSWORD=…, ://USER:…@.
func Redact(text string) string {
	return password.ReplaceAllStringFunc(text, func(m string) string {
		if i := strings.Index(m, "://"); i >= 0 {
			return m[:i+len("://")+strings.Index(m[i+len("://"):], ":")+1] + "***@"
		}
		name, _, _ := strings.Cut(m, "=")
		return name + "=***"
	})
}

var hasScheme = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]*:/`)

// RedactURL takes credentials and query values out of a URL, with a scheme or without.
func RedactURL(raw string) string {
	scheme := ""
	if !hasScheme.MatchString(raw) { // localhost:8001 would be read as a scheme and a path
		scheme = "http://"
	}
	u, err := url.Parse(scheme + raw)
	if err != nil || u.Opaque != "" {
		return "(not a url)"
	}
	u.User = nil
	if u.RawQuery != "" {
		u.RawQuery = "redacted"
	}
	return strings.TrimPrefix(u.String(), scheme)
}
