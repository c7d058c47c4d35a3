package engine

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"maps"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"wb/collect/client"
)

// Series is one value of a scrape.
type Series struct {
	Name   string // ends in _sum, _count or _bucket for a histogram
	Labels string // key="value" pairs, sorted by key, separated by commas
	Value  float64
}

// ParseMetrics reads the Prometheus text format. It keeps every line that can be read. bad describes the first line that cannot. The series
// of a histogram keep their names.
func ParseMetrics(text []byte) (out []Series, bad error) {
	if t := bytes.TrimSpace(text); len(t) > 1 && t[0] == '"' { // some servers send the page as one JSON string
		var s string
		if json.Unmarshal(t, &s) == nil {
			text = []byte(s)
		}
	}
	var block [][]byte // parsing many lines at once takes less time than one by one
	flush := func() {
		long := slices.ContainsFunc(block, func(line []byte) bool { return len(line) > client.MaxMetricLine })
		if whole, err := parseSamples(block...); err == nil && !long {
			out = append(out, whole...)
		} else {
			for _, line := range block {
				one, err := parseSamples(line)
				if err != nil {
					one, err = parseSamples(plainSample(line))
				}
				if len(line) > client.MaxMetricLine {
					one, err = nil, errors.New("too long")
				}
				if err != nil && bad == nil {
					bad = fmt.Errorf("a line of /metrics cannot be read and is left out: %s", client.Clip(string(line)))
				}
				out = append(out, one...)
			}
		}
		block = block[:0]
	}
	for line := range bytes.Lines(client.WithoutBOM(text)) {
		// Comments name the types. Without them, each line can be read alone.
		if line = bytes.TrimSpace(line); len(line) > 0 && line[0] != '#' {
			block = append(block, line)
		}
		if len(block) == metricLines {
			flush()
		}
		if len(out) > client.MaxSeries {
			return out, bad
		}
	}
	flush()
	if once := eachOnce(out); len(once) < len(out) {
		out, bad = once, cmp.Or(bad, errors.New("some lines of /metrics occur twice: the last of each counts"))
	}
	return out, bad
}

// eachOnce keeps only the last of the values that have the same name and the same labels. It works in place.
func eachOnce(all []Series) []Series {
	seed := maphash.MakeSeed()
	at := make(map[uint64]int, len(all))
	once := all[:0]
	for _, x := range all {
		key := maphash.Comparable(seed, [2]string{x.Name, x.Labels}) // a hash takes less memory than the texts
		i, ok := at[key]
		if !ok {
			at[key] = len(once)
			once = append(once, x)
			continue
		}
		once[i] = x
	}
	return once
}

// plainSample keeps name, labels and value of a line. It drops what OpenMetrics may add: a timestamp with a fraction, an exemplar.
func plainSample(line []byte) []byte {
	name := bytes.IndexAny(line, "{ \t")
	if name < 0 {
		return line
	}
	end := name
	if line[name] == '{' {
		quoted := false
		for end++; end < len(line) && (quoted || line[end] != '}'); end++ {
			switch line[end] {
			case '\\':
				end++
			case '"':
				quoted = !quoted
			}
		}
		if end++; end >= len(line) {
			return line
		}
	}
	fields := bytes.Fields(line[end:])
	if len(fields) == 0 {
		return line
	}
	return append(append(bytes.Clone(line[:end]), ' '), fields[0]...)
}

// metricLines is how many lines are parsed at once.
const metricLines = 200

// parseSamples reads lines with the parser of Prometheus.
func parseSamples(lines ...[]byte) ([]Series, error) {
	if len(lines) == 0 {
		return nil, nil
	}
	p := expfmt.NewTextParser(model.UTF8Validation)
	families, err := p.TextToMetricFamilies(bytes.NewReader(append(bytes.Join(lines, []byte("\n")), '\n')))
	if err != nil {
		return nil, err
	}
	var out []Series
	for _, name := range slices.Sorted(maps.Keys(families)) {
		for _, m := range families[name].GetMetric() {
			if m.Untyped != nil {
				out = append(out, Series{name, labelText(m.GetLabel()), m.GetUntyped().GetValue()})
			}
		}
	}
	return out, nil
}

// labelText gives the labels as Series.Labels holds them.
func labelText(pairs []*dto.LabelPair) string {
	parts := make([]string, 0, len(pairs))
	for _, p := range pairs {
		value := p.GetValue()
		if p.GetName() == "le" || p.GetName() == "quantile" { // 1.0 and 1 are the same bucket
			if f, err := strconv.ParseFloat(value, 64); err == nil {
				value = strconv.FormatFloat(f, 'g', -1, 64)
			}
		}
		parts = append(parts, p.GetName()+"="+strconv.Quote(value))
	}
	slices.Sort(parts)
	return strings.Join(parts, ",")
}

// Scrape is one reading of /metrics.
type Scrape struct {
	TNs, CostNs   int64
	ResponseBytes int64
	Series        []Series
	Err           error // nothing could be read
	Bad           error // one line could not be read; the others are in Series
}

// Total sums a counter over all labels. It uses the first of the names that the server has, because some releases show a counter under two
// names. names come newest first. The result is false when the server has none of them.
func (s *Scrape) Total(names []string) (float64, bool) {
	for _, name := range names {
		var sum float64
		found := false
		for _, x := range s.Series {
			if x.Name == name && !math.IsNaN(x.Value) && !math.IsInf(x.Value, 0) {
				sum += x.Value
				found = true
			}
		}
		if found {
			return sum, true
		}
	}
	return 0, false
}

// Limits on reading /metrics.
const (
	scrapeLimit = 5 * time.Second // for one scrape
	EnoughHangs = 2               // after this many scrapes in a row that took longer, /metrics is not read any more
)

// ReadMetrics reads /metrics. during says that a turn is under way, so that the connection of the turns must not be used.
func ReadMetrics(ctx context.Context, c *client.Client, during bool) *Scrape {
	ask := c.Ask
	if during {
		ask = c.AskBeside
	}
	limited, cancel := context.WithTimeout(ctx, scrapeLimit)
	defer cancel()
	start := c.Now()
	resp, text, err := ask(limited, http.MethodGet, "/metrics", nil, client.MaxMetricsBytes)
	s := &Scrape{TNs: c.Now(), ResponseBytes: int64(len(text))}
	s.CostNs = s.TNs - start
	switch {
	case err != nil:
		s.Err = err
	case resp.StatusCode == http.StatusNotFound:
		s.Err = errors.New("does not exist")
	case resp.StatusCode != http.StatusOK:
		s.Err = errors.New("HTTP " + client.Clip(resp.Status))
	default:
		s.Series, s.Bad = ParseMetrics(text)
		if len(s.Series) > client.MaxSeries {
			s.Series, s.Err = nil, fmt.Errorf("holds more than %d series", client.MaxSeries)
		}
	}
	return s
}
