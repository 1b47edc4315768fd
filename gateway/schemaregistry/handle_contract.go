package schemaregistry

import (
	"context"
	"slices"

	"leat/broker"
	"leat/contract/registry"
)

// GET /contracts: which streams and types of events keep to which subject.
func listContracts(_ context.Context, x *call) (any, error) {
	all := slices.DeleteFunc(x.registry().Bindings(), func(b *registry.Binding) bool { return x.maySee(b.Name) != nil })
	return page(x, all)
}

// GET /contracts/{name}
func getContract(_ context.Context, x *call) (any, error) {
	if err := x.maySee(x.vars["name"]); err != nil {
		return nil, err
	}
	return x.tellContract(x.vars["name"])
}

// seenContract is a binding with what it has seen.
type seenContract struct {
	*registry.Binding
	Checked int64 `json:"checked"`
	Broken  int64 `json:"broken"`

	Quarantined int64 `json:"quarantined"`

	Tags map[string][]string `json:"tags,omitempty"` // of the fields of the newest schema
}

func (x *call) tellContract(name string) (any, error) {
	b, err := x.registry().Binding(name)
	if err != nil {
		return nil, err
	}
	seen := x.g.b.ContractStats(x.caller.Namespace, name)
	out := seenContract{Binding: b, Checked: seen.Checked, Broken: seen.Broken, Quarantined: seen.Quarantined}
	if b.Subject == "" {
		return out, nil
	}
	fields, err := x.g.b.Tags(&x.caller, b.Subject)
	if err != nil {
		return out, nil //nolint:nilerr // who may see the contract and not the subject is told less
	}
	for _, f := range fields {
		if out.Tags == nil {
			out.Tags = map[string][]string{}
		}
		out.Tags[f.Field] = f.Tags
	}
	return out, nil
}

// PUT /contracts/{name}
func putContract(ctx context.Context, x *call) (any, error) {
	var in registry.Binding
	if err := x.body(ctx, &in); err != nil {
		return nil, err
	}
	in.Name = x.vars["name"]
	err := x.g.b.ChangeContracts(ctx, &x.caller, broker.ActionAlter, in.Name, func(r *registry.Registry) (registry.Change, error) {
		return r.PutBinding(in)
	})
	if err != nil {
		return nil, err
	}
	return x.tellContract(in.Name)
}

// DELETE /contracts/{name}
func deleteContract(ctx context.Context, x *call) (any, error) {
	err := x.g.b.ChangeContracts(ctx, &x.caller, broker.ActionDelete, x.vars["name"], func(r *registry.Registry) (registry.Change, error) {
		return r.DeleteBinding(x.vars["name"])
	})
	return nothing{}, err
}
