package main

import (
	"context"
	"errors"
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
	cmd := &cobra.Command{
		Use:   "pull NAME | ORG/REPO[:QUANT][@REVISION] | ORG/REPO/FILE.gguf",
		Short: "Download a model from the hub into the cache, and verify it",
		Long: `Download the files of a model that vLLM needs into the cache of huggingface_hub, where vLLM finds them. A download that was
interrupted is continued by the next one. The hash of every file is checked. HF_TOKEN, HF_ENDPOINT, HF_HUB_CACHE, HF_HOME and
HF_HUB_OFFLINE have the meaning that huggingface_hub gives them.

:QUANT chooses one of the GGUF files of a repository, which llama.cpp loads, with all of its parts. A repository that has only GGUF files
needs no :QUANT: Q4_K_M is taken, or else Q8_0, or else the only one.

The directory of the model's files is printed on standard output, or the path of the first GGUF file.`,
		Example: `  wb models pull smollm2-135m
  wb models pull Qwen/Qwen3-0.6B@main
  wb models pull Qwen/Qwen3-0.6B-GGUF:Q8_0`,
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
			path, err := pullAny(cmd.Context(), h, a[0], stderr)
			if err != nil {
				return bench.Interrupted(cmd.Context(), err)
			}
			fmt.Fprintln(stdout, path)
			return nil
		}}
	cmd.Flags().IntVar(&jobs, "jobs", 4, "number of files to download at the same time")
	return cmd
}

// pullAny downloads a model for vLLM, or one in GGUF files where the name asks for it or the repository has nothing else. It returns the
// directory of the model, or the path of its first GGUF file.
func pullAny(ctx context.Context, h *hub.Client, name string, stderr io.Writer) (path string, err error) {
	if serve.IsGGUF(name) {
		ref, err := hub.ParseGGUFRef(name)
		if err != nil {
			return "", plain.Mistake(err)
		}
		return pullGGUF(ctx, h, ref, stderr)
	}
	s, err := pullModel(ctx, h, name, stderr)
	if err == nil {
		return s.Dir, nil
	}
	offline := h.Offline && errors.Is(err, hub.ErrNotCached)
	if repo, revision, rerr := repoOf(name); rerr == nil && (offline || errors.Is(err, hub.ErrOnlyGGUF)) {
		path, gerr := pullGGUF(ctx, h, hub.GGUFRef{Repo: repo, Revision: revision}, stderr)
		if gerr == nil || !offline {
			return path, gerr
		}
	}
	return "", err
}

func pullGGUF(ctx context.Context, h *hub.Client, ref hub.GGUFRef, stderr io.Writer) (path string, err error) {
	if !h.Offline {
		fmt.Fprintf(stderr, "pulling %s into %s\n", ref, h.CacheDir)
	}
	p := output.NewTransfer(stderr)
	g, err := h.PullGGUF(ctx, ref, talk.Pulling(p))
	p.End()
	if err != nil {
		return "", err
	}
	tellPulled(stderr, g.Name(), g.Files, g.Bytes, g.Downloaded)
	return g.Path, nil
}

// tellPulled says what a download brought.
func tellPulled(stderr io.Writer, name string, files int, bytes, downloaded int64) {
	size := plain.Count(files, "file") + ", " + plain.Bytes(bytes)
	if downloaded == 0 {
		fmt.Fprintf(stderr, "%s is in the cache: %s\n", name, size)
	} else {
		fmt.Fprintf(stderr, "%s: %s, %s of it downloaded and verified\n", name, size, plain.Bytes(downloaded))
	}
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
	tellPulled(stderr, repo, s.Files, s.Bytes, s.Downloaded)
	return s, nil
}

func newRemove(stderr io.Writer) *cobra.Command {
	return &cobra.Command{Use: "rm NAME | ORG/REPO[:QUANT] | ORG/REPO/FILE.gguf", Short: "Remove a model from the cache",
		Long: `Remove a repository from the cache with all of its revisions and partial downloads. With :QUANT or the name of a GGUF file, only
that file or all of its parts are removed.`,
		Args: args(cobra.ExactArgs(1)),
		RunE: func(_ *cobra.Command, a []string) error {
			if strings.Contains(a[0], "@") {
				return usagef("remove %s: a model is removed with all of its revisions; leave @REVISION out", a[0])
			}
			h, err := hub.FromEnv(os.Getenv)
			if err != nil {
				return err
			}
			name, freed, err := removeModel(h, a[0])
			if err != nil {
				return err
			}
			fmt.Fprintf(stderr, "removed %s, %s\n", name, plain.Bytes(freed))
			return nil
		}}
}

// removeModel removes a repository, or one model of it in GGUF files, and returns what it removed.
func removeModel(h *hub.Client, name string) (removed string, freed int64, err error) {
	if serve.IsGGUF(name) {
		ref, err := hub.ParseGGUFRef(name)
		if err != nil {
			return "", 0, plain.Mistake(err)
		}
		freed, err = h.RemoveGGUF(ref)
		return ref.String(), freed, err
	}
	repo, _, err := repoOf(name)
	if err != nil {
		return "", 0, err
	}
	freed, err = h.Remove(repo)
	return repo, freed, err
}
