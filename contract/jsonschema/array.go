package jsonschema

import (
	"strconv"

	"leat/contract/jsontree"
)

func (r *result) array(old, new *node) {
	r.under(r.c.compare(old.items, new.items), "items")
	for i := range max(len(old.tuple), len(new.tuple)) {
		r.place(old, new, i)
	}
	r.more(old, new, "additionalItems", itemsRemoved, itemsNarrowed)
	r.rest(old, new, "unevaluatedItems", restItemsRemoved, restItemsNarrowed)
	if is := new.src.Get("uniqueItems"); is != nil && is.Text == "true" {
		if was := old.src.Get("uniqueItems"); was == nil || was.Kind != jsontree.Bool || was.Text != "true" {
			r.add(uniqueAdded, "uniqueItems")
		}
	}
}

// place compares the items at one place of two tuples.
func (r *result) place(old, new *node, i int) {
	at := "items/" + strconv.Itoa(i)
	switch {
	case i < len(old.tuple) && i < len(new.tuple):
		r.under(r.c.compare(old.tuple[i], new.tuple[i]), at)
	case i < len(old.tuple): // was there
		cover := new.covers("")
		switch {
		case new.open():
		case cover != nil:
			if d := r.c.compare(old.tuple[i], cover); len(d) > 0 {
				r.under(d)
				r.add(itemRemovedNotCovered, at)
			}
		case old.tuple[i].kind != nothing:
			r.add(itemFromClosed, at)
		}
	default:
		cover := old.covers("")
		switch {
		case old.open():
			if new.tuple[i].kind != anything {
				r.add(itemToOpen, at)
			}
		case cover != nil:
			if d := r.c.compare(cover, new.tuple[i]); len(d) > 0 {
				r.under(d)
				r.add(itemAddedNotCovered, at)
			}
		}
	}
}
