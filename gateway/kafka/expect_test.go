package kafka

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"leat/broker"
	"leat/broker/record"
)

// expecting builds a batch of records "key=expected version"; without "=" nothing is expected, without a key there is none.
func expecting(t testing.TB, codec record.Codec, producer int64, sequence int32, texts ...string) []byte {
	t.Helper()
	b := record.NewBuilder()
	for _, text := range texts {
		key, expected, expects := strings.Cut(text, "=")
		r := record.Record{Timestamp: 1000, Value: []byte("v"), Key: []byte(key)}
		if key == "" {
			r.Key = nil
		}
		if expects {
			r.Headers = []record.Header{{Key: "other", Value: []byte("x")}, {Key: broker.HeaderExpectVersion, Value: []byte(expected)}}
		}
		b.Add(&r)
	}
	p, err := b.Finish(nil, codec)
	if err != nil {
		t.Fatal(err)
	}
	if producer >= 0 {
		return withProducer(p, producer, 0, sequence)
	}
	return p
}

func TestExpectedVersions(t *testing.T) {
	for _, shards := range []int{1, 3} {
		for _, codec := range []record.Codec{record.None, record.Zstd} {
			t.Run(fmt.Sprint(shards, " shards, codec ", codec), func(t *testing.T) { testExpectedVersions(t, shards, codec) })
		}
	}
}

func testExpectedVersions(t *testing.T, shards int, codec record.Codec) {
	c := dial(t, serve(t, newBroker(t, shards)))
	create(c, "accounts", 1, "leat.keys", "versioned")
	produce := func(batches ...[]byte) kmsg.ProduceResponseTopicPartition {
		t.Helper()
		return ask[*kmsg.ProduceResponse](c, produceRequest("accounts", -1, batches...), 9).Topics[0].Partitions[0]
	}
	for _, step := range []struct {
		records []string
		failed  []int32 // places of the conditions that do not hold
	}{
		{[]string{"ann=none", "bob=0", "ann=1", "ann"}, nil}, // ann is at 3, bob at 1
		{[]string{"ann=3", "bob=2", "ann=exists", "cid=exists", "ann=9"}, []int32{1, 3, 4}},
		{[]string{"ann=3", "bob=1"}, nil}, // nothing of the one before was appended
		{[]string{"ann=none"}, []int32{0}},
		{[]string{"ann=4", "ann=5", "", "bob=exists"}, nil},
	} {
		r := produce(expecting(t, codec, -1, 0, step.records...))
		if len(step.failed) == 0 {
			if r.ErrorCode != 0 {
				t.Errorf("%v: %d %s", step.records, r.ErrorCode, *r.ErrorMessage)
			}
			continue
		}
		if r.ErrorCode != codeInvalidRecord || r.ErrorMessage == nil || !strings.Contains(*r.ErrorMessage, "expected") || len(r.ErrorRecords) != len(step.failed) {
			t.Errorf("%v: %+v", step.records, r)
			continue
		}
		for i, e := range r.ErrorRecords {
			if e.RelativeOffset != step.failed[i] || e.ErrorMessage == nil {
				t.Errorf("%v: record %d failed, want %d", step.records, e.RelativeOffset, step.failed[i])
			}
		}
	}
	for _, bad := range []string{"ann=x", "ann=-1", "=1"} {
		if r := produce(expecting(t, codec, -1, 0, bad)); r.ErrorCode != codeInvalidRecord && r.ErrorCode != codeInvalidRequest || r.ErrorMessage == nil {
			t.Errorf("%q: %+v", bad, r)
		}
	}
	// An idempotent producer that repeats what was appended is told so, although its conditions hold no more.
	first := func() []byte { return expecting(t, codec, 4711, 0, "dee=none") }
	a, again := produce(first()), produce(first())
	if a.ErrorCode != 0 || again.ErrorCode != 0 || again.BaseOffset != a.BaseOffset {
		t.Errorf("%+v, again %+v", a, again)
	}
	if r := produce(expecting(t, codec, 4711, 1, "dee=7")); r.ErrorCode != codeInvalidRecord {
		t.Errorf("a condition of an idempotent producer: %+v", r)
	}
	if r := produce(expecting(t, codec, 4711, 1, "dee=1")); r.ErrorCode != 0 {
		t.Errorf("its sequence goes on after a refusal: %+v", r)
	}
}

// A condition is not passed over where versions are not kept but keys are looked at.
func TestExpectedVersions_NeedVersions(t *testing.T) {
	c := dial(t, serve(t, newBroker(t, 1)))
	create(c, "compacted", 1, "cleanup.policy", "compact")
	r := ask[*kmsg.ProduceResponse](c, produceRequest("compacted", -1, expecting(t, record.None, -1, 0, "ann=1")), 9).Topics[0].Partitions[0]
	if r.ErrorCode == 0 || r.ErrorMessage == nil || !strings.Contains(*r.ErrorMessage, "versioned") {
		t.Errorf("%+v", r)
	}
}

// withProducer makes a batch that of an idempotent producer.
func withProducer(b []byte, id int64, epoch int16, sequence int32) []byte {
	binary.BigEndian.PutUint64(b[43:], uint64(id))
	binary.BigEndian.PutUint16(b[51:], uint16(epoch))
	binary.BigEndian.PutUint32(b[53:], uint32(sequence))
	binary.BigEndian.PutUint32(b[17:], crc32.Checksum(b[21:], crc32.MakeTable(crc32.Castagnoli)))
	return b
}

// What there must not be, on a batch that its producer compressed.
func TestUnless(t *testing.T) {
	c := dial(t, serve(t, newBroker(t, 1)))
	create(c, "users", 1, "leat.tags", "true")
	produce := func(producer int64, sequence int32, names ...string) kmsg.ProduceResponseTopicPartition {
		t.Helper()
		b := record.NewBuilder()
		for _, name := range names {
			b.Add(&record.Record{Timestamp: 1000, Value: []byte("v"), Headers: []record.Header{
				{Key: "ce_type", Value: []byte("user.registered")}, {Key: "ce_tags", Value: []byte("name:" + name)}, {Key: broker.HeaderUnless, Value: []byte("type=user.registered tag=name:" + name)},
			}})
		}
		p, err := b.Finish(nil, record.Zstd)
		if err != nil {
			t.Fatal(err)
		}
		if producer >= 0 {
			p = withProducer(p, producer, 0, sequence)
		}
		return ask[*kmsg.ProduceResponse](c, produceRequest("users", -1, p), 9).Topics[0].Partitions[0]
	}
	for range 2 { // sent once more, because the answer was lost
		if r := produce(4711, 0, "ann", "bob"); r.ErrorCode != 0 || r.BaseOffset != 0 {
			t.Fatalf("%+v", r)
		}
	}
	r := produce(4711, 2, "cid", "bob", "ann")
	if r.ErrorCode != codeInvalidRecord || len(r.ErrorRecords) != 2 || r.ErrorRecords[0].RelativeOffset != 1 || !strings.Contains(*r.ErrorRecords[0].ErrorMessage, "users/0/1") || r.ErrorRecords[1].RelativeOffset != 2 {
		t.Errorf("%+v", r)
	}
	if r := produce(4711, 2, "cid"); r.ErrorCode != 0 || r.BaseOffset != 2 {
		t.Errorf("%+v", r)
	}
}
