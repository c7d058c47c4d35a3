package queries

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"wb/data/plain"
	"wb/queries/table"
	wbsql "wb/sql"
)

// ErrNoRuns is returned when a selector finds no run. A selector that was mistyped is a mistake of the user, a file without runs is not.
var ErrNoRuns = plain.WithHint(errors.New("no such run"), "wb runs shows the runs of the file; wb run records one")

var idPrefix = regexp.MustCompile(`^[0-9a-f][0-9a-f-]{3,35}$`)

// CheckName says why a run cannot have a name, or "" when it can. A name must not look like a selector, and must be readable.
func CheckName(name string) (why string) {
	begins := func(with string) bool { return strings.HasPrefix(name, with) }
	reserved := name == "latest" || name == "all" || slices.ContainsFunc([]string{"latest~", "last:", "tag:", "plan:"}, begins)
	if reserved || strings.ContainsAny(name, `,"`) {
		return "could be taken for a selector of runs"
	}
	return CheckLabel(name)
}

// CheckLabel says why a text cannot be a name or a tag, or "" when it can.
func CheckLabel(text string) (why string) {
	switch {
	case strings.TrimSpace(text) == "":
		return "is empty"
	case text != strings.TrimSpace(text):
		return "begins or ends with a space"
	case !utf8.ValidString(text):
		return "is not UTF-8"
	case strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }):
		return "has characters that cannot be seen"
	}
	return ""
}

// CheckTags says what is wrong with tags of the form KEY=VALUE. KEY= removes a tag.
func CheckTags(tags []string) error {
	for _, t := range tags {
		k, v, ok := strings.Cut(t, "=")
		if !ok || k == "" {
			return fmt.Errorf("tag %q: wants KEY=VALUE", t)
		}
		why := CheckLabel(k)
		if v != "" {
			why = cmp.Or(why, CheckLabel(v))
		}
		if why != "" {
			return fmt.Errorf("tag %q: it %s", t, why)
		}
	}
	return nil
}

// Selectable is a run that a selector may pick.
type Selectable struct {
	table.RunRef          // its Name has the start of the id where two runs share the name
	Given        string   // the name as it was given
	Plan         string   // id of the plan's execution, or ""
	Tags         []string // KEY=VALUE
}

// Select resolves a selector: a comma-separated list of "latest", "latest~N" (the Nth before it), "last:N", "all", run ids
// or the start of one (4 characters or more), names, "tag:key=value", and "plan:name", the runs of the newest execution of a
// plan. A part in double quotes may have commas, and spaces at its ends. So may a name or tag that is the whole selector. The runs are
// returned in the order in which they started, each once.
func Select(ctx context.Context, conn *sql.Conn, selector string) ([]table.RunRef, error) {
	all, err := Selectables(ctx, conn)
	if err != nil {
		return nil, fmt.Errorf("select runs: %w", err)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("select runs %q: %w: the file holds no runs yet", selector, ErrNoRuns)
	}
	parts := []string{selector}
	if !slices.ContainsFunc(all, func(r Selectable) bool { return r.is(selector) }) {
		if parts, err = selectorParts(selector); err != nil {
			return nil, plain.Mistake(err)
		}
	}
	picked := make([]bool, len(all))
	for _, part := range parts {
		if err := pickRuns(all, picked, part); err != nil {
			return nil, plain.Mistake(err)
		}
	}
	var refs []table.RunRef
	for i, p := range picked {
		if p {
			refs = append(refs, all[i].RunRef)
		}
	}
	return refs, nil
}

// Selectables lists the runs of a history in the order in which they started.
func Selectables(ctx context.Context, conn *sql.Conn) (all []Selectable, err error) {
	rows, err := conn.QueryContext(ctx, wbsql.Statement("selectable_runs"))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var r Selectable
		var tags any
		if err := rows.Scan(&r.ID, &r.Name, &r.Given, &r.Simulated, &r.Plan, &tags); err != nil {
			return nil, err
		}
		list, _ := tags.([]any)
		for _, t := range list {
			if text, ok := t.(string); ok {
				r.Tags = append(r.Tags, text)
			}
		}
		all = append(all, r)
	}
	return all, rows.Err()
}

// is says whether a part of a selector, exactly as written, is the run's name, its id or one of its tags.
func (r Selectable) is(part string) bool {
	if tag, ok := strings.CutPrefix(part, "tag:"); ok && slices.Contains(r.Tags, tag) {
		return true
	}
	return r.Given == part || r.Name == part || r.ID == part
}

// selectors lists what can stand in a selector: names, tags and plans of the runs, and the words.
func selectors(all []Selectable) []string {
	known := []string{"latest", "all"}
	for _, r := range all {
		known = append(known, r.Name)
		for _, tag := range r.Tags {
			if plan, ok := strings.CutPrefix(tag, "plan="); ok && r.Plan != "" {
				known = append(known, "plan:"+plan)
			}
			known = append(known, "tag:"+tag)
		}
	}
	slices.Sort(known)
	return slices.Compact(known)
}

// selectorParts splits a selector at the commas outside of double quotes. Inside quotes, two double quotes stand for one.
func selectorParts(selector string) ([]string, error) {
	var parts []string
	var part strings.Builder
	quoted, was := false, false // we are inside quotes; the part had quotes
	end := func() {
		text := part.String()
		if !was {
			text = strings.TrimSpace(text)
		}
		parts = append(parts, text)
		part.Reset()
		was = false
	}
	for i := 0; i < len(selector); i++ {
		switch c := selector[i]; {
		case c == '"' && quoted && strings.HasPrefix(selector[i+1:], `"`):
			part.WriteByte(c)
			i++
		case c == '"' && quoted:
			quoted = false
		case c == '"' && !was && strings.TrimSpace(part.String()) == "":
			part.Reset()
			quoted, was = true, true
		case c == ',' && !quoted:
			end()
		case c == ' ' && was && !quoted: // after the quotes
		default:
			part.WriteByte(c)
		}
	}
	if quoted {
		return nil, fmt.Errorf("select runs %q: the quote is not closed", selector)
	}
	end()
	return parts, nil
}

// pickRuns marks the runs of one part of a selector. It is an error if there are none.
func pickRuns(all []Selectable, picked []bool, part string) error {
	found := 0
	pick := func(ok func(i int) bool) {
		for i := range all {
			if ok(i) {
				picked[i] = true
				found++
			}
		}
	}
	why := ""
	switch pick(func(i int) bool { return all[i].is(part) }); {
	case found > 0:
	case part == "latest" || strings.HasPrefix(part, "latest~"):
		n := 0
		if rest, ok := strings.CutPrefix(part, "latest~"); ok {
			var err error
			if n, err = strconv.Atoi(rest); err != nil || n < 0 {
				return fmt.Errorf("select runs %q: latest~N wants a whole number", part)
			}
		}
		pick(func(i int) bool { return i == len(all)-1-n })
		why = fmt.Sprintf(": the file holds %d", len(all))
	case part == "all":
		pick(func(int) bool { return true })
	case strings.HasPrefix(part, "last:"):
		n, err := strconv.Atoi(part[len("last:"):])
		if err != nil || n < 1 {
			return fmt.Errorf("select runs %q: last:N wants a whole number from 1", part)
		}
		pick(func(i int) bool { return i >= len(all)-n })
	case strings.HasPrefix(part, "plan:"):
		newest := ""
		for _, r := range all {
			if r.Plan != "" && slices.Contains(r.Tags, "plan="+part[len("plan:"):]) {
				newest = r.Plan
			}
		}
		pick(func(i int) bool { return newest != "" && all[i].Plan == newest })
	case strings.HasPrefix(part, "tag:") && !strings.Contains(part, "="):
		return fmt.Errorf("select runs %q: wants tag:KEY=VALUE", part)
	case idPrefix.MatchString(strings.ToLower(part)):
		pick(func(i int) bool { return strings.HasPrefix(all[i].ID, strings.ToLower(part)) })
		if found > 1 {
			return fmt.Errorf("select runs %q: %d runs start with it; give more of the id", part, found)
		}
	}
	if found == 0 {
		return fmt.Errorf("select runs %q: %w%s", part, ErrNoRuns, cmp.Or(why, plain.DidYouMean(part, selectors(all))))
	}
	return nil
}
