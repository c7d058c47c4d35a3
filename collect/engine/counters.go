package engine

// Counters are those of a scrape that wb itself needs at once: requests that finished, and prompt tokens that were looked up and found in
// the prefix cache, all since the server began.
type Counters struct{ Finished, Queries, Hits float64 }

// Counters reads them; false where the server does not count requests.
func (s *Server) Counters(from *Scrape) (c Counters, ok bool) {
	total := func(counter string) (float64, bool) { return from.Total(s.CounterNames(counter)) }
	c.Finished, ok = total("request_success")
	c.Queries, _ = total("prefix_cache_queries")
	c.Hits, _ = total("prefix_cache_hits")
	external, _ := total("external_prefix_cache_hits") // of other tiers, as host memory: hits too
	c.Hits += external
	return c, ok
}
