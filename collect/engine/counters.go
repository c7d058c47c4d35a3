package engine

// Counters are the counters of a scrape that wb uses during a run. All count since the server started.
type Counters struct {
	Finished float64 // requests that finished
	Queries  float64 // prompt tokens that were looked up in the prefix cache
	Hits     float64 // prompt tokens that were found there
}

// Counters reads the counters from a scrape. ok is false where the server does not count requests.
func (s *Server) Counters(from *Scrape) (c Counters, ok bool) {
	total := func(counter string) (float64, bool) { return from.Total(s.CounterNames(counter)) }
	c.Finished, ok = total("request_success")
	c.Hits, _ = total("prefix_cache_hits")
	if queries, known := total("prefix_cache_queries"); known {
		c.Queries = queries
	} else if misses, known := total("prefix_cache_misses"); known {
		c.Queries = misses + c.Hits
	}
	external, _ := total("external_prefix_cache_hits") // hits of other cache tiers, such as host memory, count too
	c.Hits += external
	return c, ok
}

// Metrics gives the metrics that wb reads, with the names that each has had in all kinds of servers, newest first within a kind.
func Metrics() map[string][]string {
	all := map[string][]string{}
	for _, kind := range []map[string][]string{metricNames, llamaCounters} {
		for metric, names := range kind {
			all[metric] = append(all[metric], names...)
		}
	}
	return all
}
