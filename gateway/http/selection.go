package http

import (
	"bytes"
	"slices"

	"leat/broker"
	"leat/broker/fault"
	"leat/broker/filter"
)

// selection is which events of the streams are wanted: ?key=, ?type= (any of several), ?tag= (all of several) and ?where=.
type selection struct {
	key   []byte // nil: any
	types []string
	tags  []string
	where *where // nil: any
}

// where is a compiled ?where= on its way over events. An event it cannot judge is no match; how many there were, and why the first
// was one, is told with the page. It is for one goroutine.
type where struct {
	filter *filter.Filter
	input  filter.Input
	errors int
	first  string
	count  func()
}

func (w *where) match(d *broker.Delivered) bool {
	e := d.Event()
	w.input.Reset(&e, d.Ref.Stream, d.Ref.Partition, d.Ref.Offset)
	ok, err := w.filter.Match(&w.input)
	if err != nil {
		if w.errors++; w.errors == 1 {
			w.first = d.Ref.String() + ": " + fault.As(err).Text
		}
		w.count()
	}
	return ok
}

// selection reads the parameters. It keeps nothing of the request.
func (x *call) selection() (selection, error) {
	var m selection
	if x.r.URL.RawQuery == "" {
		return m, nil
	}
	if keys, given := x.query["key"]; given && len(keys) > 0 {
		if keys[0] == "" { // an unset variable in a script must not answer with everything
			return m, wrong("read", "key", "the key is empty; without this parameter events of every key come")
		}
		m.key = []byte(keys[0])
	}
	m.types = x.query["type"]
	if len(m.types) > typesMax {
		return m, wrong("read", "type", "at most %d types can be asked for at once; these are %d", typesMax, len(m.types))
	}
	if m.tags = x.query["tag"]; len(m.tags) > broker.QueryTagsMax {
		return m, wrong("read", "tag", "at most %d tags can be asked for at once; these are %d", broker.QueryTagsMax, len(m.tags))
	}
	if expr := x.param("where"); expr != "" {
		f, err := filter.Compile(expr)
		if err != nil {
			return m, fieldOf(err, "where")
		}
		m.where = &where{filter: f, count: x.g.metrics.whereErrors.Inc}
	}
	return m, nil
}

// query is what the index of types and tags can tell of the selection; match need not look at it then.
func (m *selection) query() []broker.EventQuery {
	if len(m.tags) == 0 && len(m.types) == 0 || len(m.types) > broker.QueryTypesMax {
		return nil
	}
	q := []broker.EventQuery{{Types: m.types, Tags: m.tags}}
	m.types, m.tags = nil, nil
	return q
}

// match is the selection as a function, nil when it selects everything. With keyed the broker selects by key itself.
func (m selection) match(keyed bool) func(*broker.Delivered) (bool, error) {
	key := m.key
	if keyed {
		key = nil
	}
	if key == nil && len(m.types) == 0 && len(m.tags) == 0 && m.where == nil {
		return nil
	}
	return func(d *broker.Delivered) (bool, error) {
		if key != nil && !bytes.Equal(d.Record.Key, key) {
			return false, nil
		}
		if len(m.types) > 0 && !slices.Contains(m.types, typeOf(d)) {
			return false, nil
		}
		if len(m.tags) > 0 && !(broker.EventQuery{Tags: m.tags}).Asks(d) {
			return false, nil
		}
		return m.where == nil || m.where.match(d), nil
	}
}
