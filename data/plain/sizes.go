package plain

import (
	"fmt"
	"math"
	"strings"

	"github.com/dustin/go-humanize"
)

// Thousands writes a count for people: "770", "4.2K", "16K", "128K", "1.2M". K is 1000 and M is a million.
func Thousands(n int64) string {
	a := math.Abs(float64(n))
	switch {
	case a < 1000:
		return fmt.Sprint(n)
	case a < 99_950:
		return scaled(float64(n)/1e3, 1) + "K"
	case a < 999_500:
		return scaled(float64(n)/1e3, 0) + "K"
	case a < 99_950_000:
		return scaled(float64(n)/1e6, 1) + "M"
	}
	return scaled(float64(n)/1e6, 0) + "M"
}

// Comma writes a whole number with a comma between groups of three digits: "770", "16,384".
func Comma(n int) string { return humanize.Comma(int64(n)) }

// scaled writes a figure with so many decimals, and without a last ".0".
func scaled(f float64, decimals int) string {
	return strings.TrimSuffix(fmt.Sprintf("%.*f", decimals, f), ".0")
}

// ShortBytes writes a size with three or four digits, in powers of ten as Bytes does: "10.9 GB", "1.23 GB", "457 MB", "999 bytes".
func ShortBytes(n int64) string {
	a := math.Abs(float64(n))
	for _, u := range []struct {
		size float64
		name string
	}{{1e12, "TB"}, {1e9, "GB"}, {1e6, "MB"}, {1e3, "kB"}} {
		if a < u.size*0.9995 {
			continue
		}
		decimals := 2
		switch {
		case a >= 99.95*u.size:
			decimals = 0
		case a >= 9.995*u.size:
			decimals = 1
		}
		return fmt.Sprintf("%.*f %s", decimals, float64(n)/u.size, u.name)
	}
	return fmt.Sprintf("%d bytes", n)
}
