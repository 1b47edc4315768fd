package wire

import (
	"bytes"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// captured is one line of a capture.
type captured struct {
	client bool
	bytes  []byte
}

// captures returns the lines of the golden captures beside this package, by the file's name.
func captures(t testing.TB) map[string][]captured {
	t.Helper()
	files, err := filepath.Glob("../testdata/captures/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no captures: %v", err)
	}
	all := map[string][]captured{}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, header := range []string{"# client: ", "# version: ", "# taken: "} {
			if !bytes.Contains(text, []byte(header)) {
				t.Errorf("%s does not say %q", name, header)
			}
		}
		for line := range strings.Lines(string(text)) {
			if line[0] != '>' && line[0] != '<' {
				continue
			}
			b, err := hex.DecodeString(strings.TrimSpace(line[2:]))
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			all[filepath.Base(name)] = append(all[filepath.Base(name)], captured{line[0] == '>', b})
		}
	}
	return all
}

// What real clients and RabbitMQ sent decodes completely, and encodes to the very same bytes.
func TestCaptures_EncodeToTheSameBytes(t *testing.T) {
	seen := map[ID]bool{}
	for name, lines := range captures(t) {
		var d Decoder
		for i, c := range lines {
			if string(c.bytes[:4]) == Header[:4] {
				if p, done := DecodeProtocol(c.bytes); p != AMQP091 || !done || string(c.bytes) != Header {
					t.Errorf("%s %d: %q", name, i, c.bytes)
				}
				continue
			}
			f, n, err := DecodeFrame(c.bytes, 131072)
			if err != nil || n != len(c.bytes) {
				t.Fatalf("%s %d: %d bytes of %d, %v", name, i, n, len(c.bytes), err)
			}
			again := reencode(t, &d, f, func(m Method) {
				seen[m.ID()] = true
				if c.client && !m.ID().FromClient() || !c.client && !m.ID().FromServer() {
					t.Errorf("%s %d: %s is from the wrong side", name, i, Text(m))
				}
			})
			if !bytes.Equal(again, c.bytes) {
				t.Errorf("%s %d: encodes to\n%x, was\n%x", name, i, again, c.bytes)
			}
		}
	}
	if len(seen) < 50 {
		t.Errorf("the captures have only %d methods", len(seen))
	}
}

// reencode decodes all there is in a frame and encodes it again.
func reencode(t testing.TB, d *Decoder, f Frame, note func(Method)) []byte {
	t.Helper()
	var w Writer
	switch f.Type {
	case FrameMethod:
		m, err := d.DecodeMethod(f.Payload)
		if err != nil {
			t.Fatal(err)
		}
		note(m)
		if err := w.Method(f.Channel, m); err != nil {
			t.Fatal(err)
		}
	case FrameHeader:
		h, err := DecodeContentHeader(f.Payload)
		if err != nil {
			t.Fatal(err)
		}
		var p Properties
		if err := p.Decode(h.Properties); err != nil {
			t.Fatal(err)
		}
		b := appendFrameHead(nil, FrameHeader, f.Channel, 0)
		b = append(b, f.Payload[:contentHeaderBytes]...)
		if b, err = p.Append(b); err != nil {
			t.Fatal(err)
		}
		return endFrame(b, 0)
	case FrameBody:
		w.body(f.Channel, f.Payload)
	case FrameHeartbeat:
		w.Heartbeat()
	}
	return bytes.Join(w.Pieces(nil), nil)
}

// A content goes out as RabbitMQ sent it: method, header and the bodies that the frame-max makes of it.
func TestCaptures_ContentIsCutLikeRabbitMQ(t *testing.T) {
	contents := 0
	for name, lines := range captures(t) {
		frameMax := 0
		var d, kept Decoder
		var want []byte
		var m Method
		var h ContentHeader
		var body []byte
		for _, c := range lines {
			if string(c.bytes[:4]) == Header[:4] {
				continue
			}
			f := payload(t, c.bytes)
			if f.Type == FrameMethod {
				got, err := d.DecodeMethod(f.Payload)
				if err != nil {
					t.Fatal(err)
				}
				if ok, is := got.(*ConnectionTuneOK); is {
					frameMax = int(ok.FrameMax)
				}
			}
			if c.client || f.Channel == 0 {
				continue
			}
			switch f.Type {
			case FrameMethod:
				m, _ = kept.DecodeMethod(f.Payload)
				want, body, h = nil, nil, ContentHeader{}
			case FrameHeader:
				h, _ = DecodeContentHeader(f.Payload)
			case FrameBody:
				body = append(body, f.Payload...)
			}
			want = append(want, c.bytes...)
			if !m.ID().HasContent() || h.Class == 0 || uint64(len(body)) < h.BodyBytes {
				continue
			}
			contents++
			var w Writer
			w.SetFrameMax(frameMax)
			if err := w.Content(f.Channel, m, h.Properties, body); err != nil {
				t.Fatal(err)
			}
			if got := bytes.Join(w.Pieces(nil), nil); !bytes.Equal(got, want) {
				t.Errorf("%s: %s is\n%x, was\n%x", name, Text(m), got, want)
			}
		}
	}
	if contents < 15 {
		t.Errorf("only %d contents", contents)
	}
}
