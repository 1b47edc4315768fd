package rabbitmq

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"

	"leat/gateway/amqp091"
	"leat/gateway/amqp091/wire"
)

// policyBody is what a policy is made of, here and in definitions.
type policyBody struct {
	Name       string       `json:"name"`
	Vhost      string       `json:"vhost"`
	Pattern    string       `json:"pattern"`
	ApplyTo    string       `json:"apply-to"`
	Definition object       `json:"definition"`
	Priority   *json.Number `json:"priority"`
}

func (b *policyBody) policy(name string) (p amqp091.Policy, err error) {
	p = amqp091.Policy{Name: name, Pattern: b.Pattern, ApplyTo: b.ApplyTo}
	if b.Pattern == "" {
		return p, badRequest("[{key_missing,pattern}]")
	}
	if b.Priority != nil {
		n, err := b.Priority.Int64()
		if err != nil || n < -1<<31 || n >= 1<<31 {
			return p, badRequest("priority is a number")
		}
		p.Priority = int(n)
	}
	p.Definition, err = tableOf(b.Definition)
	return p, err
}

func (x *call) policy(p *amqp091.Policy) object {
	return object{"vhost": x.vhost, "name": p.Name, "pattern": p.Pattern, "apply-to": p.ApplyTo, "priority": p.Priority, "definition": jsonOf(p.Definition)}
}

// definitionOf are arguments of queues as a policy writes them.
func definitionOf(t wire.Table) object {
	o := object{}
	for name, v := range jsonOf(t) {
		o[strings.TrimPrefix(name, "x-")] = v
	}
	return o
}

// GET policies, policies/{vhost}
func getPolicies(_ context.Context, x *call) error {
	all := []named{}
	_ = x.each(func(x *call) error { // nothing can fail
		for _, p := range x.g.amqp.Policies(&x.caller) {
			all = append(all, named{p.Name, func() (object, error) { return x.policy(&p), nil }})
		}
		return nil
	})
	return x.list(all)
}

// GET policies/{vhost}/{name}
func getPolicy(_ context.Context, x *call) error {
	for _, p := range x.g.amqp.Policies(&x.caller) {
		if p.Name == x.vars[1] {
			return x.item(x.policy(&p))
		}
	}
	return errNotFound
}

// PUT policies/{vhost}/{name}: it holds when it is answered
func putPolicy(ctx context.Context, x *call) error {
	var b policyBody
	if err := x.body(ctx, &b); err != nil {
		return err
	}
	p, err := b.policy(x.vars[1])
	if err != nil {
		return err
	}
	isNew, err := x.g.amqp.PutPolicy(ctx, &x.caller, p)
	if err != nil {
		return err
	}
	return x.done(made(isNew))
}

// DELETE policies/{vhost}/{name}
func deletePolicy(ctx context.Context, x *call) error {
	if err := x.g.amqp.DeletePolicy(ctx, &x.caller, x.vars[1]); err != nil {
		return err
	}
	return x.done(http.StatusNoContent)
}
