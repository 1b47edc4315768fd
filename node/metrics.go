package node

import (
	"runtime"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"leat/broker/shard"
	"leat/gateway"
	"leat/storage/journal/disk"
)

// metrics of a node. The stages of the pipeline are histograms; what is a level is read when somebody asks.
type metrics struct {
	reg      *prometheus.Registry
	gateways *gateway.Metrics
	stages   *prometheus.HistogramVec
	frames   *prometheus.HistogramVec
	bytes    prometheus.Counter
	resolve  prometheus.Observer
	inbox    prometheus.Observer
	decide   prometheus.Observer
	journal  prometheus.Observer
	write    prometheus.Observer
	sync     prometheus.Observer
	publish  prometheus.Observer
	release  prometheus.Observer
	requests prometheus.Observer
}

// stageMetric is the histogram of the pipeline's stages; a doctor reads it.
const stageMetric = "leat_shard_stage_seconds"

var stageBuckets = []float64{1e-6, 5e-6, 1e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, .1, .5, 1, 5}

func newMetrics(reg *prometheus.Registry, version string) *metrics {
	m := &metrics{
		reg: reg, gateways: gateway.NewMetrics(reg),
		stages: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: stageMetric,
			Help: "Time in each stage of the pipeline: resolve (reserved to resolved) and inbox (to decided) of a frame's first request; decide (the frame fills), journal (write and sync together), write, sync, publish, release of the frame.", Buckets: stageBuckets,
		}, []string{"stage"}),
		frames: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "leat_shard_frame_requests", Help: "Requests that share one frame, and so one sync.", Buckets: prometheus.ExponentialBuckets(1, 2, 13),
		}, nil),
		bytes: prometheus.NewCounter(prometheus.CounterOpts{Name: "leat_shard_frame_bytes_total", Help: "Bytes of facts and data in frames."}),
	}
	m.resolve, m.inbox = m.stages.WithLabelValues("resolve"), m.stages.WithLabelValues("inbox")
	m.decide, m.journal = m.stages.WithLabelValues("decide"), m.stages.WithLabelValues("journal")
	m.write, m.sync = m.stages.WithLabelValues("write"), m.stages.WithLabelValues("sync")
	m.publish, m.release = m.stages.WithLabelValues("publish"), m.stages.WithLabelValues("release")
	m.requests = m.frames.WithLabelValues()
	build := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "leat_build_info", Help: "Always 1."}, []string{"version", "go"})
	build.WithLabelValues(version, runtime.Version()).Set(1)
	reg.MustRegister(m.stages, m.frames, m.bytes, build, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func (m *metrics) frame(_ uint16, f *shard.FrameStats) {
	if !f.Reserved.IsZero() {
		m.resolve.Observe(f.Resolved.Sub(f.Reserved).Seconds())
	}
	m.inbox.Observe(f.Opened.Sub(f.Resolved).Seconds())
	m.decide.Observe(f.Decided.Sub(f.Opened).Seconds())
	m.journal.Observe(f.Written.Sub(f.Decided).Seconds())
	m.publish.Observe(f.Published.Sub(f.Written).Seconds())
	m.release.Observe(f.Released.Sub(f.Published).Seconds())
	m.requests.Observe(float64(f.Requests))
	m.bytes.Add(float64(f.Bytes))
}

func (m *metrics) synced(s disk.SyncStats) {
	m.write.Observe(s.Write.Seconds())
	m.sync.Observe(s.Sync.Seconds())
}

// watch registers what is read on demand.
func (m *metrics) watch(n *Node) {
	gauge := func(name, help string, f func() float64) {
		m.reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, f))
	}
	gauge("leat_broker_streams", "Streams, in all namespaces.", func() float64 { return float64(n.Broker.Streams()) })
	gauge("leat_broker_memory_reserved_bytes", "Memory that requests in flight hold.", func() float64 { return float64(n.Broker.MemoryReserved()) })
	gauge("leat_journal_ring_ready", "1 when the journal's files are zero-filled ahead.", func() float64 {
		if n.RingReady() {
			return 1
		}
		return 0
	})
	m.reg.MustRegister(&journalCollector{n: n}, &appendCollector{n: n}, &keepCollector{n: n}, &contractCollector{n: n})
	if n.shipping != nil {
		m.reg.MustRegister(&shippingCollector{n.shipping})
	}
}

var (
	journalBytes   = prometheus.NewDesc("leat_journal_bytes_total", "Bytes appended to the journal, padding included, since it was opened.", []string{"shard"}, nil)
	journalAppends = prometheus.NewDesc("leat_journal_appends_total", "Frames appended to the journal since it was opened.", []string{"shard"}, nil)
	appendedDesc   = prometheus.NewDesc("leat_broker_appends_total", "Appends that were recorded, by the protocol they came in by.", []string{"protocol"}, nil)
)

type journalCollector struct{ n *Node }

func (c *journalCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- journalBytes
	ch <- journalAppends
}

func (c *journalCollector) Collect(ch chan<- prometheus.Metric) {
	for i, j := range c.n.journals.get() {
		m, shard := j.Metrics(), strconv.Itoa(i)
		ch <- prometheus.MustNewConstMetric(journalBytes, prometheus.CounterValue, float64(m.Bytes), shard)
		ch <- prometheus.MustNewConstMetric(journalAppends, prometheus.CounterValue, float64(m.Appends), shard)
	}
}

type appendCollector struct{ n *Node }

func (c *appendCollector) Describe(ch chan<- *prometheus.Desc) { ch <- appendedDesc }

func (c *appendCollector) Collect(ch chan<- prometheus.Metric) {
	for protocol, n := range c.n.Broker.BatchesAppended() {
		ch <- prometheus.MustNewConstMetric(appendedDesc, prometheus.CounterValue, float64(n), protocol)
	}
}
