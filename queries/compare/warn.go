package compare

// Kind says which warning it is, for programs that read results.
type Kind string

// Warning is something that a reader of the verdicts must know. It travels with the result.
// Its type holds the values that it speaks of.
type Warning interface {
	Kind() Kind
	Note() string // one sentence or two, for people
}

// check finds the warnings of one kind, or of a small family, in a result. It is pure.
type check func(*Result) []Warning

// checks lists all of them, in the order that their notes stand in. A new one is a file, with its kind, its check and its words, and a line
// here.
func checks() []check {
	return []check{
		sameNames,
		calibratedNoise,
		withinNoise,
		serverProcesses,
		strangers,
		withoutEqual,
		unpairedTurns,
		leftOutSessions,
		doubtfulTurns,
		fewFigures,
		notMeasured,
		oneConversation,
		runNotes,
		oneSimulated,
		tooFew,
		differingSettings,
		machineTroubles,
		drifts,
	}
}

// warn gives the warnings of a result.
func warn(r *Result, list []check) (out []Warning) {
	for _, c := range list {
		out = append(out, c(r)...)
	}
	return out
}

// sides are base and head with what words call them.
func (r *Result) sides() [2]struct {
	name string
	Side
} {
	return [2]struct {
		name string
		Side
	}{{"base", r.Base}, {"head", r.Head}}
}
