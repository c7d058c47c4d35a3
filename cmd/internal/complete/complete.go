// Package complete says what a shell may complete: values of flags, and names that are arguments.
//
// It only looks: it changes nothing and makes no file. Where it cannot look, because a file is missing, broken or held by a run,
// it offers nothing and says nothing, because the shell is in the middle of a line.
package complete

import (
	"cmp"
	"os"
	"slices"
	"strings"
	"unicode"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"wb/collect/bench"
	"wb/collect/serve"
	"wb/collect/target"
	"wb/data"
	"wb/data/plain"
	"wb/queries"
	"wb/queries/compare"
	"wb/viz"
)

// names gives what can be completed, in the order in which it is offered. Each may have a description behind a tab.
type names func(cmd *cobra.Command) []string

// All lets the shell complete the arguments and flags of the commands below root.
func All(root *cobra.Command) {
	for _, c := range root.Commands() {
		flags(c)
		All(c)
	}
	for path, complete := range map[string]cobra.CompletionFunc{
		"query":              one(reports, 1, cobra.ShellCompDirectiveDefault), // or a file
		"compare":            list(selectors, 2),
		"report":             list(selectors, 2),
		"runs show":          list(selectors, 1),
		"runs rm":            list(selectors, 1),
		"runs tag":           runThenTags,
		"conversations show": one(conversations, 1, cobra.ShellCompDirectiveNoFileComp),
		"serve":              one(models, 1, cobra.ShellCompDirectiveDefault), // or a folder
		"models pull":        one(models, 1, cobra.ShellCompDirectiveNoFileComp),
		"models rm":          one(models, 1, cobra.ShellCompDirectiveNoFileComp),
	} {
		words := strings.Fields(path)
		if c, rest, err := root.Find(words); err == nil && len(rest) == 0 && c.CommandPath() == root.Name()+" "+path {
			c.ValidArgsFunction = complete
		}
	}
}

// flags lets the shell complete the values of a command's flags.
func flags(cmd *cobra.Command) {
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		values := bench.EnumValues(f.Name)
		var complete cobra.CompletionFunc
		switch f.Name {
		case "format":
			values = viz.Formats()
		case "metric", "metrics":
			values = compare.MetricNames()
		case "profile":
			values = bench.EnumValues("sim-profile")
		case "by":
			values = []string{"turn", "context", "conversation"}
		case "gate-on":
			values = []string{"breach", "inconclusive"}
		case "runs", "base":
			if cmd.Name() != "pull" { // there it selects runs of the lake
				complete = list(selectors, -1)
			}
		case "engine":
			if cmd.Name() != "run" && cmd.Name() != "calibrate" { // they start nothing but programs
				values = []string{string(target.VLLM), string(target.LlamaCpp)}
			}
		case "preset":
			values = serve.PresetNames()
		case "model":
			if cmd.Name() != "sim" { // there it is any name
				complete = one(models, -1, cobra.ShellCompDirectiveDefault)
			}
		case "conversations":
			complete = list(conversations, -1)
		case "include-tags", "exclude-tags":
			complete = list(conversationTags, -1)
		case "tag":
			complete = one(tags, -1, cobra.ShellCompDirectiveNoFileComp)
		case "set":
			complete = variables
		}
		if values != nil {
			complete = list(func(*cobra.Command) []string { return values }, -1)
		}
		if complete != nil {
			_ = cmd.RegisterFlagCompletionFunc(f.Name, complete) // an error means that the flag has a completion already
		}
	})
}

// one completes one name. most is how many arguments the command takes; -1 is for the value of a flag.
func one(known names, most int, directive cobra.ShellCompDirective) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
		if most >= 0 && len(args) >= most {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return beginning(known(cmd), "", typed), directive | cobra.ShellCompDirectiveKeepOrder
	}
}

// list completes the last of several names with commas between them.
func list(known names, most int) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
		if most >= 0 && len(args) >= most {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		before := typed[:strings.LastIndex(typed, ",")+1]
		return beginning(known(cmd), before, typed[len(before):]),
			cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
	}
}

// beginning gives the names that begin as typed, with before in front of each. Names and descriptions may come from files of others.
func beginning(known []string, before, typed string) (found []string) {
	for _, k := range known {
		if strings.HasPrefix(k, typed) {
			k = strings.Map(printable, k)
			if before != "" { // cobra's script for bash compares a name with a description as the shell would quote it: commas as "\,"
				k, _, _ = strings.Cut(k, "\t")
			}
			found = append(found, before+k)
		}
	}
	return found
}

// value gives the value of a flag, or "" where the command has no such flag.
func value(cmd *cobra.Command, flag string) string {
	if f := cmd.Flag(flag); f != nil {
		return f.Value.String()
	}
	return ""
}

// reports lists the saved queries, with the question that each answers.
func reports(cmd *cobra.Command) (found []string) {
	all, err := queries.Library{Dir: value(cmd, "queries")}.All()
	if err != nil { // a file of the user is broken: those of wb are still of use
		all, _ = queries.Library{}.All()
	}
	slices.SortFunc(all, func(a, b *queries.Query) int { return cmp.Compare(a.Name, b.Name) })
	for _, q := range all {
		found = append(found, cobra.CompletionWithDesc(q.Name, cmp.Or(q.Answer, q.Title)))
	}
	return found
}

// variables completes NAME= for --set, with the variables of the query that the line names.
func variables(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
	var found []string
	if len(args) == 1 {
		if q, err := (queries.Library{Dir: value(cmd, "queries")}).Find(args[0]); err == nil {
			for _, v := range q.Vars {
				if v.Name != queries.RunsVar {
					found = append(found, cobra.CompletionWithDesc(v.Name+"=", v.About))
				}
			}
		}
	}
	return beginning(found, "", typed), cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}

// models lists the models that wb knows.
func models(*cobra.Command) (found []string) {
	all, _ := data.Models()
	for _, m := range all {
		found = append(found, cobra.CompletionWithDesc(m.Name, m.Parameters+", "+plain.Bytes(m.WeightsBytes)))
	}
	return found
}

// loaded gives the conversations of wb, and those of --data.
func loaded(cmd *cobra.Command) []*data.Conversation {
	all, err := data.Load(value(cmd, "data"))
	if err != nil && value(cmd, "data") != "" {
		all, _ = data.Load("")
	}
	return all
}

func conversations(cmd *cobra.Command) (found []string) {
	for _, c := range loaded(cmd) {
		found = append(found, cobra.CompletionWithDesc(c.ID, c.Title))
	}
	return found
}

func conversationTags(cmd *cobra.Command) []string { return data.Tags(loaded(cmd)) }

// runThenTags completes a selector of runs, and then the tags that runs have.
func runThenTags(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
	if len(args) == 0 {
		return list(selectors, 1)(cmd, args, typed)
	}
	return beginning(tags(cmd), "", typed), cobra.ShellCompDirectiveNoFileComp
}

// selectors lists what can select runs in the history of --db: words, names, tags and plans.
func selectors(cmd *cobra.Command) []string {
	recorded := lookAt(cmd)
	if recorded == nil {
		return nil
	}
	return recorded.selectors()
}

// tags lists the tags of the runs in the history of --db.
func tags(cmd *cobra.Command) []string {
	recorded := lookAt(cmd)
	if recorded == nil {
		return nil
	}
	return recorded.tags()
}

// printable replaces what could drive a terminal, but not the tab before a description.
func printable(r rune) rune {
	if r != '\t' && !unicode.IsPrint(r) {
		return ' '
	}
	return r
}

// exists says whether there is a regular file at a path. Everything else could take long to open.
func exists(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.Mode().IsRegular()
}
