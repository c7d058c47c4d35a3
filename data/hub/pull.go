package hub

import (
	"context"
	"crypto/sha1" //nolint:gosec // git names its blobs so; it guards against damage here, not against an attacker
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/shirou/gopsutil/v4/disk"

	"wb/data/plain"
)

// Progress is how far a download is.
type Progress struct {
	Files, FilesDone int
	Bytes, BytesDone int64 // of the whole; what was there before counts as done
	BytesBefore      int64 // of BytesDone: was in the cache when it began, partial files included
}

// Snapshot is a model in the cache.
type Snapshot struct {
	Repo, Revision, Commit string
	Dir                    string // snapshots/COMMIT
	Files                  int
	Bytes                  int64
	Downloaded             int64 // bytes that came over the network this time
}

// Pull brings what vLLM needs of a repository into the cache and verifies every byte that came. What is there already is
// not fetched again; what is there in part is continued. report is called from several goroutines, never at once, and
// may be nil. When Offline, it only looks into the cache.
func (c *Client) Pull(ctx context.Context, repo, revision string, report func(Progress)) (*Snapshot, error) {
	if c.Offline {
		return c.Find(repo, revision)
	}
	l, err := c.List(ctx, repo, revision)
	if err != nil {
		return nil, err
	}
	op := "pull " + repo
	files, err := Needed(l.Files)
	if err != nil {
		hint := "is it a model in safetensors format? " + c.Endpoint + "/" + repo + " shows its files"
		return nil, &Error{Op: op, Cause: err.Error(), hint: hint, wrapped: err}
	}
	if err := c.complete(ctx, l, files); err != nil {
		return nil, err
	}
	base := filepath.Join(c.CacheDir, folder(repo))
	for _, d := range []string{filepath.Join(base, "blobs"), filepath.Join(base, "refs"), filepath.Join(base, "snapshots", l.Commit), c.locks(repo)} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return nil, &Error{Op: op, Cause: err.Error(), hint: "HF_HUB_CACHE names another directory", wrapped: err}
		}
	}
	p := &pull{c: c, l: l, base: base, report: report}
	if err := p.plan(files); err != nil {
		return nil, err
	}
	if err := p.all(ctx, files); err != nil {
		return nil, err
	}
	dir := filepath.Join(base, "snapshots", l.Commit)
	if err := whole(dir); err != nil {
		cause := "what the hub has is not a whole model: " + plainPath(err)
		return nil, &Error{Op: op, Cause: cause, hint: c.Endpoint + "/" + repo + " shows its files", wrapped: err}
	}
	// the reference comes last: a snapshot that is named is whole
	if revision != l.Commit {
		ref := filepath.Join(base, "refs", filepath.FromSlash(revision))
		err := os.MkdirAll(filepath.Dir(ref), 0o755)
		if err == nil {
			err = replaceFile(ref, l.Commit)
		}
		if err != nil {
			return nil, &Error{Op: op, Cause: err.Error(), wrapped: err}
		}
	}
	return &Snapshot{Repo: repo, Revision: revision, Commit: l.Commit, Dir: dir, Files: len(files),
		Bytes: p.progress.Bytes, Downloaded: p.came.Load()}, nil
}

func (c *Client) locks(repo string) string { return filepath.Join(c.CacheDir, ".locks", folder(repo)) }

func replaceFile(path, text string) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".wb-*")
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Chmod(0o644), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// pull is one download under way.
type pull struct {
	c      *Client
	l      *Listing
	base   string
	report func(Progress)
	came   atomic.Int64

	mu       sync.Mutex
	progress Progress
}

func (p *pull) blob(f File) string { return filepath.Join(p.base, "blobs", f.ETag) }

// plan counts what is there and checks that the rest fits on the disk.
func (p *pull) plan(files []File) error {
	seen := map[string]bool{}
	for _, f := range files {
		p.progress.Files++
		if seen[f.ETag] {
			continue
		}
		seen[f.ETag] = true
		p.progress.Bytes += f.SizeBytes
		for _, name := range []string{p.blob(f), p.blob(f) + ".incomplete"} {
			if st, err := os.Stat(name); err == nil {
				p.progress.BytesDone += min(st.Size(), f.SizeBytes)
				break
			}
		}
	}
	p.progress.BytesBefore = p.progress.BytesDone
	need := p.progress.Bytes - p.progress.BytesDone
	free := p.c.Free
	if free == nil {
		free = diskFree
	}
	const spare = 64 << 20 // a disk filled to its last byte breaks everything else on the machine
	if have, ok := free(p.c.CacheDir); ok && need > 0 && have < need+spare {
		return &Error{
			Op: "pull " + p.l.Repo,
			Cause: fmt.Sprintf("%s are needed and %s are free in %s",
				plain.BytesIn(need, plain.GiB, 2), plain.BytesIn(have, plain.GiB, 2), p.c.CacheDir),
			hint: "free some (wb models rm), or set HF_HUB_CACHE to another disk",
		}
	}
	p.say(func(*Progress) {})
	return nil
}

func diskFree(dir string) (int64, bool) {
	u, err := disk.Usage(dir)
	if err != nil {
		return 0, false
	}
	return int64(u.Free), true
}

func (p *pull) say(change func(*Progress)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(&p.progress)
	if p.report != nil {
		p.report(p.progress)
	}
}

// all fetches files side by side; the first that fails for good ends the others.
func (p *pull) all(parent context.Context, files []File) error {
	ctx, cancel := context.WithCancelCause(parent)
	defer cancel(nil)
	jobs := p.c.Jobs
	if jobs <= 0 {
		jobs = 4
	}
	work := make(chan File)
	var wg sync.WaitGroup
	for range min(jobs, len(files)) {
		wg.Go(func() {
			for f := range work {
				if err := p.file(ctx, f); err != nil {
					cancel(err)
					return
				}
				p.say(func(x *Progress) { x.FilesDone++ })
			}
		})
	}
feed:
	for _, f := range files {
		select {
		case work <- f:
		case <-ctx.Done():
			break feed
		}
	}
	close(work)
	wg.Wait()
	if parent.Err() != nil {
		return parent.Err()
	}
	return context.Cause(ctx)
}

// file makes sure that a file's blob and its link in the snapshot are there.
func (p *pull) file(ctx context.Context, f File) error {
	op := "pull " + p.l.Repo + "/" + f.Path
	unlock, err := lock(ctx, filepath.Join(p.c.locks(p.l.Repo), f.ETag+".lock"))
	if err != nil {
		return err
	}
	defer unlock()
	if st, err := os.Stat(p.blob(f)); err != nil || st.Size() != f.SizeBytes {
		if err := p.fetch(ctx, op, f); err != nil {
			return err
		}
	}
	link := filepath.Join(p.base, "snapshots", p.l.Commit, filepath.FromSlash(f.Path))
	to, err := filepath.Rel(filepath.Dir(link), p.blob(f))
	if err == nil {
		err = os.MkdirAll(filepath.Dir(link), 0o755)
	}
	if have, rerr := os.Readlink(link); err == nil && (rerr != nil || have != to) {
		if err = os.Remove(link); errors.Is(err, os.ErrNotExist) {
			err = nil
		}
		if err == nil {
			err = os.Symlink(to, link)
		}
	}
	if err != nil {
		return &Error{Op: op, Cause: err.Error(), wrapped: err}
	}
	return nil
}

// fetch downloads one blob. Every try starts at the hub, so that an expired signed address is replaced by a new one, and
// continues where the last one ended. Tries that brought something do not count.
func (p *pull) fetch(ctx context.Context, op string, f File) error {
	part := p.blob(f) + ".incomplete"
	damaged := false
	for failed := 0; ; {
		before := p.came.Load()
		err := p.once(ctx, f, part)
		var final *Error
		var d damageError
		switch {
		case err == nil:
			if err := os.Rename(part, p.blob(f)); err != nil {
				return &Error{Op: op, Cause: err.Error(), wrapped: err}
			}
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.As(err, &final):
			final.Op = op
			return final
		case errors.As(err, &d):
			// what came is not what the hub promised: from the start, once
			if rerr := p.discard(part); rerr != nil {
				return &Error{Op: op, Cause: rerr.Error(), wrapped: rerr}
			}
			if damaged {
				return &Error{Op: op, Cause: err.Error() + ", twice", hint: "something between here and the hub changes bytes; a proxy or a mirror (HF_ENDPOINT) perhaps"}
			}
			damaged = true
			continue
		}
		if p.came.Load() > before {
			failed = 0
		}
		if failed++; failed >= tries {
			return &Error{Op: op, Cause: withoutAddress(err), hint: "what came is kept; run it again to continue", wrapped: err}
		}
		wait := backoff(failed)
		var b busyError
		if errors.As(err, &b) {
			wait = max(b.wait, wait)
		}
		p.c.sleep(ctx, wait)
	}
}

type damageError struct{ why string }

func (d damageError) Error() string { return d.why }

type busyError struct {
	status string
	wait   time.Duration
}

func (b busyError) Error() string { return "HTTP " + b.status }

func (p *pull) discard(part string) error {
	st, err := os.Stat(part)
	if err != nil {
		return nil //nolint:nilerr // nothing is there to discard
	}
	p.say(func(x *Progress) { x.BytesDone -= st.Size(); x.BytesBefore = min(x.BytesBefore, x.BytesDone) })
	return os.Remove(part)
}

// once makes one request for what is missing of a blob and appends it. A nil error means the blob is whole and its hash
// right.
func (p *pull) once(ctx context.Context, f File, part string) (err error) {
	out, err := os.OpenFile(part, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return &Error{Cause: err.Error(), wrapped: err}
	}
	defer func() {
		if cerr := out.Close(); err == nil && cerr != nil {
			err = &Error{Cause: cerr.Error(), wrapped: cerr}
		}
	}()
	sum := newHash(f)
	have, err := io.Copy(sum, out) // what is there counts for the hash too, and leaves the file at its end
	if err != nil {
		return &Error{Cause: err.Error(), wrapped: err}
	}
	if have > f.SizeBytes {
		return damageError{fmt.Sprintf("%d bytes are there of a file of %d", have, f.SizeBytes)}
	}
	if have < f.SizeBytes {
		if sum, err = p.append(ctx, f, out, have, sum); err != nil {
			return err
		}
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != f.ETag {
		return damageError{"its hash is " + got[:12] + "…, the hub says " + f.ETag[:12] + "…"}
	}
	if err := out.Sync(); err != nil {
		return &Error{Cause: err.Error(), wrapped: err}
	}
	return nil
}

// newHash gives the hash that names a blob: SHA-256, or git's own for small files.
func newHash(f File) hash.Hash {
	if f.Large || len(f.ETag) == sha256.Size*2 {
		return sha256.New()
	}
	h := sha1.New() //nolint:gosec // see the import
	fmt.Fprintf(h, "blob %d\x00", f.SizeBytes)
	return h
}

func (p *pull) append(parent context.Context, f File, out *os.File, have int64, sum hash.Hash) (hash.Hash, error) {
	ctx, cancel := context.WithCancelCause(parent)
	defer cancel(nil)
	resp, err := p.c.get(ctx, http.MethodGet, p.c.fileURL(p.l, f.Path), have)
	if err != nil {
		return sum, err
	}
	defer resp.Body.Close()
	atHub := resp.Request != nil && strings.HasPrefix(resp.Request.URL.String(), p.c.Endpoint+"/")
	switch s := resp.StatusCode; {
	case s == http.StatusPartialContent:
		var from int64
		if _, err := fmt.Sscanf(resp.Header.Get("Content-Range"), "bytes %d-", &from); err != nil || from != have {
			return sum, damageError{"the server answered with another range than asked for"}
		}
	case s == http.StatusOK:
		if have > 0 { // a server without ranges: from the start
			if _, err := out.Seek(0, io.SeekStart); err != nil {
				return sum, &Error{Cause: err.Error(), wrapped: err}
			}
			if err := out.Truncate(0); err != nil {
				return sum, &Error{Cause: err.Error(), wrapped: err}
			}
			p.say(func(x *Progress) { x.BytesDone -= have; x.BytesBefore = min(x.BytesBefore, x.BytesDone) })
			have, sum = 0, newHash(f)
		}
	case s == http.StatusRequestedRangeNotSatisfiable:
		return sum, damageError{"the server has fewer bytes than are here"}
	case busy(s):
		return sum, busyError{resp.Status, retryAfter(resp, 0)}
	case !atHub: // a signed address that expired: the next try gets a new one
		return sum, fmt.Errorf("the download address answered HTTP %s", resp.Status)
	default:
		return sum, p.c.refused("", p.l.Repo, resp)
	}
	idle := p.c.Idle
	if idle == 0 {
		idle = time.Minute
	}
	watchdog := time.AfterFunc(idle, func() { cancel(fmt.Errorf("nothing came for %v", idle)) })
	defer watchdog.Stop()
	buf := make([]byte, 256<<10)
	for have < f.SizeBytes {
		n, rerr := resp.Body.Read(buf)
		watchdog.Reset(idle)
		n = int(min(int64(n), f.SizeBytes-have))
		if n > 0 {
			if _, err := out.Write(buf[:n]); err != nil {
				return sum, &Error{Cause: plainPath(err), hint: "what came is kept; free some space and run it again", wrapped: err}
			}
			sum.Write(buf[:n])
			have += int64(n)
			p.came.Add(int64(n))
			p.say(func(x *Progress) { x.BytesDone += int64(n) })
		}
		if rerr != nil && have < f.SizeBytes {
			if cause := context.Cause(ctx); cause != nil && parent.Err() == nil {
				return sum, cause
			}
			return sum, fmt.Errorf("the connection was cut at byte %d of %d", have, f.SizeBytes)
		}
	}
	return sum, nil
}

func plainPath(err error) string {
	var pe *os.PathError
	if errors.As(err, &pe) {
		return pe.Err.Error()
	}
	return err.Error()
}
