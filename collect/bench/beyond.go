package bench

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"wb/store"
)

// BeyondSelftest compares the tokens per second of a run with the limit that wb selftest found on this machine.
// Up to that limit wb's figures were shown to hold. A run beyond it gets an event, and the text of the event is returned.
// The text is "" for a run within the limit, and when no limit is on record.
func BeyondSelftest(ctx context.Context, db *store.DB, run uuid.UUID) (text string, err error) {
	carried, holds, err := db.Carried(ctx, run)
	if err != nil {
		return "", fmt.Errorf("look up self-test: %w", err)
	}
	if !holds.Valid || carried.Float64 <= holds.Float64 {
		return "", nil
	}
	text = fmt.Sprintf("the run carried %.0f tokens/s; on this machine, wb selftest showed mean TTFT and ITL to hold within 1 %% "+
		"only up to %.0f tokens/s", carried.Float64, holds.Float64)
	rec, err := db.NewRecorder(ctx, 0, nil)
	if err != nil {
		return "", err
	}
	row := store.Event{RunID: run, Kind: store.EventBeyondSelftest, Source: "run", Message: text}
	return text, errors.Join(store.Add(ctx, rec, row), rec.Flush(ctx), rec.Close())
}
