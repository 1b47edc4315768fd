package broker

import (
	"leat/broker/record"
)

// sharing has one copy of what documents of subscriptions have in common: a hundred thousand work lists of one stream have all but a name alike, and
// memory that is there once is not gone through for each of them at every collection. What it hands out is never changed.
type sharing struct {
	texts   map[string]string
	points  map[string]*string
	names   map[string][]string
	streams map[record.StreamID][]record.StreamID
	owned   map[[2]string]map[string]string
}

// sharedMax is how many of each are kept. With more it starts anew: what is shared stays so.
const sharedMax = 1024

func alike[K comparable, V any](m *map[K]V, k K, v V) V {
	if x, ok := (*m)[k]; ok {
		return x
	}
	if *m == nil || len(*m) >= sharedMax {
		*m = map[K]V{}
	}
	(*m)[k] = v
	return v
}

func (s *sharing) text(v string) string {
	if v == "" {
		return ""
	}
	return alike(&s.texts, v, v)
}

func (s *sharing) point(v *string) *string {
	if v == nil {
		return nil
	}
	return alike(&s.points, *v, v)
}

// document has a document share what others have too. own is the name of its subscription, which is often what it is routed by.
func (s *sharing) document(d *subscriptionDocument, own string) {
	if len(d.Streams) == 1 {
		d.Streams = alike(&s.names, d.Streams[0], d.Streams)
	}
	if len(d.StreamIDs) == 1 {
		d.StreamIDs = alike(&s.streams, d.StreamIDs[0], d.StreamIDs)
	}
	if len(d.Documents) == 1 {
		for k, v := range d.Documents {
			d.Documents = alike(&s.owned, [2]string{k, v}, d.Documents)
		}
	}
	d.Where, d.DeadLetters, d.Undertaker = s.text(d.Where), s.text(d.DeadLetters), s.text(d.Undertaker)
	d.DeadSubject, d.DeadKey = s.point(d.DeadSubject), s.point(d.DeadKey)
	for i := range d.Address {
		a := &d.Address[i]
		if a.Stream = s.text(a.Stream); a.Subject.Text == own {
			a.Subject.Text = own
		}
	}
}
