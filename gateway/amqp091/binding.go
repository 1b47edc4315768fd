package amqp091

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"leat/broker"
	"leat/broker/filter/address"
	"leat/gateway/amqp091/wire"
)

// A queue reads the streams of the exchanges from which messages come to it, each by clauses: what is published to an exchange is stored
// once, in its stream, and a record reaches the queue when a clause holds. So a binding between exchanges is no way of a message but of clauses:
//
//	logs ── "eu.#" ──▶ alarms ── "*.disk" ──▶ queue        the queue reads alarms by *.disk, and logs by eu.disk: what both patterns match
//
// That is made when bindings change, for the queues behind them. A path that meets an exchange a second time asks for more than the path without
// the circle, so it adds nothing.

// Limits of what leads to a queue.
const (
	clausesMax = broker.AddressFiltersMax // of one queue
	pathMax    = 16                       // exchanges one behind another
	stepsMax   = 100_000                  // of comparing patterns, for one queue
)

// headerPrefix is before the name of an AMQP header where it is a header of a record: there is one of each header of a message, when its
// exchange leads to an exchange of type headers.
const headerPrefix = "amqp.h."

// subject is a condition on the routing key.
type subject struct {
	syntax address.Syntax // Anything, Exact, Words
	text   string
}

// clause is conditions that all must hold.
type clause struct {
	subject subject
	headers []address.HeaderTest
}

// clausesOf is when a message of an exchange follows a binding: when one of the clauses holds.
func clausesOf(kind string, b *binding) []clause {
	switch kind {
	case typeDirect:
		return []clause{{subject: subject{address.Exact, b.Key}}}
	case typeTopic:
		return []clause{{subject: wordsOf(b.Key)}}
	case typeHeaders:
		return headerClauses(b.Table)
	}
	return []clause{{}}
}

func wordsOf(pattern string) subject {
	if pattern == "#" {
		return subject{}
	}
	if !slices.ContainsFunc(strings.Split(pattern, "."), func(w string) bool { return w == "*" || w == "#" }) {
		return subject{address.Exact, pattern}
	}
	return subject{address.Words, pattern}
}

// headerClauses reads x-match and the tests of a binding to an exchange of type headers.
func headerClauses(t wire.Table) (out []clause) {
	match := "all"
	if v, ok := t.Get("x-match"); ok {
		if s, ok := v.Text(); ok {
			match = string(s)
		}
	}
	var tests []address.HeaderTest
	for name, v := range t.All() {
		n := string(name)
		if n == "x-match" || !strings.HasSuffix(match, "-with-x") && strings.HasPrefix(n, "x-") {
			continue
		}
		h := address.HeaderTest{Name: headerPrefix + n, Value: headerText(v), Present: v.Kind() == wire.KindVoid}
		tests = append(tests, h)
	}
	if strings.HasPrefix(match, "all") {
		return []clause{{headers: tests}}
	}
	for _, h := range tests {
		out = append(out, clause{headers: []address.HeaderTest{h}})
	}
	return out
}

// headerText is a value as text: the same text is what RabbitMQ calls equal.
func headerText(v wire.Value) string {
	if v.Kind() == wire.KindVoid {
		return ""
	}
	if n, ok := v.Int(); ok {
		return "n:" + strconv.FormatInt(n, 10)
	}
	if f, ok := v.Float(); ok {
		return "f:" + strconv.FormatFloat(f, 'g', -1, 64)
	}
	if s, ok := v.Text(); ok && v.Kind() == wire.KindString && utf8.Valid(s) {
		return "s:" + string(s)
	}
	t, _ := wire.Table(nil).Add("", v)
	return "x:" + hex.EncodeToString(t[1:])
}

// checkBinding refuses a binding that no exchange of the kind takes.
func checkBinding(kind string, b *binding, by wire.ID) error {
	refuse := func(format string, args ...any) error {
		return &wire.Error{Code: wire.PreconditionFailed, Method: by, Text: fmt.Sprintf(format, args...)}
	}
	if kind == typeHeaders {
		if v, ok := b.Table.Get("x-match"); ok {
			if v.Kind() != wire.KindString {
				return refuse("Invalid x-match field type %s (value %s); expected longstr", typeNames[v.Kind()], plain(v))
			}
			switch plain(v) {
			case "all", "any", "all-with-x", "any-with-x":
			default:
				return refuse("Invalid x-match field value <<%q>>; expected all, any, all-with-x, or any-with-x", plain(v))
			}
		}
	}
	for _, c := range clausesOf(kind, b) {
		f := c.filter("s")
		if _, err := address.New().Add(1, address.Clause{Stream: 1, Subject: f.Subject, Headers: f.Headers}); err != nil {
			return refuse("the binding cannot be: %s", err)
		}
	}
	return nil
}

func (c *clause) filter(stream string) broker.AddressFilter {
	f := broker.AddressFilter{Stream: stream, Headers: c.headers}
	if c.subject.syntax != address.Anything {
		f.Subject = address.Pattern{Syntax: c.subject.syntax, Text: c.subject.text}
	}
	return f
}

// resolving is what the clauses of one queue may still cost.
type resolving struct{ steps int }

func (r *resolving) spend() bool {
	r.steps--
	return r.steps > 0
}

// both are the clauses that hold when one of each side does.
func (r *resolving) both(as, bs []clause) (out []clause) {
	for i := range as {
		for j := range bs {
			for _, s := range r.meet(as[i].subject, bs[j].subject) {
				c := clause{subject: s, headers: slices.Concat(as[i].headers, bs[j].headers)}
				if !slices.ContainsFunc(out, func(d clause) bool { return d.subject == c.subject && slices.Equal(d.headers, c.headers) }) {
					out = append(out, c)
				}
				if !r.spend() {
					return out
				}
			}
		}
	}
	return out
}

// meet are the conditions of which one holds where a and b both do.
func (r *resolving) meet(a, b subject) []subject {
	switch {
	case a.syntax == address.Anything:
		return []subject{b}
	case b.syntax == address.Anything || a == b:
		return []subject{a}
	case a.syntax == address.Exact && b.syntax == address.Exact:
		return nil // they differ
	}
	// A direct exchange's key is a text, in which * and # are themselves.
	if a.syntax == address.Exact {
		a, b = b, a
	}
	if b.syntax == address.Exact {
		if r.matches(words(a.text), words(b.text)) {
			return []subject{b}
		}
		return nil
	}
	var out []subject
	for _, p := range r.meetWords(words(a.text), words(b.text), nil) {
		if s := wordsOf(strings.Join(p, ".")); !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

func words(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, ".")
}

// matches reports whether a pattern matches a text.
func (r *resolving) matches(p, s []string) bool {
	switch {
	case !r.spend():
		return false
	case len(p) == 0:
		return len(s) == 0
	case p[0] == "#":
		return r.matches(p[1:], s) || len(s) > 0 && r.matches(p, s[1:])
	case len(s) == 0:
		return false
	}
	return (p[0] == "*" || p[0] == s[0]) && r.matches(p[1:], s[1:])
}

// meetWords are patterns of which one matches what p and q both match:
//
//	both begin with #        # takes in turn what one of them leaves
//	one begins with #        it is empty, or takes a word of the other
//	else                     word by word
func (r *resolving) meetWords(p, q, before []string) (out [][]string) {
	if len(p) == 0 && len(q) == 0 {
		return [][]string{slices.Clone(before)}
	}
	add := func(p, q []string, w string) {
		next := before
		if w != "" && (w != "#" || len(before) == 0 || before[len(before)-1] != "#") {
			next = append(slices.Clone(before), w)
		}
		if r.spend() {
			out = append(out, r.meetWords(p, q, next)...)
		}
	}
	pr, qr := len(p) > 0 && p[0] == "#", len(q) > 0 && q[0] == "#"
	switch {
	case pr && qr:
		if len(p) == 1 && len(q) == 1 {
			add(nil, nil, "#")
			break
		}
		if len(p) > 1 {
			add(p[1:], q, "#")
		}
		if len(q) > 1 {
			add(p, q[1:], "#")
		}
	case pr:
		add(p[1:], q, "")
		if len(q) > 0 {
			add(p, q[1:], q[0])
		}
	case qr:
		add(p, q[1:], "")
		if len(p) > 0 {
			add(p[1:], q, p[0])
		}
	case len(p) == 0 || len(q) == 0:
	case p[0] == "*" || p[0] == q[0]:
		add(p[1:], q[1:], q[0])
	case q[0] == "*":
		add(p[1:], q[1:], p[0])
	}
	return out
}
