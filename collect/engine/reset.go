package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"wb/collect/client"
	"wb/data/plain"
)

// ResetError says why the prefix cache cannot be emptied, and what to do instead.
type ResetError struct{ Why, Instead string }

func (e *ResetError) Error() string { return "reset prefix cache: " + e.Why }

// Hint says what to do instead.
func (e *ResetError) Hint() string {
	return cmp.Or(e.Instead, "start vLLM with VLLM_SERVER_DEV_MODE=1 in its environment, or use --isolation salt")
}

// resetTries is how often a refused reset is tried, a tenth of a second apart. vLLM refuses while blocks are in use, and a request that has
// just ended still uses some for a moment.
const resetTries = 50

// EmptyCache empties the server's prefix cache. The error is a *ResetError when the server has no such call or refuses it.
func (s *Server) EmptyCache(ctx context.Context, c *client.Client) error {
	how := s.Reset(&s.Facts)
	if how == nil {
		return &ResetError{"this kind of server has no call for it", "use --isolation line, or restart for a server that wb starts"}
	}
	refused := &ResetError{}
	again := func(err error) bool { return errors.Is(err, refused) }
	policy := plain.Policy{First: 100 * time.Millisecond, Most: 100 * time.Millisecond, Tries: resetTries, Again: again}
	return plain.Retry(ctx, policy, func() error {
		limited, cancel := context.WithTimeout(ctx, SideLimit)
		defer cancel()
		resp, text, err := c.Ask(limited, http.MethodPost, how.Path, []byte("{}"), client.MaxErrorBody)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			return fmt.Errorf("reset prefix cache: %w", err)
		case resp.StatusCode == http.StatusNotFound || resp.StatusCode == http.StatusMethodNotAllowed:
			return &ResetError{Why: "the server has no " + how.Path}
		case resp.StatusCode == http.StatusOK && !strings.Contains(strings.ReplaceAll(string(text), " ", ""), `"success":false`):
			return nil
		}
		refused.Why = fmt.Sprintf("HTTP %d: %s", resp.StatusCode, c.Clean(cmp.Or(client.Reason(text), "it was refused")))
		return refused
	})
}
