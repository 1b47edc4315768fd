package session

import (
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"leat/gateway/amqp091/wire"
)

var update = flag.Bool("update", false, "rewrite the scripts with what happens now")

// A script is a conversation. Lines that begin with ">" come from the client, those with "!" are what the gateway says; the lines below
// are what comes of it: "=" a step for the gateway, "<" a frame for the client. Others are prose.
//
//	> 1 queue.declare queue="q" durable       a method on channel 1, as wire.Text writes them
//	> 1 header 5 [class 50] [raw 8000]        a content header, of class 60 and without properties unless it says otherwise
//	> 1 body hello                            a body; "hello*100" is hello a hundred times
//	> heartbeat
//	> raw 03 0001 …                           a frame in hex
//	! start | logged-in | challenge x | login-refused x | opened | channel-close-ok 1 | close-ok | block x | unblock
//	! fail 1 404 queue.declare no queue       ends channel 1; channel 0 ends the connection
//
// What is refused is given to Fail at once.
type script struct {
	t    *testing.T
	conn *Conn
	w    wire.Writer
	out  strings.Builder
}

// Limits of the connections in scripts.
const (
	scriptContentMax = 100_000
	scriptHeldMax    = 150_000
)

func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/scripts/*.txt")
	if err != nil || len(files) < 5 {
		t.Fatalf("%d scripts: %v", len(files), err)
	}
	for _, name := range files {
		t.Run(filepath.Base(name), func(t *testing.T) {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			s := &script{t: t}
			s.begin()
			for line := range strings.SplitSeq(strings.TrimRight(string(text), "\n"), "\n") {
				if strings.HasPrefix(line, "= ") || strings.HasPrefix(line, "< ") {
					continue
				}
				s.say("%s", line)
				switch {
				case strings.HasPrefix(line, "> "):
					s.client(line[2:])
				case strings.HasPrefix(line, "! "):
					s.gateway(line[2:])
				}
				s.flush()
			}
			if s.out.String() == string(text) {
				return
			}
			if *update {
				if err := os.WriteFile(name, []byte(s.out.String()), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			t.Errorf("what happens now is\n%s", s.out.String())
		})
	}
}

func (s *script) begin() {
	p, err := wire.Table(nil).Add("product", wire.String("Leat"))
	if err != nil {
		s.t.Fatal(err)
	}
	s.conn = New(Config{Offer: wire.Limits{ChannelMax: 3, FrameMax: 131072, Heartbeat: 60}, Properties: p, Mechanisms: "PLAIN EXTERNAL",
		ContentBytesMax: scriptContentMax, HeldBytesMax: scriptHeldMax})
}

func (s *script) say(format string, args ...any) { fmt.Fprintf(&s.out, format+"\n", args...) }

func (s *script) check(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *script) client(line string) {
	switch {
	case line == "again":
		s.begin()
		return
	case line == "opened": // the handshake, in short
		s.check(s.conn.Start(&s.w))
		s.frames("0 connection.start-ok mechanism=\"PLAIN\" client-properties={capabilities={connection.blocked=true}}")
		s.check(s.conn.LoggedIn(&s.w))
		s.frames("0 connection.tune-ok channel-max=3 frame-max=131072", `0 connection.open virtual-host="/"`)
		s.check(s.conn.Opened(&s.w))
		s.frames("1 channel.open")
		s.w.Reset()
		return
	}
	f := s.frame(line)
	step, err := s.conn.Frame(f)
	if err != nil {
		var e *wire.Error
		if !errors.As(err, &e) {
			s.t.Fatalf("%v is no *wire.Error", err)
		}
		silent, err := s.conn.Fail(&s.w, f.Channel, e)
		s.check(err)
		if silent {
			s.say("= refused silently: %s", e)
		} else {
			s.say("= refused: %s", e)
		}
		return
	}
	s.step(step)
}

func (s *script) frames(lines ...string) {
	for _, line := range lines {
		if _, err := s.conn.Frame(s.frame(line)); err != nil {
			s.t.Fatal(err)
		}
	}
}

var steps = [...]string{"nothing", "login", "open", "secret", "call", "publish", "channel-open", "channel-close", "close", "end"}

func (s *script) step(st Step) {
	switch {
	case st.Do == Nothing:
	case st.Content != nil:
		c := st.Content
		body := string(c.Body)
		if len(body) > 40 {
			body = fmt.Sprintf("%s… %d bytes", body[:20], len(body))
		}
		text := fmt.Sprintf("= publish on %d in mode %d: exchange=%q key=%q mandatory=%t body=%q kept=%t", st.Channel, st.Mode, c.Exchange, c.RoutingKey, c.Mandatory, body, c.BodyKept)
		if p := c.Properties.String(); p != "" {
			text += " " + p
		}
		s.say("%s", text)
	case st.Method != nil:
		s.say("= %s on %d: %s", steps[st.Do], st.Channel, wire.Text(st.Method))
	default:
		s.say("= %s on %d", steps[st.Do], st.Channel)
	}
}

// flush says what was written.
func (s *script) flush() {
	for b := s.w.AppendTo(nil); len(b) > 0; {
		f, n, err := wire.DecodeFrame(b, 1<<20)
		if err != nil || n == 0 {
			s.t.Fatal(n, err)
		}
		b = b[n:]
		m, err := new(wire.Decoder).DecodeMethod(f.Payload)
		s.check(err)
		s.say("< %d %s", f.Channel, wire.Text(m))
	}
	s.w.Reset()
}

func (s *script) gateway(line string) {
	verb, rest, _ := strings.Cut(line, " ")
	var err error
	switch verb {
	case "start":
		err = s.conn.Start(&s.w)
	case "logged-in":
		err = s.conn.LoggedIn(&s.w)
	case "challenge":
		err = s.conn.Challenge(&s.w, []byte(rest))
	case "login-refused":
		var silent bool
		if silent, err = s.conn.LoginRefused(&s.w, rest); silent {
			s.say("= silently")
		}
	case "opened":
		err = s.conn.Opened(&s.w)
	case "channel-close-ok":
		err = s.conn.ChannelCloseOK(&s.w, s.number(rest))
	case "close-ok":
		err = s.conn.CloseOK(&s.w)
	case "block":
		err = s.conn.Block(&s.w, rest)
	case "unblock":
		err = s.conn.Unblock(&s.w)
	case "fail":
		w := strings.SplitN(rest, " ", 4)
		_, err = s.conn.Fail(&s.w, s.number(w[0]), &wire.Error{Code: wire.ReplyCode(s.number(w[1])), Method: idOf(w[2]), Text: w[3]})
	case "state":
		s.say("= %d channels, %d bytes held, ended %t", s.conn.Channels(), s.conn.HeldBytes(), s.conn.Ended())
	default:
		s.t.Fatalf("nobody says %q", line)
	}
	s.check(err)
}

func (s *script) number(text string) uint16 {
	n, err := strconv.ParseUint(text, 10, 16)
	s.check(err)
	return uint16(n)
}

// frame reads a line of a client.
func (s *script) frame(line string) wire.Frame {
	words := strings.SplitN(line, " ", 3)
	if words[0] == "heartbeat" {
		return wire.Frame{Type: wire.FrameHeartbeat}
	}
	if words[0] == "raw" {
		b, err := hex.DecodeString(strings.ReplaceAll(line[4:], " ", ""))
		s.check(err)
		f, n, err := wire.DecodeFrame(b, 1<<20)
		if err != nil || n != len(b) {
			s.t.Fatal(n, err)
		}
		return f
	}
	f := wire.Frame{Channel: s.number(words[0])}
	rest := ""
	if len(words) == 3 {
		rest = words[2]
	}
	switch words[1] {
	case "header":
		f.Type, f.Payload = wire.FrameHeader, s.header(rest)
	case "body":
		f.Type, f.Payload = wire.FrameBody, []byte(rest)
		if text, times, ok := strings.Cut(rest, "*"); ok {
			f.Payload = []byte(strings.Repeat(text, int(s.number(times))))
		}
	default:
		m := parseMethod(s.t, words[1], rest)
		var w wire.Writer
		s.check(w.Method(f.Channel, m))
		f, _, _ = wire.DecodeFrame(w.AppendTo(nil), 1<<20)
	}
	return f
}

func (s *script) header(rest string) []byte {
	words := strings.Fields(rest)
	size, err := strconv.ParseUint(words[0], 10, 64)
	s.check(err)
	class, properties := uint16(wire.ClassBasic), []byte{0, 0}
	for i := 1; i < len(words); i += 2 {
		if words[i] == "class" {
			class = s.number(words[i+1])
		} else {
			properties, err = hex.DecodeString(words[i+1])
			s.check(err)
		}
	}
	b := []byte{byte(class >> 8), byte(class), 0, 0}
	for shift := 56; shift >= 0; shift -= 8 {
		b = append(b, byte(size>>shift))
	}
	return append(b, properties...)
}
