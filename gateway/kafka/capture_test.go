package kafka

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"leat/gateway/kafka/wire"
)

// exchange is a captured request and, where there is one, its answer; both with their length.
type exchange struct{ request, answer []byte }

func captured(t *testing.T) map[string][]exchange {
	t.Helper()
	files, err := filepath.Glob("testdata/captures/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no captures: %v", err)
	}
	all := map[string][]exchange{}
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
		var es []exchange
		for line := range strings.Lines(string(text)) {
			if line[0] != '>' && line[0] != '<' {
				continue
			}
			b, err := hex.DecodeString(strings.TrimSpace(line[2:]))
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if line[0] == '>' {
				es = append(es, exchange{request: b})
			} else {
				es[len(es)-1].answer = b
			}
		}
		all[filepath.Base(name)] = es
	}
	return all
}

// decodeAnswer decodes the answer to a captured request.
func decodeAnswer(t *testing.T, h wire.Header, frame []byte) kmsg.Response {
	t.Helper()
	if got := int32(binary.BigEndian.Uint32(frame)); got != h.Correlation {
		t.Fatalf("answer %d to %d", got, h.Correlation)
	}
	r := kmsg.ResponseForKey(h.Key)
	r.SetVersion(h.Version)
	body := frame[4:]
	if h.Key == keyAPIVersions && h.Version > 4 {
		r.SetVersion(0) // too new: the gateway's way of saying so
	}
	if r.IsFlexible() && h.Key != keyAPIVersions {
		body = body[1:]
	}
	if err := r.ReadFrom(body); err != nil {
		t.Fatalf("answer to key %d version %d: %v", h.Key, h.Version, err)
	}
	if again := r.AppendTo(nil); !bytes.Equal(again, body) {
		t.Errorf("answer to key %d version %d: kmsg writes\n%x, the gateway\n%x", h.Key, h.Version, again, body)
	}
	return r
}

// What real clients sent decodes completely, and what they were answered is what an independent codec would have written.
func TestCaptures_AreUnderstood(t *testing.T) {
	for name, es := range captured(t) {
		for _, e := range es {
			h, body, err := wire.DecodeHeader(e.request[4:], flexibleHeader)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if e.answer != nil {
				decodeAnswer(t, h, e.answer[4:])
			}
			if a := findAPI(h.Key); a == nil || h.Version > a.max {
				continue
			}
			switch h.Key {
			case wire.KeyProduce:
				err = new(wire.Produce).Decode(h.Version, body)
			case wire.KeyFetch:
				err = new(wire.Fetch).Decode(h.Version, body)
			default:
				q := kmsg.RequestForKey(h.Key)
				q.SetVersion(h.Version)
				if err = q.ReadFrom(body); err == nil && !bytes.Equal(q.AppendTo(nil), body) {
					t.Errorf("%s: key %d version %d does not encode to what it was decoded from", name, h.Key, h.Version)
				}
			}
			if err != nil {
				t.Errorf("%s: key %d version %d: %v", name, h.Key, h.Version, err)
			}
		}
	}
}

// The gateway answers everything that real clients sent, on one connection, in order.
func TestCaptures_AreAnswered(t *testing.T) {
	for name, es := range captured(t) {
		t.Run(name, func(t *testing.T) {
			c := dial(t, serve(t, newBroker(t, 1)))
			for _, e := range es {
				if e.answer == nil {
					continue
				}
				if _, err := c.c.Write(e.request); err != nil {
					t.Fatal(err)
				}
				h, _, err := wire.DecodeHeader(e.request[4:], flexibleHeader)
				if err != nil {
					t.Fatal(err)
				}
				frame, err := readFrame(c.c)
				if err != nil {
					t.Fatalf("key %d version %d was not answered: %v", h.Key, h.Version, err)
				}
				decodeAnswer(t, h, frame)
			}
		})
	}
}
