package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"wb/collect/bench"
	"wb/collect/machine"
	"wb/collect/serve"
	"wb/collect/target"
	"wb/data"
	"wb/data/hub"
	"wb/data/plain"
	"wb/queries/table"
	"wb/viz"
	"wb/viz/output"
)

func newModels(stdout, stderr io.Writer) *cobra.Command {
	var format string
	var cached bool
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
			t = cacheTable(h, have)
		} else if t, err = modelTable(cmd.Context(), have); err != nil {
			return err
		}
		return output.Render(stdout, format, viz.Page{Title: t.Title, Tables: []*table.Table{t}, Version: version})
	}
	cmd := &cobra.Command{Use: "models", Short: "List, download and remove models", Args: args(cobra.NoArgs), RunE: list}
	cmd.PersistentFlags().StringVar(&format, "format", "table", "output format: "+strings.Join(viz.Formats(), ", "))
	ls := &cobra.Command{Use: "list", Short: "List the models wb knows, and which fit this machine", Args: args(cobra.NoArgs), RunE: list}
	for _, c := range []*cobra.Command{cmd, ls} {
		c.Flags().BoolVar(&cached, "cached", false, "list what is in the cache instead")
	}
	cmd.AddCommand(ls, newPull(stdout, stderr), newRemove(stderr))
	return cmd
}

// modelTable is the registry with what this machine makes of it.
func modelTable(ctx context.Context, have []hub.Cached) (*table.Table, error) {
	models, err := data.Models()
	if err != nil {
		return nil, err
	}
	room := machine.ModelRoom(ctx)
	t := &table.Table{Name: "models", Title: "Models", About: fmt.Sprintf("memory_bytes: weights and the KV cache of 8,192 tokens in 16 bits. fits: on this machine, %s.", room),
		Columns: []table.Column{{Name: "name"}, {Name: "parameters"}, {Name: "quantization"}, {Name: "weights_bytes"}, {Name: "context_tokens"}, {Name: "memory_bytes"}, {Name: "fits"},
			{Name: "fits_tokens"}, {Name: "license"}, {Name: "gated"}, {Name: "here"}, {Name: "repo"}}}
	for _, m := range models {
		q := m.Quantization
		if q == "" {
			q = "16-bit"
		}
		here := "no"
		for _, c := range have {
			if c.Repo == m.Repo {
				here = "yes"
				if !c.Complete {
					here = "in part"
				}
			}
		}
		fits, tokens := room.Fits(m)
		t.Rows = append(t.Rows, []any{m.Name, m.Parameters, q, m.WeightsBytes, m.ContextTokens, m.WeightsBytes + m.Shape.KVBytes(8192, 512, 2), fits, tokens, m.License, m.Gated, here, m.Repo})
	}
	return t, nil
}

func cacheTable(h *hub.Client, have []hub.Cached) *table.Table {
	t := &table.Table{Name: "cached_models", Title: "Models in " + h.CacheDir, Columns: []table.Column{{Name: "repo"}, {Name: "revisions"}, {Name: "bytes"}, {Name: "complete"}, {Name: "changed"}}}
	for _, c := range have {
		changed := c.ChangedAt.UTC().Format("2006-01-02 15:04")
		t.Rows = append(t.Rows, []any{c.Repo, strings.Join(c.Revisions, " "), c.Bytes, c.Complete, changed})
	}
	return t
}

// repoOf reads a model name: one of the registry, or ORG/NAME[@REVISION].
func repoOf(name string) (repo, revision string, err error) {
	repo, revision, _, err = serve.ModelRef(name)
	if err != nil {
		return "", "", plain.Mistake(err)
	}
	return repo, revision, nil
}

func newPull(stdout, stderr io.Writer) *cobra.Command {
	var jobs int
	cmd := &cobra.Command{Use: "pull NAME | ORG/REPO[@REVISION]", Short: "Download a model from the hub into its cache, verified and resumable",
		Long: `Download what vLLM needs of a model into the hub's own cache, where vLLM and huggingface_hub find it. A download that was cut is continued by the
next one; every file's hash is checked. HF_TOKEN, HF_ENDPOINT, HF_HUB_CACHE, HF_HOME and HF_HUB_OFFLINE mean what they mean to huggingface_hub.

The directory of the snapshot is printed on standard output.`,
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
	cmd.Flags().IntVar(&jobs, "jobs", 4, "files to download at once")
	return cmd
}

func pullModel(ctx context.Context, h *hub.Client, name string, stderr io.Writer) (*hub.Snapshot, error) {
	repo, revision, err := repoOf(name)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(stderr, "pulling %s into %s\n", repo, h.CacheDir)
	p := newPullProgress(stderr)
	s, err := h.Pull(ctx, repo, revision, p.report)
	p.end()
	if err != nil {
		return nil, err
	}
	if s.Downloaded == 0 {
		fmt.Fprintf(stderr, "%s is there: %d files, %s\n", repo, s.Files, plain.Bytes(s.Bytes))
	} else {
		fmt.Fprintf(stderr, "%s: %d files, %s, %s of it downloaded and verified\n", repo, s.Files, plain.Bytes(s.Bytes), plain.Bytes(s.Downloaded))
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

// pullProgress shows rate and time left: a line that changes on a terminal, a line every ten seconds elsewhere.
type pullProgress struct {
	*output.LiveLine
	mu    sync.Mutex
	last  time.Time
	marks []mark // of the last seconds, so that a download that got slower says so
}

type mark struct {
	at   time.Time
	done int64
}

func newPullProgress(w io.Writer) *pullProgress {
	return &pullProgress{LiveLine: output.NewLiveLine(w), last: time.Now()}
}

func (p *pullProgress) report(x hub.Progress) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	every := 10 * time.Second
	if p.Live {
		every = 200 * time.Millisecond
	}
	if len(p.marks) == 0 {
		p.marks = []mark{{now, x.BytesDone}}
		if x.BytesBefore > 0 && x.BytesBefore < x.Bytes {
			p.Say(fmt.Sprintf("continuing: %s of %s are there", plain.Bytes(x.BytesBefore), plain.Bytes(x.Bytes)))
		}
	}
	if now.Sub(p.last) < every {
		return
	}
	p.last = now
	p.marks = append(p.marks, mark{now, x.BytesDone})
	for len(p.marks) > 2 && now.Sub(p.marks[0].at) > 15*time.Second {
		p.marks = p.marks[1:]
	}
	if p.Live {
		p.Show(pullLine(x, p.marks))
	} else {
		p.Say(pullLine(x, p.marks))
	}
}

func pullLine(x hub.Progress, marks []mark) string {
	line := fmt.Sprintf("%s of %s, %d of %d files", plain.Bytes(x.BytesDone), plain.Bytes(x.Bytes), x.FilesDone, x.Files)
	first, last := marks[0], marks[len(marks)-1]
	if s := last.at.Sub(first.at).Seconds(); s > 0 && last.done > first.done {
		rate := float64(last.done-first.done) / s
		left := time.Duration(float64(x.Bytes-x.BytesDone) / rate * float64(time.Second)).Round(time.Second)
		line += fmt.Sprintf(", %s/s, %v left", plain.Bytes(int64(rate)), left)
	}
	return line
}

func (p *pullProgress) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.Clear()
}

func newSetup(stdout, stderr io.Writer) *cobra.Command {
	var model, vllmAt, db string
	cmd := &cobra.Command{
		Use:   "setup",
		Short: "Get a machine ready: a model that fits it, vLLM checked, everything else looked over",
		Long: `Choose a model that fits this machine (or take --model), download it, look for vLLM, and check the rest as wb doctor does. It changes nothing but
the hub's cache; what is missing is named with its remedy.

The model's directory is printed on standard output.`,
		Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			if model == "" {
				room := machine.ModelRoom(ctx)
				m, err := room.Recommend()
				if err != nil {
					return err
				}
				model = m.Name
				fmt.Fprintf(stderr, "recommended for this machine (%s): %s, %s, %s of weights, licence %s\n", room, m.Name, m.Parameters, plain.Bytes(m.WeightsBytes), m.License)
			}
			h, err := hub.FromEnv(os.Getenv)
			if err != nil {
				return err
			}
			dir := model
			var pulled error
			if st, err := os.Stat(model); err != nil || !st.IsDir() { // a directory is there already
				var s *hub.Snapshot
				if s, pulled = pullModel(ctx, h, model, stderr); pulled == nil {
					dir = s.Dir
				}
				if ctx.Err() != nil {
					return bench.Interrupted(ctx, pulled)
				}
				if plain.IsMistake(pulled) {
					return pulled
				}
			}
			findings := machine.DiagnoseMachine(ctx, db)
			findings = append(findings, diagnoseFile(cmd, db))
			findings = append(findings, machine.DiagnoseVLLM(ctx, h, vllmAt, model, 8001)...)
			if err := renderFindings(stderr, "table", findings); err != nil {
				return err
			}
			if pulled != nil { // the rest was worth looking at all the same
				return pulled
			}
			fmt.Fprintln(stdout, dir)
			if machine.Failed(findings) {
				return errors.New("set up: the model is here; see the rows marked fail for what is missing")
			}
			fmt.Fprintf(stderr, "\nready; next:\n  %s run --engine vllm --model %s\n", self(), plain.Quote(model))
			return nil
		},
	}
	dbFlag(cmd, &db)
	cmd.Flags().StringVar(&model, "model", "", "model to set up (default: the one recommended for this machine)")
	target.VLLMFlag(cmd.Flags(), &vllmAt)
	return cmd
}
