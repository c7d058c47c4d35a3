package data

import "testing"

func TestThousands(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 950: "950", 1000: "1K", 8192: "8.2K", 32768: "32.8K", 99_949: "99.9K", 131_072: "131K",
		1_048_576: "1M"} {
		if got := Thousands(n); got != want {
			t.Errorf("%d tokens are %s, want %s", n, got, want)
		}
	}
}
