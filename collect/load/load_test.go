package load

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"
)

func TestArrivals(t *testing.T) {
	for _, c := range []struct {
		name   string
		s      Settings
		closed bool
		want   []time.Duration
	}{
		{"", Settings{Users: 4, Ramp: 2 * time.Second}, true,
			[]time.Duration{0, time.Second / 2, time.Second, 3 * time.Second / 2}},
		{"", Settings{}, true, []time.Duration{0, 0}},
		{"constant", Settings{Rate: 4}, false, []time.Duration{0, time.Second / 4, time.Second / 2}},
	} {
		a, err := New(Models(), c.name, c.s)
		if err != nil {
			t.Fatal(err)
		}
		var got []time.Duration
		for i := range c.want {
			got = append(got, a.At(i))
		}
		if !slices.Equal(got, c.want) || a.Closed() != c.closed {
			t.Errorf("%q %+v: %v, want %v", c.name, c.s, got, c.want)
		}
	}
	if _, err := New(Models(), "monsoon", Settings{Rate: 1}); err == nil {
		t.Error("a model that does not exist gives no error")
	}
}

// Exponential gaps have a mean of 1/rate and a standard deviation of the same size. The seed decides them.
func TestPoisson(t *testing.T) {
	const n, rate = 20_000, 50.0
	a, err := New(Models(), "", Settings{Rate: rate, Seed: 7})
	if err != nil {
		t.Fatal(err)
	}
	var sum, squares float64
	for i := 1; i <= n; i++ {
		gap := (a.At(i) - a.At(i-1)).Seconds()
		sum += gap
		squares += gap * gap
	}
	mean := sum / n
	deviation := math.Sqrt(squares/n - mean*mean)
	if math.Abs(mean*rate-1) > 0.03 || math.Abs(deviation*rate-1) > 0.05 {
		t.Errorf("mean gap %v, deviation %v, want %v", mean, deviation, 1/rate)
	}
	same, other := newPoisson(Settings{Rate: rate, Seed: 7}), newPoisson(Settings{Rate: rate, Seed: 8})
	if same.At(9) != a.At(9) || other.At(9) == a.At(9) {
		t.Error("the seed does not decide the gaps")
	}
}

// A new model of arrivals needs one file and one line in Models.
func TestShapeOfAModel(t *testing.T) {
	pairs := Model{"pairs", func(s Settings) Arrivals {
		second := false
		return &gaps{rate: s.Rate, next: func() float64 {
			if second = !second; second {
				return 0
			}
			return 2
		}}
	}}
	a, err := New(append(Models(), pairs), "pairs", Settings{Rate: 2})
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(a.At(0), a.At(1), a.At(2), a.At(3)); got != "0s 0s 1s 1s" {
		t.Errorf("pairs begin at %s", got)
	}
}
