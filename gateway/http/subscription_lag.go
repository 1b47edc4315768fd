package http

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"leat/broker"
	"leat/internal/clock"
)

const (
	// lagSubscriptionsMax is how many subscriptions /metrics tells of: the first by namespace and name.
	lagSubscriptionsMax = 1_000
	// lagTimeout is how long one look at /metrics waits for them.
	lagTimeout = 5 * time.Second
)

// lagCollector shows how subscriptions stand, for alarms and autoscalers. They are asked when somebody looks.
type lagCollector struct{ broker *broker.Broker }

var (
	subscriptionLabels = []string{"namespace", "subscription"}

	subscriptionEvents = prometheus.NewDesc("leat_subscription_events",
		"Events that a subscription has not settled, by state: ready to be handed over, leased to a receiver, delayed until their time.",
		append(subscriptionLabels[:2:2], "state"), nil)
	subscriptionLag = prometheus.NewDesc("leat_subscription_lag_seconds",
		"How long the oldest event has waited that is not settled and not delayed; 0 when there is none.", subscriptionLabels, nil)
	subscriptionsHidden = prometheus.NewDesc("leat_subscriptions_hidden", "Subscriptions that are not shown here, because there are too many.", nil, nil)
)

func (l *lagCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- subscriptionEvents
	ch <- subscriptionLag
	ch <- subscriptionsHidden
}

func (l *lagCollector) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), lagTimeout)
	defer cancel()
	infos, more := l.broker.SubscriptionLags(ctx, lagSubscriptionsMax)
	now := clock.Now()
	for i := range infos {
		s := &infos[i]
		ready := max(0, s.Waiting-int64(s.Leased)-int64(s.Delayed))
		for state, n := range map[string]int64{"ready": ready, "leased": int64(s.Leased), "delayed": int64(s.Delayed)} {
			ch <- prometheus.MustNewConstMetric(subscriptionEvents, prometheus.GaugeValue, float64(n), s.Namespace, s.Name, state)
		}
		lag := 0.0
		if !s.Oldest.IsZero() {
			lag = max(0, now.Sub(s.Oldest).Seconds())
		}
		ch <- prometheus.MustNewConstMetric(subscriptionLag, prometheus.GaugeValue, lag, s.Namespace, s.Name)
	}
	ch <- prometheus.MustNewConstMetric(subscriptionsHidden, prometheus.GaugeValue, float64(more))
}
