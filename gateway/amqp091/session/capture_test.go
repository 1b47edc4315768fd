package session

import (
	"bytes"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"leat/gateway/amqp091/wire"
)

// captured is a frame of a capture.
type captured struct {
	client bool
	bytes  []byte
	frame  wire.Frame
}

// captures returns the frames of the golden captures, by the file's name.
func captures(t testing.TB) map[string][]captured {
	t.Helper()
	files, err := filepath.Glob("../testdata/captures/*.txt")
	if err != nil || len(files) < 5 {
		t.Fatalf("%d captures: %v", len(files), err)
	}
	all := map[string][]captured{}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			b, err := hex.DecodeString(strings.TrimSpace(strings.TrimLeft(line, "<> ")))
			if (line[0] != '<' && line[0] != '>') || strings.HasPrefix(string(b), "AMQP") {
				continue
			}
			f, n, frameErr := wire.DecodeFrame(b, 131072)
			if err = errors.Join(err, frameErr); err != nil || n != len(b) {
				t.Fatal(n, err)
			}
			name := filepath.Base(name)
			all[name] = append(all[name], captured{line[0] == '>', b, f})
		}
	}
	return all
}

// The sessions that real clients had with RabbitMQ go through Conn, both sides: the client's frames lead to steps, the broker's are
// answered with what it answered. Nothing is refused that RabbitMQ took; where it closed a channel, so does the gateway here.
func TestConn_Captures(t *testing.T) {
	for name, lines := range captures(t) {
		t.Run(name, func(t *testing.T) {
			r := replay{t: t, conn: New(Config{Offer: wire.Limits{ChannelMax: 2047, FrameMax: 131072, Heartbeat: 60}, ContentBytesMax: 1 << 20, HeldBytesMax: 1 << 20})}
			for _, l := range lines {
				if l.client {
					r.client(l.frame)
				} else {
					r.broker(l.frame, l.bytes)
				}
			}
			if r.publishes == 0 || r.answers < 2 {
				t.Errorf("%d publishes, %d answers", r.publishes, r.answers)
			}
		})
	}
}

type replay struct {
	t                  *testing.T
	conn               *Conn
	publishes, answers int
}

func (r *replay) client(f wire.Frame) {
	step, err := r.conn.Frame(f)
	if err != nil {
		r.t.Fatal(err)
	}
	if step.Do == Publish {
		r.publishes++
		p, err := step.Content.Properties.Append(nil)
		if err != nil || !bytes.Equal(p, step.Content.RawProperties) {
			r.t.Errorf("properties %x, were %x", p, step.Content.RawProperties)
		}
	}
}

// broker lets Conn write what RabbitMQ wrote at this place, where Conn is who writes it.
func (r *replay) broker(f wire.Frame, want []byte) {
	if f.Type != wire.FrameMethod {
		return
	}
	m, err := new(wire.Decoder).DecodeMethod(f.Payload)
	if err != nil {
		r.t.Fatal(err)
	}
	var w wire.Writer
	switch m := m.(type) {
	case *wire.ConnectionTune:
		r.conn.cfg.Offer = m.Limits
		err = r.conn.LoggedIn(&w)
	case *wire.ConnectionOpenOK:
		err = r.conn.Opened(&w)
	case *wire.ConnectionCloseOK:
		err = r.conn.CloseOK(&w)
	case *wire.ChannelCloseOK:
		err = r.conn.ChannelCloseOK(&w, f.Channel)
	case *wire.ChannelClose:
		_, text, _ := strings.Cut(string(m.ReplyText), " - ")
		_, err = r.conn.Fail(&w, f.Channel, &wire.Error{Code: m.ReplyCode, Method: wire.ID(uint32(m.ClassID)<<16 | uint32(m.MethodID)), Text: text})
	default:
		return
	}
	r.answers++
	if got := w.AppendTo(nil); err != nil || !bytes.Equal(got, want) {
		r.t.Error(errors.Join(err, errors.New("wrote "+hex.EncodeToString(got)+" for "+wire.Text(m))))
	}
}
