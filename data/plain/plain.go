// Package plain makes texts for people: errors with hints, texts without secrets, sizes, counts, and command lines for a shell.
// It also repeats calls that may succeed later.
//
// It must not know anything about wb: it imports no other package of this module.
package plain

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"syscall"
)

// Unit is a unit of sizes.
type Unit string

// Units of sizes: GiB is 2^30 bytes; MB and GB are powers of ten.
const (
	GiB Unit = "GiB"
	GB  Unit = "GB"
	MB  Unit = "MB"
)

// bytes returns how many bytes the unit has.
func (u Unit) bytes() float64 {
	switch u {
	case GiB:
		return 1 << 30
	case GB:
		return 1e9
	}
	return 1e6
}

// Bytes writes a size as the Hugging Face hub does, in powers of ten: "16.06 GB", "4.5 MB", "12.0 kB", "999 bytes".
// Package go-humanize would write other decimals ("16 GB").
func Bytes(n int64) string {
	switch {
	case n >= 1e9:
		return BytesIn(n, GB, 2)
	case n >= 1e6:
		return BytesIn(n, MB, 1)
	case n >= 1e3:
		return fmt.Sprintf("%.1f kB", float64(n)/1e3)
	}
	return fmt.Sprintf("%d bytes", n)
}

// BytesIn writes a size in the given unit, with that many decimals: "1.5 GiB".
func BytesIn(n int64, u Unit, decimals int) string {
	return fmt.Sprintf("%.*f %s", decimals, float64(n)/u.bytes(), u)
}

// InGiB writes a size in GiB: "1.5 GiB".
func InGiB(n int64) string { return BytesIn(n, GiB, 1) }

// Count writes a number of things: "1 run", "3 runs", "1,200 turns".
// many is the plural; it is needed only if adding an s is wrong.
func Count(n int, one string, many ...string) string {
	switch {
	case n == 1:
		return "1 " + one
	case len(many) > 0:
		return Comma(n) + " " + many[0]
	}
	return Comma(n) + " " + one + "s"
}

// FirstLine returns the first line of a text, without spaces around it.
func FirstLine(text string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	return line
}

// OneLine returns the text of an error as one line. It has each text of joined errors once.
func OneLine(err error) string {
	return joined(err, func(text string) string { return text })
}

// OneLineByCause is like OneLine, but of texts that differ only in their first word, the verb, it keeps one.
// For example, a full disk makes recording, checkpoint and closing fail with the same cause.
func OneLineByCause(err error) string {
	return joined(err, func(text string) string {
		_, cause, _ := strings.Cut(text, " ")
		return cause
	})
}

func joined(err error, same func(text string) string) string {
	var texts, seen []string
	for text := range strings.SplitSeq(strings.TrimSpace(err.Error()), "\n") {
		text = strings.TrimSpace(text)
		if key := same(text); !slices.Contains(seen, key) {
			texts, seen = append(texts, text), append(seen, key)
		}
	}
	return strings.Join(texts, "; ")
}

// PathCause returns what went wrong with a path, without the operation and the path. The caller names these.
func PathCause(err error) error {
	var p *os.PathError
	var l *os.LinkError
	var e syscall.Errno
	switch {
	case errors.As(err, &p):
		return p.Err
	case errors.As(err, &l):
		return l.Err
	case errors.As(err, &e):
		return e
	}
	return err
}

var bare = regexp.MustCompile(`^[A-Za-z0-9_@%+=:,./-]+$`)

// Quote joins words to a line that a POSIX shell splits into the same words.
func Quote(words ...string) string {
	out := make([]string, len(words))
	for i, w := range words {
		if out[i] = w; !bare.MatchString(w) {
			out[i] = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
		}
	}
	return strings.Join(out, " ")
}

// Words splits a command at the spaces that are outside of quotes, as Quote joins it. The words keep their quotes: joined with spaces, they
// are the command.
func Words(s string) []string {
	var words []string
	begin, quote, started := 0, byte(0), false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '\'' || c == '"':
			quote = c
		case c == '\\' && i+1 < len(s): // it belongs to the next character
			i++
		case c == ' ' && started: // spaces at the beginning belong to the first word
			words, begin, started = append(words, s[begin:i]), i+1, false
			continue
		}
		started = started || s[i] != ' '
	}
	return append(words, s[begin:])
}

// OrNil returns a pointer to a text, or nil if it is empty, so that an unknown text is recorded as NULL.
func OrNil(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
