package bench

import (
	"time"

	"github.com/google/uuid"

	"wb/collect/gpu"
	"wb/collect/load"
	"wb/collect/target"
	"wb/data"
	"wb/store"
)

// MaxUsers bounds how many sessions play at once.
const MaxUsers = 1024

// Job is what is played on one server in one go: a run, or some sessions of one that is gone on with.
type Job struct {
	RunSpec
	Repeats       int // of everything, for the record; and what is played where Sessions is nil
	Conversations []*data.Conversation
	Sessions      []SessionPlan  // what to play, in order; nil: everything, Repeats times
	Template      *data.Template // renders prompts here, for the completions API; nil: the chat API and the server's template
	Server        Server
	Part          Part
	Build         Build
	Start         time.Time                 // zero of the run's clock
	OpenGPUs      func() (*gpu.GPUs, error) // nil: NVML's
}

// Server says what is known of the server beforehand.
type Server struct {
	Process  target.Process    // nil when the run may not restart it
	Settings map[string]string // flags and environment it was started with, for the record
	Limits   *store.Model      // what its model costs at least; nil: not known
	Same     bool              // it served the run's last visit, and is on record
	Used     bool              // it has served others
	Keep     bool              // it runs on after this job, unless that ends badly
}

// Part says which part of a spec's execution a job is.
type Part struct {
	Spec     string     // as it is recorded; "" for none
	PlanID   *uuid.UUID // the execution of a plan that the run belongs to
	PlanText string
	Cell     string
	Continue *Progress // the run to go on with; nil begins one
	Open     bool      // the run goes on after this job, unless that ends badly
}

// Build says which wb plays, for the record.
type Build struct {
	WbVersion, WbCommit, DuckDBVersion string
	Argv                               string // secrets removed
}

// SessionPlan is one pass through a conversation that is to be played.
type SessionPlan struct {
	Conversation *data.Conversation
	Placement    data.Placement
	Repeat       int // from 1; several users' passes are numbered one after another
	User         int // who plays it, from 1
}

// Progress is how far a run is recorded: the last number of each kind.
type Progress struct {
	RunID                            uuid.UUID
	Name                             string
	Turns, Sessions, Scrapes, Starts int32
}

// AllSessions lists the sessions of repeats from to to, the conversations in turn in each. Every user plays them all, each beginning with
// another one.
func (j Job) AllSessions(from, to int) (out []SessionPlan) {
	users := max(j.Users, 1)
	if j.Rate > 0 { // whoever is free plays what comes next
		users = 1
	}
	for rep := from; rep <= to; rep++ {
		for user := range users {
			for i := range j.Conversations {
				c := j.Conversations[(i+user)%len(j.Conversations)]
				for _, v := range j.variants(c) {
					out = append(out, SessionPlan{c, v, (rep-1)*users + user + 1, user + 1})
				}
			}
		}
	}
	return out
}

// variants are the placements to play a conversation with; one without documents is the same in all of them.
func (j Job) variants(c *data.Conversation) []data.Placement {
	all := j.Placements()
	if c == nil {
		return all[:1]
	}
	if len(c.Documents) == 0 {
		return []data.Placement{data.PlaceSystem}
	}
	return all
}

// arrivals says when its sessions begin.
func (j Job) arrivals() (load.Arrivals, error) {
	return load.New(load.Models(), j.Arrival, load.Settings{Users: j.users(), Ramp: j.Ramp, Rate: j.Rate, Seed: j.Seed})
}

// apiText names how prompts are sent.
func (j Job) apiText() string {
	if j.Template == nil {
		return APIChat
	}
	return APICompletions + ", " + j.Template.Name
}
