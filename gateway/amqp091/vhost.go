package amqp091

import (
	"context"
	"slices"
	"strings"

	"leat/broker"
	"leat/broker/fault"
)

// A virtual host is a namespace: "/" is the user's own, or the default one, others are those in which there is anything. Names are escaped as those of
// queues are (name.go): rabbit/hole is the namespace amqp.esc.rabbit_2Fhole.

func namespaceOfVhost(vhost string) string { return ourName(vhost) }

func vhostOf(namespace string) string {
	name, _ := theirName(namespace)
	return name
}

// Vhosts are the virtual hosts that a caller may open: "/", which is his own namespace, and where he has none of his own those of others.
func (g *Gateway) Vhosts(c *broker.Caller) []string {
	out := []string{"/"}
	if c.Principal != "" && g.b.NamespaceOf(c.Principal) != "" {
		return out
	}
	for _, name := range g.b.OwnNamespaces() {
		if name != namespaceOf(c) && g.hosts(name) {
			out = append(out, vhostOf(name))
		}
	}
	return out
}

// forNames is for listing what is in memory, which waits for nothing.
var forNames = context.Background()

// hosts reports whether there is anything of anybody's in a namespace: what the platform keeps of one that was deleted does not make it one.
//
//nolint:contextcheck // see forNames
func (g *Gateway) hosts(namespace string) bool {
	if s, _ := g.b.OwnStream(namespace, defaultStream, documentExchange); s.Name != "" {
		return true
	}
	streams, err := g.b.ListStreams(forNames, g.b.OwnCaller(namespace))
	if err != nil || slices.ContainsFunc(streams, func(s broker.StreamSummary) bool { return !s.Internal && !strings.HasPrefix(s.Name, platform) }) {
		return true
	}
	subs, err := g.b.ListSubscriptions(forNames, g.b.OwnCaller(namespace))
	return err != nil || slices.ContainsFunc(subs, func(s broker.SubscriptionSummary) bool { return !strings.HasPrefix(s.Name, platform) })
}

// Namespace is that of a virtual host; false when the caller may not open it.
func (g *Gateway) Namespace(c *broker.Caller, vhost string) (namespace string, ok bool) {
	if vhost == "/" || namespaceOfVhost(vhost) == namespaceOf(c) {
		return c.Namespace, true
	}
	return namespaceOfVhost(vhost), slices.Contains(g.Vhosts(c), vhost)
}

// mayHost refuses to make or delete a virtual host.
func (g *Gateway) mayHost(c *broker.Caller, op, vhost string) error {
	switch bound := c.Principal != "" && g.b.NamespaceOf(c.Principal) != ""; {
	case bound, !g.b.Allowed(c, broker.ActionAdmin, broker.KindNode, vhost):
		return fault.New(fault.Denied, op, vhost, "to make and delete virtual hosts takes the right to administer the node")
	case vhost == "/" || namespaceOfVhost(vhost) == namespaceOf(c):
		return fault.New(fault.Invalid, op, vhost, "the virtual host / is there, and stays")
	}
	return nil
}

// MakeVhost makes a virtual host that is not there yet: the exchange without a name is what makes it one.
func (g *Gateway) MakeVhost(ctx context.Context, c *broker.Caller, vhost string) error {
	if err := g.mayHost(c, "create", vhost); err != nil {
		return err
	}
	ns := namespaceOfVhost(vhost)
	if vhostOf(ns) != vhost {
		return fault.New(fault.Invalid, "create", vhost, "the name of the virtual host is too long")
	}
	g.topology.Lock()
	defer g.topology.Unlock()
	return g.makeStream(ctx, ns, "", g.exchangeOf(ns, ""))
}

// DeleteVhost deletes a virtual host with all that is in it, and closes its connections.
func (g *Gateway) DeleteVhost(ctx context.Context, c *broker.Caller, vhost string) error {
	if err := g.mayHost(c, "delete", vhost); err != nil {
		return err
	}
	ns := namespaceOfVhost(vhost)
	in := *c
	in.Namespace = ns
	for _, conn := range g.Connections(&in) {
		g.CloseConnection(ctx, &in, conn.Name, "vhost '"+vhost+"' is deleted")
	}
	own := g.b.OwnCaller(ns)
	subs, err := g.b.ListSubscriptions(ctx, own)
	if err != nil {
		return err
	}
	for i := range subs {
		if err := g.dropQueue(ctx, own, queueKey{ns, queueNameOf(subs[i].Name, &subs[i].Config)}); err != nil && !fault.Is(err, fault.NotFound) {
			return err
		}
	}
	streams, err := g.b.ListStreams(ctx, own)
	if err != nil {
		return err
	}
	for i := range streams {
		if streams[i].Internal {
			continue
		}
		if err := g.b.DeleteStream(ctx, own, streams[i].Name); err != nil && !fault.Is(err, fault.NotFound) {
			return err
		}
	}
	g.changed.Add(1)
	return nil
}
