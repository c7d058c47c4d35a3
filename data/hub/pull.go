package hub

import (
	"context"
	"crypto/sha1" //nolint:gosec // git names its blobs with it; here it detects damage, not an attack
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

// Progress says how far a download is.
type Progress struct {
	Files, FilesDone int
	Bytes, BytesDone int64 // of all files; what was in the cache before counts as done
	BytesBefore      int64 // part of BytesDone that was in the cache at the start, partial files included
}

// Snapshot is a model in the cache.
type Snapshot struct {
	Repo, Revision, Commit string
	Dir                    string // path of snapshots/COMMIT
	Files                  int
	Bytes                  int64
	Downloaded             int64 // bytes that were downloaded by this call
}

// Pull downloads the files of a repository that vLLM needs into the cache, and verifies every byte of them.
// It does not download complete files again, and it continues partial ones.
// It calls report from several goroutines, but never at the same time; report may be nil.
// If the client is Offline, Pull only looks into the cache.
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
		if errors.Is(err, ErrOnlyGGUF) {
			hint = "wb models pull " + repo + " downloads one for llama.cpp"
		}
		return nil, &Error{Op: op, Cause: err.Error(), hint: hint, wrapped: err}
	}
	return c.download(ctx, op, l, files, report, checkModel)
}

// download brings files of a listing into the cache. check says whether the snapshot has all of the model then.
func (c *Client) download(ctx context.Context, op string, l *Listing, files []File, report func(Progress),
	check func(dir string) error,
) (*Snapshot, error) {
	if err := c.complete(ctx, l, files); err != nil {
		return nil, err
	}
	base := filepath.Join(c.CacheDir, folder(l.Repo))
	dir := filepath.Join(base, "snapshots", l.Commit)
	for _, d := range []string{filepath.Join(base, "blobs"), filepath.Join(base, "refs"), dir, c.locks(l.Repo)} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return nil, &Error{Op: op, Cause: err.Error(), hint: "use another directory with HF_HUB_CACHE", wrapped: err}
		}
	}
	p := &pull{c: c, l: l, base: base, report: report}
	if err := p.plan(files); err != nil {
		return nil, err
	}
	if err := p.all(ctx, files); err != nil {
		return nil, err
	}
	if err := check(dir); err != nil {
		cause := "the hub does not have all of the model: " + plainPath(err)
		return nil, &Error{Op: op, Cause: cause, hint: c.Endpoint + "/" + l.Repo + " shows its files", wrapped: err}
	}
	// the reference is written last, so that a snapshot with a name is complete
	if l.Revision != l.Commit && !c.wouldHide(base, l, dir) {
		ref := filepath.Join(base, "refs", filepath.FromSlash(l.Revision))
		err := os.MkdirAll(filepath.Dir(ref), 0o755)
		if err == nil {
			err = replaceFile(ref, l.Commit)
		}
		if err != nil {
			return nil, &Error{Op: op, Cause: err.Error(), wrapped: err}
		}
	}
	return &Snapshot{Repo: l.Repo, Revision: l.Revision, Commit: l.Commit, Dir: dir, Files: len(files),
		Bytes: p.progress.Bytes, Downloaded: p.came.Load()}, nil
}

// wouldHide says whether pointing a revision to a snapshot would hide a complete model that it points to now, since the snapshot has only
// some GGUF files. Those are found in any snapshot.
func (c *Client) wouldHide(base string, l *Listing, dir string) bool {
	b, err := os.ReadFile(filepath.Join(base, "refs", filepath.FromSlash(l.Revision)))
	if err != nil {
		return false
	}
	before := filepath.Join(base, "snapshots", strings.TrimSpace(string(b)))
	return before != dir && checkModel(before) == nil && checkModel(dir) != nil
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

// pull is a download in progress.
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

// plan counts what the cache has already, and checks that the rest fits on the disk.
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
	const spare = 64 << 20 // a completely full disk would break other programs on the machine
	if have, ok := free(p.c.CacheDir); ok && need > 0 && have < need+spare {
		return &Error{
			Op: "pull " + p.l.Repo,
			Cause: fmt.Sprintf("%s are needed and %s are free in %s",
				plain.BytesIn(need, plain.GiB, 2), plain.BytesIn(have, plain.GiB, 2), p.c.CacheDir),
			hint: "free some space (wb models rm), or set HF_HUB_CACHE to another disk",
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

// all downloads several files at once. The first final failure stops the others.
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

// file makes sure that the blob of a file and its link in the snapshot exist.
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

// fetch downloads one blob. Each try asks the hub first, so that an expired signed address is replaced by a new one.
// It continues where the last try ended. Tries that downloaded something do not count.
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
			// the bytes are not those that the hub promised: start again, once
			if rerr := p.discard(part); rerr != nil {
				return &Error{Op: op, Cause: rerr.Error(), wrapped: rerr}
			}
			if damaged {
				return &Error{
					Op: op, Cause: err.Error() + ", twice",
					hint: "something between here and the hub changes bytes, perhaps a proxy or a mirror (HF_ENDPOINT)",
				}
			}
			damaged = true
			continue
		}
		if p.came.Load() > before {
			failed = 0
		}
		if failed++; failed >= tries {
			return &Error{Op: op, Cause: withoutAddress(err), hint: "what was downloaded is kept; run it again to continue", wrapped: err}
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
		return nil //nolint:nilerr // there is nothing to discard
	}
	p.say(func(x *Progress) { x.BytesDone -= st.Size(); x.BytesBefore = min(x.BytesBefore, x.BytesDone) })
	return os.Remove(part)
}

// once makes one request for the missing part of a blob, and appends it.
// If it returns nil, the blob is complete and its hash is right.
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
	have, err := io.Copy(sum, out) // hashes what the file has, and moves to its end
	if err != nil {
		return &Error{Cause: err.Error(), wrapped: err}
	}
	if have > f.SizeBytes {
		return damageError{fmt.Sprintf("%d bytes are here, but the file has only %d", have, f.SizeBytes)}
	}
	if have < f.SizeBytes {
		if sum, err = p.append(ctx, f, out, have, sum); err != nil {
			return err
		}
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != f.ETag {
		return damageError{"its hash is " + got[:12] + "…, but the hub says " + f.ETag[:12] + "…"}
	}
	if err := out.Sync(); err != nil {
		return &Error{Cause: err.Error(), wrapped: err}
	}
	return nil
}

// newHash returns the hash that names a blob: SHA-256, or the hash of git for small files.
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
			return sum, damageError{"the server sent another range than wb asked for"}
		}
	case s == http.StatusOK:
		if have > 0 { // the server does not support ranges: start again
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
		return sum, damageError{"the server has fewer bytes than the partial file here"}
	case busy(s):
		return sum, busyError{resp.Status, retryAfter(resp, 0)}
	case !atHub: // the signed address has expired, and the next try gets a new one
		return sum, fmt.Errorf("the download address answered HTTP %s", resp.Status)
	default:
		return sum, p.c.refused("", p.l.Repo, resp)
	}
	idle := p.c.Idle
	if idle == 0 {
		idle = time.Minute
	}
	watchdog := time.AfterFunc(idle, func() { cancel(fmt.Errorf("nothing was received for %v", idle)) })
	defer watchdog.Stop()
	buf := make([]byte, 256<<10)
	for have < f.SizeBytes {
		n, rerr := resp.Body.Read(buf)
		watchdog.Reset(idle)
		n = int(min(int64(n), f.SizeBytes-have))
		if n > 0 {
			if _, err := out.Write(buf[:n]); err != nil {
				return sum, &Error{Cause: plainPath(err), hint: "what was downloaded is kept; free some space and run it again", wrapped: err}
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
