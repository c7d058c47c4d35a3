//go:build duckdb_arrow && unix

package history

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Only this user can enter the folder for sockets.
func TestRuntimeDir(t *testing.T) {
	base := t.TempDir()
	sockets := Sockets{RuntimeDir: base}
	dir, err := sockets.dir()
	if len(base) > 60 {
		t.Skip("the folder for tests has a long name")
	}
	if err != nil || dir != filepath.Join(base, "wb") {
		t.Fatalf("got %s, %v", dir, err)
	}
	if st, err := os.Stat(dir); err != nil || st.Mode().Perm() != 0o700 {
		t.Errorf("mode %v, %v", st.Mode(), err)
	}
	if again, err := sockets.dir(); err != nil || again != dir {
		t.Errorf("got %s, %v", again, err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := sockets.dir(); err == nil || !strings.Contains(err.Error(), "not a folder that only you can enter") {
		t.Errorf("got %v", err)
	}
	if err := errors.Join(os.Remove(dir), os.Symlink(t.TempDir(), dir)); err != nil {
		t.Fatal(err)
	}
	if _, err := sockets.dir(); err == nil {
		t.Error("a link was accepted")
	}
	// without a runtime folder, a folder in the temporary folder is used
	t.Setenv("XDG_RUNTIME_DIR", "")
	temp := t.TempDir()
	if dir, err := (Sockets{TempDir: temp}).dir(); err != nil || dir != filepath.Join(temp, fmt.Sprintf("wb-%d", os.Getuid())) {
		t.Errorf("got %s, %v", dir, err)
	}
}

func TestPeer(t *testing.T) {
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, end := range []net.Conn{c, s} {
		if uid, err := peer(end); err != nil || uid != os.Getuid() {
			t.Errorf("peer %d, %v", uid, err)
		}
	}
}

// A socket on which somebody listens is in use, whatever its name is.
func TestSocketsInUseStay(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	if abandoned(t.Context(), path) {
		t.Error("a socket in use counts as abandoned")
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if !abandoned(t.Context(), path) {
		t.Error("a socket on which nobody listens does not count as abandoned")
	}
}

// sweep removes only folders that wb made, not what another program made with a similar name.
func TestSweepersTakeTheirFolders(t *testing.T) {
	dir := t.TempDir()
	db := filepath.Join(dir, "br[1].duckdb")
	other := filepath.Join(dir, ".br1.duckdb-snapshot-123")
	named := filepath.Join(dir, ".br[1].duckdb-snapshot-456") // it has no mark of wb
	file := filepath.Join(dir, ".br[1].duckdb-snapshot-789")
	err := errors.Join(os.Mkdir(other, 0o755), os.Mkdir(named, 0o755), os.WriteFile(file, nil, 0o600), os.WriteFile(db+".sock", nil, 0o600))
	if err != nil {
		t.Fatal(err)
	}
	sweep(db)
	for _, p := range []string{other, named, file} {
		if _, err := os.Lstat(p); err != nil {
			t.Error(err)
		}
	}
	if isThisUsersSocket(db + ".sock") {
		t.Error("a file counts as a socket")
	}
}
