package compare

import "slices"

// KindOneConversation is a comparison over a single conversation.
const KindOneConversation Kind = "one_conversation"

// OneConversation is the only one that was played.
type OneConversation struct{ Conversation string }

// Kind is KindOneConversation.
func (OneConversation) Kind() Kind { return KindOneConversation }

// Note says what that means for others.
func (w OneConversation) Note() string {
	return "All sessions are of " + w.Conversation + ": what holds for it need not hold for other conversations."
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
