package plain

import (
	"errors"
	"fmt"
)

// mistake marks an error as a mistake of the user.
type mistake struct{ error }

func (m mistake) Unwrap() error { return m.error }

// Mistake marks an error as a mistake of the user, such as a wrong flag or a wrong line of a file. If err is nil, it returns nil.
func Mistake(err error) error {
	if err == nil {
		return nil
	}
	return mistake{err}
}

// Mistakef makes an error as fmt.Errorf does, and marks it as a mistake of the user.
func Mistakef(format string, a ...any) error { return mistake{fmt.Errorf(format, a...)} }

// IsMistake reports whether an error is marked as a mistake of the user.
func IsMistake(err error) bool { return errors.As(err, new(mistake)) }
