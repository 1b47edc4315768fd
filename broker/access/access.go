package access

import (
	"net/netip"
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

	Allotment Kind = "allotment" // of the platform's own making: nobody is granted anything on it

	Producer Kind = "producer" // the name under which a producer's transactions are known

	Subscription Kind = "subscription"

	Contract Kind = "contract"

	AnyKind Kind = "*"
)

// Grant allows an action on all things of a kind whose name matches the pattern: a name, or a beginning followed by "*". One that denies
// refuses it, whatever others allow.
type Grant struct {
	Action  Action `json:"action"`
	Kind    Kind   `json:"kind"`
	Pattern string `json:"pattern"`
	Deny    bool   `json:"deny,omitempty"`
	From    string `json:"from,omitempty"`  // counts only for clients at that address; empty: everywhere
	Label   string `json:"label,omitempty"` // what whoever gave it calls it; it changes nothing
}

// LabelBytesMax is the longest label of a grant.
const LabelBytesMax = 64

// Check refuses a grant that cannot mean anything.
func (g *Grant) Check() error {
	switch g.Action {
	case Read, Write, Create, Delete, Alter, Describe, Admin, Any:
	default:
		return fault.New(fault.Invalid, "grant", "action", "action %q is none of read, write, create, delete, alter, describe, admin, *", g.Action)
	}
	switch g.Kind {
	case Stream, Subscription, User, Node, Hook, Contract, Link, Producer, AnyKind:
	default:
		return fault.New(fault.Invalid, "grant", "kind", "kind %q is none of stream, subscription, user, node, hook, contract, link, producer, *", g.Kind)
	}
	if i := strings.IndexByte(g.Pattern, '*'); g.Pattern == "" || i >= 0 && i != len(g.Pattern)-1 {
		return fault.New(fault.Invalid, "grant", "pattern", "pattern %q must be a name, or a beginning followed by *", g.Pattern)
	}
	if g.From != "" {
		if a, err := netip.ParseAddr(g.From); err != nil || a.String() != g.From {
			return fault.New(fault.Invalid, "grant", "from", "from is %q; it must be an IP address in its usual form", g.From)
		}
	}
	if len(g.Label) > LabelBytesMax {
		return fault.New(fault.Invalid, "grant", "label", "the label has %d bytes; the limit is %d", len(g.Label), LabelBytesMax)
	}
	return nil
}

// matches says whether the grant is about things of that kind and name, and about clients at that address.
func (g *Grant) matches(k Kind, name, from string) bool {
	if g.Kind != k && g.Kind != AnyKind || g.From != "" && g.From != from {
		return false
	}
	p, star := strings.CutSuffix(g.Pattern, "*")
	return star && strings.HasPrefix(name, p) || !star && g.Pattern == name
}

// denies: what is denied is the action itself, and not what it would have implied.
func (g *Grant) denies(a Action, k Kind, name, from string) bool {
	return g.Deny && (g.Action == a || g.Action == Any) && g.matches(k, name, from)
}

func (g *Grant) covers(a Action, k Kind, name, from string) bool {
	if g.Deny || !g.matches(k, name, from) {
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

// Allows reports whether one of the grants covers the action, for a client at an address, and none denies it.
func Allows(grants []Grant, a Action, k Kind, name, from string) bool {
	covered := false
	for i := range grants {
		if grants[i].denies(a, k, name, from) {
			return false
		}
		covered = covered || grants[i].covers(a, k, name, from)
	}
	return covered
}

// AllowsOwn is Allows for what belongs to the platform itself, whose names begin with prefix: a grant on everything means everything of
// the users'. Only the right to administer reaches further, and a pattern that itself begins with prefix.
func AllowsOwn(grants []Grant, a Action, k Kind, name, prefix, from string) bool {
	covered := false
	for i := range grants {
		g := &grants[i]
		if g.denies(a, k, name, from) {
			return false
		}
		covered = covered || g.covers(a, k, name, from) && (g.Action == Admin || g.Action == Any || strings.HasPrefix(g.Pattern, prefix))
	}
	return covered
}
