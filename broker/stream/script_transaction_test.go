package stream_test

import (
	"fmt"
	"strconv"
	"strings"

	"leat/broker/fault"
	"leat/broker/record"
	"leat/broker/stream"
)

func (s *script) transact(w []string) {
	if w[0] == "expire" {
		for {
			done, did := s.head.Expire(s.now, s.open())
			if !did {
				return
			}
			s.say("expired%s", describeEnding(&done))
		}
	}
	name := stream.TransactorName{Name: w[1]}
	var err *fault.Error
	switch w[0] {
	case "init":
		timeout, _ := strconv.ParseInt(w[2], 10, 64)
		var expect *stream.ProducerEpoch
		if len(w) > 3 {
			id := s.producer(w[3])
			expect = &id
		}
		var now stream.ProducerEpoch
		var done stream.Ending
		if now, done, err = s.head.InitTransactor(name, timeout, expect, s.open()); err == nil {
			s.say("producer %d/%d%s", now.ID, now.Epoch, describeEnding(&done))
		}
	case "enlist":
		var places []stream.Place
		var cursors []uint32
		for _, v := range w[3:] {
			if c, ok := strings.CutPrefix(v, "cursor="); ok {
				n, _ := strconv.Atoi(c)
				cursors = append(cursors, uint32(n))
				continue
			}
			places = append(places, s.place(v))
		}
		err = s.head.Enlist(name, s.producer(w[2]), places, cursors, s.open())
	case "defer":
		cursor, _ := strconv.Atoi(w[3])
		var ds []stream.Deferred
		implicit := false
		for _, v := range w[4:] {
			if v == "!" {
				implicit = true
				continue
			}
			at, to, _ := strings.Cut(v, "=")
			n, _ := strconv.Atoi(to)
			ds = append(ds, stream.Deferred{Place: s.place(at), To: record.Offset(n)})
		}
		err = s.head.Defer(name, s.producer(w[2]), uint32(cursor), ds, implicit, s.open())
	case "end":
		var now stream.ProducerEpoch
		var done stream.Ending
		if now, done, err = s.head.EndTransaction(name, s.producer(w[2]), w[3] == "commit", len(w) > 4, s.open()); err == nil {
			s.say("producer %d/%d%s", now.ID, now.Epoch, describeEnding(&done))
		}
	}
	if err != nil {
		s.say("%s (%s): %s", err.Kind, err.Reason, err.Text)
	}
}

func describeEnding(e *stream.Ending) string {
	var b strings.Builder
	for _, m := range e.Markers {
		fmt.Fprintf(&b, ", marker %d/%d at %d", m.Stream, m.Partition, m.Base)
	}
	for _, d := range e.Deferred {
		fmt.Fprintf(&b, ", subscription %d goes to %d in %d/%d", d.Cursor, d.To, d.Place.Stream, d.Place.Partition)
	}
	return b.String()
}

func (s *script) producer(w string) (id stream.ProducerEpoch) {
	if _, err := fmt.Sscanf(w, "%d/%d", &id.ID, &id.Epoch); err != nil {
		s.t.Fatal(err)
	}
	return id
}

func (s *script) place(w string) stream.Place {
	id, p, _ := strings.Cut(w, "/")
	n, _ := strconv.Atoi(p)
	return stream.Place{Stream: number(id), Partition: record.PartitionID(n)}
}
