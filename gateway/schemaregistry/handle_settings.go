package schemaregistry

import (
	"cmp"
	"context"

	"leat/broker"
	"leat/contract/registry"
)

// GET /config[/{subject}]
func getConfig(_ context.Context, x *call) (any, error) {
	if err := x.maySee(x.subject()); err != nil {
		return nil, err
	}
	if x.is("defaultToGlobal") {
		return x.registry().InScope(x.subject()), nil
	}
	return answer(x.registry().Config(x.subject()))
}

// answer is what a handler returns: a value in an error's company is none.
func answer[T any](v T, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	return v, nil
}

// PUT /config[/{subject}]
func putConfig(ctx context.Context, x *call) (any, error) {
	var in settingsRequest
	if err := x.body(ctx, &in); err != nil {
		return nil, err
	}
	in.Level = cmp.Or(in.Compatibility, in.CompatibilityLevel)
	err := x.g.b.ChangeContracts(ctx, &x.caller, broker.ActionAlter, x.subject(), func(r *registry.Registry) (c registry.Change, err error) {
		_, c, err = r.SetConfig(x.subject(), in.Settings)
		return c, err
	})
	in.Compatibility, in.CompatibilityLevel, in.Level = in.Level, "", ""
	return answer(in, err)
}

// DELETE /config[/{subject}]
func deleteConfig(ctx context.Context, x *call) (any, error) {
	var was registry.Settings
	err := x.g.b.ChangeContracts(ctx, &x.caller, broker.ActionAlter, x.subject(), func(r *registry.Registry) (c registry.Change, err error) {
		was, c, err = r.DeleteConfig(x.subject())
		return c, err
	})
	return answer(was, err)
}

type mode struct {
	Mode registry.Mode `json:"mode,omitempty"`
}

// GET /mode[/{subject}]
func getMode(_ context.Context, x *call) (any, error) {
	if err := x.maySee(x.subject()); err != nil {
		return nil, err
	}
	if x.is("defaultToGlobal") {
		return mode{x.registry().ModeInScope(x.subject())}, nil
	}
	m, err := x.registry().Mode(x.subject())
	return answer(mode{m}, err)
}

// PUT /mode[/{subject}]
func putMode(ctx context.Context, x *call) (any, error) {
	var in mode
	if err := x.body(ctx, &in); err != nil {
		return nil, err
	}
	var is registry.Mode
	err := x.g.b.ChangeContracts(ctx, &x.caller, broker.ActionAlter, x.subject(), func(r *registry.Registry) (c registry.Change, err error) {
		is, c, err = r.SetMode(x.subject(), string(in.Mode), x.is("force"))
		return c, err
	})
	return answer(mode{is}, err)
}

// DELETE /mode[/{subject}]
func deleteMode(ctx context.Context, x *call) (any, error) {
	var was registry.Mode
	err := x.g.b.ChangeContracts(ctx, &x.caller, broker.ActionAlter, x.subject(), func(r *registry.Registry) (c registry.Change, err error) {
		was, c, err = r.DeleteMode(x.subject(), x.is("recursive"))
		return c, err
	})
	return answer(mode{was}, err)
}
