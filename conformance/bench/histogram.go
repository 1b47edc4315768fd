package main

import "math/bits"

// Buckets of a histogram: exact up to 63 ns, then 32 for each power of two, so that a value is known within 3 %.
const (
	histogramExact   = 64
	histogramSteps   = 32
	histogramBuckets = histogramExact + histogramSteps*(64-6)
)

// histogram counts durations in nanoseconds. It is used by one goroutine; merge gathers those of many.
type histogram struct {
	count   uint64
	buckets [histogramBuckets]uint32
}

func (h *histogram) add(ns int64) {
	h.buckets[bucketOf(uint64(max(ns, 0)))]++
	h.count++
}

func bucketOf(v uint64) int {
	if v < histogramExact {
		return int(v)
	}
	shift := bits.Len64(v) - 6 // v>>shift is in [32, 64)
	return histogramExact + (shift-1)*histogramSteps + int(v>>shift) - histogramSteps
}

// bucketEnd is the largest value that falls into bucket i.
func bucketEnd(i int) uint64 {
	if i < histogramExact {
		return uint64(i)
	}
	i -= histogramExact
	shift := i/histogramSteps + 1
	return (uint64(i%histogramSteps)+histogramSteps+1)<<shift - 1
}

// quantile is the value below or at which a share q of all values lies; 0 when there are none.
func (h *histogram) quantile(q float64) float64 {
	want, seen := uint64(q*float64(h.count)), uint64(0)
	for i, n := range h.buckets {
		seen += uint64(n)
		if n > 0 && seen > want {
			return float64(bucketEnd(i))
		}
	}
	for i := len(h.buckets) - 1; i >= 0; i-- {
		if h.buckets[i] > 0 {
			return float64(bucketEnd(i))
		}
	}
	return 0
}
