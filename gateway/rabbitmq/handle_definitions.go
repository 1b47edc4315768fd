package rabbitmq

import (
	"context"
	"fmt"
	"mime"
	"net/http"
	"strings"
)

// definitions are what RabbitMQ exports and imports. What has no place here is kept as it came, to be counted.
type definitions struct {
	Vhosts    []struct{ Name string } `json:"vhosts"`
	Queues    []queueBody             `json:"queues"`
	Exchanges []exchangeBody          `json:"exchanges"`
	Bindings  []bindingBody           `json:"bindings"`
	Policies  []policyBody            `json:"policies"`

	Users            []object `json:"users"`
	Permissions      []object `json:"permissions"`
	TopicPermissions []object `json:"topic_permissions"`
	Parameters       []object `json:"parameters"`
	GlobalParameters []object `json:"global_parameters"`
	OperatorPolicies []object `json:"operator_policies"`
}

// GET definitions, definitions/{vhost}: durable queues and exchanges, and what binds them.
func getDefinitions(ctx context.Context, x *call) error {
	one := len(x.vars) == 1
	with := func(o object) object {
		if !one {
			o["vhost"] = x.vhost
		}
		return o
	}
	out := object{"rabbit_version": rabbitVersion, "rabbitmq_version": rabbitVersion, "product_name": productName, "product_version": rabbitVersion, "parameters": []object{}}
	lasting := map[string]bool{}
	qs, err := x.g.amqp.Queues(ctx, &x.caller)
	if err != nil {
		return err
	}
	queues := []object{}
	for _, q := range qs {
		if q.Durable && !q.Exclusive {
			lasting["q "+q.Name] = true
			queues = append(queues, with(object{"name": q.Name, "durable": true, "auto_delete": q.AutoDelete, "arguments": jsonOf(q.Arguments)}))
		}
	}
	xs, err := x.g.amqp.Exchanges(ctx, &x.caller)
	if err != nil {
		return err
	}
	exchanges := []object{}
	for _, e := range xs {
		if !e.Durable {
			continue
		}
		lasting["e "+e.Name] = true
		if e.Name != "" && !strings.HasPrefix(e.Name, "amq.") {
			exchanges = append(exchanges, with(object{
				"name": e.Name, "type": e.Type, "durable": true, "auto_delete": e.AutoDelete, "internal": e.Internal, "arguments": jsonOf(e.Arguments),
			}))
		}
	}
	bs, err := x.g.amqp.Bindings(ctx, &x.caller)
	if err != nil {
		return err
	}
	bindings := []object{}
	for i := range bs {
		b := &bs[i]
		word, letter := destinationKind(b.ToExchange)
		if b.Source == "" || !lasting["e "+b.Source] || !lasting[letter+" "+b.Destination] {
			continue
		}
		bindings = append(bindings, with(object{"source": b.Source, "destination": b.Destination, "destination_type": word, "routing_key": b.Key, "arguments": jsonOf(b.Arguments)}))
	}
	policies := []object{}
	for _, p := range x.g.amqp.Policies(&x.caller) {
		policies = append(policies, x.policy(&p))
	}
	out["queues"], out["exchanges"], out["bindings"], out["policies"] = queues, exchanges, bindings, policies
	if !one {
		out["vhosts"], out["users"], out["permissions"] = []object{{"name": x.vhost}}, []object{}, []object{}
		out["topic_permissions"], out["global_parameters"] = []object{}, []object{}
	}
	if d := x.query.Get("download"); d != "" {
		x.w.Header().Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": clip(d)}))
	}
	return x.item(out)
}

// POST definitions, definitions/{vhost}: exchanges, queues, bindings and policies are made, in that order; what is there already and is the same stays. The
// first that is refused ends it, and what was made before stays. All must be in the caller's virtual host.
//
// Users, permissions and parameters are left out. 204: all was taken; 200 says what was left out.
func postDefinitions(ctx context.Context, x *call) error {
	var d definitions
	if err := x.body(ctx, &d); err != nil {
		return err
	}
	one := len(x.vars) == 1
	inside := func(kind, name, vhost string) error {
		switch {
		case name == "" && kind != "binding":
			return badRequest(kind + " without a name")
		case one && vhost == "", vhost == x.vhost:
			return nil
		case vhost == "":
			return badRequest([]any{"no_such_vhost", "undefined"})
		}
		return badRequest([]any{"no_such_vhost", vhost})
	}
	for i := range d.Exchanges {
		if err := inside("exchange", d.Exchanges[i].Name, d.Exchanges[i].Vhost); err != nil {
			return err
		}
	}
	for i := range d.Queues {
		if err := inside("queue", d.Queues[i].Name, d.Queues[i].Vhost); err != nil {
			return err
		}
	}
	for i := range d.Bindings {
		if err := inside("binding", d.Bindings[i].Source, d.Bindings[i].Vhost); err != nil {
			return err
		}
	}
	for i := range d.Policies {
		if err := inside("policy", d.Policies[i].Name, d.Policies[i].Vhost); err != nil {
			return err
		}
	}
	if err := x.bringIn(ctx, &d); err != nil {
		return err
	}
	left := object{}
	for name, n := range map[string]int{
		"users": len(d.Users), "permissions": len(d.Permissions), "topic_permissions": len(d.TopicPermissions),
		"parameters": len(d.Parameters), "operator_policies": len(d.OperatorPolicies),
	} {
		if n > 0 {
			left[name] = n
		}
	}
	if len(left) == 0 {
		return x.done(http.StatusNoContent)
	}
	return x.answer(http.StatusOK, object{"left_out": left, "reason": "the passwords of users cannot be taken over: put users and their permissions one by one; parameters and operator policies are not known"})
}

// bringIn makes what definitions name, over one connection.
func (x *call) bringIn(ctx context.Context, d *definitions) error {
	a, err := x.g.open(ctx, x, x.vhost)
	if err != nil {
		return err
	}
	defer a.close()
	because := func(kind, name string, err error) error {
		if err == nil {
			return nil
		}
		p := *problemOf(err)
		p.reason = fmt.Sprintf("%s '%s': %v", kind, name, p.reason)
		return &p
	}
	for i := range d.Exchanges {
		e := &d.Exchanges[i]
		if e.Name == "" || strings.HasPrefix(e.Name, "amq.") {
			continue // every virtual host has them
		}
		m, err := e.method(e.Name)
		if err == nil {
			err = a.do(m)
		}
		if err != nil {
			return because("exchange", e.Name, err)
		}
	}
	for i := range d.Queues {
		m, err := d.Queues[i].method(d.Queues[i].Name)
		if err == nil {
			err = a.do(m)
		}
		if err != nil {
			return because("queue", d.Queues[i].Name, err)
		}
	}
	for i := range d.Bindings {
		b := &d.Bindings[i]
		if b.Source == "" {
			continue // every queue has it
		}
		m, _, err := b.method()
		if err == nil {
			err = a.do(m)
		}
		if err != nil {
			return because("binding", b.Source+" -> "+b.Destination, err)
		}
	}
	for i := range d.Policies {
		p, err := d.Policies[i].policy(d.Policies[i].Name)
		if err == nil {
			_, err = x.g.amqp.PutPolicy(ctx, &x.caller, p)
		}
		if err != nil {
			return because("policy", d.Policies[i].Name, err)
		}
	}
	return nil
}
