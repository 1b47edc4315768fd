package main

import (
	"math"
	"strings"
	"testing"
)

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		in   []float64
		want float64
	}{{[]float64{3}, 3}, {[]float64{9, 1, 5}, 5}, {[]float64{4, 1, 3, 2}, 2.5}} {
		if got := median(c.in); got != c.want {
			t.Errorf("median(%v) = %v, want %v", c.in, got, c.want)
		}
	}
}

func TestNumber(t *testing.T) {
	for in, want := range map[float64]string{1234567: "1,234,567", 10000: "10,000", 9999: "9999", 1.234: "1.23", 0.98765: "0.988"} {
		if got := number(in); got != want {
			t.Errorf("number(%v) = %q, want %q", in, got, want)
		}
	}
}

func TestHistogram_QuantilesAreWithinThreePercent(t *testing.T) {
	h := &histogram{}
	for i := range 100_000 {
		h.add(int64(i+1) * 1000)
	}
	for _, q := range []float64{0.5, 0.99} {
		want := q * 100_000 * 1000
		if got := h.quantile(q); math.Abs(got-want) > 0.03*want {
			t.Errorf("quantile(%v) = %v, want about %v", q, got, want)
		}
	}
}

// The goal of a row with a yardstick is held against the median of the pairs' ratios, not against the ratio of medians.
func TestMarkdown_RatioOfPairs(t *testing.T) {
	b := &bench{}
	r := b.row("x", "work", "records/s", "ceiling", 0.75)
	for _, p := range [][2]float64{{80, 100}, {50, 100}, {90, 100}} {
		r.add(p[0], p[1])
	}
	slow := b.row("y", "time", "ms", "ceiling", 1.2)
	slow.less = true
	slow.add(2, 1)
	b.skip("z", "no peer")
	var out strings.Builder
	b.markdown(&out)
	for _, want := range []string{"| 0.800 (0.500–0.900) | ≥ 0.75 × | yes |", "| 2.00 | ≤ 1.2 × | **no** |", "not measured: no peer"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}
