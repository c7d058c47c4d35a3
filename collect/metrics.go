package collect

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"wb/collect/vllm"
)

// Series is one value of a scrape.
type Series struct {
	Name   string // with _sum, _count or _bucket for histograms
	Labels string // key="value", in key order, comma-separated
	Value  float64
}

// ParseMetrics reads the Prometheus text format whole. The order of the result is by family name, then as in the text.
func ParseMetrics(text []byte) ([]Series, error) {
	p := expfmt.NewTextParser(model.UTF8Validation)
	families, err := p.TextToMetricFamilies(bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("parse metrics: %w", err)
	}
	names := make([]string, 0, len(families))
	for n := range families {
		names = append(names, n)
	}
	slices.Sort(names)
	var out []Series
	for _, n := range names {
		for _, m := range families[n].GetMetric() {
			labels := labelText(m.GetLabel(), "", "")
			add := func(suffix, labels string, v float64) { out = append(out, Series{n + suffix, labels, v}) }
			switch {
			case m.Counter != nil:
				add("", labels, m.Counter.GetValue())
			case m.Gauge != nil:
				add("", labels, m.Gauge.GetValue())
			case m.Untyped != nil:
				add("", labels, m.Untyped.GetValue())
			case m.Histogram != nil:
				for _, b := range m.Histogram.GetBucket() {
					add("_bucket", labelText(m.GetLabel(), "le", formatBound(b.GetUpperBound())), float64(b.GetCumulativeCount()))
				}
				add("_sum", labels, m.Histogram.GetSampleSum())
				add("_count", labels, float64(m.Histogram.GetSampleCount()))
			case m.Summary != nil:
				for _, q := range m.Summary.GetQuantile() {
					add("", labelText(m.GetLabel(), "quantile", formatBound(q.GetQuantile())), q.GetValue())
				}
				add("_sum", labels, m.Summary.GetSampleSum())
				add("_count", labels, float64(m.Summary.GetSampleCount()))
			}
		}
	}
	return out, nil
}

func formatBound(f float64) string { return strconv.FormatFloat(f, 'g', -1, 64) }

func labelText(pairs []*dto.LabelPair, extraName, extraValue string) string {
	parts := make([]string, 0, len(pairs)+1)
	for _, p := range pairs {
		parts = append(parts, p.GetName()+"="+strconv.Quote(p.GetValue()))
	}
	if extraName != "" {
		parts = append(parts, extraName+"="+strconv.Quote(extraValue))
	}
	slices.Sort(parts)
	return strings.Join(parts, ",")
}

// Scrape is one reading of /metrics.
type Scrape struct {
	TNs, CostNs   int64
	ResponseBytes int64
	Series        []Series
	Err           error
}

// total sums a metric over all labels, under the newest of its names that the server has: releases in between show two. false
// when there is none.
func (s *Scrape) total(metric string) (float64, bool) {
	for _, name := range vllm.MetricNames(metric) {
		var sum float64
		found := false
		for _, x := range s.Series {
			if x.Name == name {
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

// scrape reads /metrics. during says that a turn is under way, so that the turn's own connection must be left alone.
func (c *Client) scrape(ctx context.Context, during bool) *Scrape {
	h := c.turns
	if during {
		h = c.side
	}
	start := c.clock()
	resp, text, err := c.call(ctx, h, http.MethodGet, "/metrics", nil, maxMetricsBytes)
	s := &Scrape{TNs: c.clock(), ResponseBytes: int64(len(text))}
	s.CostNs = s.TNs - start
	switch {
	case err != nil:
		s.Err = err
	case resp.StatusCode != http.StatusOK:
		s.Err = errors.New("HTTP " + resp.Status)
	default:
		s.Series, s.Err = ParseMetrics(text)
	}
	return s
}
