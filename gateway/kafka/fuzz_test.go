package kafka

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"leat/gateway"
)

// fuzzed are the requests of transactions and those about them.
var fuzzed = []int16{8, 9, 22, 24, 25, 26, 27, 28, 61, 65, 66}

// logged is a log that is read now and then.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logged) take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.b.Reset()
	return l.b.String()
}

// FuzzTransactions: whatever stands in a request of a transaction, the gateway answers or closes the connection, and nothing panics. One broker takes all of
// it: transactions that are open meet whatever comes next.
func FuzzTransactions(f *testing.F) {
	b := newBroker(f, 1)
	g := New(b, Default())
	log := &logged{}
	ctx, cancel := context.WithCancel(context.Background())
	l, err := gateway.Listen(ctx, gateway.Options{
		Name: "kafka", Addr: "127.0.0.1:0", Protocol: "kafka", Known: g.Descriptor().Operations, Limits: gateway.Default(),
		Log: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelError})),
	})
	if err != nil {
		f.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- g.Serve(ctx, l) }()
	f.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			f.Error(err)
		}
	})
	addr := l.Addr().String()
	create(dial(f, addr), "orders", 2)
	for i, key := range fuzzed {
		for v := range findAPI(key).max + 1 {
			f.Add(uint8(i), v, transactional(key, v).AppendTo(nil))
		}
	}
	f.Fuzz(func(t *testing.T, which uint8, version int16, body []byte) {
		a := findAPI(fuzzed[int(which)%len(fuzzed)])
		version = min(max(version, a.min), a.max)
		frame := binary.BigEndian.AppendUint16(make([]byte, 4), uint16(a.key))
		frame = binary.BigEndian.AppendUint16(frame, uint16(version))
		frame = append(frame, 0, 0, 0, 1, 0, 1, 'f')
		if version >= flexibleFrom[a.key] {
			frame = append(frame, 0)
		}
		frame = append(frame, body...)
		binary.BigEndian.PutUint32(frame, uint32(len(frame)-4))
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		_, _ = c.Write(frame) // it may be closed already
		_ = c.(*net.TCPConn).CloseWrite()
		if _, err := io.Copy(io.Discard, c); err != nil {
			if n, is := err.(net.Error); is && n.Timeout() { //nolint:errorlint // it is what Read has returned
				t.Fatalf("%s version %d: neither an answer nor the end", a.name, version)
			}
		}
		if said := log.take(); said != "" {
			t.Fatalf("%s version %d: %s", a.name, version, said)
		}
	})
}

// transactional is a request that means something.
func transactional(key, version int16) kmsg.Request {
	q := kmsg.RequestForKey(key)
	id := "tx"
	switch q := q.(type) {
	case *kmsg.InitProducerIDRequest:
		q.TransactionalID, q.TransactionTimeoutMillis, q.ProducerID, q.ProducerEpoch = &id, 60000, -1, -1
	case *kmsg.AddPartitionsToTxnRequest:
		q.TransactionalID, q.ProducerID = id, 1
		q.Topics = []kmsg.AddPartitionsToTxnRequestTopic{{Topic: "orders", Partitions: []int32{0, 1}}}
	case *kmsg.AddOffsetsToTxnRequest:
		q.TransactionalID, q.ProducerID, q.Group = id, 1, "g"
	case *kmsg.EndTxnRequest:
		q.TransactionalID, q.ProducerID, q.Commit = id, 1, true
	case *kmsg.WriteTxnMarkersRequest:
		q.Markers = []kmsg.WriteTxnMarkersRequestMarker{{ProducerID: 1, Topics: []kmsg.WriteTxnMarkersRequestMarkerTopic{{Topic: "orders", Partitions: []int32{0}}}}}
	case *kmsg.TxnOffsetCommitRequest:
		q.TransactionalID, q.ProducerID, q.Group, q.Generation = id, 1, "g", -1
		q.Topics = []kmsg.TxnOffsetCommitRequestTopic{{Topic: "orders", Partitions: []kmsg.TxnOffsetCommitRequestTopicPartition{{Partition: 1, Offset: 5}}}}
	case *kmsg.OffsetCommitRequest:
		q.Group, q.Generation = "g", -1
		q.Topics = []kmsg.OffsetCommitRequestTopic{{Topic: "orders", Partitions: []kmsg.OffsetCommitRequestTopicPartition{{Partition: 1, Offset: 5}}}}
	case *kmsg.OffsetFetchRequest:
		q.Group = "g"
		q.Topics = []kmsg.OffsetFetchRequestTopic{{Topic: "orders", Partitions: []int32{0, 1}}}
	case *kmsg.DescribeTransactionsRequest:
		q.TransactionalIDs = []string{id, "none"}
	case *kmsg.DescribeProducersRequest:
		q.Topics = []kmsg.DescribeProducersRequestTopic{{Topic: "orders", Partitions: []int32{0}}}
	}
	q.SetVersion(version)
	return q
}
