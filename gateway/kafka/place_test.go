package kafka

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"leat/broker"
	"leat/broker/record"
	"leat/gateway/gatewaytest"
	"leat/storage/segment"
	"leat/storage/vfs"
	osfs "leat/storage/vfs/os"
)

const (
	placePartitions = 3
	placeBatches    = 60 // of each partition, 40 KiB each
)

// placeServe has a topic of which most lies in segment files of the machine.
func placeServe(t *testing.T) (b *broker.Broker, c *client) {
	t.Helper()
	fsys := osfs.New()
	if !vfs.Sends(fsys) {
		t.Skip("files cannot be sent here")
	}
	segments, err := segment.Open(fsys, filepath.ToSlash(t.TempDir()), segment.Default(), segment.Options{})
	if err != nil {
		t.Fatal(err)
	}
	stores := gatewaytest.MemoryShards(t, 1)
	stores[0].Segments = segments
	cfg := broker.Default()
	cfg.HotTailBytes, cfg.SegmentWindowBytes, cfg.SegmentBacklogBytesMax, cfg.KeepInterval = 0, 1<<20, 64<<20, 10*time.Millisecond
	b = openBroker(t, cfg, stores)
	c = dial(t, serve(t, b))
	create(c, "s", placePartitions)
	fillTopic(c, "s", placePartitions, placeBatches, 40<<10)
	placeMoved(t, b)
	return b, c
}

// placeMoved waits until all that can be moved to files has been.
func placeMoved(t *testing.T, b *broker.Broker) {
	t.Helper()
	until(t, "a window that has moved", func() bool {
		k := b.KeepStats()[0]
		return k.Windows > 0 && k.Pending < 1<<20
	})
}

// readPlain reads a partition in memory.
func readPlain(t *testing.T, b *broker.Broker, p int) []byte {
	t.Helper()
	var all []byte
	for from := int64(0); from < placeBatches; {
		r := b.Read(t.Context(), &broker.Caller{}, []broker.Cursor{{Stream: "s", Partition: partitionID(int32(p)), From: record.Offset(from), BytesMax: 1 << 20}}, 1<<20)[0]
		if r.Err != nil || len(r.Batches) == 0 {
			t.Fatalf("read from %d: %v", from, r.Err)
		}
		for _, s := range r.Batches {
			all, from = append(all, s.Raw...), int64(s.Next)
		}
	}
	return all
}

func TestFetch_FromWhereItLies(t *testing.T) {
	b, c := placeServe(t)
	for p := range placePartitions {
		want := readPlain(t, b, p)
		for round := range 3 {
			var got []byte
			for from := int64(0); from < placeBatches; {
				q := fetchRequest("s", from, 0, 1)
				part := &q.Topics[0].Partitions[0]
				part.Partition, part.PartitionMaxBytes = int32(p), []int32{1 << 20, 200_000, 50_000}[round]
				r := ask[*kmsg.FetchResponse](c, q, 12).Topics[0].Partitions[0]
				if r.ErrorCode != 0 || len(r.RecordBatches) == 0 {
					t.Fatalf("partition %d from %d: error %d, %d bytes", p, from, r.ErrorCode, len(r.RecordBatches))
				}
				got = append(got, r.RecordBatches...)
				for rest := r.RecordBatches; len(rest) > 0; from++ { // a record in each
					rest = rest[12+binary.BigEndian.Uint32(rest[8:]):]
				}
			}
			if !bytes.Equal(got, want) {
				t.Fatalf("partition %d, round %d: %d bytes that are not the %d stored ones", p, round, len(got), len(want))
			}
		}
		until(t, "batches told by their place", func() bool { // each second, one reading is looked into
			var kept, places int
			r := b.Read(t.Context(), &broker.Caller{}, []broker.Cursor{{
				Stream: "s", Partition: partitionID(int32(p)), BytesMax: 1 << 20, Keep: func(release func()) { release(); kept++ },
			}}, 1<<20)[0]
			for _, s := range r.Batches {
				if (s.Span != nil) == (s.Raw != nil) {
					t.Errorf("a batch with %d bytes in memory, and a place: %t", len(s.Raw), s.Span != nil)
				}
				if s.Span != nil {
					places++
				}
			}
			return places > 0 && kept == 1
		})
	}
}

// What an answer on its way refers to can be sent also when the stream is gone.
func TestFetch_PlacesOutliveTheStream(t *testing.T) {
	b, _ := placeServe(t)
	want := readPlain(t, b, 0)
	var spans []*broker.Stored
	var release []func()
	until(t, "batches told by their place", func() bool { // each second, one reading is looked into
		spans = nil
		r := b.Read(t.Context(), &broker.Caller{}, []broker.Cursor{{Stream: "s", BytesMax: 1 << 20, Keep: func(f func()) { release = append(release, f) }}}, 1<<20)[0]
		for _, s := range r.Batches {
			if s.Span != nil {
				spans = append(spans, s)
			}
		}
		return len(spans) > 0
	})
	if err := b.DeleteStream(t.Context(), &broker.Caller{}, "s"); err != nil {
		t.Fatal(err)
	}
	got := placeSend(t, spans)
	for _, f := range release {
		f()
	}
	if len(got) == 0 || !bytes.Contains(want, got) {
		t.Errorf("%d bytes arrived, or not those that are stored", len(got))
	}
}

// What was in the journal when it was told of is sent from the file it has moved to meanwhile.
func TestFetch_PlacesOutliveTheJournal(t *testing.T) {
	b, c := placeServe(t)
	var spans []*broker.Stored
	until(t, "batches of the journal told by their place", func() bool {
		spans = nil
		r := b.Read(t.Context(), &broker.Caller{}, []broker.Cursor{{Stream: "s", From: placeBatches - 3, BytesMax: 1 << 20, Keep: func(func()) { t.Error("it is in a file") }}}, 1<<20)[0]
		for _, s := range r.Batches {
			if s.Span != nil {
				spans = append(spans, s)
			}
		}
		return len(spans) == 3
	})
	windows := b.KeepStats()[0].Windows
	for b.KeepStats()[0].Windows < windows+2 {
		ask[*kmsg.ProduceResponse](c, produceRequest("s", -1, batch(t, strings.Repeat("w", 100<<10))), 9)
	}
	want := readPlain(t, b, 0)
	if got := placeSend(t, spans); len(got) == 0 || !bytes.Contains(want, got) {
		t.Errorf("%d bytes arrived, or not those that are stored", len(got))
	}
}

// placeSend returns what arrives of spans that are sent.
func placeSend(t *testing.T, spans []*broker.Stored) []byte {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	far, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	near, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	arrived := make(chan []byte, 1)
	go func() {
		p, _ := io.ReadAll(far)
		arrived <- p
	}()
	socket, err := near.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, s := range spans {
		sent, err := s.Span.SendTo(socket, 0, s.Span.Len())
		if err != nil {
			t.Fatal(err)
		}
		n += sent
	}
	near.Close()
	got := <-arrived
	if len(got) != n {
		t.Errorf("%d of %d bytes arrived", len(got), n)
	}
	return got
}
