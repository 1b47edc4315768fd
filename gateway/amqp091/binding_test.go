package amqp091

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"leat/broker/filter/address"
	"leat/gateway/amqp091/wire"
)

// Where both patterns match, and only there, one of those does that they meet in.
func TestMeet_MatchesWhatBothMatch(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	pattern := func() string {
		ws := make([]string, 1+r.IntN(4))
		for i := range ws {
			ws[i] = []string{"a", "b", "*", "#"}[r.IntN(4)]
		}
		return strings.Join(ws, ".")
	}
	met := 0
	for range 3000 {
		a, b := pattern(), pattern()
		x := &resolving{1 << 40}
		in := x.meet(wordsOf(a), wordsOf(b))
		for range 20 {
			ws := make([]string, r.IntN(6))
			for i := range ws {
				ws[i] = []string{"a", "b", "c"}[r.IntN(3)]
			}
			want, got := x.matches(words(a), ws) && x.matches(words(b), ws), false
			for _, s := range in {
				got = got || s.syntax == address.Anything || x.matches(words(s.text), ws)
			}
			if got != want {
				t.Fatalf("%s and %s meet in %v: %q is %v, want %v", a, b, in, strings.Join(ws, "."), got, want)
			}
			if got {
				met++
			}
		}
	}
	if met < 1000 {
		t.Errorf("only %d texts matched", met)
	}
}

func TestMeet_TextIsText(t *testing.T) {
	exact := subject{address.Exact, "a.*"}
	x := &resolving{stepsMax}
	if got := x.meet(exact, wordsOf("a.#")); len(got) != 1 || got[0] != exact {
		t.Errorf("got %v", got)
	}
	if got := x.meet(exact, subject{address.Exact, "a.b"}); got != nil {
		t.Errorf("got %v", got)
	}
}

func TestMeet_CostsWhatItMay(t *testing.T) {
	x := &resolving{stepsMax}
	long := wordsOf(strings.TrimSuffix(strings.Repeat("#.a.", 40), "."))
	x.meet(long, long.reversed())
	if x.steps > 0 {
		t.Skip("cheap")
	}
	if x.steps < -1000 {
		t.Errorf("%d steps too many", -x.steps)
	}
}

func (s subject) reversed() subject {
	ws := words(s.text)
	out := make([]string, 0, len(ws))
	for i := range ws {
		out = append(out, ws[len(ws)-1-i])
	}
	return wordsOf(strings.Join(out, "."))
}

// A queue may have very many bindings, changed while messages wait; each counts from when it was made until it was taken back.
func TestBind_ManyOfOneQueue(t *testing.T) {
	c := dial(t, serve(t, newBroker(t)))
	must[*wire.ExchangeDeclareOK](t, c, &wire.ExchangeDeclare{Exchange: []byte("x"), Type: []byte("direct")})
	c.queue(t, "q")
	must[*wire.ConfirmSelectOK](t, c, &wire.ConfirmSelect{})
	const bindings = 150
	key := func(i int) []byte { return fmt.Appendf(nil, "k%d", i) }
	for i := range bindings {
		must[*wire.QueueBindOK](t, c, &wire.QueueBind{Queue: []byte("q"), Exchange: []byte("x"), RoutingKey: key(i)})
		for _, k := range []int{i, i + 1} { // one that is bound and one that is not yet
			c.publish(t, "x", string(key(k)), "m", false)
			next[*wire.BasicAck](t, c)
		}
	}
	for i := range bindings / 2 {
		must[*wire.QueueUnbindOK](t, c, &wire.QueueUnbind{Queue: []byte("q"), Exchange: []byte("x"), RoutingKey: key(i)})
		c.publish(t, "x", string(key(i)), "m", false)
		next[*wire.BasicAck](t, c)
	}
	if got := must[*wire.QueueDeclareOK](t, c, &wire.QueueDeclare{Queue: []byte("q"), Passive: true}).MessageCount; got != bindings {
		t.Errorf("%d came, want %d", got, bindings)
	}
	for range bindings {
		must[*wire.BasicGetOK](t, c, &wire.BasicGet{Queue: []byte("q"), NoAck: true})
		c.content(t)
	}
}
