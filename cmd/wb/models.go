package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"wb/cmd/internal/talk"
	"wb/collect/bench"
	"wb/collect/machine"
	"wb/collect/serve"
	"wb/data/hub"
	"wb/data/plain"
	"wb/queries/table"
	"wb/viz"
	"wb/viz/output"
)

func newModels(stdout, stderr io.Writer) *cobra.Command {
	var format string
	var cached, wide bool
	list := func(cmd *cobra.Command, _ []string) error {
		if !slices.Contains(viz.Formats(), format) {
			return usagef("flag --format: unknown format %q; known are %s", format, strings.Join(viz.Formats(), ", "))
		}
		h, err := hub.FromEnv(os.Getenv)
		if err != nil {
			return err
		}
		have, err := h.Cache()
		if err != nil {
			return err
		}
		var t *table.Table
		if cached {
			t = machine.CacheTable(h, have)
		} else if t, err = machine.ModelTable(cmd.Context(), have); err != nil {
			return err
		}
		return output.Render(stdout, format, viz.Page{Title: t.Title, Tables: []*table.Table{t}, Version: version, Wide: wide})
	}
	cmd := &cobra.Command{Use: "models", Short: "List, download and remove models", Args: args(cobra.NoArgs), RunE: list}
	cmd.PersistentFlags().StringVar(&format, "format", "table", "output format: "+strings.Join(viz.Formats(), ", "))
	ls := &cobra.Command{Use: "list", Short: "List the models that wb knows, and which fit this machine", Args: args(cobra.NoArgs), RunE: list}
	for _, c := range []*cobra.Command{cmd, ls} {
		c.Flags().BoolVar(&wide, "wide", false, "show all columns and whole texts, even if they are wider than the terminal")
		c.Flags().BoolVar(&cached, "cached", false, "list the models in the cache instead")
	}
	cmd.AddCommand(ls, newPull(stdout, stderr), newRemove(stderr))
	return cmd
}

// repoOf parses a model name: a name that wb knows, or ORG/NAME[@REVISION].
func repoOf(name string) (repo, revision string, err error) {
	repo, revision, _, err = serve.ModelRef(name)
	if err != nil {
		return "", "", plain.Mistake(err)
	}
	return repo, revision, nil
}

func newPull(stdout, stderr io.Writer) *cobra.Command {
	var jobs int
	cmd := &cobra.Command{Use: "pull NAME | ORG/REPO[@REVISION]", Short: "Download a model from the hub into the cache, and verify it",
		Long: `Download the files of a model that vLLM needs into the cache of huggingface_hub, where vLLM finds them. A download that was
interrupted is continued by the next one. The hash of every file is checked. HF_TOKEN, HF_ENDPOINT, HF_HUB_CACHE, HF_HOME and
HF_HUB_OFFLINE have the meaning that huggingface_hub gives them.

The directory of the model's files is printed on standard output.`,
		Example: `  wb models pull smollm2-135m
  wb models pull Qwen/Qwen3-0.6B@main`,
		Args: args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, a []string) error {
			if jobs < 1 || jobs > 32 {
				return usagef("flag --jobs: wants 1 to 32, not %d", jobs)
			}
			h, err := hub.FromEnv(os.Getenv)
			if err != nil {
				return err
			}
			h.Jobs = jobs
			s, err := pullModel(cmd.Context(), h, a[0], stderr)
			if err != nil {
				return bench.Interrupted(cmd.Context(), err)
			}
			fmt.Fprintln(stdout, s.Dir)
			return nil
		}}
	cmd.Flags().IntVar(&jobs, "jobs", 4, "number of files to download at the same time")
	return cmd
}

func pullModel(ctx context.Context, h *hub.Client, name string, stderr io.Writer) (*hub.Snapshot, error) {
	repo, revision, err := repoOf(name)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(stderr, "pulling %s into %s\n", repo, h.CacheDir)
	p := output.NewTransfer(stderr)
	s, err := h.Pull(ctx, repo, revision, talk.Pulling(p))
	p.End()
	if err != nil {
		return nil, err
	}
	if s.Downloaded == 0 {
		fmt.Fprintf(stderr, "%s is in the cache: %d files, %s\n", repo, s.Files, plain.Bytes(s.Bytes))
	} else {
		fmt.Fprintf(stderr, "%s: %d files, %s, %s of it downloaded and verified\n", repo, s.Files, plain.Bytes(s.Bytes),
			plain.Bytes(s.Downloaded))
	}
	return s, nil
}

func newRemove(stderr io.Writer) *cobra.Command {
	return &cobra.Command{Use: "rm NAME | ORG/REPO", Short: "Remove a model from the cache", Args: args(cobra.ExactArgs(1)),
		RunE: func(_ *cobra.Command, a []string) error {
			if strings.Contains(a[0], "@") {
				return usagef("remove %s: a model is removed with all of its revisions; leave @REVISION out", a[0])
			}
			repo, _, err := repoOf(a[0])
			if err != nil {
				return err
			}
			h, err := hub.FromEnv(os.Getenv)
			if err != nil {
				return err
			}
			freed, err := h.Remove(repo)
			if err != nil {
				return err
			}
			fmt.Fprintf(stderr, "removed %s, %s\n", repo, plain.Bytes(freed))
			return nil
		}}
}
