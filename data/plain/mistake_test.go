package plain

import (
	"errors"
	"fmt"
	"testing"
)

func TestMistake(t *testing.T) {
	cause := errors.New("x")
	for _, tt := range []struct {
		err  error
		want bool
	}{
		{nil, false}, {cause, false}, {Mistake(cause), true}, {Mistakef("y: %w", cause), true},
		{WithHint(Mistake(cause), "do it"), true}, {fmt.Errorf("z: %w", Mistake(cause)), true},
	} {
		if IsMistake(tt.err) != tt.want {
			t.Errorf("%v is a mistake: %v", tt.err, !tt.want)
		}
	}
	if Mistake(nil) != nil || !errors.Is(Mistakef("y: %w", cause), cause) || Mistake(cause).Error() != "x" {
		t.Error("the marked error is not the same error")
	}
}
