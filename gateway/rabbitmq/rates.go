package rabbitmq

import (
	"sync"
	"time"
)

// Counters are sampled when somebody asks: a rate is what came between the newest sample that is at least sampleEvery old and now.
//
//	ask at 0 s: first sample          rate 0
//	ask at 3 s: too soon to sample    rate since 0 s
//	ask at 30 s: second sample        rate since 0 s; at 33 s: rate since 30 s … once it is sampleEvery old, else since 0 s
const (
	sampleEvery = 5 * time.Second
	samplesMax  = 100_000 // things that are remembered; beyond it all are forgotten, and rates begin anew
)

type sample struct {
	at     time.Time
	counts [countsMax]int64
}

// What is counted of one thing.
const (
	countPublish = iota
	countDeliver
	countAck
	countMessages
	countReady
	countUnacked
	countConfirm
	countReturn
	countDeliverNoAck
	countGet
	countGetNoAck
	countGetEmpty
	countRedeliver
	countRead
	countWritten
	countsMax
)

type rates struct {
	mu   sync.Mutex
	kept map[string]*[2]sample // older, newer
}

// of takes what a thing has counted now and returns how fast each grew.
func (r *rates) of(thing string, now time.Time, counts [countsMax]int64) (perSecond [countsMax]float64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.kept == nil || len(r.kept) >= samplesMax {
		r.kept = map[string]*[2]sample{}
	}
	s := r.kept[thing]
	if s == nil {
		r.kept[thing] = &[2]sample{{now, counts}, {now, counts}}
		return perSecond
	}
	since := s[0]
	if age := now.Sub(s[1].at); age >= sampleEvery {
		s[0], s[1] = s[1], sample{now, counts}
		since = s[0]
	}
	span := now.Sub(since.at).Seconds()
	if span <= 0 {
		return perSecond
	}
	for i := range counts {
		perSecond[i] = float64(counts[i]-since.counts[i]) / span
	}
	return perSecond
}

// details adds a count and its rate, as RabbitMQ writes both.
func details(o object, name string, count int64, rate float64) {
	o[name] = count
	o[name+"_details"] = object{"rate": rate}
}
