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

// MaxUsers is how many sessions play at once at most.
const MaxUsers = 1024

// Job is what Run plays on one server: a whole run, or some sessions of a run that other jobs begin or end.
type Job struct {
	RunSpec
	Repeats       int // of the whole run, for the record; also the number of repeats that are played when Sessions is nil
	Conversations []*data.Conversation
	Sessions      []SessionPlan  // what to play, in order; nil: everything, Repeats times
	Template      *data.Template // with which wb renders prompts for the completions API; nil: the chat API and the server's template
	Server        Server
	Part          Part
	Build         Build
	Start         time.Time                 // zero of the run's clock
	OpenGPUs      func() (*gpu.GPUs, error) // nil: NVML's

	MemoryReadBytesPerS *int64 // bandwidth of this machine's memory, for the record; nil: not measured
}

// Server says what is known about the server before the job begins.
type Server struct {
	Process  target.Process    // nil: the run may not restart it
	Settings map[string]string // flags and environment it was started with, for the record
	Limits   *store.Model      // what a token of its model costs at least; nil: not known
	Same     bool              // it played the run's last job, so its start is recorded
	Used     bool              // it has played another job
	Keep     bool              // it keeps running after this job, unless the job fails
}

// Part says which part of an execution a job is.
type Part struct {
	Spec     string     // as it is recorded; "" for none
	PlanID   *uuid.UUID // the execution of a plan that the run belongs to; nil: no plan
	PlanText string
	Cell     string
	Continue *Progress // the run to go on with; nil: begin a new one
	Open     bool      // more jobs of the run follow, unless this one fails
}

// Build says which version of wb plays, for the record.
type Build struct {
	WbVersion, WbCommit, DuckDBVersion string
	Argv                               string // secrets removed
}

// SessionPlan is a session that is to be played.
type SessionPlan struct {
	Conversation *data.Conversation
	Placement    data.Placement
	Repeat       int // from 1; with n users, user u plays repeat r as number (r-1)*n+u
	User         int // who plays it, from 1
}

// Progress says how far a run is recorded, as the last number of each kind of row.
type Progress struct {
	RunID                            uuid.UUID
	Name                             string
	Turns, Sessions, Scrapes, Starts int32
}

// AllSessions lists the sessions of the repeats from to to, both included. In each repeat every user plays all conversations, and each user
// begins with another one.
func (j Job) AllSessions(from, to int) (out []SessionPlan) {
	users := max(j.Users, 1)
	if j.Rate > 0 { // any free user plays the next session
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

// variants are the placements to play a conversation with. A conversation without documents is the same in all of them and has one.
// For nil, variants gives the first placement, which warm-ups use.
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

// arrivals says when the job's sessions begin.
func (j Job) arrivals() (load.Arrivals, error) {
	return load.New(load.Models(), j.Arrival, load.Settings{Users: j.users(), Ramp: j.Ramp, Rate: j.Rate, Seed: j.Seed})
}

// apiText names the API and the chat template, for the record.
func (j Job) apiText() string {
	if j.Template == nil {
		return APIChat
	}
	return APICompletions + ", " + j.Template.Name
}
