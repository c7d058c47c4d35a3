//go:build duckdb_arrow

package history

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"wb/data/plain"
	"wb/store"
)

// Sockets says where the runs that hold a file answer. The zero value takes the folders of the environment.
type Sockets struct {
	RuntimeDir string // this user's folder for sockets; "" for $XDG_RUNTIME_DIR, which may be empty too
	TempDir    string // where there is none; "" for the system's
}

// of is where the run that holds a file answers: beside the file, or, since the path of a socket may have about a hundred bytes only, in a
// folder that only this user can enter.
func (s Sockets) of(path string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	if beside := abs + ".sock"; len(beside) < 100 {
		return beside, nil
	}
	dir, err := s.dir()
	if err != nil {
		return "", err
	}
	h := sha256.Sum256([]byte(abs))
	return filepath.Join(dir, hex.EncodeToString(h[:8])+".sock"), nil
}

// dir is a folder for sockets, this user's alone; it is made when it is not there.
// One that somebody else made, or may enter, is refused.
func (s Sockets) dir() (string, error) {
	base, temp := s.RuntimeDir, s.TempDir
	if base == "" {
		base = os.Getenv("XDG_RUNTIME_DIR")
	}
	if temp == "" {
		temp = os.TempDir()
	}
	dir := filepath.Join(base, "wb")
	if base == "" || len(dir) > 70 {
		dir = filepath.Join(temp, fmt.Sprintf("wb-%d", os.Getuid()))
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("make directory %s: %w", dir, plain.PathCause(err))
	}
	st, err := os.Lstat(dir)
	if err != nil {
		return "", fmt.Errorf("look at %s: %w", dir, plain.PathCause(err))
	}
	if !st.IsDir() || !store.OfThisUser(st) || st.Mode().Perm()&0o077 != 0 {
		return "", fmt.Errorf("use %s: it is not a folder that only you can enter", dir)
	}
	return dir, nil
}

// abandoned says whether there is a socket of this user at a path that nobody listens on any more.
func abandoned(ctx context.Context, socket string) bool {
	if !isThisUsersSocket(socket) {
		return false
	}
	c, err := (&net.Dialer{}).DialContext(ctx, "unix", socket)
	if err == nil {
		c.Close()
	}
	return errors.Is(err, syscall.ECONNREFUSED)
}

// isThisUsersSocket says whether there is a socket at a path, and this user's.
func isThisUsersSocket(path string) bool {
	st, err := os.Lstat(path)
	return err == nil && st.Mode().Type() == fs.ModeSocket && store.OfThisUser(st)
}

// peer is the user at the other end of a unix socket.
func peer(c net.Conn) (uid int, err error) {
	u, ok := c.(*net.UnixConn)
	if !ok {
		return 0, errors.New("not a unix socket")
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return 0, err
	}
	var perr error
	err = raw.Control(func(fd uintptr) { uid, perr = peerOf(int(fd)) })
	return uid, errors.Join(err, perr)
}

// trusted refuses whoever answers for a file and is neither its owner nor this user nor root.
func trusted(c net.Conn, path string) error {
	uid, err := peer(c)
	if err != nil {
		return fmt.Errorf("look at %s: who answers cannot be told: %w", path, err)
	}
	st, err := os.Stat(path)
	if err == nil && store.OfUser(st, uid) || uid == os.Getuid() || uid == 0 {
		return nil
	}
	return fmt.Errorf("look at %s: user %d answers for it, and is not its owner", path, uid)
}

// snapshotsOf begins the names of folders with snapshots of a file, beside it.
func snapshotsOf(path string) string { return "." + filepath.Base(path) + "-snapshot-" }

// sweep removes what a killed run left beside a file.
func sweep(path string) { store.SweepAbandoned(filepath.Dir(path), snapshotsOf(path)) }

// isSnapshotOf says whether a path is where a run that holds a file puts its snapshots.
func isSnapshotOf(path, snapshot string) bool {
	dir := filepath.Dir(snapshot)
	if !filepath.IsAbs(snapshot) || !strings.HasPrefix(filepath.Base(dir), snapshotsOf(path)) {
		return false
	}
	return plain.SameFile(filepath.Dir(dir), filepath.Dir(path))
}
