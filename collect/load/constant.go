package load

// newConstant makes arrivals with equal gaps.
func newConstant(s Settings) Arrivals {
	return &gaps{rate: s.Rate, next: func() float64 { return 1 }}
}
