package wire

import (
	"bufio"
	"encoding/hex"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// captures returns the request frames (without their length) of the golden captures beside this package.
func captures(f testing.TB) [][]byte {
	files, err := filepath.Glob("../testdata/captures/*.txt")
	if err != nil {
		f.Fatal(err)
	}
	var frames [][]byte
	for _, name := range files {
		file, err := os.Open(name)
		if err != nil {
			f.Fatal(err)
		}
		s := bufio.NewScanner(file)
		s.Buffer(nil, 1<<22)
		for s.Scan() {
			text, ok := strings.CutPrefix(s.Text(), "> ")
			if !ok {
				continue
			}
			b, err := hex.DecodeString(text)
			if err != nil || len(b) < 4 {
				f.Fatalf("%s: %v", name, err)
			}
			frames = append(frames, b[4:])
		}
		file.Close()
	}
	return frames
}

func FuzzDecodeHeader(f *testing.F) {
	for _, b := range captures(f) {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		h, body, err := DecodeHeader(b, flexible)
		if err == nil && len(body)+len(h.ClientID)+10 > len(b) {
			t.Errorf("%d bytes came out of %d", len(body), len(b))
		}
	})
}

func seeds(f *testing.F, key int16, more func(version int16) kmsg.Request) {
	for _, b := range captures(f) {
		if h, body, err := DecodeHeader(b, flexible); err == nil && h.Key == key {
			f.Add(h.Version, body)
		}
	}
	for v := range FetchVersionMax + 1 {
		q := more(v)
		q.SetVersion(v)
		f.Add(v, q.AppendTo(nil))
	}
}

// FuzzProduce: no panic, and what both decoders accept is the same.
func FuzzProduce(f *testing.F) {
	seeds(f, KeyProduce, func(v int16) kmsg.Request { return produceRequest(v) })
	f.Fuzz(func(t *testing.T, version int16, body []byte) {
		if version < ProduceVersionMin || version > ProduceVersionMax {
			return
		}
		var p Produce
		if err := p.Decode(version, body); err != nil {
			return
		}
		if size := 48*len(p.Parts) + 56*len(p.Topics); size > 32*len(body) {
			t.Errorf("%d bytes made %d", len(body), size)
		}
		var q kmsg.ProduceRequest
		q.Version = version
		if err := q.ReadFrom(body); err != nil {
			return
		}
		n := 0
		for i, tp := range q.Topics {
			if string(p.Topics[i].Name) != tp.Topic || p.Topics[i].ID != tp.TopicID {
				t.Fatalf("topic %q, kmsg %q", p.Topics[i].Name, tp.Topic)
			}
			for _, pt := range tp.Partitions {
				if g := p.Parts[n]; g.Partition != pt.Partition || string(g.Records) != string(pt.Records) {
					t.Fatalf("partition %+v, kmsg %+v", g, pt)
				}
				n++
			}
		}
		if n != len(p.Parts) {
			t.Fatalf("%d partitions, kmsg %d", len(p.Parts), n)
		}
	})
}

// FuzzFetch: no panic, and what both decoders accept is the same.
func FuzzFetch(f *testing.F) {
	seeds(f, KeyFetch, func(v int16) kmsg.Request { return fetchRequest(v) })
	f.Fuzz(func(t *testing.T, version int16, body []byte) {
		if version < FetchVersionMin || version > FetchVersionMax {
			return
		}
		var p Fetch
		if err := p.Decode(version, body); err != nil {
			return
		}
		if size := 24*len(p.Parts) + 56*(len(p.Topics)+len(p.Forgotten)) + 4*len(p.ForgottenParts); size > 32*len(body) {
			t.Errorf("%d bytes made %d", len(body), size)
		}
		q := kmsg.NewFetchRequest()
		q.Version = version
		if err := q.ReadFrom(body); err != nil {
			return
		}
		n := 0
		for i, tp := range q.Topics {
			if string(p.Topics[i].Name) != tp.Topic || p.Topics[i].ID != tp.TopicID {
				t.Fatalf("topic %q, kmsg %q", p.Topics[i].Name, tp.Topic)
			}
			for _, pt := range tp.Partitions {
				if g := p.Parts[n]; g.Partition != pt.Partition || g.Offset != pt.FetchOffset || g.MaxBytes != pt.PartitionMaxBytes {
					t.Fatalf("partition %+v, kmsg %+v", g, pt)
				}
				n++
			}
		}
		n = 0
		for i, tp := range q.ForgottenTopics {
			g := p.Forgotten[i]
			if string(g.Name) != tp.Topic || g.ID != tp.TopicID || !slices.Equal(p.ForgottenParts[g.First:g.First+g.Count], tp.Partitions) {
				t.Fatalf("forgotten %+v, kmsg %+v", g, tp)
			}
		}
		for i := range p.Topics {
			n += p.Topics[i].Count
		}
		if n != len(p.Parts) || q.MaxWaitMillis != p.MaxWaitMS || q.MinBytes != p.MinBytes || q.MaxBytes != p.MaxBytes {
			t.Fatalf("%+v, kmsg %+v", p, q)
		}
	})
}
