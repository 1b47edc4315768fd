package jsonschema

import (
	"net/url"
	"strconv"
	"strings"

	"leat/contract"
	"leat/contract/jsontree"
)

// documents are the text and what it refers to, with every place that has a name.
type documents struct {
	root   *jsontree.Value
	byName map[string]*jsontree.Value // absolute, without a fragment
	anchor map[string]*jsontree.Value // name#anchor
	bases  map[*jsontree.Value]string // of every value that is an object: what its references are relative to
	modern bool                       // 2019-09 or later: what stands beside $ref counts
}

func newDocuments(root *jsontree.Value) *documents {
	d := &documents{root: root, byName: map[string]*jsontree.Value{}, anchor: map[string]*jsontree.Value{}, bases: map[*jsontree.Value]string{}}
	s, _ := root.String("$schema")
	d.modern = strings.Contains(s, "2019-09") || strings.Contains(s, "2020-12")
	d.add("", root)
	return d
}

func (d *documents) add(name string, v *jsontree.Value) {
	d.byName[name] = v
	d.walk(v, name)
}

// walk notes bases and anchors. It looks into everything, also into what is no schema: a name that is there for nothing does no harm.
func (d *documents) walk(v *jsontree.Value, base string) {
	for _, e := range v.Items {
		d.walk(e, base)
	}
	if v.Kind != jsontree.Object {
		return
	}
	id, ok := v.String("$id")
	if !ok {
		id, ok = v.String("id")
		ok = ok && strings.Contains(id, ":")
	}
	if ok {
		file, fragment, _ := strings.Cut(id, "#")
		if file != "" {
			base = resolveURI(base, file)
			if d.byName[base] == nil {
				d.byName[base] = v
			}
		}
		if fragment != "" {
			d.anchor[base+"#"+fragment] = v
		}
	}
	for _, word := range []string{"$anchor", "$dynamicAnchor"} {
		if a, ok := v.String(word); ok {
			d.anchor[base+"#"+a] = v
		}
	}
	d.bases[v] = base
	for i := range v.Members {
		d.walk(v.Members[i].Value, base)
	}
}

func resolveURI(base, ref string) string {
	r, err := url.Parse(ref)
	if err != nil || base == "" || r.IsAbs() {
		return ref
	}
	b, err := url.Parse(base)
	if err != nil {
		return ref
	}
	return b.ResolveReference(r).String()
}

// find is what a reference in at is to, nil where there is nothing.
func (d *documents) find(at *jsontree.Value, ref string) *jsontree.Value {
	base := d.bases[at]
	file, fragment, _ := strings.Cut(ref, "#")
	doc := d.byName[base]
	if base == "" {
		doc = d.root
	}
	name := base
	if file != "" {
		name = resolveURI(base, file)
		if doc = d.byName[name]; doc == nil {
			name = file
			doc = d.byName[file] // references go by the name they were registered with
		}
	}
	if doc == nil || fragment == "" {
		return doc
	}
	if !strings.HasPrefix(fragment, "/") {
		if v := d.anchor[name+"#"+fragment]; v != nil {
			return v
		}
		return d.anchor["#"+fragment]
	}
	if plain, err := url.PathUnescape(fragment); err == nil {
		fragment = plain
	}
	if v := pointer(doc, fragment); v != nil {
		return v
	}
	return pointer(d.root, fragment)
}

func pointer(v *jsontree.Value, path string) *jsontree.Value {
	for _, part := range strings.Split(path, "/")[1:] {
		part = strings.NewReplacer("~1", "/", "~0", "~").Replace(part)
		switch {
		case v == nil:
			return nil
		case v.Kind == jsontree.Array:
			i, err := strconv.Atoi(part)
			if err != nil || i < 0 || i >= len(v.Items) {
				return nil
			}
			v = v.Items[i]
		default:
			v = v.Get(part)
		}
	}
	return v
}

// check refuses references that lead from one to the next in a ring and never to a schema.
func (d *documents) check(v *jsontree.Value) error {
	for _, e := range v.Items {
		if err := d.check(e); err != nil {
			return err
		}
	}
	if ref, ok := v.String("$ref"); ok && v.Kind == jsontree.Object {
		at := v
		for hops := 0; ; hops++ {
			next, ok := at.String("$ref")
			if !ok {
				break
			}
			if hops > contract.DepthMax {
				return contract.Bad(ref, "the references form a ring and lead to no schema")
			}
			if at = d.find(at, next); at == nil {
				break // of a metaschema, or what the compiler knows and we do not
			}
		}
	}
	for i := range v.Members {
		if err := d.check(v.Members[i].Value); err != nil {
			return err
		}
	}
	return nil
}
