package complete

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"wb/data/plain"
	"wb/queries"
	"wb/store"
)

// longest is how long a shell waits at most.
const longest = time.Second

// runs are the runs of a history, the newest last.
type runs []queries.Selectable

// lookAt reads the names and tags of the runs in the file of --db. It gives nil for anything that is not a file which can be read at once.
func lookAt(cmd *cobra.Command) runs {
	path := value(cmd, "db")
	if !exists(path) {
		return nil
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), longest)
	defer cancel()
	db, err := store.OpenUntouched(path)
	if err != nil {
		return nil
	}
	defer db.Close()
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil
	}
	defer conn.Close()
	all, err := queries.Selectables(ctx, conn)
	if err != nil {
		return nil
	}
	return all
}

// safe says whether a shell takes a text as it is, and a selector too.
func safe(text string) bool { return plain.Quote(text) == text && !strings.ContainsAny(text, `,"`) }

// selectors lists words, names, plans and tags. The newest runs come first. A run whose name would need quotes is offered by its id.
func (all runs) selectors() []string {
	if len(all) == 0 {
		return nil
	}
	found := []string{cobra.CompletionWithDesc("latest", "the last run"), cobra.CompletionWithDesc("latest~1", "the run before it")}
	if len(all) == 1 {
		found = found[:1]
	}
	seen := map[string]bool{}
	add := func(text, about string) {
		if !seen[text] {
			seen[text] = true
			found = append(found, cobra.CompletionWithDesc(text, about))
		}
	}
	for _, r := range slices.Backward(all) {
		switch {
		case safe(r.Given):
			add(r.Given, strings.Join(shown(r.Tags), " "))
		case len(r.ID) >= 8:
			add(r.ID[:8], strings.ReplaceAll(plain.FirstLine(r.Given), "\t", " "))
		}
	}
	for _, r := range slices.Backward(all) {
		for _, t := range r.Tags {
			if plan, ok := strings.CutPrefix(t, "plan="); ok && r.Plan != "" && safe(plan) {
				add("plan:"+plan, "the newest execution of the plan")
			}
		}
	}
	for _, t := range all.tags() {
		add("tag:"+t, "")
	}
	add("last:", "the last N runs")
	add("all", "all "+plain.Count(len(all), "run"))
	return found
}

// tags lists the tags of all runs that a shell takes as they are, in order.
func (all runs) tags() []string {
	var found []string
	for _, r := range all {
		found = append(found, shown(r.Tags)...)
	}
	slices.SortFunc(found, cmp.Compare[string])
	return slices.Compact(found)
}

// shown gives the tags that can be offered. A plan has a selector of its kind.
func shown(tags []string) (found []string) {
	for _, t := range tags {
		if safe(t) && !strings.HasPrefix(t, "plan=") {
			found = append(found, t)
		}
	}
	return found
}
