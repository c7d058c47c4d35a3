package sample

import (
	"context"
	"syscall"
	"testing"
)

func TestOSRelease(t *testing.T) {
	for text, want := range map[string]string{
		"PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nVERSION_ID=\"12\"\nID=debian\n": "debian 12",
		"ID='rocky'\nVERSION_ID='9.4'\n":                                                 "rocky 9.4",
		"NAME=Arch\nID=arch\n":                                                           "arch",
		"":                                                                               "linux",
	} {
		if got := osRelease([]byte(text)); got != want {
			t.Errorf("%q is %q, want %q", text, got, want)
		}
	}
}

// The facts of the machine are read while turns may run, so no program is started for them.
func TestHostFactsStartNothing(t *testing.T) {
	children := func() (r syscall.Rusage) {
		if err := syscall.Getrusage(syscall.RUSAGE_CHILDREN, &r); err != nil {
			t.Fatal(err)
		}
		return r
	}
	before := children()
	h := HostFacts(context.Background(), t.TempDir())
	if after := children(); after != before {
		t.Errorf("a child process ran: %+v, before %+v", after, before)
	}
	if h.OS == nil || h.Kernel == nil || h.Hostname == nil || h.BootedAt == nil || h.CPUThreads == nil || h.MemoryTotalBytes == nil {
		t.Errorf("%+v", h)
	}
}
