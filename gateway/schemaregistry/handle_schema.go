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
	all := x.registry().Schemas(prefix, w, x.is("latestOnly"))
	all = slices.DeleteFunc(all, func(v *registry.Version) bool { return x.maySee(v.Subject) != nil })
	if t := x.query.Get("ruleType"); t != "" {
		all = slices.DeleteFunc(all, func(v *registry.Version) bool { return !hasRule(v, t) })
	}
	all, err := page(x, all)
	if err != nil {
		return nil, err
	}
	out := []*told{}
	for _, v := range all[:min(len(all), x.g.cfg.ListMax)] {
		out = append(out, tell(v))
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
func (x *call) ofID() ([]*registry.Version, error) {
	id, err := strconv.Atoi(x.vars["id"])
	if err != nil || id < 0 {
		return nil, errPath
	}
	all := x.registry().ByID(id, registry.Normalize(x.query.Get("subject")))
	all = slices.DeleteFunc(all, func(v *registry.Version) bool { return x.maySee(v.Subject) != nil })
	if len(all) == 0 {
		return nil, &registry.Problem{Code: registry.SchemaNotFound, Text: "Schema " + strconv.Itoa(id) + " not found"}
	}
	return all, nil
}

// GET /schemas/ids/{id}
func getByID(_ context.Context, x *call) (any, error) {
	all, err := x.ofID()
	if err != nil {
		return nil, err
	}
	v := x.best(all)
	t := tell(v)
	x.qualify(t)
	t.ID, t.TS, t.Deleted = 0, 0, false
	if x.is("fetchMaxId") {
		t.MaxID = x.registry().MaxID(v.Subject)
	}
	return t, x.format(t, v)
}

// best is the version that is told of several of one content: that of the subject that is asked for, then one that is not deleted.
func (x *call) best(all []*registry.Version) *registry.Version {
	subject := registry.Normalize(x.query.Get("subject"))
	rank := func(v *registry.Version) int {
		n := 0
		if v.Subject != subject {
			n += 2
		}
		if v.Deleted {
			n++
		}
		return n
	}
	return slices.MinFunc(all, func(a, b *registry.Version) int { return cmp.Compare(rank(a), rank(b)) })
}

// GET /schemas/ids/{id}/schema
func getTextByID(_ context.Context, x *call) (any, error) {
	all, err := x.ofID()
	if err != nil {
		return nil, err
	}
	t := tell(all[0])
	err = x.format(t, all[0])
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

func (x *call) ofGUID() ([]*registry.Version, error) {
	all := slices.DeleteFunc(x.registry().ByGUID(x.vars["guid"]), func(v *registry.Version) bool { return x.maySee(v.Subject) != nil })
	if len(all) == 0 {
		guid := x.vars["guid"]
		return nil, &registry.Problem{Code: registry.SchemaNotFound, Text: "Schema " + guid[:min(len(guid), textBytesKept)] + " not found"}
	}
	return all, nil
}

// GET /schemas/guids/{guid}
func getByGUID(_ context.Context, x *call) (any, error) {
	all, err := x.ofGUID()
	if err != nil {
		return nil, err
	}
	t := tell(all[0])
	t.ID, t.TS, t.Deleted = 0, 0, false
	return t, x.format(t, all[0])
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
