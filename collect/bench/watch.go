package bench

import "wb/collect/client"

// TurnInfo is what a person who watches a run sees of one turn.
type TurnInfo struct {
	Ahead                Ahead // how far the job is
	Conversation         string
	Repeat, Turn, Turns  int
	Warmup               bool
	Done                 bool // false: the turn is about to be sent
	Reply                *client.Reply
	GPUWatts             float64 // 0: unknown
	ContextTokens        *int64  // of the server; nil: unknown
	SessionsLeft, TurnID int
}

// Watch receives what happens during a run. Its functions must be quick, and may be nil.
type Watch struct {
	Turn    func(TurnInfo)
	Warn    func(string)
	Say     func(string)   // a line that is not a warning
	Restart func()         // the server is being restarted
	Load    func(LoadInfo) // once per second, with several users
}

// filled replaces nil functions with functions that do nothing, except for Load.
func (w Watch) filled() Watch {
	if w.Turn == nil {
		w.Turn = func(TurnInfo) {}
	}
	if w.Warn == nil {
		w.Warn = func(string) {}
	}
	if w.Say == nil {
		w.Say = func(string) {}
	}
	if w.Restart == nil {
		w.Restart = func() {}
	}
	return w
}
