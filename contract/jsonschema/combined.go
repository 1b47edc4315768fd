package jsonschema

// intoOne looks whether what one schema admitted is admitted by one part of a combination.
func (r *result) intoOne(old, new *node) bool {
	if len(new.subs) == 1 || new.criterion != "allOf" {
		for _, s := range new.subs {
			if len(r.c.compare(old, s)) == 0 {
				return true
			}
		}
	}
	return false
}

// fromOne looks whether one part of what all had to keep to admits no more than the new schema does.
func (r *result) fromOne(old, new *node) bool {
	if len(old.subs) == 1 || old.criterion == "allOf" {
		for _, s := range old.subs {
			if len(r.c.compare(s, new)) == 0 {
				return true
			}
		}
	}
	return false
}

// combined compares two combinations: each part of the smaller one must have a part of its own in the other that it fits.
func (r *result) combined(old, new *node) {
	was, is := distinct(old.subs), distinct(new.subs)
	if old.criterion != new.criterion && new.criterion != "anyOf" {
		one := len(old.subs) == 1
		only := len(new.subs) == 1
		if !(one && only) && !(one && new.criterion == "oneOf") && !(only && old.criterion == "allOf") {
			r.add(combinedChanged)
			return
		}
	}
	switch {
	case len(was) < len(is) && new.criterion == "allOf":
		r.add(productExtended)
	case len(was) > len(is) && old.criterion != "allOf":
		r.add(sumNarrowed)
	}
	fits := make([][]int, len(was))
	for i, w := range was {
		for j, s := range is {
			if len(r.c.compare(w, s)) == 0 {
				fits[i] = append(fits[i], j)
			}
		}
	}
	if matched(fits, len(is)) < min(len(was), len(is)) {
		r.add(subschemasChanged)
	}
}

func distinct(all []*node) (out []*node) {
	seen := map[string]bool{}
	for _, n := range all {
		if !seen[n.key] {
			seen[n.key] = true
			out = append(out, n)
		}
	}
	return out
}

// matched is how many can have a partner of their own: augmenting paths, as everywhere.
func matched(fits [][]int, partners int) (n int) {
	taken := make([]int, partners)
	for i := range taken {
		taken[i] = -1
	}
	var find func(i int, seen []bool) bool
	find = func(i int, seen []bool) bool {
		for _, j := range fits[i] {
			if seen[j] {
				continue
			}
			seen[j] = true
			if taken[j] < 0 || find(taken[j], seen) {
				taken[j] = i
				return true
			}
		}
		return false
	}
	for i := range fits {
		if find(i, make([]bool, partners)) {
			n++
		}
	}
	return n
}
