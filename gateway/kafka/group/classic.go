package group

import (
	"bytes"
	"slices"
)

// Classic is a group of the older protocol: members join, one of them says who reads what, all fetch what it said.
//
//	Empty ──join──▶ Preparing ──all have joined, or time is up──▶ Completing ──the leader has synced──▶ Stable
//	  ▲                 ▲  ▲                                        │    │                                │
//	  └──nobody came────┘  └────somebody joins, leaves or is late───┴────┘◀───────────────────────────────┘
//
// It is steppable: it has no goroutine and no clock. Each call is given the time, in milliseconds, and leaves in the Output what there is to write and,
// once that is kept, to answer. One caller at a time.
type Classic struct {
	cfg Config

	state      State
	sinceMS    int64 // when the state began
	generation int32
	kind       string // the type of its protocols, "consumer" for those who read
	protocol   string // the one that was chosen
	leader     string

	members   map[string]*member
	order     []*member // as they came
	instances map[string]*member
	pending   map[string]int64 // ids that were given out and have not joined, and when they are forgotten
	bytes     int              // of all members
	knownBy   map[string]int   // how many members know a protocol

	joinMS  int64 // Preparing: when it ends whoever is missing
	initial bool  // Preparing: the first rebalance of an empty group, which waits for more
	leftMS  int64 // initial: for how much longer it may be put off
	fresh   bool  // initial: somebody came since it was put off
	syncMS  int64 // Completing, Stable: when those who have not synced are late; 0: all have

	ledger
	out Output
}

// State is what a group is doing.
type State uint8

// The states; of the newer protocol, too.
const (
	Empty State = iota
	Preparing
	Completing
	Stable
	Assigning
	Reconciling
)

var stateNames = [...]string{"Empty", "PreparingRebalance", "CompletingRebalance", "Stable", "Assigning", "Reconciling"}

// String is the name that clients know.
func (s State) String() string { return stateNames[s] }

// Token stands for a request that waits for its answer. 0 is none.
type Token uint64

// Protocol is a way to share partitions that a member knows, with what it says about itself under it.
type Protocol struct {
	Name     string `json:"name"`
	Metadata []byte `json:"metadata,omitempty"`
}

// member is one of a classic group.
type member struct {
	id, instance string
	clientID     string
	host         string
	sessionMS    int64
	rebalanceMS  int64
	protocols    []Protocol
	assignment   []byte

	join, sync Token // of the request that waits
	skips      bool  // the one that joins understands skip_assignment
	unsynced   bool  // has joined this generation and not asked for its assignment
	isNew      bool  // has never had an answer: it may leave while it waits
	deadlineMS int64 // when its session ends, unless it waits
}

// NewClassic is an empty group.
func NewClassic(cfg Config, nowMS int64) *Classic {
	return &Classic{cfg: cfg, sinceMS: nowMS, members: map[string]*member{}, instances: map[string]*member{}, pending: map[string]int64{}, knownBy: map[string]int{}, ledger: newLedger()}
}

// newMemberJoinMS is how long a member that is new may wait for a rebalance to end: its client may have gone without a word.
const newMemberJoinMS = 5 * 60 * 1000

func (g *Classic) enter(s State, nowMS int64) {
	if g.state != s {
		g.state, g.sinceMS = s, nowMS
	}
}

func (m *member) bytes() int {
	n := len(m.assignment)
	for i := range m.protocols {
		n += len(m.protocols[i].Metadata) + len(m.protocols[i].Name)
	}
	return n
}

func (m *member) metadata(protocol string) []byte {
	for i := range m.protocols {
		if m.protocols[i].Name == protocol {
			return m.protocols[i].Metadata
		}
	}
	return nil
}

func sameProtocols(a, b []Protocol) bool {
	return slices.EqualFunc(a, b, func(x, y Protocol) bool { return x.Name == y.Name && bytes.Equal(x.Metadata, y.Metadata) })
}

// alive has a member's session begin again.
func (m *member) alive(nowMS int64) { m.deadlineMS = nowMS + m.sessionMS }

func (g *Classic) add(m *member) {
	g.members[m.id] = m
	g.order = append(g.order, m)
	if m.instance != "" {
		g.instances[m.instance] = m
	}
	g.weigh(m, 1)
}

func (g *Classic) assign(m *member, assignment []byte) {
	g.bytes += len(assignment) - len(m.assignment)
	m.assignment = assignment
}

func (g *Classic) remove(m *member) {
	delete(g.members, m.id)
	g.order = slices.DeleteFunc(g.order, func(x *member) bool { return x == m })
	if g.instances[m.instance] == m {
		delete(g.instances, m.instance)
	}
	if g.leader == m.id {
		g.leader = ""
		if len(g.order) > 0 {
			g.leader = g.order[0].id
		}
	}
	g.weigh(m, -1)
	g.forget(m.id)
	g.answerJoin(m, &JoinReply{Code: UnknownMemberID, Generation: -1, Member: m.id})
	g.answerSync(m, &SyncReply{Code: UnknownMemberID})
}

func (g *Classic) answerJoin(m *member, r *JoinReply) {
	if m.join != 0 {
		g.out.Joins = append(g.out.Joins, Joined{m.join, r})
		m.join = 0
	}
}

func (g *Classic) answerSync(m *member, r *SyncReply) {
	if m.sync != 0 {
		g.out.Syncs = append(g.out.Syncs, Synced{m.sync, r})
		m.sync = 0
	}
}

// Output is what a step leaves to be done.
type Output struct {
	Joins []Joined
	Syncs []Synced
}

// Joined and Synced are the answers to requests that waited.
type (
	Joined struct {
		Token Token
		Reply *JoinReply
	}
	Synced struct {
		Token Token
		Reply *SyncReply
	}
)

// Take returns what there is to answer once Unsaved is kept, and forgets it.
func (g *Classic) Take() Output {
	o := g.out
	g.out = Output{}
	return o
}

// JoinReply answers a Join.
type JoinReply struct {
	Code       Code
	Generation int32
	Kind       string
	Protocol   string
	Leader     string
	Skip       bool // the leader need not say who reads what: it stays
	Member     string
	Members    []JoinedMember // for the leader
}

// JoinedMember is one member as its leader is told of it.
type JoinedMember struct {
	ID, Instance string
	Metadata     []byte
}

// SyncReply answers a Sync.
type SyncReply struct {
	Code       Code
	Kind       string
	Protocol   string
	Assignment []byte
}
