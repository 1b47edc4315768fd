package push

import (
	"cmp"
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"leat/internal/outbound"
)

// shownMax is how many pushes /metrics tells of: the first by namespace and name.
const shownMax = 1_000

// collector shows the lines of a sender when somebody looks.
type collector struct{ s *Sender }

var (
	labels = []string{"namespace", "subscription"}

	attemptsDesc = prometheus.NewDesc("leat_push_attempts_total", "Requests to the endpoint of a subscription, by outcome.", append(labels[:2:2], "outcome"), nil)
	eventsDesc   = prometheus.NewDesc("leat_push_events_total", "Events that the endpoint of a subscription has taken.", labels, nil)
	tookDesc     = prometheus.NewDesc("leat_push_seconds", "Time until the endpoint answered, or did not.", labels, nil)
	stateDesc    = prometheus.NewDesc("leat_push_state", "1 for what the push of a subscription is at.", append(labels[:2:2], "state"), nil)
	connsDesc    = prometheus.NewDesc("leat_outbound_connections", "Open connections to others, of outbound.conns_max.", nil, nil)
	blockedDesc  = prometheus.NewDesc("leat_outbound_blocked_total", "Connections that were not made because the address may not be reached.", nil, nil)
	noRoomDesc   = prometheus.NewDesc("leat_outbound_no_room_total", "Connections that outbound.conns_max did not allow in time.", nil, nil)
	hiddenDesc   = prometheus.NewDesc("leat_push_hidden", "Pushes that are not shown here, because there are too many.", nil, nil)
)

func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{attemptsDesc, eventsDesc, tookDesc, stateDesc, connsDesc, blockedDesc, noRoomDesc, hiddenDesc} {
		ch <- d
	}
}

func (c *collector) Collect(ch chan<- prometheus.Metric) {
	c.s.mu.Lock()
	lines := make([]*line, 0, len(c.s.lines))
	for _, l := range c.s.lines {
		lines = append(lines, l)
	}
	c.s.mu.Unlock()
	slices.SortFunc(lines, func(a, b *line) int {
		return cmp.Or(cmp.Compare(a.key.namespace, b.key.namespace), cmp.Compare(a.key.name, b.key.name), cmp.Compare(a.key.id, b.key.id))
	})
	f := c.s.client.Figures()
	ch <- prometheus.MustNewConstMetric(connsDesc, prometheus.GaugeValue, float64(f.Conns))
	ch <- prometheus.MustNewConstMetric(blockedDesc, prometheus.CounterValue, float64(f.Blocked))
	ch <- prometheus.MustNewConstMetric(noRoomDesc, prometheus.CounterValue, float64(f.NoRoom))
	ch <- prometheus.MustNewConstMetric(hiddenDesc, prometheus.GaugeValue, float64(max(0, len(lines)-shownMax)))
	for _, l := range lines[:min(len(lines), shownMax)] {
		ns, name, st := l.key.namespace, l.key.name, l.state()
		for _, o := range outbound.Outcomes() {
			ch <- prometheus.MustNewConstMetric(attemptsDesc, prometheus.CounterValue, float64(l.tally.attempts[o].Load()), ns, name, o.String())
		}
		ch <- prometheus.MustNewConstMetric(eventsDesc, prometheus.CounterValue, float64(st.Delivered), ns, name)
		for _, s := range States() {
			is := 0.0
			if s == st.State {
				is = 1
			}
			ch <- prometheus.MustNewConstMetric(stateDesc, prometheus.GaugeValue, is, ns, name, s)
		}
		buckets, n := map[float64]uint64{}, uint64(0)
		for i, bound := range outbound.TookBounds {
			n += uint64(l.tally.took[i].Load())
			buckets[bound.Seconds()] = n
		}
		n += uint64(l.tally.took[len(outbound.TookBounds)].Load())
		ch <- prometheus.MustNewConstHistogram(tookDesc, n, float64(l.tally.tookTotal.Load())/1e9, buckets, ns, name)
	}
}
