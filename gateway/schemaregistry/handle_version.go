package schemaregistry

import (
	"context"
	"errors"
	"strings"

	"leat/broker"
	"leat/contract/registry"
	"leat/internal/clock"
)

// GET /subjects/{subject}/versions
func listVersions(_ context.Context, x *call) (any, error) {
	if err := x.maySee(x.subject()); err != nil {
		return nil, err
	}
	w := which(x)
	if x.is("deletedAsNegative") {
		w = registry.WithDeleted
	}
	all, err := x.registry().Places(x.subject(), w)
	if err != nil {
		return nil, err
	}
	out := make([]int, len(all))
	for i, v := range all {
		if out[i] = v.Version; v.Deleted && x.is("deletedAsNegative") {
			out[i] = -v.Version
		}
	}
	return page(x, out)
}

// POST /subjects/{subject}/versions: what is there already costs no change, and no more than the right to see it.
func register(ctx context.Context, x *call) (any, error) {
	var in schemaRequest
	if err := x.body(ctx, &in); err != nil {
		return nil, err
	}
	subject := x.subject()
	if in.Version == registry.Latest {
		in.Version = 0
	}
	ask := registry.Registration{
		Content: in.content(), ID: max(in.ID, 0), Version: max(in.Version, 0), Normalize: x.is("normalize"), Force: x.is("force"), TimeMS: clock.Now().UnixMilli(),
	}
	if err := x.maySee(subject); err == nil {
		if v, c, err := x.registry().Register(subject, ask); err == nil && c.Empty() {
			return registered(v, &in), nil
		}
	}
	var v *registry.Version
	err := x.g.b.RegisterContract(ctx, &x.caller, subject, func(r *registry.Registry) (c registry.Change, err error) {
		v, c, err = r.Register(subject, ask)
		return c, err
	})
	if err != nil {
		return nil, err
	}
	return registered(v, &in), nil
}

// registered is the answer to a registration. The text is told where the client left it to us; a client that sent one may keep its own: Python's
// takes what is answered for what it sent, which may have been a descriptor in base64.
func registered(v *registry.Version, in *schemaRequest) *told {
	t := tell(v)
	t.Subject, t.TS = "", 0
	if in.Schema != "" {
		t.Schema = ""
	}
	return t
}

// at is the version that the path names.
func (x *call) at(deleted bool) (*registry.Version, error) {
	if err := x.maySee(x.subject()); err != nil {
		return nil, err
	}
	n, err := registry.ParseVersion(x.vars["version"])
	if err != nil {
		return nil, err
	}
	return x.registry().Version(x.subject(), n, deleted)
}

// GET /subjects/{subject}/versions/{version}
func getVersion(_ context.Context, x *call) (any, error) {
	if n, err := registry.ParseVersion(x.vars["version"]); err == nil && x.maySee(x.subject()) == nil {
		s, ok := x.registry().ShownVersion(x.subject(), n, x.is("deleted"))
		if b, ok := x.show(s, ok, false); ok {
			return b, nil
		}
	}
	v, err := x.at(x.is("deleted"))
	if err != nil {
		return nil, err
	}
	t := tell(v)
	x.qualify(t)
	return t, x.format(t, v)
}

// qualify writes the context of what a schema refers to, where that is asked for.
func (x *call) qualify(t *told) {
	context, _ := registry.Split(t.Subject)
	if x.query.Get("referenceFormat") != "qualified" || context == registry.DefaultContext {
		return
	}
	refs := make([]registry.Reference, len(t.References))
	for i, r := range t.References {
		if !strings.HasPrefix(r.Subject, ":.") {
			r.Subject = registry.Qualify(context, r.Subject)
		}
		refs[i] = r
	}
	t.References = refs
}

// GET /subjects/{subject}/versions/{version}/schema
func getVersionText(_ context.Context, x *call) (any, error) {
	v, err := x.at(x.is("deleted"))
	if err != nil {
		return nil, err
	}
	t := tell(v)
	err = x.format(t, v)
	return plain(t.Schema), err
}

// DELETE /subjects/{subject}/versions/{version}
func deleteVersion(ctx context.Context, x *call) (any, error) {
	n, err := registry.ParseVersion(x.vars["version"])
	if err != nil {
		return nil, err
	}
	var v *registry.Version
	err = x.g.b.ChangeContracts(ctx, &x.caller, broker.ActionDelete, x.subject(), func(r *registry.Registry) (c registry.Change, err error) {
		v, c, err = r.DeleteVersion(x.subject(), n, x.is("permanent"))
		return c, err
	})
	if err != nil {
		return nil, err
	}
	return v.Version, nil
}

// GET /subjects/{subject}/versions/{version}/referencedby
func referencedBy(_ context.Context, x *call) (any, error) {
	v, err := x.at(true)
	if err != nil {
		return nil, err
	}
	out, seen := []int{}, map[int]bool{}
	for _, by := range x.registry().ReferencedBy(v.Subject, v.Version, x.is("deleted")) {
		if !seen[by.ID] {
			seen[by.ID] = true
			out = append(out, by.ID)
		}
	}
	return page(x, out)
}

// POST /compatibility/subjects/{subject}/versions[/{version}]
func compatible(ctx context.Context, x *call) (any, error) {
	var in schemaRequest
	if err := x.body(ctx, &in); err != nil {
		return nil, err
	}
	if err := x.maySee(x.subject()); err != nil {
		return nil, err
	}
	n := 0
	if s, ok := x.vars["version"]; ok {
		var err error
		if n, err = registry.ParseVersion(s); err != nil {
			return nil, err
		}
	}
	c := in.content()
	lines, err := x.registry().Compatible(x.subject(), &c, n, x.is("normalize"))
	var p *registry.Problem
	if errors.As(err, &p) && p.Code == registry.InvalidSchema && x.is("verbose") {
		lines, err = []string{p.Text}, nil
	}
	if err != nil {
		return nil, err
	}
	out := compatibility{Compatible: len(lines) == 0}
	if x.is("verbose") {
		out.Messages = lines
	}
	return out, nil
}
