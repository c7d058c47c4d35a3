package queries

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"wb/queries/table"
)

// Groups are the groups of the built-in reports, in the order in which wb query --list shows them.
func Groups() []string {
	return []string{"cache", "latency", "throughput", "GPU and energy", "comparison", "health"}
}

// otherGroup is where queries are listed whose header names no group.
const otherGroup = "other"

// All gives the saved queries by group: first those of Groups, then those of the user, and at the end those without a group. Within a
// group they are in the order of their names.
func (l Library) All() ([]*Query, error) {
	names, err := l.Names()
	if err != nil {
		return nil, err
	}
	var all []*Query
	for _, n := range names {
		q, err := l.Find(n)
		if err != nil {
			return nil, err
		}
		all = append(all, q)
	}
	slices.SortStableFunc(all, func(a, b *Query) int {
		return cmp.Or(cmp.Compare(place(a.Group), place(b.Group)), cmp.Compare(a.Group, b.Group))
	})
	return all, nil
}

// place is where a group stands among the others.
func place(group string) int {
	switch i := slices.Index(Groups(), group); {
	case i >= 0:
		return i
	case group != "":
		return len(Groups())
	default:
		return len(Groups()) + 1
	}
}

// answers is what a list says of a query: its question, or else its title.
func (q *Query) answers() string { return cmp.Or(q.Answer, q.Title) }

// textColumns makes columns of texts.
func textColumns(names ...string) (cols []table.Column) {
	for _, n := range names {
		cols = append(cols, table.Column{Name: n, Type: "VARCHAR"})
	}
	return cols
}

// List gives the saved queries as one table in the order of their names, for programs.
func (l Library) List() (*table.Table, error) {
	all, err := l.All()
	if err != nil {
		return nil, err
	}
	slices.SortFunc(all, func(a, b *Query) int { return cmp.Compare(a.Name, b.Name) })
	t := &table.Table{Name: "list", Title: "Reports", Columns: textColumns("name", "title", "variables", "group", "answers")}
	for _, q := range all {
		var vars []string
		for _, v := range q.Vars {
			vars = append(vars, v.Name+"="+v.Default)
		}
		t.Rows = append(t.Rows, []any{q.Name, q.Title, strings.Join(vars, " "), q.Group, q.answers()})
	}
	return t, nil
}

// GroupedList gives the saved queries as one table per group, for people: the name, and which question it answers.
func (l Library) GroupedList() ([]*table.Table, error) {
	all, err := l.All()
	if err != nil {
		return nil, err
	}
	var tables []*table.Table
	for i, q := range all {
		if i == 0 || q.Group != all[i-1].Group {
			title := cmp.Or(q.Group, otherGroup)
			first, size := utf8.DecodeRuneInString(title)
			title = string(unicode.ToUpper(first)) + title[size:]
			tables = append(tables, &table.Table{Name: "list", Title: title, Columns: textColumns("name", "answers")})
		}
		t := tables[len(tables)-1]
		t.Rows = append(t.Rows, []any{q.Name, q.answers()})
	}
	return tables, nil
}

// Help describes a query as --help does: what it shows, the variables that --set can give a value, and an example.
func (q *Query) Help(self string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\n", q.Name, q.answers())
	if q.Answer != "" && q.Answer != q.Title {
		fmt.Fprintf(&b, "\n%s.\n", strings.TrimRight(q.Title, ".?"))
	}
	for _, line := range q.AboutLines() {
		b.WriteString(line + "\n")
	}
	if len(q.Vars) > 0 {
		b.WriteString("\nVariables:\n")
	}
	for _, v := range q.Vars {
		if v.Name == RunsVar {
			fmt.Fprintf(&b, "  --runs SELECTOR  which runs (default %s)\n", cmp.Or(v.Default, "all"))
			continue
		}
		b.WriteString(strings.TrimRight(fmt.Sprintf("  --set %s=%s  %s", v.Name, v.Default, v.About), " ") + "\n")
	}
	fmt.Fprintf(&b, "\n%s query --help lists the other flags.\n", self)
	return b.String()
}
