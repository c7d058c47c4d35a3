package serve

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
)

func TestPort(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := l.Addr().(*net.TCPAddr).Port
	err = CheckPort(t.Context(), "127.0.0.1", port)
	var e *PortError
	if !errors.As(err, &e) || e.PID != int32(os.Getpid()) || !strings.Contains(err.Error(), fmt.Sprintf("pid %d (serve.test)", os.Getpid())) {
		t.Errorf("%v", err)
	}
	free, err := FreePort(t.Context(), "127.0.0.1", port)
	if err != nil || free <= port || CheckPort(t.Context(), "127.0.0.1", free) != nil {
		t.Errorf("%d (%v)", free, err)
	}
}
