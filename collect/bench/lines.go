package bench

import (
	"fmt"
	"strings"

	"wb/collect/client"
	"wb/data"
)

// maxRate is more tokens per second than any model gives one stream. The simulator's instant profile streams as fast as the loopback
// carries, which says nothing about a model.
const maxRate = 20000

// Line is the line that a person sees about a finished turn.
func (t TurnInfo) Line() string {
	re := t.Reply
	if re.Status != client.StatusOK {
		return string(re.Status) + ": " + re.Err
	}
	parts := []string{"prompt unknown"}
	if n := re.PromptTokens; n != nil {
		parts[0] = fmt.Sprintf("prompt %5s", data.Thousands(*n))
		if t.ContextTokens != nil {
			parts[0] += " of " + data.Thousands(*t.ContextTokens)
		}
		if re.CachedTokens != nil && *n > 0 {
			parts = append(parts, fmt.Sprintf("cached %5s (%3.0f %%)", data.Thousands(*re.CachedTokens), 100*float64(*re.CachedTokens)/float64(*n)))
		}
	}
	if re.FirstNs != nil {
		from := re.SubmitNs
		if re.WrittenNs != nil {
			from = *re.WrittenNs
		}
		parts = append(parts, fmt.Sprintf("TTFT %7.1f ms", float64(*re.FirstNs-from)/1e6))
		if rate, ok := re.DecodeRate(); ok && rate < maxRate {
			parts = append(parts, fmt.Sprintf("%6.1f tokens/s", rate))
		}
	}
	if t.GPUWatts > 0 {
		parts = append(parts, fmt.Sprintf("GPU %.0f W", t.GPUWatts))
	}
	return strings.Join(parts, "  ")
}

// Line is the line that a person sees about several users.
func (c LoadInfo) Line() string {
	turns := fmt.Sprintf("%d turns", c.Turns)
	if c.Ahead.Turns > 0 {
		turns = fmt.Sprintf("%d of %d turns", c.Turns, c.Ahead.Turns)
	}
	if left := c.Ahead.LeftText(); left != "" { // before what a narrow terminal cuts
		turns += ", " + left
	}
	text := fmt.Sprintf("%4.0f s  %s  %d streams  %d of %d sessions  %.1f tokens/s",
		c.Elapsed.Seconds(), turns, c.Streams, c.Sessions, c.Total, c.TokensPerS)
	if c.Streams == 0 && c.Behind > 0 {
		text += fmt.Sprintf("  %d turns to record", c.Behind)
	}
	return text
}

// TurnsText says how many turns were played, failed and skipped.
func (r *Result) TurnsText() string {
	s := fmt.Sprintf("%d turns", r.Turns)
	if r.Turns == 1 {
		s = "1 turn"
	}
	if r.Failed > 0 {
		s += fmt.Sprintf(" (%d failed", r.Failed)
		if r.Skipped > 0 {
			s += fmt.Sprintf(", %d skipped after them", r.Skipped)
		}
		s += ": " + r.FirstError + ")"
	}
	return s
}

// LeftOutLines says which conversations do not run. It names those that do not fit one by one, and gives the number of the others.
// shows is the command that lists them.
func LeftOutLines(all, chosen int, left []data.LeftOut, shows string) (lines []string) {
	others := 0
	for _, l := range left {
		if strings.HasPrefix(l.Why, "needs") {
			lines = append(lines, fmt.Sprintf("left out: %s %s", l.Conversation.ID, l.Why))
		} else {
			others++
		}
	}
	if others > 0 {
		lines = append(lines, fmt.Sprintf("%d of %d conversations run; %s shows the others", chosen, all, shows))
	}
	return lines
}
