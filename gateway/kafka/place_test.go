package kafka

import (
	"bytes"
	"encoding/binary"
	"fmt"
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
	placeBatches    = 60 // of each partition, 20 KiB each
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
	for i := range placeBatches {
		parts := make([][]byte, placePartitions)
		for p := range parts {
			parts[p] = batch(t, fmt.Sprintf("%d/%d", p, i)+strings.Repeat("v", 20<<10))
		}
		for _, r := range ask[*kmsg.ProduceResponse](c, produceRequest("s", -1, parts...), 9).Topics[0].Partitions {
			if r.ErrorCode != 0 {
				t.Fatalf("produce: error %d", r.ErrorCode)
			}
		}
	}
	until(t, "a window that has moved", func() bool { return b.KeepStats()[0].Windows > 0 })
	return b, c
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
	var places int
	for p := range placePartitions {
		want := readPlain(t, b, p)
		for round := range 3 {
			var got []byte
			for from := int64(0); from < placeBatches; {
				q := fetchRequest("s", from, 0, 1)
				part := &q.Topics[0].Partitions[0]
				part.Partition, part.PartitionMaxBytes = int32(p), []int32{1 << 20, 200_000, 70_000}[round]
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
		var released int
		r := b.Read(t.Context(), &broker.Caller{}, []broker.Cursor{{
			Stream: "s", Partition: partitionID(int32(p)), BytesMax: 1 << 20,
			Keep: func(release func()) { places++; release(); released++ },
		}}, 1<<20)[0]
		for _, s := range r.Batches {
			if (s.Span != nil) == (s.Raw != nil) || s.Span != nil && released == 0 {
				t.Errorf("a batch with %d bytes in memory, and a place: %t; kept %d times", len(s.Raw), s.Span != nil, released)
			}
		}
	}
	if places == 0 {
		t.Error("nothing was ever told by its place")
	}
}

// What an answer on its way refers to can be sent also when the stream is gone.
func TestFetch_PlacesOutliveTheStream(t *testing.T) {
	b, _ := placeServe(t)
	want := readPlain(t, b, 0)
	var spans []*broker.Stored
	var release func()
	until(t, "batches told by their place", func() bool { // each second, one reading is looked into
		spans = nil
		r := b.Read(t.Context(), &broker.Caller{}, []broker.Cursor{{Stream: "s", BytesMax: 1 << 20, Keep: func(f func()) { release = f }}}, 1<<20)[0]
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
	release()
	near.Close()
	if got := <-arrived; len(got) != n || n == 0 || !bytes.Contains(want, got) {
		t.Errorf("%d of %d bytes arrived, or not those that are stored", len(got), n)
	}
}
