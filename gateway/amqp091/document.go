package amqp091

import (
	"encoding/json"
	"math"
	"unicode/utf8"

	"leat/broker"
	"leat/gateway/amqp091/wire"
)

// What exchanges, queues and bindings are beyond streams, subscriptions and address filters is kept with those as documents, JSON each:
//
//	stream        amqp.exchange   an exchange; "deleted": it is none any more, and the stream keeps what queues have not had yet
//	stream        amqp.policies   of amqp.default: the policies of the virtual host
//	stream        amqp.bindings   a list of bindings of which the exchange is the destination
//	subscription  amqp.queue      a queue
//	subscription  amqp.bindings   a list of bindings of which the queue is the destination, but for the one to the exchange without a name
//	subscription  amqp.reader     the name of the stream queue that a consumer reads by it
//
// "arguments" are for whoever reads them; "table" is the same as it stands on the wire, base64, and is what counts.
const (
	documentExchange = "amqp.exchange"
	documentQueue    = "amqp.queue"
	documentBindings = "amqp.bindings"
	documentReader   = "amqp.reader"
)

type exchange struct {
	Type       string         `json:"type"`
	Durable    bool           `json:"durable,omitempty"`
	AutoDelete bool           `json:"auto_delete,omitempty"`
	Internal   bool           `json:"internal,omitempty"`
	Deleted    bool           `json:"deleted,omitempty"`
	Name       string         `json:"name,omitempty"` // where the stream has another
	Arguments  map[string]any `json:"arguments,omitempty"`
	Table      wire.Table     `json:"table,omitempty"`
}

type queue struct {
	Type       string         `json:"type"` // classic, quorum, stream
	Durable    bool           `json:"durable,omitempty"`
	Exclusive  bool           `json:"exclusive,omitempty"`
	AutoDelete bool           `json:"auto_delete,omitempty"`
	Name       string         `json:"name,omitempty"` // where the subscription has another
	Arguments  map[string]any `json:"arguments,omitempty"`
	Table      wire.Table     `json:"table,omitempty"`
	Policy     string         `json:"policy,omitempty"`  // its name
	Applied    wire.Table     `json:"applied,omitempty"` // what it gives the queue
}

type binding struct {
	Source    string         `json:"source"`
	Key       string         `json:"key,omitempty"`
	Arguments map[string]any `json:"arguments,omitempty"`
	Table     wire.Table     `json:"table,omitempty"`
}

func (b *binding) same(c *binding) bool {
	return b.Source == c.Source && b.Key == c.Key && sameTable(b.Table, c.Table)
}

// sameTable reports whether two tables have the same entries, in any order.
func sameTable(a, b wire.Table) bool {
	n := 0
	for name, v := range a.All() {
		w, ok := b.Get(string(name))
		if !ok || !v.Equal(w) {
			return false
		}
		n++
	}
	for range b.All() {
		n--
	}
	return n == 0
}

func document(v any) string {
	p, err := json.Marshal(v)
	if err != nil {
		panic(err) // structs of strings, numbers and maps of them
	}
	return string(p)
}

// readExchange reads what an exchange is. A stream that others made is a durable topic exchange.
func readExchange(text string) exchange {
	var x exchange
	if text == "" || json.Unmarshal([]byte(text), &x) != nil {
		return exchange{Type: typeTopic, Durable: true}
	}
	return x
}

// readQueue reads what a queue is. A subscription that others made is a durable queue.
func readQueue(text string) queue {
	var q queue
	if text == "" || json.Unmarshal([]byte(text), &q) != nil {
		return queue{Type: typeClassic, Durable: true}
	}
	return q
}

func readBindings(text string) (bs []binding) {
	if text == "" || json.Unmarshal([]byte(text), &bs) != nil {
		return nil
	}
	return bs
}

func queueOf(c *broker.SubscriptionConfig) queue { return readQueue(c.Documents[documentQueue]) }

// told is a table as JSON, as far as that can say it: for whoever reads documents.
func told(t wire.Table) map[string]any {
	if len(t) == 0 {
		return nil
	}
	m := map[string]any{}
	for name, v := range t.All() {
		m[text(name)] = toldValue(v)
	}
	return m
}

func toldValue(v wire.Value) any {
	if n, ok := v.Int(); ok {
		return n
	}
	if f, ok := v.Float(); ok && !math.IsNaN(f) && !math.IsInf(f, 0) {
		return f
	}
	if b, ok := v.Bool(); ok {
		return b
	}
	if s, ok := v.Seconds(); ok {
		return s
	}
	if s, ok := v.Text(); ok {
		return text(s)
	}
	if t, ok := v.Table(); ok {
		return told(t)
	}
	if a, ok := v.Array(); ok {
		list := []any{}
		for w := range a.All() {
			list = append(list, toldValue(w))
		}
		return list
	}
	return nil
}

func text(p []byte) string {
	if utf8.Valid(p) {
		return string(p)
	}
	return string([]rune(string(p)))
}
