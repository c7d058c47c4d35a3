package plain

// Hinter is an error that knows what to do about it.
type Hinter interface {
	// Hint says what to do, or "" if nothing is known.
	Hint() string
}

// hinted is an error with a hint.
type hinted struct {
	error
	hint string
}

func (h hinted) Unwrap() error { return h.error }
func (h hinted) Hint() string  { return h.hint }

// WithHint adds to an error what to do about it. errors.Is and errors.As still find err. If err is nil, it returns nil.
func WithHint(err error, hint string) error {
	if err == nil {
		return nil
	}
	return hinted{err, hint}
}

// Hint returns what to do about an error: the outermost hint that is not empty, and among joined errors the first one.
// It returns "" if there is no hint.
func Hint(err error) string {
	if err == nil {
		return ""
	}
	if h, ok := err.(Hinter); ok {
		if text := h.Hint(); text != "" {
			return text
		}
	}
	switch e := err.(type) { //nolint:errorlint // the wrapped errors are handled by the recursion
	case interface{ Unwrap() error }:
		return Hint(e.Unwrap())
	case interface{ Unwrap() []error }:
		for _, part := range e.Unwrap() {
			if text := Hint(part); text != "" {
				return text
			}
		}
	}
	return ""
}
