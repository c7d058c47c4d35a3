// Package hubtest is a model hub for tests, on this machine. It speaks the protocol of the Hugging Face hub as huggingface_hub reads it:
// redirects to a second host with signed addresses that expire, ETags, ranges and X-Error-Code. It also fails on request.
//
// Only tests may import it. It must not know package hub, which is tested with it.
package hubtest

import (
	"crypto/sha1" //nolint:gosec // git's blob ids
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Large is the size in bytes from which a file is on the second host, behind a redirect.
const Large = 100_000

// Hub serves repositories. Its fields may be changed between requests, under Lock.
type Hub struct {
	sync.Mutex
	URL    string // URL of the hub
	CDNURL string // URL of the second host, which has the large files

	Repos   map[string]map[string][]byte // repository → file → bytes
	Renamed map[string]string            // old name → repository
	Gated   map[string]bool              // repositories that need the token
	Token   string                       // the valid token
	Failures

	seen   record
	signed int // number of addresses signed so far
}

// Failures says what goes wrong, and what the hub cannot do.
type Failures struct {
	CutAfter  int64 // cut the connection of a large file after this many bytes of an answer; 0: never
	Cuts      int   // how often to cut
	Stalls    int   // how many answers with large files stop in the middle and hang
	Expire    int   // how many signed addresses have expired when they are used
	WrongByte int   // how many answers with large files have one wrong byte
	Busy      int   // how many requests are answered with 503
	NoRanges  bool  // large files are always sent from the start
	NoBlobs   bool  // the listing has no blob ids, like the listings of mirrors
}

// record is what the hub has received and sent.
type record struct {
	leaked   bool     // the second host received the token
	requests []string // "METHOD path range", in order
	served   int64    // bytes of large files
}

// Sent returns how many bytes of large files were sent so far.
func (h *Hub) Sent() int64 {
	h.Lock()
	defer h.Unlock()
	return h.seen.served
}

// Log returns the requests so far.
func (h *Hub) Log() []string {
	h.Lock()
	defer h.Unlock()
	return slices.Clone(h.seen.requests)
}

// Leaked reports whether the second host has received the token.
func (h *Hub) Leaked() bool {
	h.Lock()
	defer h.Unlock()
	return h.seen.leaked
}

// Commit is the commit of every revision.
const Commit = "0123456789abcdef0123456789abcdef01234567"

// Start starts a hub, which runs until stop is called.
func Start(repos map[string]map[string][]byte) (h *Hub, stop func()) {
	h = &Hub{Repos: repos, Gated: map[string]bool{}, Renamed: map[string]string{}}
	cdn := httptest.NewServer(http.HandlerFunc(h.cdn))
	hub := httptest.NewServer(http.HandlerFunc(h.hub))
	h.URL, h.CDNURL = hub.URL, cdn.URL
	return h, func() { hub.Close(); cdn.Close() }
}

// ETag returns the name of the blob of a file.
func ETag(b []byte) string {
	if len(b) >= Large {
		s := sha256.Sum256(b)
		return hex.EncodeToString(s[:])
	}
	h := sha1.New() //nolint:gosec // git's blob ids
	fmt.Fprintf(h, "blob %d\x00", len(b))
	h.Write(b)
	return hex.EncodeToString(h.Sum(nil))
}

func fail(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("X-Error-Code", code)
	w.Header().Set("X-Error-Message", message)
	http.Error(w, message, status)
}

func (h *Hub) hub(w http.ResponseWriter, r *http.Request) {
	h.Lock()
	defer h.Unlock()
	h.seen.requests = append(h.seen.requests, strings.TrimSpace(r.Method+" "+r.URL.Path+" "+r.Header.Get("Range")))
	if h.Busy > 0 {
		h.Busy--
		w.Header().Set("Retry-After", "1")
		http.Error(w, "busy", http.StatusServiceUnavailable)
		return
	}
	path := strings.TrimPrefix(r.URL.Path, "/")
	api := false
	if p, ok := strings.CutPrefix(path, "api/models/"); ok {
		path, api = p, true
	}
	parts := strings.SplitN(path, "/", 5)
	if len(parts) < 3 {
		fail(w, http.StatusNotFound, "RepoNotFound", "Repository not found")
		return
	}
	repo := parts[0] + "/" + parts[1]
	if to, ok := h.Renamed[repo]; ok {
		http.Redirect(w, r, strings.Replace(r.URL.RequestURI(), repo, to, 1), http.StatusTemporaryRedirect)
		return
	}
	files, ok := h.allowed(w, r, repo, api)
	if !ok {
		return
	}
	revision := parts[len(parts)-1]
	if !api && len(parts) > 3 {
		revision = parts[3]
	}
	if revision != "main" && revision != Commit && revision != "v1" {
		fail(w, http.StatusNotFound, "RevisionNotFound", "Invalid rev id: "+revision)
		return
	}
	if api {
		h.list(w, files)
		return
	}
	h.file(w, r, files, repo, parts[4])
}

// allowed returns the files of a repository, or answers why the client may not have them.
func (h *Hub) allowed(w http.ResponseWriter, r *http.Request, repo string, api bool) (files map[string][]byte, ok bool) {
	token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	files, ok = h.Repos[repo]
	switch {
	case token != "" && token != h.Token:
		w.Header().Set("X-Error-Message", "Invalid credentials in Authorization header")
		http.Error(w, "invalid", http.StatusUnauthorized)
		return nil, false
	case !ok && token == "":
		fail(w, http.StatusUnauthorized, "RepoNotFound", "Repository not found")
		return nil, false
	case !ok:
		fail(w, http.StatusNotFound, "RepoNotFound", "Repository not found")
		return nil, false
	case h.Gated[repo] && token == "" && !api:
		fail(w, http.StatusUnauthorized, "GatedRepo", "Access to model "+repo+" is restricted.")
		return nil, false
	case h.Gated[repo] && token == "":
		fail(w, http.StatusForbidden, "GatedRepo", "Access to model "+repo+" is restricted.")
		return nil, false
	}
	return files, true
}

// file answers with a small file, or with a redirect to a large one.
func (h *Hub) file(w http.ResponseWriter, r *http.Request, files map[string][]byte, repo, name string) {
	b, ok := files[name]
	if !ok {
		fail(w, http.StatusNotFound, "EntryNotFound", "Entry not found")
		return
	}
	w.Header().Set("X-Repo-Commit", Commit)
	if len(b) < Large {
		w.Header().Set("ETag", `"`+ETag(b)+`"`)
		w.Header().Set("Content-Length", strconv.Itoa(len(b)))
		if r.Method != http.MethodHead {
			_, _ = w.Write(b)
		}
		return
	}
	h.signed++
	w.Header().Set("X-Linked-Etag", `"`+ETag(b)+`"`)
	w.Header().Set("X-Linked-Size", strconv.Itoa(len(b)))
	w.Header().Set("Location", fmt.Sprintf("%s/%s/%s?signature=%d", h.CDNURL, repo, name, h.signed))
	w.WriteHeader(http.StatusFound)
}

func (h *Hub) list(w http.ResponseWriter, files map[string][]byte) {
	type lfs struct {
		SHA256 string `json:"sha256"`
		Size   int    `json:"size"`
	}
	type sibling struct {
		Name   string `json:"rfilename"`
		Size   *int   `json:"size,omitempty"`
		BlobID string `json:"blobId,omitempty"`
		LFS    *lfs   `json:"lfs,omitempty"`
	}
	var out []sibling
	for name, b := range files {
		s := sibling{Name: name}
		if !h.NoBlobs {
			n := len(b)
			s.Size, s.BlobID = &n, ETag(b)
			if n >= Large {
				s.BlobID, s.LFS = strings.Repeat("0", 40), &lfs{ETag(b), n}
			}
		}
		out = append(out, s)
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"sha": Commit, "siblings": out})
}

// sending is an answer with a large file, and how it fails.
type sending struct {
	size, from int // size of the whole file, and the first byte to send
	body       []byte
	expired    bool
	stall      bool
	cut        int64 // cut the connection after this many bytes; -1: never
}

// plan decides how to answer a request for a large file. It counts down the failures that it uses.
func (h *Hub) plan(r *http.Request) (s sending) {
	h.Lock()
	defer h.Unlock()
	h.seen.requests = append(h.seen.requests, strings.TrimSpace("cdn "+r.URL.Path+" "+r.Header.Get("Range")))
	h.seen.leaked = h.seen.leaked || r.Header.Get("Authorization") != ""
	parts := strings.SplitN(strings.TrimPrefix(r.URL.Path, "/"), "/", 3)
	b := h.Repos[parts[0]+"/"+parts[1]][parts[2]]
	s = sending{size: len(b), cut: -1}
	s.expired = h.Expire > 0 || r.URL.Query().Get("signature") == ""
	if h.Expire > 0 {
		h.Expire--
	}
	if text, ok := strings.CutPrefix(r.Header.Get("Range"), "bytes="); ok && !h.NoRanges {
		s.from, _ = strconv.Atoi(strings.TrimSuffix(text, "-"))
	}
	s.body = b[min(s.from, len(b)):]
	if h.WrongByte > 0 && len(s.body) > 0 {
		h.WrongByte--
		s.body = append([]byte{}, s.body...)
		s.body[len(s.body)/2] ^= 1
	}
	if s.stall = h.Stalls > 0; s.stall {
		h.Stalls--
	}
	if h.CutAfter > 0 && h.Cuts > 0 && int64(len(s.body)) > h.CutAfter {
		h.Cuts--
		s.cut = h.CutAfter
	}
	return s
}

// cdn answers as the second host, which has the large files.
func (h *Hub) cdn(w http.ResponseWriter, r *http.Request) {
	s := h.plan(r)
	if s.expired {
		http.Error(w, "<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>", http.StatusForbidden)
		return
	}
	if s.from >= s.size && s.from > 0 {
		w.Header().Set("Content-Range", fmt.Sprintf("bytes */%d", s.size))
		w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
		return
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(s.body)))
	if s.from > 0 {
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", s.from, s.size-1, s.size))
		w.WriteHeader(http.StatusPartialContent)
	}
	body := s.body
	if s.cut >= 0 {
		body = body[:s.cut]
	}
	if s.stall {
		body = body[:len(body)/2]
	}
	n, _ := w.Write(body)
	h.Lock()
	h.seen.served += int64(n)
	h.Unlock()
	if f, ok := w.(http.Flusher); ok && (s.stall || s.cut >= 0) {
		f.Flush()
	}
	if s.stall {
		<-r.Context().Done()
	}
	if s.cut >= 0 {
		panic(http.ErrAbortHandler) // cuts the connection
	}
}
