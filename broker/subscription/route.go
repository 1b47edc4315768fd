package subscription

import (
	"slices"

	"leat/broker/fact"
	"leat/broker/fault"
)

// Route returns the number of a set of classes, which is ascending, and records a new one. Whoever keeps what it answers may use it again as
// long as Routes has it.
func (h *Head) Route(classes []ClassID, f *fact.Frame) (RouteID, *fault.Error) {
	if len(classes) == 0 {
		return 0, nil
	}
	if k := h.Classes[classes[0]]; len(classes) == 1 && k != nil && k.alone != nil {
		return k.alone.ID, nil
	}
	k := fingerprint(classes)
	for _, r := range h.interned[k] {
		if rt := h.Routes[r]; rt != nil && slices.Equal(rt.Classes, classes) {
			return r, nil
		}
	}
	if live := slices.DeleteFunc(slices.Clone(classes), func(c ClassID) bool { return h.Classes[c] == nil }); len(live) < len(classes) {
		return h.Route(live, f) // whoever looked them up has not heard yet that some are gone
	}
	if len(h.Routes) >= RoutesMax || h.members+len(classes) > RouteMembersMax {
		return 0, fault.New(fault.QuotaSpent, "append", "", "filters have made %d different sets; the limit is %d, of %d filters together", len(h.Routes), RoutesMax, RouteMembersMax)
	}
	r := &Route{ID: h.NextRoute}
	r.Classes = append(r.room(len(classes)), classes...)
	f.Add(fact.RouteDefined, 1, r.append)
	h.evolveRoute(r)
	if len(classes) == 1 {
		return r.ID, nil
	}
	h.interned[k] = append(slices.DeleteFunc(h.interned[k], func(r RouteID) bool { return h.Routes[r] == nil }), r.ID)
	return r.ID, nil
}

// fingerprint is FNV-1a over the classes.
func fingerprint(classes []ClassID) uint64 {
	f := uint64(14695981039346656037)
	for _, id := range classes {
		f = (f ^ uint64(id)) * 1099511628211
	}
	return f
}

// attend moves a desk from one class to another; 0 is none.
func (h *Head) attend(d *desk, from, to ClassID) {
	if from != 0 {
		if k := slices.DeleteFunc(h.attended[from], func(x *desk) bool { return x == d }); len(k) > 0 {
			h.attended[from] = k
		} else {
			delete(h.attended, from)
		}
	}
	if to != 0 {
		h.attended[to] = append(h.attended[to], d)
	}
}
