package group

// Description is a classic group as people are told of it.
type Description struct {
	State    State
	Kind     string
	Protocol string // only of a stable group
	Members  []DescribedMember
}

// DescribedMember is one of its members.
type DescribedMember struct {
	ID, Instance   string
	ClientID, Host string
	Metadata       []byte
	Assignment     []byte
}

// State is what the group is doing.
func (g *Classic) State() State { return g.state }

// Kind is the type of its protocols, "" if it never had a member.
func (g *Classic) Kind() string { return g.kind }

// Members is how many there are.
func (g *Classic) Members() int { return len(g.order) }

// Describe tells all about it. What members say of themselves and their assignments are told once it is stable, since they say nothing before.
func (g *Classic) Describe() Description {
	d := Description{State: g.state, Kind: g.kind}
	if g.state == Stable {
		d.Protocol = g.protocol
	}
	for _, m := range g.order {
		x := DescribedMember{ID: m.id, Instance: m.instance, ClientID: m.clientID, Host: m.host}
		if g.state == Stable {
			x.Metadata, x.Assignment = m.metadata(g.protocol), m.assignment
		}
		d.Members = append(d.Members, x)
	}
	return d
}

// Settled reports whether an empty group has nobody who was told to join.
func (g *Classic) Settled() bool { return len(g.pending) == 0 }
