package plain

import "testing"

func TestThousands(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0", 770: "770", 999: "999", 1000: "1K", 1500: "1.5K", 9999: "10K", 11_319: "11.3K", 16_000: "16K", 16_384: "16.4K", 99_949: "99.9K",
		99_950: "100K", 131_072: "131K", 999_499: "999K", 999_500: "1M", 1_234_567: "1.2M", 100_000_000: "100M", -11_319: "-11.3K",
	} {
		if got := Thousands(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}

func TestShortBytes(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0 bytes", 999: "999 bytes", 1000: "1.00 kB", 999_400: "999 kB", 999_600: "1.00 MB", 457_743_680: "458 MB",
		9_994_000_000: "9.99 GB", 9_996_000_000: "10.0 GB", 10_900_000_000: "10.9 GB", 99_960_000_000: "100 GB", 139_000_000_000: "139 GB",
		3_350_000_000_000: "3.35 TB", -2_000_000: "-2.00 MB",
	} {
		if got := ShortBytes(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}

func TestComma(t *testing.T) {
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 16_384: "16,384", -1234: "-1,234", 1_234_567: "1,234,567"} {
		if got := Comma(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
	if got := Count(1200, "turn"); got != "1,200 turns" {
		t.Errorf("%s", got)
	}
}
