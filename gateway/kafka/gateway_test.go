package kafka

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"leat/broker"
	"leat/gateway/kafka/wire"
)

func TestProduceAndFetch_EveryVersion(t *testing.T) {
	for _, shards := range []int{1, 3} {
		t.Run(fmt.Sprint(shards, " shards"), func(t *testing.T) {
			c := dial(t, serve(t, newBroker(t, shards)))
			create(c, "orders", 2)
			id := topicID(c, "orders")
			var want []byte
			offset := int64(0)
			for v := wire.ProduceVersionServed; v <= wire.ProduceVersionMax; v++ {
				p0, p1 := batch(t, fmt.Sprint("a", v), fmt.Sprint("b", v)), batch(t, "x")
				q := produceRequest("orders", -1, p0, p1)
				q.Topics[0].TopicID = id
				r := ask[*kmsg.ProduceResponse](c, q, v)
				got := r.Topics[0].Partitions[0]
				if got.ErrorCode != 0 || got.BaseOffset != offset || got.LogAppendTime != -1 {
					t.Fatalf("version %d: %+v", v, got)
				}
				stored := bytes.Clone(p0)
				binary.BigEndian.PutUint64(stored, uint64(offset))
				want = append(want, stored...)
				offset += 2
			}
			for v := wire.FetchVersionMin; v <= wire.FetchVersionMax; v++ {
				q := fetchRequest("orders", 0, 0, 1)
				q.Topics[0].TopicID = id
				r := ask[*kmsg.FetchResponse](c, q, v)
				p := r.Topics[0].Partitions[0]
				if p.ErrorCode != 0 || p.HighWatermark != offset || p.LastStableOffset != offset {
					t.Fatalf("version %d: %+v", v, p)
				}
				if !bytes.Equal(withoutEpochs(p.RecordBatches), withoutEpochs(want)) {
					t.Errorf("version %d: other bytes than were sent", v)
				}
			}
		})
	}
}

// withoutEpochs blanks the leader epochs of batches, which the broker sets.
func withoutEpochs(p []byte) []byte {
	p = bytes.Clone(p)
	for b := p; len(b) > 61; b = b[12+binary.BigEndian.Uint32(b[8:]):] {
		binary.BigEndian.PutUint32(b[12:], 0)
	}
	return p
}

func TestProduce_Refusals(t *testing.T) {
	good := batch(t, "x")
	badCRC := bytes.Clone(good)
	badCRC[len(badCRC)-1] ^= 1
	badCodec := bytes.Clone(good)
	badCodec[22] = 7
	binary.BigEndian.PutUint32(badCodec[17:], crc32.Checksum(badCodec[21:], crc32.MakeTable(crc32.Castagnoli)))
	magic1 := bytes.Clone(good)
	magic1[16] = 1
	transactional := bytes.Clone(good)
	transactional[22] |= 0x10
	binary.BigEndian.PutUint32(transactional[17:], crc32.Checksum(transactional[21:], crc32.MakeTable(crc32.Castagnoli)))
	for _, c := range []struct {
		name    string
		q       *kmsg.ProduceRequest
		version int16
		want    int16
	}{
		{"bad CRC", produceRequest("orders", -1, badCRC), 9, codeCorruptMessage},
		{"unknown codec", produceRequest("orders", -1, badCodec), 9, codeUnsupportedCompression},
		{"old format", produceRequest("orders", -1, magic1), 9, codeUnsupportedFormat},
		{"transactional batch without a producer", produceRequest("orders", -1, transactional), 9, codeInvalidRecord},
		{"two batches", produceRequest("orders", -1, append(bytes.Clone(good), good...)), 9, codeInvalidRecord},
		{"no batch", produceRequest("orders", -1, nil), 9, codeInvalidRecord},
		{"half a batch", produceRequest("orders", -1, good[:40]), 9, codeInvalidRecord},
		{"too large", produceRequest("orders", -1, batch(t, strings.Repeat("x", 1<<20))), 9, codeMessageTooLarge},
		{"unknown topic", produceRequest("nope", -1, good), 9, codeUnknownPartition},
		{"unknown partition", produceRequest("orders", -1, good, good), 9, codeUnknownPartition},
		{"bad name", produceRequest("a/b", -1, good), 9, codeInvalidTopic},
		{"acks 2", produceRequest("orders", 2, good), 9, codeInvalidAcks},
		{"version 2", produceRequest("orders", -1, good), 2, codeUnsupportedVersion},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := dial(t, serve(t, newBroker(t, 1)))
			create(k, "orders", 1)
			r := ask[*kmsg.ProduceResponse](k, c.q, c.version)
			ps := r.Topics[0].Partitions
			last := ps[len(ps)-1]
			if last.ErrorCode != c.want || last.BaseOffset != -1 {
				t.Errorf("error %d, base %d; want %d, -1", last.ErrorCode, last.BaseOffset, c.want)
			}
			if c.version >= 8 && (last.ErrorMessage == nil || *last.ErrorMessage == "") {
				t.Error("no message")
			}
			if c.name == "unknown partition" && ps[0].ErrorCode != 0 {
				t.Errorf("the good partition was refused with it: %d", ps[0].ErrorCode)
			}
		})
	}
}

// A request that is longer than its first piece of memory is read piece by piece, and whole.
func TestProduce_LargeRequest(t *testing.T) {
	b := newBroker(t, 1)
	c := dial(t, serve(t, b))
	create(c, "orders", 6)
	var parts [][]byte
	for i := range 6 {
		parts = append(parts, batch(t, strings.Repeat(string(rune('a'+i)), 900_000)))
	}
	for i, p := range ask[*kmsg.ProduceResponse](c, produceRequest("orders", -1, parts...), 9).Topics[0].Partitions {
		if p.ErrorCode != 0 {
			t.Errorf("partition %d: %d %s", i, p.ErrorCode, str(p.ErrorMessage))
		}
	}
	q := fetchRequest("orders", 0, 0, 1)
	q.Topics[0].Partitions[0].Partition = 5
	if p := ask[*kmsg.FetchResponse](c, q, 11).Topics[0].Partitions[0]; !bytes.Contains(p.RecordBatches, []byte("ffff")) || len(p.RecordBatches) < 900_000 {
		t.Errorf("%d bytes came back", len(p.RecordBatches))
	}
	for deadline := time.Now().Add(time.Minute); b.MemoryReserved() != 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d bytes are still reserved", b.MemoryReserved())
		}
	}
}

func TestProduce_QuotaThrottlesAndMutes(t *testing.T) {
	cfg := broker.Default()
	cfg.PrincipalEventsPerSecond = 20
	b := newBrokerWith(t, cfg, 1)
	if _, err := b.CreateStream(t.Context(), &broker.Caller{}, "orders", broker.StreamConfig{}); err != nil {
		t.Fatal(err)
	}
	c := dial(t, serve(t, b))
	events := make([]string, 30)
	// Thirty of twenty a second: half a second of debt. The client does not keep away, so it is not listened to for as long; nothing is refused.
	// The node counts from a moment after the request before was sent: from then on it is at least as long, however slow this machine is.
	var told time.Duration
	var before time.Time
	for i := range 4 {
		began := time.Now()
		r := ask[*kmsg.ProduceResponse](c, produceRequest("orders", -1, batch(t, events...)), 9)
		if ms := r.ThrottleMillis; ms < 1 || ms > 1600 || r.Topics[0].Partitions[0].ErrorCode != codeNone {
			t.Errorf("%d: throttled %d ms, code %d", i, ms, r.Topics[0].Partitions[0].ErrorCode)
		}
		if took := time.Since(before); took < told-5*time.Millisecond {
			t.Errorf("%d: answered %v after the request before, although that was told to keep away for %v", i, took, told)
		}
		before, told = began, time.Duration(r.ThrottleMillis)*time.Millisecond
	}
}

func TestProduce_AcksZero(t *testing.T) {
	addr := serve(t, newBroker(t, 1))
	c := dial(t, addr)
	create(c, "orders", 1)
	c.send(produceRequest("orders", 0, batch(t, "x")), 9)
	c.send(produceRequest("orders", 0, batch(t, "y")), 9)
	r := ask[*kmsg.ProduceResponse](c, produceRequest("orders", 1, batch(t, "z")), 9) // its answer is the next there is
	if p := r.Topics[0].Partitions[0]; p.BaseOffset != 2 {
		t.Errorf("base %d, want 2", p.BaseOffset)
	}
	c.send(produceRequest("nope", 0, batch(t, "x")), 9)
	c.closed()
}

func TestProduce_IdempotentDuplicatesAndGaps(t *testing.T) {
	c := dial(t, serve(t, newBroker(t, 1)))
	create(c, "orders", 1)
	id := ask[*kmsg.InitProducerIDResponse](c, kmsg.NewPtrInitProducerIDRequest(), 4)
	if id.ErrorCode != 0 || id.ProducerID < 0 || id.ProducerEpoch != 0 {
		t.Fatalf("%+v", id)
	}
	stamped := func(sequence int32, epoch int16) []byte {
		b := batch(t, "x")
		binary.BigEndian.PutUint64(b[43:], uint64(id.ProducerID))
		binary.BigEndian.PutUint16(b[51:], uint16(epoch))
		binary.BigEndian.PutUint32(b[53:], uint32(sequence))
		binary.BigEndian.PutUint32(b[17:], crc32.Checksum(b[21:], crc32.MakeTable(crc32.Castagnoli)))
		return b
	}
	for _, step := range []struct {
		sequence int32
		epoch    int16
		code     int16
		base     int64
	}{
		{0, 0, 0, 0}, {1, 0, 0, 1}, {0, 0, 0, 0}, {1, 0, 0, 1}, {3, 0, codeOutOfOrderSequence, -1}, {2, 0, 0, 2},
		{0, 1, 0, 3}, {3, 0, codeInvalidProducerEpoch, -1},
	} {
		r := ask[*kmsg.ProduceResponse](c, produceRequest("orders", -1, stamped(step.sequence, step.epoch)), 9)
		if p := r.Topics[0].Partitions[0]; p.ErrorCode != step.code || p.BaseOffset != step.base {
			t.Errorf("sequence %d epoch %d: error %d, base %d; want %d, %d", step.sequence, step.epoch, p.ErrorCode, p.BaseOffset, step.code, step.base)
		}
	}
}

// Many requests in flight, of several kinds: answers come in the order of requests and appends in theirs.
func TestOrder_ManyInFlight(t *testing.T) {
	c := dial(t, serve(t, newBroker(t, 1)))
	create(c, "orders", 1)
	type sent struct {
		q           kmsg.Request
		correlation int32
	}
	var all []sent
	appended := int64(0)
	for i := range 300 {
		var q kmsg.Request
		switch i % 5 {
		case 0:
			q = kmsg.NewPtrListOffsetsRequest()
			q.(*kmsg.ListOffsetsRequest).Topics = []kmsg.ListOffsetsRequestTopic{{Topic: "orders", Partitions: []kmsg.ListOffsetsRequestTopicPartition{{Timestamp: -1}}}}
			q.SetVersion(4)
		case 1:
			q = kmsg.NewPtrApiVersionsRequest()
		default:
			q = produceRequest("orders", -1, batch(t, fmt.Sprint(i)))
			q.SetVersion(9)
		}
		c.correlation++
		all = append(all, sent{q, c.correlation})
	}
	go func() {
		var b []byte
		for _, s := range all {
			b = kmsg.NewRequestFormatter(kmsg.FormatterClientID("test")).AppendRequest(b[:0], s.q, s.correlation)
			if _, err := c.c.Write(b); err != nil {
				t.Error(err)
				return
			}
		}
	}()
	for _, s := range all {
		switch s.q.(type) {
		case *kmsg.ProduceRequest:
			r, err := receive[*kmsg.ProduceResponse](c.c, s.q, s.correlation)
			if err != nil {
				t.Fatal(err)
			}
			if p := r.Topics[0].Partitions[0]; p.BaseOffset != appended {
				t.Fatalf("base %d, want %d", p.BaseOffset, appended)
			}
			appended++
		case *kmsg.ListOffsetsRequest: // it sees every append before it
			r, err := receive[*kmsg.ListOffsetsResponse](c.c, s.q, s.correlation)
			if err != nil {
				t.Fatal(err)
			}
			if p := r.Topics[0].Partitions[0]; p.Offset < appended {
				t.Fatalf("end %d after %d appends were answered", p.Offset, appended)
			}
		default:
			if _, err := receive[*kmsg.ApiVersionsResponse](c.c, s.q, s.correlation); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestFetch_LongPoll(t *testing.T) {
	addr := serve(t, newBroker(t, 1))
	c, producer := dial(t, addr), dial(t, addr)
	create(c, "orders", 1)

	start := time.Now()
	r := ask[*kmsg.FetchResponse](c, fetchRequest("orders", 0, 150, 1), 11)
	if d := time.Since(start); d < 140*time.Millisecond || len(r.Topics[0].Partitions[0].RecordBatches) != 0 {
		t.Errorf("nothing to read: answered after %v with %d bytes", d, len(r.Topics[0].Partitions[0].RecordBatches))
	}

	q := fetchRequest("orders", 0, 15000, 1)
	c.send(q, 11)
	time.Sleep(20 * time.Millisecond)
	start = time.Now()
	ask[*kmsg.ProduceResponse](producer, produceRequest("orders", -1, batch(t, "x")), 9)
	r, err := receive[*kmsg.FetchResponse](c.c, q, c.correlation)
	if err != nil || len(r.Topics[0].Partitions[0].RecordBatches) == 0 || time.Since(start) > 5*time.Second {
		t.Errorf("an append did not wake the fetch: %v after %v", err, time.Since(start))
	}

	// Less than MinBytes waits for more; an error does not wait.
	q = fetchRequest("orders", 1, 15000, 120)
	c.send(q, 11)
	ask[*kmsg.ProduceResponse](producer, produceRequest("orders", -1, batch(t, "y")), 9)
	ask[*kmsg.ProduceResponse](producer, produceRequest("orders", -1, batch(t, "z")), 9)
	r, err = receive[*kmsg.FetchResponse](c.c, q, c.correlation)
	if err != nil || len(r.Topics[0].Partitions[0].RecordBatches) < 120 {
		t.Errorf("MinBytes 120: %v, %d bytes", err, len(r.Topics[0].Partitions[0].RecordBatches))
	}
	start = time.Now()
	r = ask[*kmsg.FetchResponse](c, fetchRequest("orders", 99, 15000, 1), 11)
	if p := r.Topics[0].Partitions[0]; p.ErrorCode != codeOffsetOutOfRange || time.Since(start) > 5*time.Second {
		t.Errorf("beyond the end: error %d after %v", p.ErrorCode, time.Since(start))
	}
	r = ask[*kmsg.FetchResponse](c, fetchRequest("nope", 0, 15000, 1), 11)
	if p := r.Topics[0].Partitions[0]; p.ErrorCode != codeUnknownPartition {
		t.Errorf("unknown topic: error %d", p.ErrorCode)
	}

	// Requests behind a long poll are read and done, and answered behind it.
	q = fetchRequest("orders", 3, 15000, 1)
	c.send(q, 11)
	first := c.correlation
	p := produceRequest("orders", -1, batch(t, "behind"))
	c.send(p, 9)
	if r, err = receive[*kmsg.FetchResponse](c.c, q, first); err != nil || len(r.Topics[0].Partitions[0].RecordBatches) == 0 {
		t.Errorf("the fetch before it: %v", err)
	}
	if _, err := receive[*kmsg.ProduceResponse](c.c, p, first+1); err != nil {
		t.Error(err)
	}
}

func TestFetch_AtLeastOneBatch(t *testing.T) {
	c := dial(t, serve(t, newBroker(t, 1)))
	create(c, "orders", 1)
	for range 3 {
		ask[*kmsg.ProduceResponse](c, produceRequest("orders", -1, batch(t, strings.Repeat("x", 5000), "second")), 9)
	}
	q := fetchRequest("orders", 1, 0, 1)
	q.MaxBytes, q.Topics[0].Partitions[0].PartitionMaxBytes = 10, 10
	p := ask[*kmsg.FetchResponse](c, q, 11).Topics[0].Partitions[0]
	if n := len(p.RecordBatches); n < 5000 || n > 6000 {
		t.Fatalf("%d bytes; want the one batch that holds offset 1", n)
	}
	if base := binary.BigEndian.Uint64(p.RecordBatches); base != 0 {
		t.Errorf("base %d; offset 1 is in the batch from 0", base)
	}
	q = fetchRequest("orders", 0, 0, 1)
	q.SessionID, q.SessionEpoch = 5, 1
	if r := ask[*kmsg.FetchResponse](c, q, 11); r.ErrorCode != codeSessionNotFound {
		t.Errorf("session: %d", r.ErrorCode)
	}
	for _, epoch := range []int32{0, -1} { // it begins one, or wants none, whatever it calls it
		q.SessionID, q.SessionEpoch = -1, epoch
		if r := ask[*kmsg.FetchResponse](c, q, 11); r.ErrorCode != 0 || len(r.Topics) != 1 || (r.SessionID > 0) != (epoch == 0) {
			t.Errorf("session -1, epoch %d: %+v", epoch, r)
		}
	}
}

func TestFetch_ReturnsAtOnceWhenTheListenerDrains(t *testing.T) {
	// gatewaytest's Long does this over a listener it can drain; here the peer goes away in the middle of a poll.
	b := newBroker(t, 1)
	c := dial(t, serve(t, b))
	create(c, "orders", 1)
	c.send(fetchRequest("orders", 0, 60_000, 1), 11)
	time.Sleep(20 * time.Millisecond)
	c.c.Close()
	deadline := time.Now().Add(time.Minute)
	for b.MemoryReserved() != 0 {
		if time.Now().After(deadline) {
			t.Fatalf("%d bytes are still reserved for a peer that has left", b.MemoryReserved())
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func TestListOffsets(t *testing.T) {
	c := dial(t, serve(t, newBroker(t, 1)))
	create(c, "orders", 1)
	for range 2 {
		ask[*kmsg.ProduceResponse](c, produceRequest("orders", -1, batch(t, "a", "b", "c")), 9) // at 1000, 1001, 1002
	}
	for _, x := range []struct {
		at, offset, timestamp int64
		code                  int16
	}{
		{-1, 6, -1, 0}, {-2, 0, -1, 0}, {1001, 1, 1001, 0}, {0, 0, 1000, 0}, {5000, -1, -1, 0}, {-9, -1, -1, codeInvalidRequest},
	} {
		q := kmsg.NewPtrListOffsetsRequest()
		q.Topics = []kmsg.ListOffsetsRequestTopic{{Topic: "orders", Partitions: []kmsg.ListOffsetsRequestTopicPartition{{Timestamp: x.at, MaxNumOffsets: 1}}}}
		for v := int16(1); v <= 7; v++ {
			p := ask[*kmsg.ListOffsetsResponse](c, q, v).Topics[0].Partitions[0]
			if p.Offset != x.offset || p.Timestamp != x.timestamp || p.ErrorCode != x.code {
				t.Errorf("version %d at %d: %+v, want offset %d at %d", v, x.at, p, x.offset, x.timestamp)
			}
		}
		p := ask[*kmsg.ListOffsetsResponse](c, q, 0).Topics[0].Partitions[0]
		if x.offset >= 0 && !slices.Equal(p.OldStyleOffsets, []int64{x.offset}) {
			t.Errorf("version 0 at %d: %v", x.at, p.OldStyleOffsets)
		}
	}
	q := kmsg.NewPtrListOffsetsRequest()
	q.Topics = []kmsg.ListOffsetsRequestTopic{{Topic: "orders", Partitions: []kmsg.ListOffsetsRequestTopicPartition{{Timestamp: -3}, {Partition: 4, Timestamp: -1}}}}
	ps := ask[*kmsg.ListOffsetsResponse](c, q, 7).Topics[0].Partitions
	if ps[0].Timestamp != 1002 || ps[0].Offset != 2 {
		t.Errorf("greatest timestamp: %+v", ps[0])
	}
	if ps[1].ErrorCode != codeUnknownPartition {
		t.Errorf("partition 4: %+v", ps[1])
	}
	for at, want := range map[int64]int64{-4: 0, -5: -1, -6: -1} { // nothing is moved elsewhere
		q.Topics[0].Partitions = []kmsg.ListOffsetsRequestTopicPartition{{Timestamp: at}}
		if p := ask[*kmsg.ListOffsetsResponse](c, q, 11).Topics[0].Partitions[0]; p.ErrorCode != 0 || p.Offset != want {
			t.Errorf("at %d: %+v, want %d", at, p, want)
		}
	}
}

func TestApiVersions(t *testing.T) {
	c := dial(t, serve(t, newBroker(t, 1)))
	for v := range int16(5) {
		q := kmsg.NewPtrApiVersionsRequest()
		q.ClientSoftwareName, q.ClientSoftwareVersion = "test-client", "1.2.3"
		r := ask[*kmsg.ApiVersionsResponse](c, q, v)
		if r.ErrorCode != 0 || len(r.ApiKeys) != len(apis) {
			t.Errorf("version %d: error %d, %d keys", v, r.ErrorCode, len(r.ApiKeys))
		}
		if f := r.FinalizedFeatures; v >= 3 && (len(f) < 2 || f[1].Name != "transaction.version" || f[1].MaxVersionLevel != 2 || r.FinalizedFeaturesEpoch < 0) {
			t.Errorf("version %d: features %+v in epoch %d", v, f, r.FinalizedFeaturesEpoch)
		}
		for _, f := range r.SupportedFeatures {
			if v == 3 && f.MinVersion == 0 {
				t.Errorf("%s has a least version that clients of version 3 take for an error", f.Name)
			}
		}
	}
	// Too new: the body is that of version 0, the header of the request that of a version we cannot know.
	c.correlation++
	frame := binary.BigEndian.AppendUint32(nil, 8+2+4)
	frame = binary.BigEndian.AppendUint16(frame, 18)
	frame = binary.BigEndian.AppendUint16(frame, 99)
	frame = binary.BigEndian.AppendUint32(frame, uint32(c.correlation))
	frame = append(frame, 0, 1, 'x', 0xff, 0xff, 0xff)
	if _, err := c.c.Write(frame); err != nil {
		t.Fatal(err)
	}
	r, err := receive[*kmsg.ApiVersionsResponse](c.c, &kmsg.ApiVersionsRequest{}, c.correlation)
	if err != nil || r.ErrorCode != codeUnsupportedVersion || len(r.ApiKeys) != 1 || r.ApiKeys[0].MaxVersion != 4 {
		t.Errorf("too new: %+v, %v", r, err)
	}
	q := kmsg.NewPtrApiVersionsRequest()
	q.ClientSoftwareName, q.ClientSoftwareVersion = "no spaces", "1"
	if r := ask[*kmsg.ApiVersionsResponse](c, q, 3); r.ErrorCode != codeInvalidRequest {
		t.Errorf("software name: %d", r.ErrorCode)
	}
	c.send(kmsg.NewPtrVoteRequest(), 0) // never offered
	c.closed()
}

func TestMetadata(t *testing.T) {
	b := newBroker(t, 1)
	c := dial(t, serve(t, b, func(c *Config) { c.Advertise = "leat.example:19092"; c.PartitionsDefault = 3 }))
	create(c, "orders", 2)
	topics := func(names ...string) []kmsg.MetadataRequestTopic {
		ts := []kmsg.MetadataRequestTopic{}
		for _, n := range names {
			ts = append(ts, kmsg.MetadataRequestTopic{Topic: new(n)})
		}
		return ts
	}
	count := func(q *kmsg.MetadataRequest, v int16) int {
		r := ask[*kmsg.MetadataResponse](c, q, v)
		if n := r.Brokers[0]; n.Host != "leat.example" || n.Port != 19092 || n.NodeID != 1 {
			t.Errorf("version %d: node %+v", v, n)
		}
		return len(r.Topics)
	}
	for v := range int16(10) {
		all, none := kmsg.NewPtrMetadataRequest(), kmsg.NewPtrMetadataRequest()
		none.Topics = topics()
		wantNone := 0
		if v == 0 {
			wantNone = 1
		}
		if n := count(none, v); n != wantNone {
			t.Errorf("version %d: an empty list gave %d topics", v, n)
		}
		if v > 0 {
			if n := count(all, v); n != 1 {
				t.Errorf("version %d: all topics are %d", v, n)
			}
		}
	}
	q := kmsg.NewPtrMetadataRequest()
	q.Topics = topics("fresh")
	if r := ask[*kmsg.MetadataResponse](c, q, 9); r.Topics[0].ErrorCode != codeUnknownPartition {
		t.Errorf("made although the request said no: %+v", r.Topics[0])
	}
	q.AllowAutoTopicCreation = true
	if r := ask[*kmsg.MetadataResponse](c, q, 9); r.Topics[0].ErrorCode != 0 || len(r.Topics[0].Partitions) != 3 {
		t.Errorf("not made: %+v", r.Topics[0])
	}
	q.Topics = topics("a b")
	q.IncludeTopicAuthorizedOperations = true
	if r := ask[*kmsg.MetadataResponse](c, q, 9); r.Topics[0].ErrorCode != codeInvalidTopic {
		t.Errorf("a bad name: %+v", r.Topics[0])
	}
	q.Topics = topics("orders")
	if r := ask[*kmsg.MetadataResponse](c, q, 9); r.Topics[0].AuthorizedOperations != 0b1101_1111_1000&^(1<<9) {
		t.Errorf("operations %b", r.Topics[0].AuthorizedOperations)
	}
}

// This node coordinates all groups and all transactional ids.
func TestFindCoordinator(t *testing.T) {
	c := dial(t, serve(t, newBroker(t, 1)))
	for v := range int16(5) {
		q := kmsg.NewPtrFindCoordinatorRequest()
		q.CoordinatorKey, q.CoordinatorKeys = "g", []string{"g", "h"}
		r := ask[*kmsg.FindCoordinatorResponse](c, q, v)
		if v < 4 && (r.ErrorCode != 0 || r.Host == "" || r.Port == 0) || v == 4 && (len(r.Coordinators) != 2 || r.Coordinators[1].ErrorCode != 0 || r.Coordinators[1].Key != "h") {
			t.Errorf("version %d: %+v", v, r)
		}
		if q.CoordinatorType = 1; v > 0 {
			r = ask[*kmsg.FindCoordinatorResponse](c, q, v)
			if v < 4 && (r.ErrorCode != 0 || r.Port == 0) || v == 4 && (r.Coordinators[1].ErrorCode != 0 || r.Coordinators[1].Port == 0) {
				t.Errorf("transactions, version %d: %+v", v, r)
			}
		}
	}
}

func TestDescribeCluster(t *testing.T) {
	c := dial(t, serve(t, newBroker(t, 1)))
	q := kmsg.NewPtrDescribeClusterRequest()
	r := ask[*kmsg.DescribeClusterResponse](c, q, 1)
	if r.ClusterID != "test-cluster" || r.ControllerID != 1 || len(r.Brokers) != 1 || r.ClusterAuthorizedOperations != wire.OperationsUnset {
		t.Errorf("%+v", r)
	}
}

func TestLogin(t *testing.T) {
	reader := broker.User{Name: "bob", Password: "bobpassword", Grants: []broker.Grant{
		{Action: broker.ActionRead, Kind: broker.KindStream, Pattern: "orders*"}, {Action: broker.ActionDescribe, Kind: broker.KindStream, Pattern: "orders*"},
	}}
	addr := serve(t, newBroker(t, 1, testUser, reader))
	plain := func(c *client, user, password string) *kmsg.SASLAuthenticateResponse {
		h := kmsg.NewPtrSASLHandshakeRequest()
		h.Mechanism = "PLAIN"
		if r := ask[*kmsg.SASLHandshakeResponse](c, h, 1); r.ErrorCode != 0 {
			t.Fatalf("handshake: %d", r.ErrorCode)
		}
		q := kmsg.NewPtrSASLAuthenticateRequest()
		q.SASLAuthBytes = []byte("\x00" + user + "\x00" + password)
		return ask[*kmsg.SASLAuthenticateResponse](c, q, 2)
	}
	t.Run("nobody may do nothing", func(t *testing.T) {
		c := dial(t, addr)
		q := kmsg.NewPtrMetadataRequest()
		q.Topics, q.AllowAutoTopicCreation = []kmsg.MetadataRequestTopic{{Topic: new("orders")}}, true
		if r := ask[*kmsg.MetadataResponse](c, q, 9); r.Topics[0].ErrorCode != codeTopicDenied {
			t.Errorf("metadata: %d", r.Topics[0].ErrorCode)
		}
		r := ask[*kmsg.ProduceResponse](c, produceRequest("orders", -1, batch(t, "x")), 9)
		if r.Topics[0].Partitions[0].ErrorCode != codeTopicDenied {
			t.Errorf("produce: %d", r.Topics[0].Partitions[0].ErrorCode)
		}
		c.send(produceRequest("orders", -1, batch(t, strings.Repeat("x", 1<<17))), 9) // more than nobody may send
		c.closed()
	})
	t.Run("right and wrong", func(t *testing.T) {
		alice := dial(t, addr)
		if r := plain(alice, "alice", "wonderland"); r.ErrorCode != 0 {
			t.Fatalf("alice: %d", r.ErrorCode)
		}
		create(alice, "orders", 1)
		bob := dial(t, addr)
		if r := plain(bob, "bob", "bobpassword"); r.ErrorCode != 0 {
			t.Fatalf("bob: %d", r.ErrorCode)
		}
		if r := ask[*kmsg.ProduceResponse](bob, produceRequest("orders", -1, batch(t, "x")), 9); r.Topics[0].Partitions[0].ErrorCode != codeTopicDenied {
			t.Errorf("bob may write: %+v", r)
		}
		if r := ask[*kmsg.FetchResponse](bob, fetchRequest("orders", 0, 0, 1), 11); r.Topics[0].Partitions[0].ErrorCode != 0 {
			t.Errorf("bob may not read: %+v", r)
		}
		for user, password := range map[string]string{"alice": "x", "mallory": "wonderland", "": ""} {
			c := dial(t, addr)
			if r := plain(c, user, password); r.ErrorCode != codeLoginFailed || r.ErrorMessage == nil {
				t.Errorf("%s/%s: %+v", user, password, r)
			}
			c.closed()
		}
	})
	t.Run("bare tokens", func(t *testing.T) {
		c := dial(t, addr)
		h := kmsg.NewPtrSASLHandshakeRequest()
		h.Mechanism = "PLAIN"
		ask[*kmsg.SASLHandshakeResponse](c, h, 0)
		token := "\x00alice\x00wonderland"
		if _, err := c.c.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(token))), token...)); err != nil {
			t.Fatal(err)
		}
		if b, err := readFrame(c.c); err != nil || len(b) != 0 {
			t.Fatalf("%x, %v", b, err)
		}
		create(c, "bare", 1)
	})
	t.Run("mechanisms", func(t *testing.T) {
		c := dial(t, addr)
		h := kmsg.NewPtrSASLHandshakeRequest()
		h.Mechanism = "GSSAPI"
		if r := ask[*kmsg.SASLHandshakeResponse](c, h, 1); r.ErrorCode != codeUnsupportedMechanism || len(r.SupportedMechanisms) != 3 {
			t.Errorf("%+v", r)
		}
		if r := ask[*kmsg.SASLAuthenticateResponse](c, kmsg.NewPtrSASLAuthenticateRequest(), 2); r.ErrorCode != codeIllegalSaslState {
			t.Errorf("a token out of order: %+v", r)
		}
	})
}

func TestScramIterations_AreThoseOfRealUsers(t *testing.T) {
	b := newBroker(t, 1, testUser)
	s, ok := b.ScramSecret(testUser.Name, "SCRAM-SHA-256")
	if !ok || s.Iterations != scramIterations || len(s.Salt) != scramSaltBytes {
		t.Errorf("%d, %v: a made-up user would stand out with %d", s.Iterations, ok, scramIterations)
	}
}

// A producer that does not wait for answers is read until so many bytes of its requests are not answered, and goes on where it was.
func TestProduce_LargeInFlight(t *testing.T) {
	const requests, most, bytes = 8, 1 << 20, 400_000 // the third is the last that is read
	b := newBroker(t, 1)
	addr := serve(t, b, func(c *Config) { c.InFlightBytesMax = most })
	c, other := dial(t, addr), dial(t, addr)
	create(c, "orders", 1)
	create(c, "quiet", 1)
	poll := fetchRequest("quiet", 0, 60_000, 1) // nothing behind it is answered before it is
	c.send(poll, 11)
	polled := c.correlation
	q := produceRequest("orders", -1, batch(t, strings.Repeat("x", bytes)))
	q.SetVersion(9)
	wrote := make(chan error, 1)
	go func() {
		for i := range requests {
			if _, err := c.c.Write(requestFrame(q, polled+1+int32(i))); err != nil {
				wrote <- err
				return
			}
		}
		wrote <- nil
	}()
	end := func() int64 {
		q := kmsg.NewPtrListOffsetsRequest()
		q.Topics = []kmsg.ListOffsetsRequestTopic{{Topic: "orders", Partitions: []kmsg.ListOffsetsRequestTopicPartition{{Timestamp: -1}}}}
		return ask[*kmsg.ListOffsetsResponse](other, q, 4).Topics[0].Partitions[0].Offset
	}
	until(t, "three are stored", func() bool { return end() == 3 })
	time.Sleep(100 * time.Millisecond)
	if n, held := end(), b.MemoryReserved(); n != 3 || held > 4*bytes {
		t.Errorf("%d requests stored and %d bytes held, of which %d are the limit", n, held, most)
	}
	ask[*kmsg.ProduceResponse](other, produceRequest("quiet", -1, batch(t, "x")), 9)
	if _, err := receive[*kmsg.FetchResponse](c.c, poll, polled); err != nil {
		t.Fatal(err)
	}
	for i := range requests {
		r, err := receive[*kmsg.ProduceResponse](c.c, q, polled+1+int32(i))
		if err != nil {
			t.Fatal(err)
		}
		if p := r.Topics[0].Partitions[0]; p.ErrorCode != 0 || p.BaseOffset != int64(i) {
			t.Errorf("request %d: error %d, offset %d", i, p.ErrorCode, p.BaseOffset)
		}
	}
	if err := <-wrote; err != nil {
		t.Error(err)
	}
	until(t, "the memory is given back", func() bool { return b.MemoryReserved() == 0 })
}

// Memory is taken for what has come, and for as much again as the peer has sent before in one request; never for what it only claims.
func TestProduce_MemoryFollowsWhatHasCome(t *testing.T) {
	b := newBroker(t, 1)
	addr := serve(t, b)
	c := dial(t, addr)
	create(c, "orders", 3)
	claims := func(n uint32) (reserved func(want int)) {
		t.Helper()
		q := produceRequest("orders", -1)
		q.SetVersion(9)
		head := requestFrame(q, 1)
		binary.BigEndian.PutUint32(head, n)
		if _, err := c.c.Write(head); err != nil {
			t.Fatal(err)
		}
		return func(want int) {
			t.Helper()
			until(t, fmt.Sprintf("%d bytes are taken", want), func() bool { return b.MemoryReserved() == int64(want) })
			c.c.Close()
			until(t, "they are given back", func() bool { return b.MemoryReserved() == 0 })
			c = dial(t, addr)
		}
	}
	const most = 64 << 20
	claims(most)(produceBytesFirst)
	large := strings.Repeat("x", 700_000)
	q := produceRequest("orders", -1, batch(t, large), batch(t, large), batch(t, large))
	sends := func(q *kmsg.ProduceRequest) int {
		t.Helper()
		for i, p := range ask[*kmsg.ProduceResponse](c, q, 9).Topics[0].Partitions {
			if p.ErrorCode != 0 {
				t.Fatalf("partition %d: error %d", i, p.ErrorCode)
			}
		}
		until(t, "its memory is given back", func() bool { return b.MemoryReserved() == 0 })
		return len(requestFrame(q, 1)) - 4
	}
	n := sends(q)
	claims(most)(believedFactor * n)
	n = sends(q)
	claims(uint32(n))(n)
	sends(q)
	sends(produceRequest("orders", -1, batch(t, "small")))
	claims(most)(produceBytesFirst)
}

// A panic while one connection is answered ends that connection, gives its memory back, and nothing else.
func TestPanic_EndsOneConnection(t *testing.T) {
	a := findAPI(60)
	handle := a.handle
	a.handle = func(*conn, context.Context, *slot, kmsg.Request) (kmsg.Response, error) { panic("boom") }
	defer func() { a.handle = handle }()
	b := newBroker(t, 1)
	addr := serve(t, b)
	other, c := dial(t, addr), dial(t, addr)
	create(other, "orders", 1)
	var frames []byte // in one write: the connection may be gone before a second one
	for i := range int32(11) {
		var q kmsg.Request = produceRequest("orders", -1, batch(t, "x"))
		q.SetVersion(9)
		if i == 5 {
			q = kmsg.NewPtrDescribeClusterRequest()
		}
		frames = append(frames, requestFrame(q, i)...)
	}
	if _, err := c.c.Write(frames); err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := readFrame(c.c); err != nil {
			break
		}
	}
	ask[*kmsg.ProduceResponse](other, produceRequest("orders", -1, batch(t, "y")), 9)
	for deadline := time.Now().Add(time.Minute); b.MemoryReserved() != 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d bytes are still reserved", b.MemoryReserved())
		}
	}
}
