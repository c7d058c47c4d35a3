package serve

import (
	"regexp"
	"strings"
)

// Cause is why a server did not start or ended, in one line, and what to do about it.
type Cause struct{ Text, Hint string }

// rule recognises a cause in a log. text and hint may refer to groups of the pattern as $1.
type rule struct {
	pattern    *regexp.Regexp
	text, hint string
}

func re(s string) *regexp.Regexp { return regexp.MustCompile(s) }

// Explain finds the cause in a log of the program. Without a rule that matches, it is the last error that the log names. Cause.Text is ""
// when there is none either.
func (p *Program) Explain(log string) Cause {
	log = ansiSequences.ReplaceAllString(log, "")
	if c := p.recognise(log); c.Text != "" {
		return c
	}
	return Cause{Text: p.lastError(log)}
}

// recognise finds the cause by the program's rules. Its text is "" when no rule matches.
func (p *Program) recognise(log string) Cause {
	for _, r := range p.rules {
		// The last match counts: the server may have recovered from an earlier one.
		all := r.pattern.FindAllStringSubmatchIndex(log, -1)
		if len(all) == 0 {
			continue
		}
		m := all[len(all)-1]
		expand := func(t string) string {
			return strings.Join(strings.Fields(string(r.pattern.ExpandString(nil, t, log, m))), " ")
		}
		return Cause{clip(expand(r.text)), expand(r.hint)}
	}
	return Cause{}
}

// clip shortens a text that is too long for one line.
func clip(s string) string {
	if len(s) > 300 {
		s = strings.ToValidUTF8(s[:300], "") + "…"
	}
	return s
}
