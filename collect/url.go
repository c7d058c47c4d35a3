package collect

import (
	"fmt"
	"net/url"
	"strings"
)

// apiPaths are what people copy with a base URL; the longest first.
var apiPaths = []string{"/v1/chat/completions", "/chat/completions", "/v1/completions", "/completions", "/v1/models", "/models", "/v1"}

// parseBase reads a base URL. Its path is a prefix of every request's path and its query goes with every request, as gateways want it.
func parseBase(raw string) (*url.URL, error) {
	text := strings.TrimSpace(raw)
	if !strings.Contains(text, "://") {
		text = "http://" + text
	}
	u, err := url.Parse(text)
	if err == nil && (u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "") {
		err = fmt.Errorf("neither http nor https, or no host")
	}
	if err != nil {
		return nil, fmt.Errorf("parse url %q: wants http://HOST:PORT, and [ADDRESS] around an IPv6 address", RedactURL(text))
	}
	path := strings.TrimRight(u.Path, "/")
	for _, p := range apiPaths {
		if rest, ok := strings.CutSuffix(path, p); ok {
			path = rest
			break
		}
	}
	u.Path, u.RawPath, u.Fragment, u.RawFragment = strings.TrimRight(path, "/"), "", "", ""
	return u, nil
}

// address gives the URL of a path of the server, the query of the base URL included.
func (c *Client) address(path string) string {
	u := *c.base
	u.Path += path
	return u.String()
}

// Base is the server's base URL without credentials, for people and for the file.
func (c *Client) Base() string { return RedactURL(c.base.String()) }

// RedactURL takes credentials and query values out of a URL, with a scheme or without.
func RedactURL(raw string) string {
	scheme := ""
	if !strings.Contains(raw, "://") { // localhost:8001 would be read as a scheme and a path
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

// leads says where a redirect leads, for people; "" when it does not say.
func (c *Client) leads(from, location string) string {
	u, err := url.Parse(from)
	if err != nil || location == "" {
		return ""
	}
	to, err := u.Parse(location)
	if err != nil {
		return ""
	}
	return c.clean(RedactURL(to.String()))
}
