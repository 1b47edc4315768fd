package node

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

var (
	archiveLagSeqs   = prometheus.NewDesc("leat_archive_lag_seqs", "Frame sequences between what is archived and the end of the journal.", []string{"shard"}, nil)
	archiveLagBytes  = prometheus.NewDesc("leat_archive_lag_bytes", "Bytes taken from the journal and not archived yet.", []string{"shard"}, nil)
	archiveLag       = prometheus.NewDesc("leat_archive_lag_seconds", "Age of the oldest frame that was taken and is not archived yet: what a loss of this machine would cost.", []string{"shard"}, nil)
	archiveSeq       = prometheus.NewDesc("leat_archive_seq", "Sequence through which all frames are archived.", []string{"shard"}, nil)
	archiveSent      = prometheus.NewDesc("leat_archive_sent_bytes_total", "Bytes of packs sent since the start.", []string{"shard"}, nil)
	archivePacks     = prometheus.NewDesc("leat_archive_packs_total", "Packs sent since the start.", []string{"shard"}, nil)
	archiveFailures  = prometheus.NewDesc("leat_archive_failures_total", "Tries to read or write the archive that failed, since the start.", []string{"shard"}, nil)
	archiveIsFailing = prometheus.NewDesc("leat_archive_failing", "1 while nothing can be archived.", []string{"shard"}, nil)
	archiveCheckSeq  = prometheus.NewDesc("leat_archive_checkpoint_seq", "Sequence of the newest checkpoint; 0 without one.", []string{"shard"}, nil)
	archiveCheckTime = prometheus.NewDesc("leat_archive_checkpoint_timestamp_seconds", "When the newest checkpoint was made; 0 without one.", []string{"shard"}, nil)
)

// shippingCollector reads how the archive is doing when somebody asks.
type shippingCollector struct{ s *shipping }

func (c *shippingCollector) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, ch) }

func (c *shippingCollector) Collect(ch chan<- prometheus.Metric) {
	for i, sh := range c.s.shards {
		st, label := sh.shipper.State(), strconv.Itoa(i)
		put := func(d *prometheus.Desc, kind prometheus.ValueType, v float64) {
			ch <- prometheus.MustNewConstMetric(d, kind, v, label)
		}
		put(archiveLagSeqs, prometheus.GaugeValue, float64(st.LagSeqs))
		put(archiveLagBytes, prometheus.GaugeValue, float64(st.LagBytes))
		put(archiveLag, prometheus.GaugeValue, st.Lag.Seconds())
		put(archiveSeq, prometheus.GaugeValue, float64(st.Archived))
		put(archiveSent, prometheus.CounterValue, float64(st.SentBytes))
		put(archivePacks, prometheus.CounterValue, float64(st.Packs))
		put(archiveFailures, prometheus.CounterValue, float64(st.Failures))
		failing := 0.0
		if st.Failing || st.Stopped != nil {
			failing = 1
		}
		put(archiveIsFailing, prometheus.GaugeValue, failing)
		sh.mu.Lock()
		seq, last := sh.seq, sh.last
		sh.mu.Unlock()
		put(archiveCheckSeq, prometheus.GaugeValue, float64(seq))
		if last.IsZero() {
			put(archiveCheckTime, prometheus.GaugeValue, 0)
		} else {
			put(archiveCheckTime, prometheus.GaugeValue, float64(last.UnixMilli())/1000)
		}
	}
}
