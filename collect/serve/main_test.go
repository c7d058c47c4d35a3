package serve

import (
	"flag"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "rewrite golden files")

// The test binary is also the guard and the server that the tests start.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case GuardCommand:
			os.Exit(Guard(os.Args[2:]))
		case "--model":
			fakeLlama(os.Args[1:])
			return
		case "serve":
			fakeVLLM(os.Args[2:])
			return
		case "sleep":
			signal.Ignore(syscall.SIGTERM)
			time.Sleep(time.Minute)
			return
		}
	}
	os.Exit(m.Run())
}

func needLinux(t *testing.T) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("wb starts servers on Linux only")
	}
}
