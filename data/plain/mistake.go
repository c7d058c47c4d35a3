package plain

import (
	"errors"
	"fmt"
)

// mistake is an error in what was asked for.
type mistake struct{ error }

func (m mistake) Unwrap() error { return m.error }

// Mistake marks an error as one in what was asked for: a wrong flag, a wrong line of a file. nil stays nil.
func Mistake(err error) error {
	if err == nil {
		return nil
	}
	return mistake{err}
}

// Mistakef is Mistake of fmt.Errorf.
func Mistakef(format string, a ...any) error { return mistake{fmt.Errorf(format, a...)} }

// IsMistake says whether an error is one in what was asked for.
func IsMistake(err error) bool { return errors.As(err, new(mistake)) }
