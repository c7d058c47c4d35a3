package serve

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Args are command-line flags of a program, by name without dashes. A flag without a value has "". The values of a flag with several are
// joined by NUL bytes. Program.Flags makes them.
type Args struct {
	program *Program
	values  map[string]string
}

// Get gives a flag's value and whether it is set.
func (a Args) Get(name string) (string, bool) {
	v, ok := a.values[name]
	return v, ok
}

// Set sets a flag. The value "" stands for a flag without a value. A flag and its --no- form replace each other.
func (a *Args) Set(name, value string) {
	if a.values == nil {
		a.values = map[string]string{}
	}
	delete(a.values, "no-"+name)
	if plain, ok := strings.CutPrefix(name, "no-"); ok {
		delete(a.values, plain)
	}
	a.values[name] = value
}

// unset removes a flag.
func (a *Args) unset(name string) { delete(a.values, name) }

// Names lists the flags that are set, in order.
func (a Args) Names() []string { return slices.Sorted(maps.Keys(a.values)) }

// List gives the flags as arguments, in order of their names.
func (a Args) List() []string {
	var out []string
	for _, n := range a.Names() {
		v := a.values[n]
		flag := "--" + n
		if strings.HasPrefix(n, "-") { // a short flag that wb does not know
			flag = n
		}
		if strings.HasPrefix(v, "-") && !a.program.split { // a negative number, or something that could be mistaken for a flag
			out = append(out, flag+"="+v)
			continue
		}
		out = append(out, flag)
		if v != "" {
			out = append(out, strings.Split(v, "\x00")...)
		}
	}
	return out
}

// replace sets the flags that others has.
func (a *Args) replace(others Args) {
	for _, n := range others.Names() {
		a.Set(n, others.values[n])
	}
}

// shortFlag gives the name that a short flag stands for. An unknown one stands for itself where only flags begin like one.
func (a *Args) shortFlag(word string) (name string, ok bool) {
	if name, ok = a.program.short[word]; ok || !a.program.split {
		return name, ok
	}
	return word, len(word) > 1 && word[0] == '-' && (word[1] >= 'a' && word[1] <= 'z' || word[1] >= 'A' && word[1] <= 'Z')
}

// usual gives the usual name of a flag that has several.
func (a *Args) usual(name string) string {
	plain, negated := strings.CutPrefix(name, "no-")
	switch {
	case a.program.names[name] != "":
		return a.program.names[name]
	case negated && a.program.names[plain] != "":
		return "no-" + a.program.names[plain]
	}
	return name
}

// apply sets the flags of a preset.
func (a *Args) apply(p Preset) {
	for name, v := range p.Args {
		switch v := v.(type) {
		case bool:
			if v {
				a.Set(name, "")
			} else {
				a.Set("no-"+name, "")
			}
		default:
			a.Set(name, fmt.Sprint(v))
		}
	}
}

// Merge adds flags as people type them: --name value, --name=value or --name. Underscores in names count as dashes. It fails for a word
// that belongs to no flag.
func (a *Args) Merge(words []string) error {
	name := ""
	var values []string
	put := func() {
		if name != "" {
			a.Set(name, strings.Join(values, "\x00"))
		}
		name, values = "", nil
	}
	for _, w := range words {
		long, isLong := strings.CutPrefix(w, "--")
		short, isShort := a.shortFlag(w)
		switch {
		case isLong && long != "" && !strings.ContainsRune("-_", rune(long[0])):
			put()
			n, v, ok := strings.Cut(long, "=")
			name = a.usual(strings.ReplaceAll(n, "_", "-"))
			if _, flag := a.shortFlag(v); ok && a.program.split && (flag || strings.HasPrefix(v, "--")) {
				return fmt.Errorf("read %s arguments: the value of --%s begins as a flag does", a.program.Name, name)
			}
			if ok {
				values = append(values, v)
			}
		case isShort:
			put()
			name = short
		case name == "":
			return fmt.Errorf("read %s arguments: %q belongs to no flag; write --flag value", a.program.Name, w)
		default:
			values = append(values, w)
		}
	}
	put()
	return nil
}

// ParseCount reads a count of tokens as vLLM does: 8192, 8k (8,000) or 8K (8,192). ok is false for anything else, and for 0 and less.
func ParseCount(s string) (n int64, ok bool) {
	if s == "" {
		return 0, false
	}
	factor := map[byte]float64{'k': 1e3, 'm': 1e6, 'g': 1e9, 'K': 1 << 10, 'M': 1 << 20, 'G': 1 << 30}[s[len(s)-1]]
	if factor == 0 {
		n, err := strconv.ParseInt(s, 10, 64)
		return n, err == nil && n > 0
	}
	f, err := strconv.ParseFloat(s[:len(s)-1], 64)
	if err != nil || !(f > 0 && f < 1e12) {
		return 0, false
	}
	return int64(f * factor), true
}
