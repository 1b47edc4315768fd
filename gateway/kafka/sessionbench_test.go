package kafka

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"leat/broker"
)

// BenchmarkFetch_Session is a consumer of so many partitions, to a few of which something is appended before each fetch: how long the fetch takes from
// end to end, what it costs in CPU of node and connection, and how many bytes go to and fro. The client decodes nothing, and knows what it gets.
func BenchmarkFetch_Session(b *testing.B) {
	for _, partitions := range []int32{1, 10, 1000} {
		for _, session := range []bool{false, true} {
			b.Run(fmt.Sprintf("partitions %d/session %v", partitions, session), func(b *testing.B) { benchSession(b, partitions, session) })
		}
	}
}

func benchSession(b *testing.B, partitions int32, session bool) {
	br := newBroker(b, 1)
	c := dial(b, serve(b, br))
	if err := c.c.SetDeadline(time.Now().Add(time.Hour)); err != nil {
		b.Fatal(err)
	}
	create(c, "s", partitions)
	x := newSessionClient(c, "s")
	active := min(partitions, 10)
	next := make([]int64, partitions)
	whole := func() []offsetOf {
		from := make([]offsetOf, partitions)
		for p := range partitions {
			from[p] = offsetOf{p, next[p]}
		}
		return from
	}
	if session {
		x.fetch(whole())
	} else {
		x.epoch = -1
	}
	record := batch(b, "a record of forty bytes, more or less...")
	var moved []offsetOf
	var sent, got int
	var busy, cpu time.Duration
	entries := make([]broker.BatchEntry, active)
	for n := range b.N {
		for i := range active {
			p := (int32(n)*7 + i*(partitions/active)) % partitions
			entries[i] = broker.BatchEntry{Stream: "s", Partition: partitionID(p), Batch: record}
		}
		for _, r := range br.SubmitBatches(b.Context(), &broker.Caller{}, broker.BatchAppend{Entries: entries}).Wait(b.Context()) {
			if r.Err != nil {
				b.Fatal(r.Err)
			}
		}
		from := moved
		if !session {
			from = whole()
		}
		q := x.request(from)
		q.SetVersion(11)
		x.correlation++
		frame := requestFrame(q, x.correlation)
		start, used := time.Now(), cpuTime()
		if _, err := c.c.Write(frame); err != nil {
			b.Fatal(err)
		}
		answer, err := readFrame(c.c)
		if err != nil {
			b.Fatal(err)
		}
		busy, cpu = busy+time.Since(start), cpu+cpuTime()-used
		sent, got = sent+len(frame), got+len(answer)
		r := kmsg.NewPtrFetchResponse()
		r.SetVersion(11)
		if err := r.ReadFrom(answer[4:]); err != nil || r.ErrorCode != 0 {
			b.Fatal(err, r.ErrorCode)
		}
		if session {
			x.epoch++
		}
		moved = moved[:0]
		records := int32(0)
		for _, t := range r.Topics {
			for _, p := range t.Partitions {
				if len(p.RecordBatches) > 0 {
					records++
					next[p.Partition] = p.HighWatermark
					moved = append(moved, offsetOf{p.Partition, p.HighWatermark})
				}
			}
		}
		if records != active {
			b.Fatalf("records of %d partitions, want %d", records, active)
		}
	}
	b.ReportMetric(float64(busy.Microseconds())/float64(b.N), "µs/fetch")
	b.ReportMetric(float64(cpu.Microseconds())/float64(b.N), "cpu-µs/fetch")
	b.ReportMetric(float64(sent)/float64(b.N), "sent-B/fetch")
	b.ReportMetric(float64(got)/float64(b.N), "got-B/fetch")
}

// cpuTime is what the process has used.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
