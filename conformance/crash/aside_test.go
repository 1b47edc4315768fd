package main

import (
	"strings"
	"testing"
)

const asideSeed = 3

// asideStory is two producers, who have sent 200 each: one by Kafka, one by AMQP.
func asideStory(t *testing.T) (b *asideBook, history map[partitionOf][]stored, asides []waitingAside) {
	t.Helper()
	b = newAsideBook(asideSeed)
	history = map[partitionOf][]stored{}
	for _, way := range []*asideWay{&asideWays[2], &asideWays[5]} {
		who := "p-" + way.name
		b.introduce(who, way)
		b.send(who, 200)
		b.answer(who, 0, 200, asidePromised)
		part := partitionOf{way.stream, 0}
		for n := range 200 {
			at := place{way.stream, 0, int64(n)}
			if way.places {
				b.told(who, n, at)
			}
			text := way.text(asideSeed, who, n)
			if !way.broken(asideSeed, who, n) {
				history[part] = append(history[part], stored{at: at, data: text})
				continue
			}
			a := waitingAside{Contract: way.stream, Field: "total", Reason: "minimum", Stream: way.stream}
			a.Value.Text = text
			if way.places {
				a.Partition, a.Offset = new(int32), new(int64)
				*a.Offset = int64(n)
			}
			asides = append(asides, a)
		}
	}
	if len(asides) < 3 {
		t.Fatalf("%d are put aside; take another seed", len(asides))
	}
	return b, history, asides
}

// The judge is shown what must not be, each in one way.
func TestAsideBook_SeesWhatIsWrong(t *testing.T) {
	k, a := partitionOf{"kafka-transaction", 0}, partitionOf{"amqp", 0}
	for name, c := range map[string]struct {
		spoil func(b *asideBook, h map[partitionOf][]stored, q []waitingAside) []waitingAside
		want  string
	}{
		"nothing": {func(_ *asideBook, _ map[partitionOf][]stored, q []waitingAside) []waitingAside { return q }, ""},
		"twice by AMQP": {func(_ *asideBook, h map[partitionOf][]stored, q []waitingAside) []waitingAside {
			h[a] = append(h[a], h[a][7])
			return append(q, q[len(q)-1])
		}, ""},
		"a lost event": {func(_ *asideBook, h map[partitionOf][]stored, q []waitingAside) []waitingAside {
			h[k] = h[k][1:]
			return q
		}, "LOST: p-kafka-transaction"},
		"a bad one is lost": {func(_ *asideBook, _ map[partitionOf][]stored, q []waitingAside) []waitingAside { return q[1:] }, "LOST: p-kafka-transaction"},
		"a good one twice": {func(_ *asideBook, h map[partitionOf][]stored, q []waitingAside) []waitingAside {
			h[k] = append(h[k], h[k][len(h[k])-1])
			return q
		}, "is there 2 times"},
		"a bad one twice": {func(_ *asideBook, _ map[partitionOf][]stored, q []waitingAside) []waitingAside {
			return append(q, q[0])
		}, "is there 2 times"},
		"a bad one in the stream": {func(_ *asideBook, h map[partitionOf][]stored, q []waitingAside) []waitingAside {
			h[k] = append(h[k], stored{place{k.stream, 0, *q[0].Offset}, "", q[0].Value.Text})
			return q[1:]
		}, "breaks the contract"},
		"a good one in quarantine": {func(_ *asideBook, h map[partitionOf][]stored, q []waitingAside) []waitingAside {
			x := q[0]
			x.Value.Text = h[a][0].data
			x.Stream, x.Contract = a.stream, a.stream
			h[a] = h[a][1:]
			return append(q, x)
		}, "keeps the contract"},
		"out of order": {func(_ *asideBook, h map[partitionOf][]stored, q []waitingAside) []waitingAside {
			h[a][3], h[a][4] = h[a][4], h[a][3]
			return q
		}, "comes after"},
		"elsewhere": {func(_ *asideBook, h map[partitionOf][]stored, q []waitingAside) []waitingAside {
			h[k][5].at.offset = 777
			return q
		}, "was acknowledged at kafka-transaction/0/"},
		"put aside from elsewhere": {func(_ *asideBook, _ map[partitionOf][]stored, q []waitingAside) []waitingAside {
			*q[0].Offset = 777
			return q
		}, "says another place"},
		"an altered one": {func(_ *asideBook, h map[partitionOf][]stored, q []waitingAside) []waitingAside {
			h[a][3].data = strings.Replace(h[a][3].data, `"total":1`, `"total":2`, 1)
			return q
		}, "nobody sent"},
		"an aborted one": {func(b *asideBook, _ map[partitionOf][]stored, q []waitingAside) []waitingAside {
			b.answer("p-kafka-transaction", 10, 20, asideForbidden)
			return q
		}, "and was aborted"},
		"half a transaction": {func(b *asideBook, h map[partitionOf][]stored, q []waitingAside) []waitingAside {
			b.answer("p-kafka-transaction", 0, 200, asideUnknown)
			b.whole("p-kafka-transaction", 0, 200)
			return q[1:]
		}, "of a transaction of p-kafka-transaction"},
	} {
		t.Run(name, func(t *testing.T) {
			b, history, asides := asideStory(t)
			asides = c.spoil(b, history, asides)
			got := strings.Join(b.judge(history, asides).wrong, "\n")
			if c.want == "" && got != "" || !strings.Contains(got, c.want) {
				t.Errorf("got %q, want %q in it", got, c.want)
			}
		})
	}
}
