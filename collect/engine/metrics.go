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
	Name   string // with _sum, _count or _bucket for histograms
	Labels string // key="value", in key order, comma-separated
	Value  float64
}

// ParseMetrics reads the Prometheus text format: every line that parses is kept, and the first that does not is told. A histogram's series
// keep their own names.
func ParseMetrics(text []byte) (out []Series, bad error) {
	if t := bytes.TrimSpace(text); len(t) > 1 && t[0] == '"' { // some servers send the page as one JSON text
		var s string
		if json.Unmarshal(t, &s) == nil {
			text = []byte(s)
		}
	}
	var block [][]byte // some lines at once take less than each alone
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
		// without the types that comments tell, each line stands for itself
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
		out, bad = once, cmp.Or(bad, errors.New("lines of /metrics stand there twice: the last of each counts"))
	}
	return out, bad
}

// eachOnce leaves the last of the values that have one name and the same labels, in place.
func eachOnce(all []Series) []Series {
	seed := maphash.MakeSeed()
	at := make(map[uint64]int, len(all))
	once := all[:0]
	for _, x := range all {
		key := maphash.Comparable(seed, [2]string{x.Name, x.Labels}) // which takes less memory than the texts
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

// plainSample leaves name, labels and value of a line, without what OpenMetrics may add: a timestamp with a fraction, an exemplar.
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

// parseSamples reads lines with the library's parser.
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

func labelText(pairs []*dto.LabelPair) string {
	parts := make([]string, 0, len(pairs))
	for _, p := range pairs {
		value := p.GetValue()
		if p.GetName() == "le" || p.GetName() == "quantile" { // 1.0 and 1 are one bound
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
	Err           error // there is nothing
	Bad           error // a line that could not be read; the others are in Series
}

// Total sums a counter over all labels, under the first of its names, newest first, that the server has: releases in between show
// two. false
// when there is none.
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

// scrapeLimit is how long a reading of /metrics may take, and after how many in a row that took longer it is not read any more.
const (
	scrapeLimit = 5 * time.Second
	EnoughHangs = 2
)

// ReadMetrics reads /metrics. during says that a turn is under way, so that the turn's own connection must be left alone.
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
		s.Err = errors.New("is not there")
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
