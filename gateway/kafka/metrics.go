package kafka

import "github.com/prometheus/client_golang/prometheus"

// What the harness, which counts requests and connections, does not have. Kafka's names are in the comments.
var (
	sessionsDesc        = prometheus.NewDesc("leat_kafka_fetch_sessions", "Fetch sessions that are remembered.", nil, nil)                                         // NumIncrementalFetchSessions
	sessionPartsDesc    = prometheus.NewDesc("leat_kafka_fetch_session_partitions", "Partitions of the fetch sessions that are remembered.", nil, nil)             // NumIncrementalFetchPartitionsCached
	sessionsEvictedDesc = prometheus.NewDesc("leat_kafka_fetch_sessions_evicted_total", "Fetch sessions that were forgotten because there was no room.", nil, nil) // IncrementalFetchSessionEvictionsPerSec
	sessionsRefusedDesc = prometheus.NewDesc("leat_kafka_fetch_sessions_refused_total", "Fetch sessions that were not begun because there was no room: their clients name all partitions each time.", nil, nil)
)

// Register has the gateway's numbers gathered by reg. It is called once.
func (g *Gateway) Register(reg prometheus.Registerer) error {
	return reg.Register(sessionCollector{g.sessions})
}

type sessionCollector struct{ of *sessions }

func (sessionCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{sessionsDesc, sessionPartsDesc, sessionsEvictedDesc, sessionsRefusedDesc} {
		ch <- d
	}
}

func (c sessionCollector) Collect(ch chan<- prometheus.Metric) {
	c.of.mu.Lock()
	open, parts, evicted, refused := len(c.of.byID), c.of.parts, c.of.evicted, c.of.refused
	c.of.mu.Unlock()
	ch <- prometheus.MustNewConstMetric(sessionsDesc, prometheus.GaugeValue, float64(open))
	ch <- prometheus.MustNewConstMetric(sessionPartsDesc, prometheus.GaugeValue, float64(parts))
	ch <- prometheus.MustNewConstMetric(sessionsEvictedDesc, prometheus.CounterValue, float64(evicted))
	ch <- prometheus.MustNewConstMetric(sessionsRefusedDesc, prometheus.CounterValue, float64(refused))
}
