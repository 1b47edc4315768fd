package access

import (
	"strings"

	"leat/broker/fault"
)

// Action is what somebody wants to do.
type Action string

const (
	Read     Action = "read"
	Write    Action = "write"
	Create   Action = "create"
	Delete   Action = "delete"
	Alter    Action = "alter"
	Describe Action = "describe"
	Admin    Action = "admin" // users and grants; implies every other action on what it covers
	Any      Action = "*"
)

// Kind is what sort of thing it is done to.
type Kind string

const (
	Stream Kind = "stream"
	User   Kind = "user"
	Node   Kind = "node"
	Hook   Kind = "hook"
	Link   Kind = "link"

	Subscription Kind = "subscription"

	AnyKind Kind = "*"
)

// Grant allows an action on all things of a kind whose name matches the pattern: a name, or a beginning followed by "*".
type Grant struct {
	Action  Action `json:"action"`
	Kind    Kind   `json:"kind"`
	Pattern string `json:"pattern"`
}

// Check refuses a grant that cannot mean anything.
func (g *Grant) Check() error {
	switch g.Action {
	case Read, Write, Create, Delete, Alter, Describe, Admin, Any:
	default:
		return fault.New(fault.Invalid, "grant", "action", "action %q is none of read, write, create, delete, alter, describe, admin, *", g.Action)
	}
	switch g.Kind {
	case Stream, Subscription, User, Node, Hook, Link, AnyKind:
	default:
		return fault.New(fault.Invalid, "grant", "kind", "kind %q is none of stream, subscription, user, node, hook, link, *", g.Kind)
	}
	if i := strings.IndexByte(g.Pattern, '*'); g.Pattern == "" || i >= 0 && i != len(g.Pattern)-1 {
		return fault.New(fault.Invalid, "grant", "pattern", "pattern %q must be a name, or a beginning followed by *", g.Pattern)
	}
	return nil
}

func (g *Grant) covers(a Action, k Kind, name string) bool {
	if g.Kind != k && g.Kind != AnyKind {
		return false
	}
	if p, star := strings.CutSuffix(g.Pattern, "*"); star && !strings.HasPrefix(name, p) || !star && g.Pattern != name {
		return false
	}
	switch g.Action {
	case a, Any, Admin:
		return true
	case Read, Write, Alter, Delete:
		return a == Describe // whoever may use a thing may see what it is
	default:
		return false
	}
}

// Allows reports whether one of the grants covers the action.
func Allows(grants []Grant, a Action, k Kind, name string) bool {
	for i := range grants {
		if grants[i].covers(a, k, name) {
			return true
		}
	}
	return false
}

// AllowsOwn is Allows for what belongs to the platform itself, whose names begin with prefix: a grant on everything means everything of
// the users'. Only the right to administer reaches further, and a pattern that itself begins with prefix.
func AllowsOwn(grants []Grant, a Action, k Kind, name, prefix string) bool {
	for i := range grants {
		g := &grants[i]
		if g.covers(a, k, name) && (g.Action == Admin || g.Action == Any || strings.HasPrefix(g.Pattern, prefix)) {
			return true
		}
	}
	return false
}
