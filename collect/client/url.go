package client

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"wb/data/plain"
)

// apiPaths are the paths that people copy together with a base URL, the longest first, and the api that each means. A server whose
// /chat/completions is not below /v1 has its /models at the same place.
var apiPaths = []struct{ path, api string }{
	{"/v1/chat/completions", "/v1"}, {"/chat/completions", ""}, {"/v1/completions", "/v1"}, {"/completions", ""}, {"/v1/models", "/v1"},
	{"/models", ""}, {"/v1", "/v1"},
}

var hasScheme = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]*:/`)

// parseBase reads a base URL. The URL's path becomes a prefix of the path of every request, and its query goes with every request, as
// gateways want it. api is the part between that prefix and the name of a call: /v1, or nothing where raw is the URL of a call without /v1.
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
			return nil, "", fmt.Errorf("parse url %q: %s is not a valid port; ports go from 1 to 65535", plain.RedactURL(text), u.Port())
		}
	}
	if err != nil {
		return nil, "", fmt.Errorf("parse url %q: wants http://HOST:PORT, and [ADDRESS] around an IPv6 address", plain.RedactURL(text))
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
		return nil, "", fmt.Errorf("parse url %q: %w", plain.RedactURL(text), err)
	}
	u.RawPath, u.Fragment, u.RawFragment = path, "", ""
	return u, api, nil
}

// address gives the URL for a path of the server, with the query of the base URL.
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

// Base gives the server's base URL without credentials, to be shown and recorded.
func (c *Client) Base() string { return plain.RedactURL(c.base.String()) }

// Leads says where a redirect leads, without secrets. It is "" when the redirect does not say. from is the URL that was asked for.
func (c *Client) Leads(from, location string) string {
	u, err := url.Parse(from)
	if err != nil || location == "" {
		return ""
	}
	to, err := u.Parse(location)
	if err != nil {
		return ""
	}
	return c.Clean(plain.RedactURL(to.String()))
}

// Follow takes over the path prefix to which the server redirected /v1/models, so that turns go there at once.
func (c *Client) Follow(resp *http.Response) {
	path, ok := strings.CutSuffix(strings.TrimRight(resp.Request.URL.Path, "/"), c.api+"/models")
	if !ok || path == c.base.Path || resp.StatusCode != http.StatusOK {
		return
	}
	u := *c.base
	u.Path, u.RawPath = path, ""
	c.base = &u
}

// Local gives the client's base URL, and says whether its host is this machine.
func (c *Client) Local() (*url.URL, bool) {
	u := c.base
	return u, u.Hostname() == "localhost" || u.Hostname() == "::1" || strings.HasPrefix(u.Hostname(), "127.")
}

// ElsewhereHint is the hint for a redirect that is not followed.
const ElsewhereHint = "give the address of the server itself with --url"

// KeyHint is the hint for a server that wants a key, or another key.
const KeyHint = "--api-key-env NAME sends the key from the environment variable NAME"
