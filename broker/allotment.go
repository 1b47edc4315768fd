package broker

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"leat/broker/access"
	"leat/broker/fault"
)

// Allotments say how much may be used a second by whom, and with which client: beside the quota of a user, which is a part of the user, there
// are those of clients, of a user with a client, and of everybody who has none of his own. Each of the three amounts is that of the first of
// these that says it:
//
//	principal and client   principal, any client   principal    any principal, client   any, any   any principal   client   any client
//
// What a principal (with a client) is allotted is counted for all its connections together, whatever node-wide number says it.

// Everyone stands for whoever has no allotment of his own.
const Everyone = "*"

// AllotmentOf is whose an allotment is: a principal, a client, or both. Each is a name, Everyone, or "", which is not to look at it.
type AllotmentOf struct {
	Principal string `json:"principal,omitempty"`
	Client    string `json:"client,omitempty"`
}

// Allotment is how much may be used. 0 says nothing.
type Allotment struct {
	AllotmentOf
	WriteBytesPerSecond float64 `json:"write_bytes_per_second,omitempty"`
	ReadBytesPerSecond  float64 `json:"read_bytes_per_second,omitempty"`
	WorkPercent         float64 `json:"work_percent,omitempty"` // of one processor, for requests
}

func (a *Allotment) empty() bool {
	return a.WriteBytesPerSecond == 0 && a.ReadBytesPerSecond == 0 && a.WorkPercent == 0
}

// AllotmentNameMax is the longest name in an allotment.
const AllotmentNameMax = 256

// allotments are kept in step with what is published.
type allotments struct {
	all atomic.Pointer[map[AllotmentOf]*Allotment] // replaced, never changed; nil: there are none

	mu     sync.Mutex
	meters map[allotmentMeter]*meter
}

// allotmentMeter is what is counted together.
type allotmentMeter struct {
	what amount
	of   AllotmentOf
}

// amount is one of the three things that are allotted.
type amount uint8

const (
	amountWrite amount = iota
	amountRead
	amountWork
)

func (a *Allotment) of(what amount) float64 {
	switch what {
	case amountWrite:
		return a.WriteBytesPerSecond
	case amountRead:
		return a.ReadBytesPerSecond
	default:
		return a.WorkPercent
	}
}

// allotmentMetersMax bounds what is counted apart; beyond it all counts begin anew.
const allotmentMetersMax = 100_000

// allotted finds what c may use of an amount, and whose count it goes on. level is how far down the list it stood; -1: nothing is said.
func (b *Broker) allotted(c *Caller, what amount) (perSecond float64, of AllotmentOf, level int) {
	all := b.allotments.all.Load()
	if all == nil {
		return 0, of, -1
	}
	p, client := c.Principal, c.Client
	for i, o := range [...]AllotmentOf{
		{p, client}, {p, Everyone}, {p, ""}, {Everyone, client}, {Everyone, Everyone}, {Everyone, ""}, {"", client}, {"", Everyone},
	} {
		if i <= allotmentOfPrincipal && p == "" || i%3 == 0 && client == "" {
			continue // who has no name is not the same as who is not looked at
		}
		a := (*all)[o]
		if a == nil || a.of(what) == 0 {
			continue
		}
		if o.Principal != "" {
			o.Principal = p
		}
		if o.Client != "" {
			o.Client = client
		}
		return a.of(what), o, i
	}
	return 0, of, -1
}

// allotmentOfPrincipal is the level of a principal with any client, which is that of a user's own quota, too.
const allotmentOfPrincipal = 2

// meterOf is what counts an amount for somebody.
func (x *allotments) meterOf(what amount, of AllotmentOf) *meter {
	k := allotmentMeter{what, of}
	x.mu.Lock()
	defer x.mu.Unlock()
	m := x.meters[k]
	if m == nil {
		if x.meters == nil || len(x.meters) >= allotmentMetersMax {
			x.meters = map[allotmentMeter]*meter{}
		}
		m = &meter{}
		x.meters[k] = m
	}
	return m
}

// spendAllotted counts n of an amount and says how long c should keep away.
func (b *Broker) spendAllotted(c *Caller, what amount, n int, scale float64) time.Duration {
	if c.platform || c.Principal == SystemPrincipal {
		return 0
	}
	perSecond, of, level := b.allotted(c, what)
	if level < 0 {
		return 0
	}
	m := b.allotments.meterOf(what, of)
	m.mu.Lock()
	defer m.mu.Unlock()
	wait, _ := m.bucket.Take(Quota{BytesPerSecond: max(int64(perSecond*scale), 1)}, b.opt.Clock.Now(), 0, n, allotmentGrace)
	return wait
}

// allotmentGrace lets any debt pass: what was read or done cannot be refused any more, only paid for.
const allotmentGrace = 365 * 24 * time.Hour

// SpendRead counts bytes that were read for c and says how long it should keep away before it reads more.
func (b *Broker) SpendRead(c *Caller, bytes int) time.Duration {
	return b.spendAllotted(c, amountRead, bytes, 1)
}

// SpendWork is SpendRead for the time that a request took.
func (b *Broker) SpendWork(c *Caller, took time.Duration) time.Duration {
	const microsPerPercent = 10_000 // of a second
	return b.spendAllotted(c, amountWork, int(took.Microseconds()), microsPerPercent)
}

// Allotted reports whether anything is allotted to anybody, so that who measures for it need not where nothing is.
func (b *Broker) Allotted() bool { return b.allotments.all.Load() != nil }

// Allotments lists all there are, in no order. It takes the right to describe the node.
func (b *Broker) Allotments(c *Caller) ([]Allotment, error) {
	if err := b.allow(c, "describe", ActionDescribe, KindNode, ""); err != nil {
		return nil, err
	}
	var out []Allotment
	if all := b.allotments.all.Load(); all != nil {
		for a := range maps.Values(*all) {
			out = append(out, *a)
		}
	}
	return out, nil
}

// PutAllotment lets change edit an allotment, an empty one where there is none. It takes the right to alter the node. What is left empty goes.
func (b *Broker) PutAllotment(ctx context.Context, c *Caller, of AllotmentOf, change func(*Allotment)) error {
	if err := b.allow(c, "put", ActionAlter, KindNode, ""); err != nil {
		return err
	}
	if err := of.check(); err != nil {
		return err
	}
	as := *c
	as.platform, as.Namespace = true, "" // what it takes has been asked
	hash := sha256.Sum256([]byte(of.Principal + "\x00" + of.Client))
	name := hex.EncodeToString(hash[:16])
	gone := false
	_, _, err := b.PutDocument(ctx, &as, KindAllotment, name, 0, func(old *Document) (json.RawMessage, []byte, error) {
		a := &Allotment{AllotmentOf: of}
		if old != nil {
			if err := json.Unmarshal(old.Told, a); err != nil {
				return nil, nil, err
			}
		}
		change(a)
		for what, v := range map[string]float64{"write_bytes_per_second": a.WriteBytesPerSecond, "read_bytes_per_second": a.ReadBytesPerSecond, "work_percent": a.WorkPercent} {
			if v < 0 || v > access.QuotaBytesMax || v != v {
				return nil, nil, fault.New(fault.Invalid, "put", what, "%s is %v; it must be more than 0 and at most %d", what, v, int64(access.QuotaBytesMax))
			}
		}
		if gone = a.empty(); gone {
			return nil, nil, errAllotmentGone
		}
		p, err := json.Marshal(a)
		return p, nil, err
	})
	if gone {
		err = b.DeleteDocument(ctx, &as, KindAllotment, name, 0)
		if fault.Is(err, fault.NotFound) {
			err = nil
		}
	}
	return err
}

var errAllotmentGone = fault.New(fault.Invalid, "put", "allotment", "nothing is left of it")

func (o *AllotmentOf) check() error {
	if o.Principal == "" && o.Client == "" {
		return fault.New(fault.Invalid, "put", "allotment", "an allotment is a principal's, a client's, or of both")
	}
	if len(o.Principal) > AllotmentNameMax || len(o.Client) > AllotmentNameMax {
		return fault.New(fault.Invalid, "put", "allotment", "a name in an allotment has at most %d bytes", AllotmentNameMax)
	}
	return nil
}

// takeAllotments makes the index anew from the documents.
func (b *Broker) takeAllotments() {
	all := map[AllotmentOf]*Allotment{}
	b.documents.mu.RLock()
	defer b.documents.mu.RUnlock() // held until the index is replaced, so that an older one does not replace a newer
	for n, d := range b.documents.byName {
		if n.Kind != documentKinds[KindAllotment] {
			continue
		}
		a := &Allotment{}
		if err := json.Unmarshal(d.Told, a); err != nil {
			b.opt.Log.Error("an allotment cannot be read", "name", n.Name, "error", err)
			continue
		}
		all[a.AllotmentOf] = a
	}
	if len(all) == 0 {
		b.allotments.all.Store(nil)
		return
	}
	b.allotments.all.Store(&all)
}
