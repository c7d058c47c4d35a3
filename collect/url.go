package collect

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

// apiPaths are what people copy with a base URL; the longest first. What stands before /chat/completions without /v1 is where that server
// has its models, too.
var apiPaths = []struct{ path, api string }{
	{"/v1/chat/completions", "/v1"}, {"/chat/completions", ""}, {"/v1/completions", "/v1"}, {"/completions", ""}, {"/v1/models", "/v1"},
	{"/models", ""}, {"/v1", "/v1"},
}

var hasScheme = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]*:/`)

// parseBase reads a base URL. Its path is a prefix of every request's path and its query goes with every request, as gateways want it. api
// is what stands between that and the names of calls: /v1, or nothing where the URL of a call was given that has none.
func parseBase(raw string) (u *url.URL, api string, err error) {
	text := strings.TrimSpace(raw)
	if !hasScheme.MatchString(text) {
		text = "http://" + text
	}
	if u, err = url.Parse(text); err == nil {
		port, perr := strconv.Atoi(u.Port())
		switch {
		case u.Scheme != "http" && u.Scheme != "https", u.Hostname() == "":
			err = errors.New("neither http nor https, or no host")
		case u.Port() != "" && (perr != nil || port < 1 || port > 65535):
			return nil, "", fmt.Errorf("parse url %q: there is no port %s; ports go from 1 to 65535", RedactURL(text), u.Port())
		}
	}
	if err != nil {
		return nil, "", fmt.Errorf("parse url %q: wants http://HOST:PORT, and [ADDRESS] around an IPv6 address", RedactURL(text))
	}
	path, api := strings.TrimRight(u.EscapedPath(), "/"), "/v1"
	for _, p := range apiPaths {
		if rest, ok := strings.CutSuffix(path, p.path); ok {
			path, api = rest, p.api
			break
		}
	}
	path = strings.TrimRight(path, "/")
	if u.Path, err = url.PathUnescape(path); err != nil {
		return nil, "", fmt.Errorf("parse url %q: %w", RedactURL(text), err)
	}
	u.RawPath, u.Fragment, u.RawFragment = path, "", ""
	return u, api, nil
}

// address gives the URL of a path of the server, the query of the base URL included.
func (c *Client) address(path string) string {
	u := *c.base
	if rest, ok := strings.CutPrefix(path, "/v1/"); ok {
		path = c.api + "/" + rest
	}
	u.Path += path
	if u.RawPath != "" {
		u.RawPath += path
	}
	return u.String()
}

// Base is the server's base URL without credentials, for people and for the file.
func (c *Client) Base() string { return RedactURL(c.base.String()) }

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
