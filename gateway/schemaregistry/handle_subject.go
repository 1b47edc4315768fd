package schemaregistry

import (
	"context"
	"slices"

	"leat/broker"
	"leat/contract/registry"
)

func getRoot(context.Context, *call) (any, error) { return struct{}{}, nil }

func which(x *call) registry.Which {
	switch {
	case x.is("deletedOnly"):
		return registry.OnlyDeleted
	case x.is("deleted"):
		return registry.WithDeleted
	}
	return registry.Live
}

// seen leaves out the subjects that the caller may not know of.
func (x *call) seen(subjects []string) []string {
	return slices.DeleteFunc(subjects, func(s string) bool { return x.g.b.MayContract(&x.caller, broker.ActionDescribe, s) != nil })
}

func (x *call) maySee(subject string) error {
	return x.g.b.MayContract(&x.caller, broker.ActionDescribe, subject)
}

// GET /subjects
func listSubjects(_ context.Context, x *call) (any, error) {
	prefix := registry.AllContexts
	if x.query.Has("subjectPrefix") {
		prefix = x.query.Get("subjectPrefix")
	}
	return page(x, x.seen(x.registry().Subjects(prefix, which(x))))
}

// POST /subjects/{subject}: is a schema there?
func lookup(ctx context.Context, x *call) (any, error) {
	var in schemaRequest
	if err := x.body(ctx, &in); err != nil {
		return nil, err
	}
	subject := x.subject()
	if err := x.maySee(subject); err != nil {
		return nil, err
	}
	c := in.content()
	if !x.registry().Has(subject, x.is("deleted")) && x.registry().InScope(subject).Alias == "" {
		return nil, &registry.Problem{Code: registry.SubjectNotFound, Text: "Subject '" + subject + "' not found."}
	}
	v, err := x.registry().Find(subject, &c, x.is("normalize"), x.is("deleted"))
	if err != nil {
		return nil, err
	}
	t := tell(v)
	return t, x.format(t, v)
}

// DELETE /subjects/{subject}
func deleteSubject(ctx context.Context, x *call) (any, error) {
	var gone []*registry.Version
	err := x.g.b.ChangeContracts(ctx, &x.caller, broker.ActionDelete, x.subject(), func(r *registry.Registry) (c registry.Change, err error) {
		gone, c, err = r.DeleteSubject(x.subject(), x.is("permanent"))
		return c, err
	})
	return registry.Numbers(gone), err
}

// GET /subjects/{subject}/metadata
func latestWithMetadata(_ context.Context, x *call) (any, error) {
	if err := x.maySee(x.subject()); err != nil {
		return nil, err
	}
	keys, values := x.query["key"], x.query["value"]
	want := map[string]string{}
	for i := range min(len(keys), len(values)) {
		want[keys[i]] = values[i]
	}
	v, err := x.registry().WithMetadata(x.subject(), want, x.is("deleted"))
	if err != nil {
		return nil, err
	}
	t := tell(v)
	return t, x.format(t, v)
}

// GET /contexts
func listContexts(_ context.Context, x *call) (any, error) {
	return page(x, x.registry().Contexts())
}

// DELETE /contexts/{context}
func deleteContext(ctx context.Context, x *call) (any, error) {
	name := x.vars["context"]
	err := x.g.b.ChangeContracts(ctx, &x.caller, broker.ActionDelete, ":"+name+":", func(r *registry.Registry) (registry.Change, error) {
		return r.DeleteContext(name)
	})
	return nothing{}, err
}

// GET /v1/metadata/…
func metadataID(_ context.Context, x *call) (any, error) {
	return map[string]any{"scope": map[string]any{"path": []string{}, "clusters": map[string]string{
		"kafka-cluster": x.g.b.ClusterID(), "schema-registry-cluster": "schema-registry",
	}}, "id": ""}, nil
}

// apiVersion is the version of Confluent's registry whose API this is.
const apiVersion = "8.0.0"

func metadataVersion(context.Context, *call) (any, error) {
	return map[string]string{"version": apiVersion, "commitId": ""}, nil
}

func metadataDeployment(context.Context, *call) (any, error) {
	return map[string]any{"attributes": []string{"opensource"}}, nil
}
