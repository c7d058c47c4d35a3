// Package hub downloads models from the Hugging Face hub, or from a server with the same protocol. It stores them in the layout of the
// hub's cache, so that vLLM and huggingface_hub find them there:
//
//	CACHE/models--ORG--NAME/blobs/ETAG              the bytes of a file; ETAG is its SHA-256 (large files) or its git blob id
//	CACHE/models--ORG--NAME/refs/REVISION           the commit of a branch or tag at the time of the download
//	CACHE/models--ORG--NAME/snapshots/COMMIT/FILE   a link to the blob
//	CACHE/.locks/models--ORG--NAME/ETAG.lock        locked while a blob is written
//
// Layout and headers are those of huggingface_hub (file_download.py and constants.py, as read in versions 0.34 to 2.4).
//
// The package must not know how a model is served, whether it fits a GPU, or which models wb lists.
package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// DefaultEndpoint is the URL of the public hub. HF_ENDPOINT names another one.
const DefaultEndpoint = "https://huggingface.co"

// Limits of what is accepted from a hub.
const (
	maxListBytes = 64 << 20
	maxFiles     = 20_000
	maxRedirects = 8
)

// Client talks to one hub and uses one cache. Set its fields before the first call, and do not change them afterwards.
type Client struct {
	Endpoint string // without a trailing slash
	CacheDir string
	Token    string // sent to Endpoint only; "" for none
	Offline  bool   // use only the cache
	Jobs     int    // how many files to download at once; default 4

	HTTP  *http.Client                                // default: the proxy of the environment, and no overall timeout
	Sleep func(context.Context, time.Duration)        // waits between tries; default: a real pause
	Idle  time.Duration                               // end a connection that has sent nothing for this long; default 60 s
	Free  func(dir string) (freeBytes int64, ok bool) // default: asks the file system
}

// FromEnv makes a client from the environment variables that huggingface_hub reads: HF_ENDPOINT, HF_TOKEN (or the file of HF_TOKEN_PATH),
// HF_HUB_CACHE, HF_HOME and HF_HUB_OFFLINE.
// It returns an error if HF_ENDPOINT is not an http(s) URL, or if there is no home directory for the cache.
func FromEnv(getenv func(string) string) (*Client, error) {
	c := &Client{Endpoint: DefaultEndpoint, Token: strings.TrimSpace(getenv("HF_TOKEN"))}
	if e := strings.TrimRight(strings.TrimSpace(getenv("HF_ENDPOINT")), "/"); e != "" {
		u, err := url.Parse(e)
		if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
			return nil, &Error{Op: "read HF_ENDPOINT", Cause: "it is not an http(s) URL", hint: "unset it for " + DefaultEndpoint}
		}
		c.Endpoint = e
	}
	home := getenv("HF_HOME")
	if home == "" {
		base := getenv("XDG_CACHE_HOME")
		if base == "" {
			h, err := os.UserHomeDir()
			if err != nil && getenv("HF_HUB_CACHE") == "" {
				return nil, &Error{Op: "find the model cache", Cause: err.Error(), hint: "set HF_HUB_CACHE to a directory"}
			}
			base = filepath.Join(h, ".cache")
		}
		home = filepath.Join(base, "huggingface")
	}
	c.CacheDir = getenv("HF_HUB_CACHE")
	if c.CacheDir == "" {
		c.CacheDir = getenv("HUGGINGFACE_HUB_CACHE")
	}
	if c.CacheDir == "" {
		c.CacheDir = filepath.Join(home, "hub")
	}
	if c.Token == "" {
		p := getenv("HF_TOKEN_PATH")
		if p == "" {
			p = filepath.Join(home, "token")
		}
		if b, err := os.ReadFile(p); err == nil {
			c.Token = strings.TrimSpace(string(b))
		}
	}
	for _, name := range []string{"HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"} {
		if v := strings.ToUpper(getenv(name)); v == "1" || v == "ON" || v == "YES" || v == "TRUE" {
			c.Offline = true
		}
	}
	return c, nil
}

// Error is a failure with its cause, and with what to do about it if that is known.
type Error struct {
	Op, Cause string
	Status    int // HTTP status; 0 if there was no answer
	hint      string
	wrapped   error
}

func (e *Error) Error() string { return e.Op + ": " + e.Cause }

// Unwrap returns the wrapped error, if any.
func (e *Error) Unwrap() error { return e.wrapped }

// Hint says what to do, or "" if nothing is known.
func (e *Error) Hint() string { return e.hint }

// ErrNotCached is wrapped by errors about a model that is not in the cache, or not all of it.
var ErrNotCached = errors.New("not in the cache")

var (
	repoPattern   = regexp.MustCompile(`^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9])?/[A-Za-z0-9._-]{1,96}$`)
	commitPattern = regexp.MustCompile(`^[0-9a-f]{40}$`)
	etagPattern   = regexp.MustCompile(`^(?:[0-9a-f]{40}|[0-9a-f]{64})$`) // git blob id or SHA-256; nothing else could be verified
)

// ParseRef splits ORG/NAME[@REVISION]. The revision is "main" if none is given.
func ParseRef(ref string) (repo, revision string, err error) {
	repo, revision, ok := strings.Cut(ref, "@")
	if !ok {
		revision = "main"
	}
	switch {
	case !repoPattern.MatchString(repo) || strings.Contains(repo, "--") || strings.Contains(repo, ".."):
		return "", "", &Error{Op: fmt.Sprintf("read model name %q", ref), Cause: "it must be ORG/NAME or ORG/NAME@REVISION"}
	case revision == "" || !filepath.IsLocal(revision) || strings.ContainsAny(revision, " \\?#%"):
		return "", "", &Error{Op: fmt.Sprintf("read model name %q", ref), Cause: "the revision after @ is not a valid branch, tag or commit"}
	}
	return repo, revision, nil
}

func folder(repo string) string { return "models--" + strings.ReplaceAll(repo, "/", "--") }

// File is one file of a repository.
type File struct {
	Path      string
	ETag      string // name of its blob: SHA-256 when Large, git blob id otherwise
	Large     bool
	SizeBytes int64
}

// Listing is a repository at one commit.
type Listing struct {
	Repo, Revision, Commit string
	Files                  []File
}

// List asks the hub for the files of a repository. It returns an error if the repository or the revision does not exist,
// if the repository is gated or private, or if the hub cannot be reached.
func (c *Client) List(ctx context.Context, repo, revision string) (*Listing, error) {
	op := "list " + repo
	if c.Offline {
		return nil, &Error{Op: op, Cause: "offline mode is on", hint: "unset HF_HUB_OFFLINE to ask the hub"}
	}
	var body struct {
		SHA      string `json:"sha"`
		Siblings []struct {
			Name   string `json:"rfilename"`
			Size   *int64 `json:"size"`
			BlobID string `json:"blobId"`
			LFS    *struct {
				SHA256 string `json:"sha256"`
				Size   int64  `json:"size"`
			} `json:"lfs"`
		} `json:"siblings"`
	}
	resp, err := c.retry(ctx, op, func() (*http.Response, error) {
		return c.get(ctx, http.MethodGet, c.Endpoint+"/api/models/"+repo+"/revision/"+url.PathEscape(revision)+"?blobs=true", -1)
	})
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, c.refused(op, repo, resp)
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxListBytes))
	if err == nil {
		err = json.Unmarshal(text, &body)
	}
	body.SHA = strings.ToLower(body.SHA) // git writes no capitals, but a mirror was seen to do so
	if err != nil || !commitPattern.MatchString(body.SHA) {
		return nil, &Error{
			Op: op, Cause: "the answer is not that of a hub", hint: "is HF_ENDPOINT the address of a Hugging Face hub?", wrapped: err,
		}
	}
	if len(body.Siblings) > maxFiles {
		return nil, &Error{Op: op, Cause: fmt.Sprintf("it has more than %d files", maxFiles)}
	}
	l := &Listing{Repo: repo, Revision: revision, Commit: body.SHA}
	for _, s := range body.Siblings {
		if !filepath.IsLocal(s.Name) || strings.Contains(s.Name, "\\") {
			return nil, &Error{Op: op, Cause: fmt.Sprintf("it has a file named %q", s.Name)}
		}
		f := File{Path: s.Name, ETag: s.BlobID}
		if s.Size != nil {
			f.SizeBytes = *s.Size
		}
		if s.LFS != nil {
			f.ETag, f.SizeBytes, f.Large = s.LFS.SHA256, s.LFS.Size, true
		}
		l.Files = append(l.Files, f)
	}
	slices.SortFunc(l.Files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	return l, nil
}

// complete adds the hashes and sizes that a listing lacks. The listings of mirrors have no blob ids.
func (c *Client) complete(ctx context.Context, l *Listing, files []File) error {
	for i := range files {
		f := &files[i]
		if f.ETag == "" {
			if err := c.lookUp(ctx, l, f); err != nil {
				return err
			}
		}
		if !etagPattern.MatchString(f.ETag) || f.SizeBytes < 0 {
			return &Error{Op: "look up " + l.Repo + "/" + f.Path, Cause: "the hub does not give the file's hash and size",
				hint: "without them the file cannot be verified; use another hub with HF_ENDPOINT"}
		}
	}
	return nil
}

// lookUp asks for the hash and the size of a file. It does so as huggingface_hub does. For a large file, which is on another host,
// the first answer with X-Linked-Etag has them. Redirects are followed only on the host of the hub.
func (c *Client) lookUp(ctx context.Context, l *Listing, f *File) error {
	op := "look up " + l.Repo + "/" + f.Path
	resp, err := c.retry(ctx, op, func() (*http.Response, error) { return c.head(ctx, c.fileURL(l, f.Path)) })
	if err != nil {
		return err
	}
	resp.Body.Close()
	if resp.StatusCode >= http.StatusBadRequest {
		return c.refused(op, l.Repo, resp)
	}
	h := resp.Header
	tag, size := h.Get("X-Linked-Etag"), h.Get("X-Linked-Size")
	f.Large = tag != ""
	if tag == "" {
		tag, size = h.Get("Etag"), h.Get("Content-Length")
	}
	// a server that compresses the answer adds that to the tag (mod_deflate of Apache)
	f.ETag = strings.TrimSuffix(strings.ToLower(strings.Trim(strings.TrimPrefix(tag, "W/"), `"`)), "-gzip")
	if f.SizeBytes, err = strconv.ParseInt(size, 10, 64); err == nil {
		return nil
	}
	f.SizeBytes, err = c.sizeOf(ctx, op, l, f)
	return err
}

func (c *Client) head(ctx context.Context, address string) (*http.Response, error) {
	hub, err := url.Parse(c.Endpoint)
	if err != nil {
		return nil, err
	}
	for range maxRedirects {
		u, err := url.Parse(address)
		if err != nil {
			return nil, err
		}
		resp, err := c.once(ctx, http.MethodHead, address, -1, c.Token)
		if err != nil {
			return nil, err
		}
		next, err := u.Parse(resp.Header.Get("Location"))
		leads := resp.StatusCode >= 300 && resp.StatusCode <= 399 && resp.Header.Get("X-Linked-Etag") == ""
		if !leads || err != nil || next.Scheme != hub.Scheme || next.Host != hub.Host {
			return resp, nil
		}
		resp.Body.Close()
		address = next.String()
	}
	return nil, errRedirects
}

// maxCounted is the largest file, in bytes, whose size is found by reading it.
const maxCounted = 64 << 20

// sizeOf counts the bytes of a file whose size the hub does not give. That is a small file, which the hub sends without a length.
func (c *Client) sizeOf(ctx context.Context, op string, l *Listing, f *File) (int64, error) {
	resp, err := c.retry(ctx, op, func() (*http.Response, error) { return c.get(ctx, http.MethodGet, c.fileURL(l, f.Path), -1) })
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return 0, c.refused(op, l.Repo, resp)
	}
	n, err := io.Copy(io.Discard, io.LimitReader(resp.Body, maxCounted+1))
	if err != nil {
		return 0, &Error{Op: op, Cause: withoutAddress(err), wrapped: err}
	}
	if n > maxCounted {
		return 0, &Error{Op: op, Cause: "the hub does not give the file's size"}
	}
	return n, nil
}

func (c *Client) fileURL(l *Listing, file string) string {
	return c.Endpoint + "/" + l.Repo + "/resolve/" + l.Commit + "/" + (&url.URL{Path: file}).EscapedPath()
}

// errRedirects is returned after maxRedirects redirects. Asking again would not help.
var errRedirects = fmt.Errorf("more than %d redirects", maxRedirects)

// get makes a request and follows redirects. It sends the token only to the host of the hub. The signed address of another host needs no
// token. from > 0 asks for the bytes from there on.
func (c *Client) get(ctx context.Context, method, address string, from int64) (*http.Response, error) {
	hub, err := url.Parse(c.Endpoint)
	if err != nil {
		return nil, err
	}
	for range maxRedirects {
		u, err := url.Parse(address)
		if err != nil {
			return nil, err
		}
		token := c.Token
		if u.Scheme != hub.Scheme || u.Host != hub.Host {
			token = ""
		}
		resp, err := c.once(ctx, method, address, from, token)
		if err != nil {
			return nil, err
		}
		location := resp.Header.Get("Location")
		if resp.StatusCode < 300 || resp.StatusCode > 399 || location == "" {
			return resp, nil
		}
		resp.Body.Close()
		next, err := u.Parse(location)
		if err != nil {
			return nil, fmt.Errorf("a redirect to an invalid address")
		}
		if u.Scheme == "https" && next.Scheme == "http" {
			return nil, fmt.Errorf("a redirect from https to http")
		}
		address = next.String()
	}
	return nil, errRedirects
}

func (c *Client) once(ctx context.Context, method, address string, from int64, token string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, address, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", "wb; hf_hub_compatible")
	req.Header.Set("Accept-Encoding", "identity") // so that sizes and ranges are those of the file
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	if from > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", from))
	}
	h := c.HTTP
	if h == nil {
		h = defaultHTTP
	}
	direct := *h
	direct.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return direct.Do(req)
}

// defaultHTTP is one pool of connections for all clients. It has no state of any client.
var defaultHTTP = &http.Client{Transport: &http.Transport{
	Proxy:                 http.ProxyFromEnvironment,
	DialContext:           (&net.Dialer{Timeout: 20 * time.Second}).DialContext,
	TLSHandshakeTimeout:   20 * time.Second,
	ResponseHeaderTimeout: 60 * time.Second,
	MaxIdleConnsPerHost:   16,
	IdleConnTimeout:       60 * time.Second,
}}

const tries = 5

// retry repeats a call while the hub is busy or the connection fails, at most tries times.
func (c *Client) retry(ctx context.Context, op string, call func() (*http.Response, error)) (*http.Response, error) {
	for n := 1; ; n++ {
		resp, err := call()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				resp.Body.Close()
			}
			return nil, ctx.Err()
		case err == nil && !busy(resp.StatusCode), err == nil && n == tries:
			return resp, nil
		case errors.Is(err, errRedirects):
			return nil, &Error{
				Op: op, Cause: withoutAddress(err), hint: "the hub redirects in a circle; use another hub with HF_ENDPOINT", wrapped: err,
			}
		case err != nil && n == tries:
			return nil, &Error{
				Op: op, Cause: withoutAddress(err), wrapped: err,
				hint: "is the network up? use another hub with HF_ENDPOINT, or only the cache with HF_HUB_OFFLINE=1",
			}
		}
		wait := backoff(n)
		if err == nil {
			wait = retryAfter(resp, wait)
			resp.Body.Close()
		}
		c.sleep(ctx, wait)
	}
}

func busy(status int) bool { return status == http.StatusTooManyRequests || status >= 500 }

func backoff(n int) time.Duration { return min(time.Second<<(n-1), 30*time.Second) }

func retryAfter(resp *http.Response, otherwise time.Duration) time.Duration {
	if s, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && s >= 0 && s <= 300 {
		return time.Duration(s) * time.Second
	}
	return otherwise
}

func (c *Client) sleep(ctx context.Context, d time.Duration) {
	if c.Sleep != nil {
		c.Sleep(ctx, d)
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// withoutAddress returns the text of an error without the address of the request. A signed address is a secret until it expires.
func withoutAddress(err error) string {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	var dns *net.DNSError
	if errors.As(err, &dns) {
		return "host " + dns.Name + " is not known"
	}
	var op *net.OpError
	if errors.As(err, &op) {
		if op.Addr != nil {
			return op.Addr.String() + ": " + op.Err.Error()
		}
		return op.Err.Error()
	}
	return err.Error()
}

// refused explains an answer with an error status. X-Error-Code says more than the status:
// for a client without a token, a missing repository has the status 401.
func (c *Client) refused(op, repo string, resp *http.Response) error {
	e := &Error{Op: op, Status: resp.StatusCode}
	code, message := resp.Header.Get("X-Error-Code"), resp.Header.Get("X-Error-Message")
	page := c.Endpoint + "/" + repo
	switch {
	case code == "GatedRepo" && c.Token == "":
		e.Cause, e.hint = "the model is gated", "accept its licence at "+page+", then set HF_TOKEN to a token of that account"
	case code == "GatedRepo":
		e.Cause, e.hint = "the model is gated and the token's account has no access", "accept its licence at "+page
	case code == "RevisionNotFound":
		e.Cause, e.hint = "there is no such revision", "leave @REVISION out for main, or look at "+page
	case code == "EntryNotFound":
		e.Cause = "there is no such file"
	case resp.StatusCode == http.StatusUnauthorized && c.Token != "" && code != "RepoNotFound":
		e.Cause, e.hint = "the token is not valid", "HF_TOKEN is expired or mistyped"
	case code == "RepoNotFound", resp.StatusCode == http.StatusUnauthorized, resp.StatusCode == http.StatusNotFound:
		e.Cause, e.hint = "there is no such model, or it is private", "check the name; for a private model set HF_TOKEN"
	case resp.StatusCode == http.StatusForbidden:
		e.Cause, e.hint = "access is forbidden", "the token does not allow reading this model"
	case resp.StatusCode == http.StatusTooManyRequests:
		e.Cause, e.hint = "the hub asks to slow down", "try again later; HF_TOKEN raises the limit"
	default:
		e.Cause = "HTTP " + resp.Status
	}
	if message != "" && code == "" {
		e.Cause += " (" + message + ")"
	}
	return e
}
