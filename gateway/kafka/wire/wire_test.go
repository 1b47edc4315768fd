package wire

import (
	"bytes"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// flexible is what kmsg knows of request encodings, as the gateway uses it.
func flexible(key, version int16) bool {
	r := kmsg.RequestForKey(key)
	if r == nil || version < 0 || version > r.MaxVersion() {
		return false
	}
	r.SetVersion(version)
	return r.IsFlexible()
}

func produceRequest(version int16) *kmsg.ProduceRequest {
	q := kmsg.NewPtrProduceRequest()
	q.Version = version
	q.TransactionID = new("tx")
	q.Acks, q.TimeoutMillis = -1, 1500
	for _, name := range []string{"orders", "payments"} {
		t := kmsg.NewProduceRequestTopic()
		t.Topic = name
		copy(t.TopicID[:], name)
		for i := range int32(3) {
			p := kmsg.NewProduceRequestTopicPartition()
			p.Partition = i
			if i > 0 {
				p.Records = bytes.Repeat([]byte{byte(i)}, int(i)*100)
			}
			t.Partitions = append(t.Partitions, p)
		}
		q.Topics = append(q.Topics, t)
	}
	return q
}

func TestProduce_DecodesWhatKmsgEncodes(t *testing.T) {
	var p Produce
	for v := ProduceVersionMin; v <= ProduceVersionMax; v++ {
		q := produceRequest(v)
		if err := p.Decode(v, q.AppendTo(nil)); err != nil {
			t.Fatalf("version %d: %v", v, err)
		}
		if p.Acks != -1 || p.TimeoutMS != 1500 || (string(p.Transactor) == "tx") != (v >= 3) || len(p.Topics) != 2 || len(p.Parts) != 6 {
			t.Fatalf("version %d: %+v", v, p)
		}
		for i, qt := range q.Topics {
			got := p.Topics[i]
			named := string(got.Name) == qt.Topic && got.ID == [16]byte{}
			if v >= 13 {
				named = got.Name == nil && got.ID == qt.TopicID
			}
			if !named || got.First != i*3 || got.Count != 3 {
				t.Errorf("version %d: topic %+v", v, got)
			}
			for j, qp := range qt.Partitions {
				if g := p.Parts[got.First+j]; g.Partition != qp.Partition || !bytes.Equal(g.Records, qp.Records) {
					t.Errorf("version %d: partition %+v, want %+v", v, g, qp)
				}
			}
		}
	}
}

func TestProduceResponse_IsWhatKmsgDecodes(t *testing.T) {
	topics := []Topic{{Name: []byte("orders"), ID: [16]byte{1, 2}, First: 0, Count: 2}, {Name: []byte("x"), First: 2, Count: 1}}
	results := []ProduceResult{
		{0, 0, 1 << 40, -1, 7, "", nil},
		{1, 87, -1, -1, -1, "field \"id\" is missing", []RecordError{{7, "no id"}, {12, "no time"}}},
		{2, 0, 5, 99, 0, "", nil},
	}
	for v := ProduceVersionMin; v <= ProduceVersionMax; v++ {
		r := kmsg.NewPtrProduceResponse()
		r.Version = v
		if err := r.ReadFrom(AppendProduceResponse(nil, v, topics, results, 12)); err != nil {
			t.Fatalf("version %d: %v", v, err)
		}
		var got []ProduceResult
		for _, tp := range r.Topics {
			for _, p := range tp.Partitions {
				g := ProduceResult{p.Partition, p.ErrorCode, p.BaseOffset, p.LogAppendTime, p.LogStartOffset, "", nil}
				for _, e := range p.ErrorRecords {
					g.Errors = append(g.Errors, RecordError{e.RelativeOffset, *e.ErrorMessage})
				}
				if p.ErrorMessage != nil {
					g.Message = *p.ErrorMessage
				}
				got = append(got, g)
			}
		}
		want := slices.Clone(results)
		for i := range want {
			if v < 2 {
				want[i].AppendTime = -1
			}
			if v < 5 {
				want[i].Start = -1
			}
			if v < 8 {
				want[i].Message, want[i].Errors = "", nil
			}
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("version %d (-want +got):\n%s", v, d)
		}
		if again := r.AppendTo(nil); !bytes.Equal(again, AppendProduceResponse(nil, v, topics, results, 12)) {
			t.Errorf("version %d: kmsg writes other bytes: %x", v, again)
		}
	}
}

func fetchRequest(version int16) *kmsg.FetchRequest {
	q := kmsg.NewPtrFetchRequest()
	q.Version = version
	q.MaxWaitMillis, q.MinBytes, q.MaxBytes, q.IsolationLevel = 500, 1, 50<<20, 1
	q.SessionID, q.SessionEpoch, q.Rack = 9, 3, "r"
	t := kmsg.NewFetchRequestTopic()
	t.Topic, t.TopicID = "orders", [16]byte{3, 1}
	for i := range int32(2) {
		p := kmsg.NewFetchRequestTopicPartition()
		p.Partition, p.FetchOffset, p.PartitionMaxBytes, p.CurrentLeaderEpoch = i, 1<<33+int64(i), 1<<20, 4
		t.Partitions = append(t.Partitions, p)
	}
	q.Topics = append(q.Topics, t)
	f := kmsg.NewFetchRequestForgottenTopic()
	f.Topic, f.TopicID, f.Partitions = "old", [16]byte{9}, []int32{1, 2, 3}
	q.ForgottenTopics = append(q.ForgottenTopics, f)
	return q
}

func TestFetch_DecodesWhatKmsgEncodes(t *testing.T) {
	var f Fetch
	for v := FetchVersionMin; v <= FetchVersionMax; v++ {
		q := fetchRequest(v)
		if err := f.Decode(v, q.AppendTo(nil)); err != nil {
			t.Fatalf("version %d: %v", v, err)
		}
		want := Fetch{
			Version: v, MaxWaitMS: 500, MinBytes: 1, MaxBytes: 50 << 20, Committed: true, SessionEpoch: -1,
			Topics: []Topic{{[]byte("orders"), [16]byte{}, 0, 2}},
			Parts:  []FetchPart{{0, -1, 1 << 33, 1 << 20}, {1, -1, 1<<33 + 1, 1 << 20}},
		}
		if v >= 7 {
			want.SessionID, want.SessionEpoch = 9, 3
			want.Forgotten, want.ForgottenParts = []Topic{{[]byte("old"), [16]byte{}, 0, 3}}, []int32{1, 2, 3}
		}
		if v >= 9 {
			want.Parts[0].LeaderEpoch, want.Parts[1].LeaderEpoch = 4, 4
		}
		if v >= 13 {
			want.Topics[0].Name, want.Topics[0].ID = nil, [16]byte{3, 1}
			want.Forgotten[0].Name, want.Forgotten[0].ID = nil, [16]byte{9}
		}
		if d := cmp.Diff(want, f); d != "" {
			t.Errorf("version %d (-want +got):\n%s", v, d)
		}
	}
}

func TestFetchResponse_IsWhatKmsgDecodes(t *testing.T) {
	var f FetchResponse
	b1, b2 := bytes.Repeat([]byte("a"), 70), bytes.Repeat([]byte("b"), 90)
	for v := FetchVersionMin; v <= FetchVersionMax; v++ {
		f.Begin(v, 77, 0, 8, 2)
		f.Throttle(1234)
		f.Topic(&Topic{Name: []byte("orders"), ID: [16]byte{7}}, 2)
		f.Part(FetchResult{0, 0, 10, 9, 1, []Piece{{Bytes: b1}, {Bytes: b2}}, []Aborted{{8, 3}, {9, 5}}, nil})
		f.Part(FetchResult{1, 74, -1, -1, -1, nil, nil, &Leader{3, 70}})
		f.EndTopic()
		f.Topic(&Topic{Name: []byte("x"), ID: [16]byte{8}}, 1)
		f.Part(FetchResult{5, 0, 3, 3, 0, []Piece{{Bytes: b2}}, nil, nil})
		f.EndTopic()
		var frame []byte
		for _, p := range f.Pieces(nil) {
			frame = append(frame, p.Bytes...)
		}
		h := NewReader(frame, false)
		if n := h.Int32(); int(n) != len(frame)-4 {
			t.Fatalf("version %d: length %d of %d bytes", v, n, len(frame))
		}
		if c := h.Int32(); c != 77 {
			t.Fatalf("version %d: correlation %d", v, c)
		}
		if v >= 12 {
			h.Int8()
		}
		r := kmsg.NewPtrFetchResponse()
		r.Version = v
		if err := r.ReadFrom(h.Rest()); err != nil {
			t.Fatalf("version %d: %v", v, err)
		}
		if r.ThrottleMillis != 1234 {
			t.Errorf("version %d: throttled %d ms", v, r.ThrottleMillis)
		}
		if v >= 7 && r.SessionID != 8 {
			t.Errorf("version %d: session %d", v, r.SessionID)
		}
		var got []FetchResult
		for _, tp := range r.Topics {
			for _, p := range tp.Partitions {
				if p.PreferredReadReplica != -1 {
					t.Errorf("version %d: preferred replica %d", v, p.PreferredReadReplica)
				}
				g := FetchResult{p.Partition, p.ErrorCode, p.HighWatermark, p.LastStableOffset, p.LogStartOffset, nil, nil, nil}
				for _, a := range p.AbortedTransactions {
					g.Aborted = append(g.Aborted, Aborted{a.ProducerID, a.FirstOffset})
				}
				if p.CurrentLeader.LeaderID >= 0 {
					g.Leader = &Leader{p.CurrentLeader.LeaderID, p.CurrentLeader.LeaderEpoch}
				}
				if len(p.RecordBatches) > 0 {
					g.Batches = []Piece{{Bytes: p.RecordBatches}}
				}
				got = append(got, g)
			}
		}
		want := []FetchResult{{0, 0, 10, 9, 1, []Piece{{Bytes: append(slices.Clone(b1), b2...)}}, []Aborted{{8, 3}, {9, 5}}, nil}, {1, 74, -1, -1, -1, nil, nil, nil}, {5, 0, 3, 3, 0, []Piece{{Bytes: b2}}, nil, nil}}
		if v >= 12 {
			want[1].Leader = &Leader{3, 70}
		}
		if tp := r.Topics[1]; v >= 13 && tp.TopicID != [16]byte{8} || v < 13 && tp.Topic != "x" {
			t.Errorf("version %d: topic %+v", v, tp)
		}
		if v < 5 {
			for i := range want {
				want[i].Start = -1
			}
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("version %d (-want +got):\n%s", v, d)
		}
	}
}

func TestMetadata_IsWhatKmsgDecodes(t *testing.T) {
	topics := []MetadataTopic{{0, "orders", [16]byte{5}, false, 3, 8}, {3, "nope", [16]byte{}, false, 0, OperationsUnset}, {0, "leat.system", [16]byte{6}, true, 1, OperationsUnset}}
	head := MetadataHead{1, "leat.example", 9092, "lineage", OperationsUnset, 4}
	for v := int16(0); v <= MetadataVersionMax; v++ {
		body := AppendMetadata(nil, v, head, len(topics), slices.Values(topics))
		r := kmsg.NewPtrMetadataResponse()
		r.Version = v
		if err := r.ReadFrom(body); err != nil {
			t.Fatalf("version %d: %v", v, err)
		}
		if again := r.AppendTo(nil); !bytes.Equal(again, body) {
			t.Errorf("version %d: kmsg writes other bytes:\n%x\n%x", v, body, again)
		}
		if len(r.Topics) != 3 || len(r.Topics[0].Partitions) != 3 || *r.Topics[0].Topic != "orders" || r.Topics[1].ErrorCode != 3 || r.Brokers[0].Port != 9092 {
			t.Errorf("version %d: %+v", v, r)
		}
		if v >= 10 && r.Topics[2].TopicID != [16]byte{6} {
			t.Errorf("version %d: id %x", v, r.Topics[2].TopicID)
		}
		if p := r.Topics[0].Partitions[2]; v >= 7 && p.LeaderEpoch != 4 || p.Leader != 1 || !slices.Equal(p.Replicas, []int32{1}) || !slices.Equal(p.ISR, []int32{1}) {
			t.Errorf("version %d: partition %+v", v, p)
		}
	}
}

func TestDecode_RefusesLengthsBeyondTheEnd(t *testing.T) {
	var p Produce
	for v := ProduceVersionMin; v <= ProduceVersionMax; v++ {
		body := produceRequest(v).AppendTo(nil)
		for n := range body {
			if err := p.Decode(v, body[:n]); err == nil {
				t.Fatalf("version %d cut at %d of %d was accepted", v, n, len(body))
			}
		}
		if err := p.Decode(v, append(body, 0)); err != ErrTrailing {
			t.Errorf("version %d with a byte too many: %v", v, err)
		}
	}
	// A claim of two billion topics in a dozen bytes allocates nothing.
	claim := []byte{0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0}
	if n := testing.AllocsPerRun(10, func() { _ = p.Decode(3, claim) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestHeader(t *testing.T) {
	for _, v := range []int16{3, 9} {
		q := produceRequest(v)
		frame := kmsg.NewRequestFormatter(kmsg.FormatterClientID("me")).AppendRequest(nil, q, 42)[4:]
		h, body, err := DecodeHeader(frame, flexible)
		if err != nil || h.Key != KeyProduce || h.Version != v || h.Correlation != 42 || string(h.ClientID) != "me" {
			t.Fatalf("version %d: %+v, %v", v, h, err)
		}
		if !bytes.Equal(body, q.AppendTo(nil)) {
			t.Errorf("version %d: another body", v)
		}
	}
	if _, _, err := DecodeHeader([]byte{0, 0, 0, 3, 0, 0, 0, 1, 0, 9, 'x'}, flexible); err != ErrShort {
		t.Errorf("client id beyond the end: %v", err)
	}
}
