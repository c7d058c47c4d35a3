package compare

import "slices"

// KindOneConversation says that all sessions are of a single conversation.
const KindOneConversation Kind = "one_conversation"

// OneConversation names the only conversation that was played.
type OneConversation struct{ Conversation string }

// Kind is KindOneConversation.
func (OneConversation) Kind() Kind { return KindOneConversation }

// Note says what that means for other conversations.
func (w OneConversation) Note() string {
	return "All sessions are of " + w.Conversation + ": the result may be different for other conversations."
}

func oneConversation(r *Result) []Warning {
	one := ""
	for _, o := range slices.Concat(r.pairing.base, r.pairing.head) {
		if one != "" && o.conversation != one {
			return nil
		}
		one = o.conversation
	}
	if one == "" {
		return nil
	}
	return []Warning{OneConversation{one}}
}
