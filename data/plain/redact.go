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
	// longest first, so that a secret that begins with another secret is replaced completely
	longest := slices.SortedStableFunc(slices.Values(secrets), func(a, b string) int { return len(b) - len(a) })
	for _, s := range longest {
		if s != "" {
			text = strings.ReplaceAll(text, s, "(secret)")
		}
	}
	return text
}

// Redact removes passwords from a text that may contain a connection text: PASSWORD=…, ://USER:…@.
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

// RedactURL removes the credentials and the query from a URL, which may lack its scheme.
func RedactURL(raw string) string {
	scheme := ""
	if !hasScheme.MatchString(raw) { // url.Parse would read localhost:8001 as a scheme and a path
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
