package group

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
)

// old is a client of the older protocol: what it believes.
type old struct {
	name, id   string
	generation int32
	owns       string // its part, "" while it has none
	waits      Token  // for an answer
	joined     bool   // has joined the generation, and not synced
	leads      []string
	last       int64
}

// oldWorld is clients of the older protocol, who share out the numbers 0 to 11 and take only what they are given.
type oldWorld struct {
	t       *testing.T
	rnd     *rand.Rand
	g       *Classic
	now     int64
	rows    map[string][]byte
	clients map[string]*old
	byToken map[Token]*old
	next    int
}

func (w *oldWorld) keep() {
	rows := w.g.Unsaved()
	for _, r := range rows {
		if r.Value == nil {
			delete(w.rows, r.Key)
		} else {
			w.rows[r.Key] = r.Value
		}
	}
	w.g.Saved(rows)
	out := w.g.Take()
	for _, j := range out.Joins {
		c := w.byToken[j.Token]
		delete(w.byToken, j.Token)
		if c == nil || c.waits != j.Token {
			continue // it has given up or is gone
		}
		c.waits = 0
		switch j.Reply.Code {
		case None:
			c.id, c.generation, c.joined, c.leads = j.Reply.Member, j.Reply.Generation, true, nil
			for _, m := range j.Reply.Members {
				c.leads = append(c.leads, m.ID)
			}
		case MemberIDRequired:
			c.id = j.Reply.Member
		case UnknownMemberID:
			c.id, c.owns = "", ""
		}
	}
	for _, y := range out.Syncs {
		c := w.byToken[y.Token]
		delete(w.byToken, y.Token)
		if c == nil || c.waits != y.Token {
			continue
		}
		c.waits = 0
		c.joined = false
		if y.Reply.Code == None {
			c.owns = fmt.Sprint(c.generation, ":", string(y.Reply.Assignment))
		} else {
			c.rejected(y.Reply.Code)
		}
	}
}

func (c *old) rejected(code Code) {
	c.owns = ""
	c.generation = -1
	if code == UnknownMemberID || code == IllegalGeneration {
		c.id = ""
	}
}

// act lets a client do the next thing that it would.
func (w *oldWorld) act(c *old) {
	c.last = w.now
	if c.waits != 0 {
		return
	}
	token := func() Token {
		w.next++
		c.waits = Token(w.next)
		w.byToken[c.waits] = c
		return c.waits
	}
	switch {
	case c.joined:
		y := &Sync{Member: c.id, Generation: c.generation, Assignments: map[string][]byte{}}
		for i := range 12 {
			if len(c.leads) > 0 {
				id := c.leads[i%len(c.leads)]
				y.Assignments[id] = append(y.Assignments[id], byte('a'+i))
			}
		}
		w.g.Sync(w.now, y, token())
	case c.owns == "":
		c.owns = ""
		j := &Join{Member: c.id, SessionMS: 10_000, RebalanceMS: 20_000, Kind: "consumer", Protocols: []Protocol{{"range", []byte(c.name)}}, FreshID: fmt.Sprint(c.name, "-", w.next), KnownFirst: true}
		w.g.Join(w.now, j, token())
	default:
		switch code := w.g.Heartbeat(w.now, c.id, "", c.generation); code {
		case None:
		case RebalanceInProgress:
			c.owns = "" // it lets go of all, and joins again
		default:
			c.rejected(code)
		}
	}
}

// exclusive fails when two who think they are in the same, newest generation have one number.
func (w *oldWorld) exclusive() {
	w.t.Helper()
	owner := map[byte]string{}
	for _, c := range w.clients {
		var gen int32
		var part string
		if n, _ := fmt.Sscanf(c.owns, "%d:%s", &gen, &part); n < 2 || gen != w.g.generation {
			continue
		}
		for i := range len(part) {
			if o := owner[part[i]]; o != "" {
				w.t.Fatalf("%s and %s both have %c in generation %d", o, c.name, part[i], gen)
			}
			owner[part[i]] = c.name
		}
	}
}

// In one generation nothing has two owners, and old generations can do nothing, whatever comes, goes and crashes; left alone, a group becomes stable and everything has an owner.
func TestClassic_ModelHasOneOwnerInAGeneration(t *testing.T) {
	for seed := range uint64(60) {
		w := &oldWorld{t: t, rnd: rand.New(rand.NewPCG(seed, 2)), now: 1000, rows: map[string][]byte{}, clients: map[string]*old{}, byToken: map[Token]*old{}}
		w.g = NewClassic(Default(), w.now)
		names := func() []string { return slices.Sorted(maps.Keys(w.clients)) }
		for range 200 {
			w.now += int64(w.rnd.IntN(1500))
			w.g.Tick(w.now)
			w.keep()
			for _, c := range w.clients {
				if w.now-c.last >= 10_000 && c.waits == 0 {
					c.owns = "" // a client whose session has ended stops by itself
				}
			}
			ids := names()
			switch op := w.rnd.IntN(25); {
			case op == 0 || len(ids) == 0:
				w.next++
				c := &old{name: fmt.Sprint("c", w.next), generation: -1}
				w.clients[c.name] = c
			case op == 1 && len(ids) > 1: // it dies
				delete(w.clients, ids[w.rnd.IntN(len(ids))])
			case op == 2:
				c := w.clients[ids[w.rnd.IntN(len(ids))]]
				w.g.Leave(w.now, c.id, "")
				delete(w.clients, c.name)
			case op == 3:
				var rows []Row
				for k, v := range w.rows {
					rows = append(rows, Row{k, v})
				}
				g, err := LoadClassic(Default(), rows, w.now)
				if err != nil {
					t.Fatal(err)
				}
				w.g = g
				clear(w.byToken)
				for _, c := range w.clients {
					if c.waits != 0 { // its connection is gone; it tries again
						c.waits, c.joined = 0, false
					}
				}
			default:
				w.act(w.clients[ids[w.rnd.IntN(len(ids))]])
			}
			w.keep()
			w.exclusive()
		}
		for range 60 {
			w.now += 1500
			w.g.Tick(w.now)
			w.keep()
			for _, n := range names() {
				w.act(w.clients[n])
				w.keep()
				w.exclusive()
			}
		}
		owned := 0
		for _, c := range w.clients {
			if _, part, is := cutOwns(c.owns); is {
				owned += len(part)
			}
		}
		if len(w.clients) > 0 && (w.g.State() != Stable || owned != 12 || w.g.Members() != len(w.clients)) {
			t.Fatalf("seed %d: %v, %d of 12, %d members of %d", seed, w.g.State(), owned, w.g.Members(), len(w.clients))
		}
		n := 0
		for _, m := range w.g.order {
			n += m.bytes()
		}
		if n != w.g.bytes {
			t.Fatalf("seed %d: %d bytes are %d", seed, w.g.bytes, n)
		}
	}
}

func cutOwns(s string) (gen int32, part string, is bool) {
	n, _ := fmt.Sscanf(s, "%d:%s", &gen, &part)
	return gen, part, n == 2
}
