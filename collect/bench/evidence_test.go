package bench

import (
	"strings"
	"testing"

	"wb/collect/target"
)

func TestDoubts(t *testing.T) {
	const few, live = "note: 2 sessions: a verdict needs 6 on each side, and 8 for all metrics: --repeat 4", "note: --replies live: lengths"
	for name, c := range map[string]struct {
		change   func(*Spec)
		sessions int
		want     []string
	}{
		"a plain run":         {func(s *Spec) { s.Cells[0].Name = "" }, 2, nil},
		"a named run":         {func(*Spec) {}, 2, []string{few}},
		"a tagged run":        {func(s *Spec) { s.Cells[0].Name, s.Cells[0].Tags = "", []string{"a=b"} }, 2, []string{few}},
		"enough":              {func(s *Spec) { s.Repeats = 3 }, 2, nil},
		"until it is precise": {func(s *Spec) { s.UntilCI = "2%" }, 2, nil},
		"cells": {func(s *Spec) { s.Cells = append(s.Cells, s.Cells[0]) }, 5,
			[]string{"note: 5 sessions: a verdict needs 6 on each cell, and 8 for all metrics: --repeat 2"}},
		"cells with live replies in one": {func(s *Spec) {
			s.Repeats, s.Cells = 6, append(s.Cells, s.Cells[0])
			s.Cells[1].Replies = RepliesLive
		}, 5, []string{live}},
		"cells that want different servers": {func(s *Spec) {
			s.Repeats, s.Cells = 2, append(s.Cells, s.Cells[0])
			s.Cells[0].Target.Engine, s.Cells[1].Target.Engine = target.VLLM, target.VLLM
			s.Cells[1].Target.Words = []string{"--max-num-seqs", "4"}
		}, 5, []string{"note: 2 server processes: a verdict needs 4 on each cell, and 5 for all metrics, as sessions of one process are " +
			"not independent evidence: --repeat 5"}},
		"cells that want different servers, each with one session": {func(s *Spec) {
			s.Repeats, s.Cells = 6, append(s.Cells, s.Cells[0])
			s.Cells[0].Target.Engine, s.Cells[1].Target.Engine = target.VLLM, target.VLLM
			s.Cells[1].Target.Words = []string{"--max-num-seqs", "4"}
		}, 1, nil},
		"one session": {func(*Spec) {}, 1,
			[]string{"note: 1 session: a verdict needs 6 on each side, and 8 for all metrics: --repeat 8"}},
		"live":                  {func(s *Spec) { s.Repeats, s.Cells[0].Replies = 6, RepliesLive }, 2, []string{live}},
		"live and few":          {func(s *Spec) { s.Cells[0].Replies = RepliesLive }, 2, []string{few, live}},
		"live, of equal length": {func(s *Spec) { s.Repeats, s.Cells[0].Replies, s.Cells[0].IgnoreEOS = 6, RepliesLive, true }, 2, nil},
	} {
		s := &Spec{Repetition: Repetition{Repeats: 1}, Cells: []CellSpec{{RunSpec: RunSpec{Name: "on"}}}}
		s.Cells[0].Replies, s.Cells[0].MaxTokens = RepliesScripted, 64
		c.change(s)
		got := s.doubts(c.sessions, Evidence{Sessions: Needed{6, 8}, Processes: Needed{4, 5}})
		if len(got) != len(c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
			continue
		}
		for i := range got {
			if !strings.HasPrefix(got[i], c.want[i]) {
				t.Errorf("%s: %q, want %q", name, got[i], c.want[i])
			}
		}
	}
}

// A run beside others may be compared with them, also without a name.
func TestDoubtsBesideOthers(t *testing.T) {
	s := &Spec{Repetition: Repetition{Repeats: 1}, Cells: []CellSpec{{}}}
	s.Cells[0].Replies = RepliesScripted
	if got := s.doubts(5, Evidence{Sessions: Needed{6, 8}, Compare: true}); len(got) != 1 {
		t.Errorf("%q", got)
	}
}
