package serve

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// newLog creates the file for the log of one start. It is named path, or has a number added where path exists: two starts may happen in
// the same second.
func newLog(path string) (*os.File, error) {
	ext := filepath.Ext(path)
	for n := 1; ; n++ {
		name := path
		if n > 1 {
			name = fmt.Sprintf("%s-%d%s", strings.TrimSuffix(path, ext), n, ext)
		}
		f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_RDWR|os.O_APPEND, 0o600)
		if !errors.Is(err, fs.ErrExist) || n == 10_000 {
			return f, err
		}
	}
}

// tail gives the reader what was added to the log since offset, line by line. rest is an unfinished line. It returns both for the next
// call.
func (s *Server) tail(offset int64, rest []byte) (int64, []byte) {
	buf := make([]byte, 64<<10)
	for {
		n, err := s.log.ReadAt(buf, offset)
		offset += int64(n)
		rest = append(rest, buf[:n]...)
		for {
			i := bytes.IndexAny(rest, "\r\n")
			if i < 0 {
				break
			}
			s.mu.Lock()
			s.read.line(string(rest[:i]))
			s.facts.Report = s.read.Report
			s.mu.Unlock()
			rest = rest[i+1:]
		}
		if err != nil || n == 0 {
			return offset, rest
		}
		if len(rest) > 1<<20 { // no program logs a line that long
			rest = nil
		}
	}
}

// maxLogRead is how much of the end of a log is searched for a cause, in bytes.
const maxLogRead = 4 << 20

// logText gives the end of the log, where the cause of a failure is.
func (s *Server) logText() string {
	st, err := s.log.Stat()
	if err != nil {
		return ""
	}
	b := make([]byte, min(st.Size(), maxLogRead))
	n, err := s.log.ReadAt(b, st.Size()-int64(len(b)))
	if err != nil && !errors.Is(err, io.EOF) {
		return ""
	}
	return strings.ToValidUTF8(strings.ReplaceAll(string(b[:n]), "\r", "\n"), "\ufffd")
}

// logTail gives the last 40 lines of the log.
func (s *Server) logTail() string {
	lines := strings.Split(strings.TrimRight(s.logText(), "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-40):], "\n")
}
