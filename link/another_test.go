package link_test

import (
	"context"
	"strings"
	"testing"

	"leat/broker"
	"leat/broker/fault"
	"leat/link"
)

// remake makes a topic anew under the same name, with records that reach further than those of the old one did.
func (o *old) remake(topic string, records int) {
	o.t.Helper()
	if _, err := o.admin.DeleteTopic(context.Background(), topic); err != nil {
		o.t.Fatal(err)
	}
	o.topic(topic, 1, nil)
	o.produce(o.client(), topic, 0, 5000, 5000+records)
}

// why is what the link says about what it leaves out; "" while it says nothing.
func (l *leat) why(what string) string {
	s, _ := l.linker.State(broker.DefaultNamespace, "l")
	for _, x := range s.Stopped {
		if x.What == what {
			return x.Why
		}
	}
	return ""
}

// A topic that is made again is another one, also where it reaches further than the copy by the time that somebody looks: nothing of it follows
// what is here. Without the stream it is copied from its beginning.
func TestLink_TopicMadeAgain(t *testing.T) {
	t.Parallel()
	for name, stopped := range map[string]bool{"while it was stopped": true, "while it copies": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o, l := newOld(t), newLeat(t)
			ctx := context.Background()
			o.topic("orders", 1, nil)
			o.topic("others", 1, nil)
			o.produce(o.client(), "orders", 0, 0, 100)
			l.link("l", link.Settings{From: o.from})
			l.same(o, "orders", 0)
			was := l.records("orders", 0)
			if stopped {
				l.end()
			}
			o.remake("orders", 150)
			if stopped {
				l.again()
			}
			o.produce(o.client(), "others", 0, 0, 10)
			var err error
			l.until("a switch is refused", func() bool {
				err = l.linker.Switch(ctx, l.c, "l", 0)
				return fault.Is(err, fault.Conflict) && strings.Contains(l.why("orders"), "not the topic that it was")
			})
			if !strings.Contains(fault.As(err).Text, "orders") {
				t.Errorf("the refusal does not name it: %v", err)
			}
			l.same(o, "others", 0)
			if got := l.records("orders", 0); len(got) != len(was) {
				t.Errorf("%d records, %d before", len(got), len(was))
			}
			if err := l.b.DeleteStream(ctx, l.c, "orders"); err != nil {
				t.Fatal(err)
			}
			l.until("a switch", func() bool { err := l.linker.Switch(ctx, l.c, "l", patience); return err == nil })
			l.same(o, "orders", 0)
			if len(l.records("orders", 0)) != 150 {
				t.Error("not all of the new topic")
			}
		})
	}
}

// A topic that is deleted there is named until its stream is deleted here, also by a link that has begun anew; and a stream that is deleted here is made
// again.
func TestLink_TopicDeleted(t *testing.T) {
	t.Parallel()
	o, l := newOld(t), newLeat(t)
	ctx := context.Background()
	for _, name := range []string{"orders", "others"} {
		o.topic(name, 1, nil)
		o.produce(o.client(), name, 0, 0, 20)
	}
	l.link("l", link.Settings{From: o.from})
	l.same(o, "orders", 0)
	l.same(o, "others", 0)
	if _, err := o.admin.DeleteTopic(ctx, "orders"); err != nil {
		t.Fatal(err)
	}
	for _, restarted := range []bool{false, true} {
		if restarted {
			l.end()
			l.again()
		}
		l.until("it says what is gone there", func() bool {
			return fault.Is(l.linker.Switch(ctx, l.c, "l", 0), fault.Conflict) && strings.Contains(l.why("orders"), "not there any more")
		})
	}
	for _, name := range []string{"orders", "others"} {
		if err := l.b.DeleteStream(ctx, l.c, name); err != nil {
			t.Fatal(err)
		}
	}
	l.until("a switch", func() bool { return l.linker.Switch(ctx, l.c, "l", patience) == nil })
	if l.ends("orders", 0) != -1 || l.why("orders") != "" {
		t.Error("what is gone there is here again")
	}
	l.same(o, "others", 0)
	info, err := l.b.DescribeStream(ctx, l.c, "others")
	if err != nil || len(info.Config.Documents) > 0 || info.Config.LinkedBy != "" {
		t.Errorf("after the switch: %+v %v", info.Config, err)
	}
}
