package address

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// records have their own memory each, in one case with one subject and in the other with many, so that reading them costs the same.
func records(n int, subject func(i int) string) []*Record {
	out := make([]*Record, n)
	for i := range out {
		out[i] = &Record{Subject: string([]byte(subject(i))), Type: "order.created", Key: []byte("k")}
	}
	rand.New(rand.NewPCG(1, 1)).Shuffle(n, func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}

func run(b *testing.B, x *Index, rs []*Record) {
	m := NewMatcher()
	one := func(r *Record) {
		if !m.Match(x, r) {
			b.Fatal("no match of", r.Subject)
		}
		if len(m.IDs()) == 0 {
			b.Fatal("nobody")
		}
	}
	for _, r := range rs {
		one(r)
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		one(rs[i])
		if i++; i == len(rs) {
			i = 0
		}
	}
}

const many = 100_000

func name(i int) string { return fmt.Sprintf("orders.region-%d.shop-%d", i%17, i) }

func BenchmarkMatch(b *testing.B) {
	one := add(b, New(), 1, Clause{Subject: Pattern{Words, name(0)}})
	all, fan, wild := New(), New(), New()
	for i := range many {
		all = add(b, all, ID(i), Clause{Subject: Pattern{Words, name(i)}})
		fan = add(b, fan, ID(i), Clause{})
	}
	for i := range many / 10 {
		switch i % 4 {
		case 0:
			wild = add(b, wild, ID(i), Clause{Subject: Pattern{Words, fmt.Sprintf("*.*.shop-%d", i)}})
		case 1:
			wild = add(b, wild, ID(i), Clause{Subject: Pattern{Words, fmt.Sprintf("orders.#.shop-%d", i)}})
		case 2:
			wild = add(b, wild, ID(i), Clause{Subject: Pattern{Words, fmt.Sprintf("orders.*.shop-%d.#", i)}})
		case 3:
			wild = add(b, wild, ID(i), Clause{Subject: Pattern{Words, fmt.Sprintf("#.shop-%d", i)}})
		}
	}
	same, other := records(many, func(int) string { return name(0) }), records(many, name)
	b.Run("exact/1", func(b *testing.B) { run(b, one, same) })
	b.Run("exact/100000", func(b *testing.B) { run(b, all, other) })
	b.Run("everybody/100000", func(b *testing.B) { run(b, fan, other) })
	hostile, w := New(), world{rand.New(rand.NewPCG(1, 2))}
	for i := range many / 10 {
		if y, err := hostile.Add(ID(i), Clause{Subject: Pattern{Words, w.joined(".", 12, "a", "*", "#", "a.a", "*.#.a")}}); err == nil && y.Wild(0) <= WildMax {
			hostile = y
		}
	}
	b.Run("hostile/10000/16 words", func(b *testing.B) {
		run(b, hostile, records(1, func(int) string { return strings.Repeat("a.", 15) + "a" }))
	})
	b.Run("hostile/10000/128 words", func(b *testing.B) {
		run(b, hostile, records(1, func(int) string { return strings.Repeat("a.", 127) + "a" }))
	})
	b.Run("wildcards/10000", func(b *testing.B) { run(b, wild, records(many/10, name)) })
}

func BenchmarkChange(b *testing.B) {
	x, fan := New(), New()
	for i := range many {
		x = add(b, x, ID(i), Clause{Subject: Pattern{Exact, name(i)}})
		fan = add(b, fan, ID(i), Clause{Subject: Pattern{Words, "orders.#"}})
	}
	for name, c := range map[string]struct {
		x      *Index
		clause func(i int) Clause
	}{
		"one of 100000":      {x, func(i int) Clause { return Clause{Subject: Pattern{Exact, name(i)}} }},
		"100000 of the same": {fan, func(int) Clause { return Clause{Subject: Pattern{Words, "orders.#"}} }},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				y, err := c.x.Remove(ID(i), c.clause(i))
				if err != nil {
					b.Fatal(err)
				}
				c.x = add(b, y, ID(i), c.clause(i))
				i = (i + 7919) % many
			}
		})
	}
}
