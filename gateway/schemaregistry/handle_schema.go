package schemaregistry

import (
	"cmp"
	"context"
	"slices"
	"strconv"

	"leat/contract/registry"
)

// GET /schemas/types
func schemaTypes(context.Context, *call) (any, error) { return registry.Types(), nil }

// GET /schemas
func listSchemas(_ context.Context, x *call) (any, error) {
	w := registry.Live
	if x.is("deleted") {
		w = registry.WithDeleted
	}
	prefix := registry.AllContexts
	if p := x.query.Get("subjectPrefix"); p != "" {
		prefix = p
	}
	kind := x.query.Get("ruleType")
	offset, limit, err := x.window()
	if err != nil {
		return nil, err
	}
	out := []*told{}
	if limit = min(limit, x.g.cfg.ListMax); limit == 0 {
		return out, nil
	}
	for v := range x.registry().Schemas(prefix, w, x.is("latestOnly")) {
		if x.maySee(v.Subject) != nil || kind != "" && !hasRule(v, kind) {
			continue
		}
		if offset--; offset >= 0 {
			continue
		}
		if out = append(out, tell(v)); len(out) == limit {
			break
		}
	}
	return out, nil
}

func hasRule(v *registry.Version, kind string) bool {
	if v.RuleSet == nil {
		return false
	}
	is := func(r registry.Rule) bool { return r.Type == kind }
	return slices.ContainsFunc(v.RuleSet.DomainRules, is) || slices.ContainsFunc(v.RuleSet.MigrationRules, is) || slices.ContainsFunc(v.RuleSet.EncodingRules, is)
}

// ofID are the versions that have the id of the path, as far as the caller may know of them.
func (x *call) ofID() ([]registry.Place, error) {
	id, err := strconv.Atoi(x.vars["id"])
	if err != nil || id < 0 {
		return nil, errPath
	}
	all := x.registry().PlacesOfID(id, registry.Normalize(x.query.Get("subject")))
	all = slices.DeleteFunc(all, func(p registry.Place) bool { return x.maySee(p.Subject) != nil })
	if len(all) == 0 {
		return nil, errNoSchema(strconv.Itoa(id))
	}
	return all, nil
}

func errNoSchema(what string) error {
	return &registry.Problem{Code: registry.SchemaNotFound, Text: "Schema " + what + " not found"}
}

// GET /schemas/ids/{id}
func getByID(_ context.Context, x *call) (any, error) {
	all, err := x.ofID()
	if err != nil {
		return nil, err
	}
	best := x.best(all)
	s, ok := x.registry().Shown(best)
	if b, ok := x.show(s, ok, true); ok {
		return b, nil
	}
	v := x.registry().At(best)
	if v == nil {
		return nil, errNoSchema(x.vars["id"])
	}
	t := tell(v)
	x.qualify(t)
	t.ID, t.TS, t.Deleted = 0, 0, false
	if x.is("fetchMaxId") {
		t.MaxID = x.registry().MaxID(v.Subject)
	}
	return t, x.format(t, v)
}

// best is the place that is told of several of one content: that of the subject that is asked for, then one that is not deleted.
func (x *call) best(all []registry.Place) registry.Place {
	subject := registry.Normalize(x.query.Get("subject"))
	rank := func(p registry.Place) int {
		n := 0
		if p.Subject != subject {
			n += 2
		}
		if p.Deleted {
			n++
		}
		return n
	}
	return slices.MinFunc(all, func(a, b registry.Place) int { return cmp.Compare(rank(a), rank(b)) })
}

// GET /schemas/ids/{id}/schema
func getTextByID(_ context.Context, x *call) (any, error) {
	all, err := x.ofID()
	if err != nil {
		return nil, err
	}
	v := x.registry().At(all[0])
	if v == nil {
		return nil, errNoSchema(x.vars["id"])
	}
	t := tell(v)
	err = x.format(t, v)
	return plain(t.Schema), err
}

// GET /schemas/ids/{id}/subjects
func subjectsOfID(_ context.Context, x *call) (any, error) {
	all, err := x.ofID()
	if err != nil {
		return nil, err
	}
	out := []string{}
	for _, v := range all {
		if (!v.Deleted || x.is("deleted")) && !slices.Contains(out, v.Subject) {
			out = append(out, v.Subject)
		}
	}
	return page(x, out)
}

// subjectVersion is a place of a schema.
type subjectVersion struct {
	Subject string `json:"subject"`
	Version int    `json:"version"`
}

// GET /schemas/ids/{id}/versions
func versionsOfID(_ context.Context, x *call) (any, error) {
	all, err := x.ofID()
	if err != nil {
		return nil, err
	}
	out := []subjectVersion{}
	for _, v := range all {
		if !v.Deleted || x.is("deleted") {
			out = append(out, subjectVersion{v.Subject, v.Version})
		}
	}
	return page(x, out)
}

func (x *call) ofGUID() ([]registry.Place, error) {
	all := slices.DeleteFunc(x.registry().PlacesOfGUID(x.vars["guid"]), func(p registry.Place) bool { return x.maySee(p.Subject) != nil })
	if len(all) == 0 {
		guid := x.vars["guid"]
		return nil, errNoSchema(guid[:min(len(guid), textBytesKept)])
	}
	return all, nil
}

// GET /schemas/guids/{guid}
func getByGUID(_ context.Context, x *call) (any, error) {
	all, err := x.ofGUID()
	if err != nil {
		return nil, err
	}
	v := x.registry().At(all[0])
	if v == nil {
		return nil, errNoSchema(x.vars["guid"])
	}
	t := tell(v)
	t.ID, t.TS, t.Deleted = 0, 0, false
	return t, x.format(t, v)
}

// GET /schemas/guids/{guid}/ids
func idsOfGUID(_ context.Context, x *call) (any, error) {
	all, err := x.ofGUID()
	if err != nil {
		return nil, err
	}
	type contextID struct {
		Context string `json:"context"`
		ID      int    `json:"id"`
	}
	out := []contextID{}
	for _, v := range all {
		context, _ := registry.Split(v.Subject)
		if c := (contextID{context, v.ID}); !slices.Contains(out, c) {
			out = append(out, c)
		}
	}
	return out, nil
}
