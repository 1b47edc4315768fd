package amqp091

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"leat/broker"
	"leat/gateway/amqp091/wire"
)

// Scripts in testdata/scripts are what a client asks for and what it is answered:
//
//	a: queue.declare queue="q" durable          connection a sends it on channel 1
//	  < queue.declare-ok queue="q"              RabbitMQ 3.10.8 has answered so, and so do we
//	  ! a reason                                we answer otherwise, because
//	  = queue.declare-ok queue="q"              so
//
// With LEAT_RABBITMQ=host:port they are compared with that server; -update then takes its answers over. Other lines are
//
//	a: publish exchange="" routing-key="q" body="text" headers={…}     and expiration, priority, mandatory
//	a: wait 2          two methods more come, within scriptWait
//	a: idle            nothing comes for scriptIdle
//	a: close           the connection is closed; a name that comes again is a new one
//	sleep 100ms        in time of its own (bubble_test.go), with LEAT_RABBITMQ in real time
//
// A script that begins with "#! ours" is of what RabbitMQ has not without plugins: its answers are ours, and -update takes them over.

var update = flag.Bool("update", false, "take the answers of LEAT_RABBITMQ over into the scripts, and ours into those that are ours")

const (
	scriptWait = 3 * time.Second
	scriptIdle = 250 * time.Millisecond
)

func TestScripts(t *testing.T) {
	peer := os.Getenv("LEAT_RABBITMQ")
	files, err := filepath.Glob("testdata/scripts/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".txt"), func(t *testing.T) {
			p, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			ours := strings.HasPrefix(string(p), "#! ours")
			if ours && peer != "" {
				t.Skip("of what RabbitMQ has not without plugins")
			}
			if peer != "" {
				runScript(t, f, func() (net.Conn, error) { return net.Dial("tcp", peer) }, true)
				return
			}
			t.Parallel()
			bubble(t, func(*broker.Options) {}, func(t *testing.T, dial func() (net.Conn, error)) { runScript(t, f, dial, ours && *update) })
		})
	}
}

// scriptStep is a line and its answers.
type scriptStep struct {
	line         int
	text         string // as it stands; of a comment or an empty line all there is
	theirs, ours []string
	reason       string
}

func readScript(t *testing.T, file string) (steps []scriptStep) {
	t.Helper()
	p, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for i, l := range strings.Split(strings.TrimRight(string(p), "\n"), "\n") {
		if len(l) < 4 || l[:2] != "  " {
			steps = append(steps, scriptStep{line: i + 1, text: l})
			continue
		}
		s := &steps[len(steps)-1]
		switch l[2] {
		case '<':
			s.theirs = append(s.theirs, l[4:])
		case '!':
			s.reason = l[4:]
		case '=':
			s.ours = append(s.ours, strings.TrimPrefix(l[3:], " "))
		}
	}
	return steps
}

func runScript(t *testing.T, file string, dial func() (net.Conn, error), rabbit bool) {
	steps := readScript(t, file)
	p := &player{t: t, dial: dial, conns: map[string]*client{}, made: map[string]bool{}}
	p.sweep(steps)
	for i := range steps {
		s := &steps[i]
		if s.text == "" || s.text[0] == '#' {
			continue
		}
		got := p.play(s)
		want := s.theirs
		if !rabbit && s.reason != "" {
			want = slices.DeleteFunc(slices.Clone(s.ours), func(l string) bool { return l == "" })
		}
		if rabbit && *update {
			s.theirs = got
			if slices.Equal(slices.DeleteFunc(slices.Clone(s.ours), func(l string) bool { return l == "" }), got) {
				s.reason, s.ours = "", nil
			}
			continue
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s:%d: %s\n  got  %s\n  want %s", file, s.line, s.text, strings.Join(got, "\n       "), strings.Join(want, "\n       "))
		}
	}
	p.sweep(steps)
	for _, c := range p.conns {
		_ = c.c.Close()
	}
	if rabbit && *update {
		var b strings.Builder
		for _, s := range steps {
			b.WriteString(s.text + "\n")
			for _, l := range s.theirs {
				b.WriteString("  < " + l + "\n")
			}
			if s.reason != "" {
				b.WriteString("  ! " + s.reason + "\n")
				for _, l := range s.ours {
					b.WriteString("  = " + l + "\n")
				}
			}
		}
		if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

type player struct {
	t     *testing.T
	dial  func() (net.Conn, error)
	conns map[string]*client
	made  map[string]bool
}

var declared = regexp.MustCompile(`(queue|exchange)\.declare (?:queue|exchange)="((?:[^"\\]|\\.)+)"`)

// sweep removes what a script declares, for the next run against a server that stays.
func (p *player) sweep(steps []scriptStep) {
	for i := range steps {
		if m := declared.FindStringSubmatch(steps[i].text); m != nil && !strings.HasPrefix(m[2], "amq.") && !p.made[m[0]] {
			name, err := strconv.Unquote(`"` + m[2] + `"`)
			if err != nil {
				p.t.Fatal(err)
			}
			if m[1] == "queue" {
				p.send("sweeper", &wire.QueueDelete{Queue: []byte(name)})
			} else {
				p.send("sweeper", &wire.ExchangeDelete{Exchange: []byte(name)})
			}
			p.made[m[0]] = true
			p.answers("sweeper", 1)
		}
	}
	clear(p.made)
}

func (p *player) conn(name string) *client {
	if c := p.conns[name]; c != nil {
		return c
	}
	conn, err := p.dial()
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = conn.Close() })
	user, password := "guest", "guest"
	if u, pw, ok := strings.Cut(name, "/"); ok {
		user, password = u, pw
	}
	_ = conn.SetDeadline(time.Now().Add(scriptWait))
	c, err := start(conn, user, password)
	if err != nil {
		p.t.Fatal(err)
	}
	p.conns[name] = c
	return c
}

func (p *player) send(name string, m wire.Method) {
	c := p.conn(name)
	_ = c.c.SetDeadline(time.Now().Add(scriptWait))
	if err := c.send(1, m); err != nil {
		p.t.Fatal(err)
	}
}

func (p *player) play(s *scriptStep) []string {
	name, rest, ok := strings.Cut(s.text, ": ")
	if !ok {
		verb, arg, _ := strings.Cut(s.text, " ")
		if verb != "sleep" {
			p.t.Fatalf("line %d: %q", s.line, s.text)
		}
		d, err := time.ParseDuration(arg)
		if err != nil {
			p.t.Fatal(err)
		}
		time.Sleep(d)
		return nil
	}
	verb, arg, _ := strings.Cut(rest, " ")
	switch verb {
	case "wait":
		n, err := strconv.Atoi(arg)
		if err != nil {
			p.t.Fatal(err)
		}
		return p.answers(name, n)
	case "idle":
		return p.idle(name)
	case "close":
		if err := p.conn(name).send(0, &wire.ConnectionClose{ReplyCode: 200}); err != nil {
			p.t.Fatal(err)
		}
		for {
			if m, err := p.conn(name).method(); err == nil {
				if _, is := m.(*wire.ConnectionCloseOK); !is {
					continue
				}
			}
			break
		}
		_ = p.conn(name).c.Close()
		delete(p.conns, name)
		return nil
	case "publish":
		p.publish(name, arg)
		return nil
	}
	m := parseMethod(p.t, verb, arg)
	p.send(name, m)
	switch m := m.(type) {
	case *wire.BasicAck, *wire.BasicNack, *wire.BasicReject:
		return nil
	default:
		if f := reflect.ValueOf(m).Elem().FieldByName("NoWait"); f.IsValid() && f.Bool() {
			return nil
		}
	}
	return p.answers(name, 1)
}

func (p *player) publish(name, arg string) {
	q := struct {
		Exchange, RoutingKey, Body, Expiration []byte
		Headers                                wire.Table
		Mandatory                              bool
		Priority                               uint8
	}{}
	in := parser{p.t, arg}
	for in.skip(); in.text != ""; in.skip() {
		set(p.t, reflect.ValueOf(&q).Elem(), &in)
	}
	var props wire.Properties
	if q.Headers != nil {
		props.Flags |= wire.HasHeaders
		props.Headers = q.Headers
	}
	if q.Expiration != nil {
		props.Flags |= wire.HasExpiration
		props.Expiration = q.Expiration
	}
	if q.Priority > 0 {
		props.Flags |= wire.HasPriority
		props.Priority = q.Priority
	}
	raw, err := props.Append(nil)
	c := p.conn(name)
	_ = c.c.SetDeadline(time.Now().Add(scriptWait))
	if err == nil {
		err = c.w.Content(1, &wire.BasicPublish{Exchange: q.Exchange, RoutingKey: q.RoutingKey, Mandatory: q.Mandatory}, raw, q.Body)
	}
	if err == nil {
		err = c.flush()
	}
	if err != nil {
		p.t.Fatal(err)
	}
}

// answers reads n methods, each with its content.
func (p *player) answers(name string, n int) (out []string) {
	for range n {
		c := p.conn(name)
		_ = c.c.SetDeadline(time.Now().Add(scriptWait))
		l, err := p.answer(name, c)
		if err != nil {
			p.t.Errorf("%s: nothing came: %v", name, err)
			delete(p.conns, name)
			return append(out, "nothing")
		}
		out = append(out, l)
	}
	return out
}

func short(err error) string {
	var timeout net.Error
	switch {
	case errors.Is(err, io.EOF):
		return "closed"
	case errors.As(err, &timeout) && timeout.Timeout():
		return "timeout"
	}
	return err.Error()
}

func (p *player) idle(name string) (out []string) {
	c := p.conn(name)
	for {
		_ = c.c.SetReadDeadline(time.Now().Add(scriptIdle))
		l, err := p.answer(name, c)
		if err != nil {
			_ = c.c.SetDeadline(time.Now().Add(scriptWait))

			if short(err) != "timeout" {
				out = append(out, short(err))
			}
			return out
		}
		out = append(out, l)
	}
}

// What differs from run to run.
var (
	aTime      = regexp.MustCompile(`@\d+`)
	aGenerated = regexp.MustCompile(`amq\.(gen|ctag)-[A-Za-z0-9_-]+`)
)

func (p *player) answer(name string, c *client) (string, error) {
	m, err := c.method()
	if err != nil {
		return "", err
	}
	s := wire.Text(m)
	switch m := m.(type) {
	case *wire.ChannelClose:
		s = fmt.Sprintf("%d %s", m.ReplyCode, m.ReplyText)
		if err := c.send(1, &wire.ChannelCloseOK{}); err != nil {
			return "", err
		}
		if err := c.send(1, &wire.ChannelOpen{}); err != nil {
			return "", err
		}
		for {
			again, err := c.method()
			if err != nil {
				return "", err
			}
			if _, is := again.(*wire.ChannelOpenOK); is {
				break
			}
		}
	case *wire.ConnectionClose:
		s = fmt.Sprintf("connection: %d %s", m.ReplyCode, m.ReplyText)
		_ = c.send(0, &wire.ConnectionCloseOK{})
		_ = c.c.Close()
		delete(p.conns, name)
	case *wire.BasicDeliver, *wire.BasicGetOK, *wire.BasicReturn:
		props, body, err := c.whole()
		if err != nil {
			return "", err
		}
		s += " " + props + " " + strconv.Quote(body)
	}
	s = aTime.ReplaceAllString(s, "@T")
	return aGenerated.ReplaceAllString(s, "amq.$1-*"), nil
}

// whole reads the header and the body behind a method.
func (c *client) whole() (properties, body string, err error) {
	f, err := c.frame()
	if err != nil {
		return "", "", err
	}
	h, err := wire.DecodeContentHeader(f.Payload)
	if err != nil {
		return "", "", err
	}
	var p wire.Properties
	if err := p.Decode(h.Properties); err != nil {
		return "", "", err
	}
	if p.Flags&wire.HasHeaders != 0 {
		properties = p.Headers.String()
	}
	if p.Flags&wire.HasExpiration != 0 {
		properties += " expiration=" + string(p.Expiration)
	}
	for uint64(len(body)) < h.BodyBytes {
		if f, err = c.frame(); err != nil {
			return "", "", err
		}
		body += string(f.Payload)
	}
	return properties, body, nil
}

// parseMethod reads what wire.Text writes.
func parseMethod(t testing.TB, name, rest string) wire.Method {
	t.Helper()
	var m wire.Method
	for class := range uint32(100) {
		for n := range uint32(130) {
			if id := wire.ID(class<<16 | n); id.Known() && id.String() == name {
				m = wire.New(id)
			}
		}
	}
	if m == nil {
		t.Fatalf("there is no method %q", name)
	}
	p := parser{t, rest}
	for p.skip(); p.text != ""; p.skip() {
		set(t, reflect.ValueOf(m).Elem(), &p)
	}
	return m
}

func set(t testing.TB, m reflect.Value, p *parser) {
	name := strings.ReplaceAll(p.word(), "-", "")
	f := m.FieldByNameFunc(func(s string) bool { return strings.EqualFold(s, name) })
	if !f.IsValid() {
		t.Fatalf("%s has no field %q", m.Type(), name)
	}
	switch {
	case f.Kind() == reflect.Bool:
		f.SetBool(true)
		return
	case !p.take("="):
		t.Fatalf("%s needs a value", name)
	case f.CanUint():
		n, err := strconv.ParseUint(p.word(), 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		f.SetUint(n)
	case f.Type() == reflect.TypeFor[wire.Table]():
		f.SetBytes(p.table())
	default:
		f.SetBytes([]byte(p.quoted()))
	}
}

type parser struct {
	t    testing.TB
	text string
}

func (p *parser) skip() { p.text = strings.TrimLeft(p.text, " ") }

func (p *parser) take(s string) bool {
	rest, ok := strings.CutPrefix(p.text, s)
	p.text = rest
	return ok
}

func (p *parser) word() string {
	n := strings.IndexAny(p.text, " ={}[]")
	if n < 0 {
		n = len(p.text)
	}
	w := p.text[:n]
	p.text = p.text[n:]
	return w
}

func (p *parser) quoted() string {
	q, err := strconv.QuotedPrefix(p.text)
	if err != nil {
		p.t.Fatalf("%v at %q", err, p.text)
	}
	p.text = p.text[len(q):]
	s, _ := strconv.Unquote(q)
	return s
}

func (p *parser) table() (tb wire.Table) {
	if !p.take("{") {
		p.t.Fatalf("no table at %q", p.text)
	}
	for p.skip(); !p.take("}"); p.skip() {
		name := p.word()
		if !p.take("=") {
			p.t.Fatalf("no value at %q", p.text)
		}
		var err error
		if tb, err = tb.Add(name, p.value()); err != nil {
			p.t.Fatal(err)
		}
	}
	return tb
}

// value reads one: {…}, […], "text", true, void, 1.5, a number of 4 bytes, or one of 8 bytes with an l behind it.
func (p *parser) value() wire.Value {
	switch p.text[0] {
	case '{':
		return wire.TableValue(p.table())
	case '"':
		return wire.String(p.quoted())
	case '[':
		var a wire.Array
		p.take("[")
		for p.skip(); !p.take("]"); p.skip() {
			a = a.Add(p.value())
		}
		return wire.ArrayValue(a)
	}
	w := p.word()
	switch {
	case w == "void":
		return wire.Void()
	case w == "true" || w == "false":
		return wire.Bool(w == "true")
	case w[0] == '@':
		n, _ := strconv.ParseInt(w[1:], 10, 64)
		return wire.Timestamp(n)
	}
	if n, err := strconv.ParseInt(strings.TrimSuffix(w, "l"), 10, 64); err == nil {
		if strings.HasSuffix(w, "l") {
			return wire.Int64(n)
		}
		return wire.Int32(int32(n))
	}
	f, err := strconv.ParseFloat(w, 64)
	if err != nil {
		p.t.Fatalf("no value: %q", w)
	}
	return wire.Float64(f)
}
