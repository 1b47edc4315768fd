package gateway

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"leat/broker/fault"
)

// Metrics are the numbers of all listeners of a node. Labels are bounded: listeners and protocols come from the configuration and
// the binary, operations from Descriptor, outcomes from fault.Kind.
type Metrics struct {
	open      *prometheus.GaugeVec
	opened    *prometheus.CounterVec
	refused   *prometheus.CounterVec
	panics    *prometheus.CounterVec
	bytes     *prometheus.CounterVec
	latency   *prometheus.HistogramVec
	requests  *prometheus.CounterVec
	handshake *prometheus.CounterVec
}

// latencyBuckets span a memory read to a long poll.
var latencyBuckets = []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}

// NewMetrics registers the numbers with reg; nil registers them nowhere.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "leat", Subsystem: "gateway", Name: name, Help: help},
			append([]string{"listener", "protocol"}, labels...))
	}
	m := &Metrics{
		open: prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: "leat", Subsystem: "gateway", Name: "connections",
			Help: "Connections that are open."}, []string{"listener", "protocol"}),
		opened:    counter("connections_total", "Connections that were accepted."),
		refused:   counter("connections_refused_total", "Connections that were closed at once, by the limit that they met.", "limit"),
		panics:    counter("panics_total", "Connections and requests that ended in a panic. Each is a bug."),
		bytes:     counter("bytes_total", "Bytes on the wire.", "direction"),
		handshake: counter("tls_handshakes_failed_total", "TLS handshakes that did not succeed."),
		requests:  counter("requests_total", "Requests that were answered, by what came of them: ok or the kind of fault.", "operation", "outcome"),
		latency: prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: "leat", Subsystem: "gateway", Name: "request_seconds",
			Help: "Time from the first byte of a request to the last of its answer.", Buckets: latencyBuckets},
			[]string{"listener", "protocol", "operation"}),
	}
	if reg != nil {
		reg.MustRegister(m.open, m.opened, m.refused, m.panics, m.bytes, m.handshake, m.requests, m.latency)
	}
	return m
}

// Operation counts one kind of request of one listener. It is for many goroutines; get it once and keep it.
type Operation struct {
	latency  prometheus.Observer
	outcomes [1 + kinds]prometheus.Counter // 0 is ok, then by kind
}

// kinds is how many kinds of fault there are.
const kinds = int(fault.Unsupported) + 1

// otherOperation is the label of operations that the Descriptor does not list.
const otherOperation = "other"

func (m *Metrics) operation(listener, protocol, name string) *Operation {
	o := &Operation{latency: m.latency.WithLabelValues(listener, protocol, name)}
	o.outcomes[0] = m.requests.WithLabelValues(listener, protocol, name, "ok")
	for k := range kinds {
		o.outcomes[1+k] = m.requests.WithLabelValues(listener, protocol, name, fault.Kind(k).String())
	}
	return o
}

// Done counts a request that took d and was answered, by err: nil is ok, a fault is its kind, anything else is internal.
func (o *Operation) Done(d time.Duration, err error) {
	o.latency.Observe(d.Seconds())
	i := 0
	if err != nil {
		i = 1 + int(fault.As(err).Kind)
	}
	o.outcomes[i].Inc()
}

// DoneMany is Done for n requests that were answered together: each counts, and the time they took is observed once.
func (o *Operation) DoneMany(d time.Duration, err error, n int) {
	o.latency.Observe(d.Seconds())
	i := 0
	if err != nil {
		i = 1 + int(fault.As(err).Kind)
	}
	o.outcomes[i].Add(float64(n))
}

// counters are the numbers of one listener, looked up once.
type counters struct {
	open       prometheus.Gauge
	opened     prometheus.Counter
	in, out    prometheus.Counter
	panics     prometheus.Counter
	handshakes prometheus.Counter
	limits     map[string]prometheus.Counter
}

func (m *Metrics) listener(name, protocol string) *counters {
	c := &counters{
		open:       m.open.WithLabelValues(name, protocol),
		opened:     m.opened.WithLabelValues(name, protocol),
		in:         m.bytes.WithLabelValues(name, protocol, "in"),
		out:        m.bytes.WithLabelValues(name, protocol, "out"),
		panics:     m.panics.WithLabelValues(name, protocol),
		handshakes: m.handshake.WithLabelValues(name, protocol),
		limits:     map[string]prometheus.Counter{},
	}
	for _, limit := range []string{"total", "ip", "draining"} {
		c.limits[limit] = m.refused.WithLabelValues(name, protocol, limit)
	}
	return c
}

func (c *counters) refused(limit string) prometheus.Counter { return c.limits[limit] }
