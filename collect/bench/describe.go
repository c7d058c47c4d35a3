package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"sort"
	"strconv"
	"strings"

	"wb/collect/engine"
	"wb/collect/load"
	"wb/data/plain"
	"wb/store"
)

// begin records the run, its server, its model, its tags and its settings before anything is measured.
func (r *run) begin(ctx context.Context) error {
	p, e := r.job, r.engine
	row := store.Run{
		RunID:         r.id,
		Name:          r.name,
		Status:        store.RunRunning,
		StartedAt:     p.Start.UTC(),
		Simulated:     e.Kind() == engine.KindSimulator,
		WbVersion:     p.Build.WbVersion,
		WbCommit:      plain.OrNil(p.Build.WbCommit),
		GoVersion:     runtime.Version(),
		DuckDBVersion: p.Build.DuckDBVersion,
		Argv:          r.client.Clean(p.Build.Argv),
		Seed:          p.Seed,
		PID:           int64(os.Getpid()),
		PlanID:        p.Part.PlanID,
		Plan:          plain.OrNil(p.Part.PlanText),
		Spec:          plain.OrNil(p.Part.Spec),
		Cell:          plain.OrNil(p.Part.Cell),
		Executions:    new(int32(1)),
		ChangedAt:     new(p.Start.UTC()),
	}
	if h, err := os.Hostname(); err == nil {
		row.Hostname = &h
	}
	row.ProcessStartedAt = store.ProcessStart(row.PID)
	eng := r.engineRow()
	var tags []store.RunTag
	for k, v := range p.TagMap() {
		tags = append(tags, store.RunTag{RunID: r.id, Key: k, Value: v})
	}
	var models []store.Model
	if p.Server.Limits != nil {
		m := *p.Server.Limits
		m.RunID = r.id
		models = append(models, m)
	}
	sort.Slice(tags, func(i, j int) bool { return tags[i].Key < tags[j].Key })
	for _, a := range e.Absent {
		r.event(store.EventKind(a.Kind), "engine", r.client.Clean(a.Message), nil)
	}
	return errors.Join(
		store.Add(ctx, r.rec, row),
		store.Add(ctx, r.rec, eng),
		store.Add(ctx, r.rec, models...),
		store.Add(ctx, r.rec, tags...),
		r.settings(ctx),
		r.rec.Flush(ctx),
	)
}

// engineRow describes the server.
func (r *run) engineRow() store.Engine {
	p, e := r.job, r.engine
	eng := store.Engine{
		RunID:             r.id,
		Kind:              string(e.Kind()),
		Version:           e.Version,
		URL:               r.client.Base(),
		Model:             e.Model,
		ModelRoot:         e.ModelRoot,
		MaxModelLenTokens: e.MaxModelLenTokens,
		BlockSizeTokens:   e.BlockSizeTokens,
		KVCacheSizeTokens: e.KVCacheSizeTokens,
		PrefixCaching:     e.PrefixCaching,
		HasMetrics:        e.HasMetrics,
		HasTokenize:       e.HasTokenize,
		TokenCounts:       "none",
		ProcessStartedAt:  e.ProcessStartedAt,
		Quantization:      e.Quantization,
		Parameters:        e.Parameters,
		WeightsBytes:      e.WeightsBytes,
		Slots:             e.Slots,
	}
	if how := e.CacheOf(); how != nil && eng.BlockSizeTokens == nil {
		eng.BlockSizeTokens = new(int64(how.UnitTokens))
	}
	if p.Server.Process != nil && p.Server.Process.Facts().PID != 0 {
		eng.PID = new(int64(p.Server.Process.Facts().PID))
	}
	switch {
	case e.Takes().VLLM:
		eng.TokenCounts = "usage"
	case e.Takes().Timings:
		eng.TokenCounts = "timings"
	}
	if len(e.CacheConfig) > 0 {
		var parts []string
		for k, v := range e.CacheConfig {
			parts = append(parts, k+"="+strconv.Quote(v))
		}
		slices.Sort(parts)
		eng.CacheConfig = new(strings.Join(parts, ","))
	}
	return eng
}

// settings records one row for each setting and for each fact about the server, so that two runs can be compared.
func (r *run) settings(ctx context.Context) error {
	p := r.job
	var rows []store.Setting
	add := func(source, name, value string) {
		rows = append(rows, store.Setting{RunID: r.id, Source: source, Name: name, Value: value})
	}
	var ids []string
	for _, c := range p.Conversations {
		ids = append(ids, c.ID)
		add("conversation", c.ID, c.SHA256()[:16])
	}
	for k, v := range map[string]any{
		"conversations":       strings.Join(ids, ","),
		"max_turns":           p.MaxTurns,
		"max_tokens":          p.MaxTokens,
		"repeat":              p.Repeats,
		"sessions_per_repeat": len(p.AllSessions(1, 1)),
		"warmup":              p.Warmup.String(),
		"temperature":         p.Temperature,
		"seed":                p.Seed,
		"ignore_eos":          p.IgnoreEOS,
		"timeout":             p.Timeout,
		"isolation":           p.Isolation,
		"users":               p.users(),
		"rate":                p.Rate,
		"sample_hz":           p.SampleHz,
		"no_text":             p.NoText,
		"replies":             map[bool]string{true: RepliesScripted, false: RepliesLive}[p.Scripted()],
		"token_ids":           cmp.Or(p.TokenIDs, TokenIDsPrompt),
		"api":                 p.apiText(),
		"rag_placement":       fmt.Sprint(p.Placements()),
	} {
		add("plan", k, fmt.Sprint(v))
	}
	if p.Rate > 0 {
		add("plan", "arrival", cmp.Or(p.Arrival, load.Models()[0].Name))
	}
	if p.Ramp > 0 {
		add("plan", "ramp", fmt.Sprint(p.Ramp))
	}
	for name, v := range p.Server.Settings {
		add("server", name, r.client.Clean(v))
	}
	r.engineSettings(add)
	add("software", "wb_version", p.Build.WbVersion)
	if p.Build.WbCommit != "" {
		add("software", "wb_commit", p.Build.WbCommit)
	}
	add("software", "go_version", runtime.Version())
	add("software", "duckdb_version", p.Build.DuckDBVersion)
	return store.Add(ctx, r.rec, rows...)
}

// engineSettings adds the facts about the server.
func (r *run) engineSettings(add func(source, name, value string)) {
	p, e := r.job, r.engine
	opt := func(name string, v *string) {
		if v != nil {
			add("engine", name, *v)
		}
	}
	num := func(name string, v *int64) {
		if v != nil {
			add("engine", name, strconv.FormatInt(*v, 10))
		}
	}
	add("engine", "kind", string(e.Kind()))
	// a server that wb starts may have another port each time, so its URL says nothing about the run
	if e.Kind() != engine.KindSimulator && p.Server.Process == nil {
		add("engine", "url", r.client.Base())
	}
	add("engine", "model", e.Model)
	opt("version", e.Version)
	opt("model_root", e.ModelRoot)
	num("max_model_len_tokens", e.MaxModelLenTokens)
	num("block_size_tokens", e.BlockSizeTokens)
	num("kv_cache_size_tokens", e.KVCacheSizeTokens)
	opt("quantization", e.Quantization)
	num("parameters", e.Parameters)
	num("weights_bytes", e.WeightsBytes)
	num("slots", e.Slots)
	opt("tokenizer", plain.OrNil(e.Tokenizer))
	opt("template", plain.OrNil(e.Template))
	for name, v := range e.Flags {
		if p.Server.Process == nil {
			add("server", "--"+name, r.client.Clean(v))
		}
	}
	for k, v := range e.CacheConfig {
		if k != "engine" {
			add("cache_config", k, v)
		}
	}
}
