package main

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func got(id, body, group string, count int) message {
	m := message{MessageId: id, Body: body}
	m.Attributes.MessageGroupId, m.Attributes.ApproximateReceiveCount = group, fmt.Sprint(count)
	return m
}

// The book is shown what must not be, each in one way.
func TestQueueBook_SeesWhatIsWrong(t *testing.T) {
	ms := func(m ...message) []message { return m }
	for name, c := range map[string]struct {
		do   func(b *queueBook)
		want string
	}{
		"a deleted message comes back": {func(b *queueBook) {
			b.take(time.Now(), ms(got("1", "w/0", "", 1)))
			b.gone(ms(got("1", "w/0", "", 1)))
			b.take(time.Now().Add(time.Second), ms(got("1", "w/0", "", 2)))
		}, "was deleted"},
		"a group goes on too early": {func(b *queueBook) {
			b.takeGroups(time.Now(), ms(got("1", "g/0", "g", 1)))
			b.takeGroups(time.Now(), ms(got("2", "g/1", "g", 1)))
		}, "came before g/0"},
		"a group is out of order in one answer": {func(b *queueBook) {
			b.takeGroups(time.Now(), ms(got("2", "g/1", "g", 1), got("1", "g/0", "g", 1)))
		}, "came before g/0"},
		"a duplicate": {func(b *queueBook) {
			b.takeGroups(time.Now(), ms(got("1", "g/0", "g", 1)))
			b.takeGroups(time.Now(), ms(got("2", "g/0", "g", 1)))
		}, "is there twice"},
		"another id for the same send": {func(b *queueBook) {
			b.send("g/0", "1", true)
			b.send("g/0", "2", true)
		}, "was sent again"},
		"a fourth attempt": {func(b *queueBook) { b.attempt(ms(got("1", "poison/0", "", 4))) }, "3 are allowed"},
		"a third attempt twice": {func(b *queueBook) {
			b.attempt(ms(got("1", "poison/0", "", 3)))
			b.attempt(ms(got("1", "poison/0", "", 3)))
		}, "and was before"},
		"a first attempt twice": {func(b *queueBook) {
			b.attempt(ms(got("1", "poison/0", "", 1)))
			b.attempt(ms(got("1", "poison/0", "", 1)))
		}, "and was before"},
		"attempts given back": {func(b *queueBook) {
			b.attempt(ms(got("1", "poison/0", "", 2)))
			b.attempt(ms(got("1", "poison/0", "", 1)))
		}, "after the 2."},
		"alive after death": {func(b *queueBook) {
			b.buried(ms(got("1", "poison/0", "", 1)))
			b.attempt(ms(got("1", "poison/0", "", 3)))
		}, "after it was a dead letter"},
	} {
		b := newQueueBook()
		c.do(b)
		if r := b.report(); len(r.wrong) != 1 || !strings.Contains(r.wrong[0], c.want) {
			t.Errorf("%s: %q", name, r.wrong)
		}
	}
}

func TestQueueBook_LetsPassWhatIsRight(t *testing.T) {
	b, now := newQueueBook(), time.Now()
	a, c := got("1", "g/0", "g", 1), got("2", "g/1", "g", 1)
	b.send("g/0", "1", true)
	b.send("g/0", "1", true)
	b.send("g/1", "2", true)
	b.takeGroups(now, []message{a, c})
	b.takeGroups(now, []message{a, c})
	b.try([]message{a})
	b.takeGroups(now, []message{c})
	b.gone([]message{a})
	b.take(now, []message{a}) // it began before the delete was answered
	b.attempt([]message{got("3", "poison/0", "", 1)})
	b.attempt([]message{got("3", "poison/0", "", 2)})
	b.send("poison/0", "3", false)
	if r := b.report(); len(r.wrong) > 0 {
		t.Errorf("%q", r.wrong)
	}
	if never, alive := b.missing(); len(never) != 0 || len(alive) != 1 {
		t.Errorf("never %v, alive %v", never, alive)
	}
	b.send("lost/0", "9", false)
	if never, _ := b.missing(); len(never) != 1 {
		t.Error("a lost message is not missed")
	}
}
