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

// Sockets says where a run that has a file open listens. The zero value takes the folders from the environment.
type Sockets struct {
	RuntimeDir string // the folder of this user for sockets; "" for $XDG_RUNTIME_DIR, which may be empty too
	TempDir    string // used if there is no such folder; "" for the system's temporary folder
}

// of returns the path of the socket on which the run that has a file open listens. It is beside the file if its path is short enough:
// the path of a socket may have only about a hundred bytes. Otherwise it is in a folder that only this user can enter.
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

// dir returns a folder for sockets that only this user can enter. It makes the folder if it is missing.
// It refuses a folder that somebody else made or can enter.
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
		return "", fmt.Errorf("check %s: %w", dir, plain.PathCause(err))
	}
	if !st.IsDir() || !store.OfThisUser(st) || st.Mode().Perm()&0o077 != 0 {
		return "", fmt.Errorf("use %s: it is not a folder that only you can enter", dir)
	}
	return dir, nil
}

// abandoned reports whether there is a socket of this user at a path on which nobody listens any more.
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

// isThisUsersSocket reports whether there is a socket of this user at a path.
func isThisUsersSocket(path string) bool {
	st, err := os.Lstat(path)
	return err == nil && st.Mode().Type() == fs.ModeSocket && store.OfThisUser(st)
}

// peer returns the id of the user at the other end of a unix socket.
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

// trusted returns an error unless the process that answers for a file belongs to the owner of the file, to this user or to root.
func trusted(c net.Conn, path string) error {
	uid, err := peer(c)
	if err != nil {
		return fmt.Errorf("read %s: cannot tell who answers for it: %w", path, err)
	}
	st, err := os.Stat(path)
	if err == nil && store.OfUser(st, uid) || uid == os.Getuid() || uid == 0 {
		return nil
	}
	return fmt.Errorf("read %s: user %d answers for it but is not its owner", path, uid)
}

// snapshotsOf returns the prefix of the names of folders with snapshots of a file. They are beside the file.
func snapshotsOf(path string) string { return "." + filepath.Base(path) + "-snapshot-" }

// sweep removes what a killed run left beside a file.
func sweep(path string) { store.SweepAbandoned(filepath.Dir(path), snapshotsOf(path)) }

// isSnapshotOf reports whether a path is one where a run that has a file open puts snapshots of it.
func isSnapshotOf(path, snapshot string) bool {
	dir := filepath.Dir(snapshot)
	if !filepath.IsAbs(snapshot) || !strings.HasPrefix(filepath.Base(dir), snapshotsOf(path)) {
		return false
	}
	return plain.SameFile(filepath.Dir(dir), filepath.Dir(path))
}
