package compare

// Kind identifies a warning, for programs that read results.
type Kind string

// Warning is something that a reader of the verdicts must know. It is part of the result.
// Its type holds the values that it is about.
type Warning interface {
	Kind() Kind
	Note() string // one sentence or two, for people
}

// check finds the warnings of one kind, or of a few related kinds, in a result. It changes nothing.
type check func(*Result) []Warning

// checks lists all checks, in the order of their notes. A new warning is one file, with its kind, its check and its text, and a line
// here.
func checks() []check {
	return []check{
		notTheSame,
		sameNames,
		calibratedNoise,
		unknownNoise,
		withinNoise,
		serverProcesses,
		strangers,
		pairedByText,
		withoutEqual,
		unpairedTurns,
		notCompared,
		otherLengths,
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

// sides gives base and head with their names for notes.
func (r *Result) sides() [2]struct {
	name string
	Side
} {
	return [2]struct {
		name string
		Side
	}{{"base", r.Base}, {"head", r.Head}}
}
