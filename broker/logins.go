package broker

import (
	"sync"
	"time"
)

// Limits of what is told about refused logins. Somebody who guesses passwords makes thousands of them.
const (
	refusedTellMax = 5 // of a principal at an address, in refusedWindow; further ones are told in one event when it ends
	refusedWindow  = time.Minute
	refusedKeysMax = 1024 // principals and addresses counted apart; the rest together
)

// refusedLogins counts refused logins of a window.
type refusedLogins struct {
	mu    sync.Mutex
	since time.Time
	by    map[refusedKey]*refusedCount
}

type refusedKey struct{ principal, address string }

type refusedCount struct {
	caller Caller
	told   int
	silent int
}

// LoginRefused has a refused login told in the system stream: the first few of a principal at an address one by one, the rest of a minute in
// one event. CheckPassword and CheckToken call it themselves; a gateway that checks a proof by itself does.
func (b *Broker) LoginRefused(c *Caller, user string) {
	if !b.system.on {
		return
	}
	l := &b.system.logins
	k := refusedKey{clip(user), clip(c.Address)}
	l.mu.Lock()
	if l.by == nil {
		l.by, l.since = map[refusedKey]*refusedCount{}, b.opt.Clock.Now()
	}
	n := l.by[k]
	if n == nil {
		if len(l.by) >= refusedKeysMax {
			k = refusedKey{}
		}
		if n = l.by[k]; n == nil {
			n = &refusedCount{caller: *c}
			l.by[k] = n
		}
	}
	tell := n.told < refusedTellMax
	if tell {
		n.told++
	} else {
		n.silent++
	}
	l.mu.Unlock()
	if tell {
		b.System(SystemEvent{Type: TypeLoginRefused, Subject: user, Caller: c, Data: map[string]any{"principal": attributeText(user), "count": 1}})
	}
}

// tellRefusedLogins ends a window that is over, or any.
func (b *Broker) tellRefusedLogins(now bool) {
	l := &b.system.logins
	l.mu.Lock()
	if l.by == nil || !now && b.opt.Clock.Now().Sub(l.since) < refusedWindow {
		l.mu.Unlock()
		return
	}
	by, since := l.by, l.since
	l.by = nil
	l.mu.Unlock()
	for k, n := range by {
		if n.silent == 0 {
			continue
		}
		data := map[string]any{"principal": attributeText(k.principal), "count": n.silent, "since": since.UTC().Format(time.RFC3339)}
		c := n.caller
		if k == (refusedKey{}) {
			data["principal"], data["others"] = "", true
			c.Address, c.Client = "", ""
		}
		b.System(SystemEvent{Type: TypeLoginRefused, Subject: k.principal, Caller: &c, Data: data})
	}
}
