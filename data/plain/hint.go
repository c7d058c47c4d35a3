package plain

// Hinter is an error that knows what to do about it.
type Hinter interface {
	// Hint says what to do; "" when nothing is known.
	Hint() string
}

// hinted is an error with a hint.
type hinted struct {
	error
	hint string
}

func (h hinted) Unwrap() error { return h.error }
func (h hinted) Hint() string  { return h.hint }

// WithHint adds what to do about an error; it stays the same to errors.Is and errors.As. nil stays nil.
func WithHint(err error, hint string) error {
	if err == nil {
		return nil
	}
	return hinted{err, hint}
}

// Hint says what to do about an error: the outermost hint that is not empty, of joined errors the first; "" when there is none.
func Hint(err error) string {
	if err == nil {
		return ""
	}
	if h, ok := err.(Hinter); ok {
		if text := h.Hint(); text != "" {
			return text
		}
	}
	switch e := err.(type) { //nolint:errorlint // so are those that it wraps
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
