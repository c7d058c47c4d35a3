package target

import (
	"slices"
	"strings"

	"wb/collect/serve"
	"wb/data/plain"
)

// WithoutSecrets gives a copy of the words of a command line without credentials in URLs and without secrets given to a server.
func WithoutSecrets(words []string) []string {
	out := make([]string, len(words))
	secret := false // whether the following words are values of a secret flag
	for i, a := range words {
		a = plain.Redact(a)
		if name, isFlag := strings.CutPrefix(a, "--"); isFlag {
			name, _, given := strings.Cut(name, "=")
			secret = slices.Contains(serve.SecretArgs(), strings.ReplaceAll(name, "_", "-"))
			if secret && given {
				a = "--" + name + "=(secret)"
			}
		} else if name, isShort := serve.ShortFlag(a); isShort {
			secret = slices.Contains(serve.SecretArgs(), name)
		} else if secret {
			a = "(secret)"
		}
		if flag, u, ok := strings.Cut(a, "="); ok && strings.HasPrefix(flag, "--") && strings.Contains(u, "://") {
			a = flag + "=" + plain.RedactURL(u)
		} else if strings.Contains(a, "://") || (i > 0 && words[i-1] == "--url") {
			a = plain.RedactURL(a)
		}
		out[i] = a
	}
	return out
}
