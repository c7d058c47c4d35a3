package load

// newConstant gives equal gaps.
func newConstant(s Settings) Arrivals {
	return &gaps{rate: s.Rate, next: func() float64 { return 1 }}
}
