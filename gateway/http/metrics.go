package http

import "github.com/prometheus/client_golang/prometheus"

// metrics are the numbers that the harness, which counts requests and connections, does not have.
type metrics struct {
	followers prometheus.Gauge
	delivered prometheus.Counter
	dropped   prometheus.Counter

	whereErrors prometheus.Counter

	hookDeliveries *prometheus.CounterVec // by hook and outcome; as many hooks as broker.DocumentsMax
	hookRefusals   *prometheus.CounterVec // by hook and reason
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		followers: prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "leat", Subsystem: "http", Name: "followers",
			Help: "Followers that are connected, by SSE or WebSocket."}),
		delivered: prometheus.NewCounter(prometheus.CounterOpts{Namespace: "leat", Subsystem: "http", Name: "delivered_total",
			Help: "Events that were handed to followers."}),
		dropped: prometheus.NewCounter(prometheus.CounterOpts{Namespace: "leat", Subsystem: "http", Name: "followers_dropped_total",
			Help: "Followers that were let go because they read too slowly. They can resume."}),
		whereErrors: prometheus.NewCounter(prometheus.CounterOpts{Namespace: "leat", Subsystem: "http", Name: "where_errors_total",
			Help: "Events that a where could not judge, which is no match."}),
		hookDeliveries: prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "leat", Subsystem: "http", Name: "hook_deliveries_total",
			Help: "Deliveries to hooks that were answered 200: stored, duplicate, handshake."}, []string{"namespace", "hook", "outcome"}),
		hookRefusals: prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "leat", Subsystem: "http", Name: "hook_refusals_total",
			Help: "Deliveries to hooks that were refused, by reason."}, []string{"namespace", "hook", "reason"}),
	}
	if reg == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.followers, m.delivered, m.dropped, m.whereErrors, m.hookDeliveries, m.hookRefusals} {
		if err := reg.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}
