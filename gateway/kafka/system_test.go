package kafka

import (
	"encoding/json"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"leat/broker"
	"leat/gateway/gatewaytest"
	"leat/internal/clock"
)

// newTellingBroker is one that keeps the system stream.
func newTellingBroker(t *testing.T) *broker.Broker {
	t.Helper()
	b, err := broker.Open(broker.Options{
		Config: broker.Default(), Lineage: 1, Cluster: "test-cluster", Node: 1, Clock: clock.Real, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Shards: gatewaytest.MemoryShards(t, 1), System: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Errorf("closing the broker: %v", err)
		}
	})
	return b
}

// The platform's own stream is there for clients as an internal topic: it can be read, and nothing else.
func TestSystem_IsAnInternalTopic(t *testing.T) {
	c := dial(t, serve(t, newTellingBroker(t)))
	m := ask[*kmsg.MetadataResponse](c, kmsg.NewPtrMetadataRequest(), 9)
	if len(m.Topics) != 1 || *m.Topics[0].Topic != broker.SystemStream || !m.Topics[0].IsInternal {
		t.Fatalf("%+v", m.Topics)
	}
	r := ask[*kmsg.ProduceResponse](c, produceRequest(broker.SystemStream, -1, batch(t, "x")), 9)
	if got := r.Topics[0].Partitions[0].ErrorCode; got != codeTopicDenied {
		t.Errorf("produce: %d", got)
	}
	d := kmsg.NewPtrDeleteTopicsRequest()
	d.TopicNames = []string{broker.SystemStream}
	if r := ask[*kmsg.DeleteTopicsResponse](c, d, 3); r.Topics[0].ErrorCode != codeTopicDenied {
		t.Errorf("delete: %d", r.Topics[0].ErrorCode)
	}
	q := kmsg.NewPtrMetadataRequest()
	q.Topics, q.AllowAutoTopicCreation = []kmsg.MetadataRequestTopic{{Topic: new("leat.mine")}}, true
	if r := ask[*kmsg.MetadataResponse](c, q, 9); r.Topics[0].ErrorCode == 0 {
		t.Error("a topic of the platform's names was made")
	}
	for range 100 {
		f := ask[*kmsg.FetchResponse](c, fetchRequest(broker.SystemStream, 0, 0, 1), 11)
		if p := f.Topics[0].Partitions[0]; p.ErrorCode == 0 && len(p.RecordBatches) > 0 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Error("nothing was told")
}

// Wrong passwords and wrong proofs are told, with the address they came from.
func TestSystem_RefusedLogins(t *testing.T) {
	b := newTellingBroker(t)
	if _, err := b.PutUser(t.Context(), &broker.Caller{}, testUser); err != nil {
		t.Fatal(err)
	}
	addr := serve(t, b)
	login := func(mechanism, token string) {
		c := dial(t, addr)
		h := kmsg.NewPtrSASLHandshakeRequest()
		h.Mechanism = mechanism
		ask[*kmsg.SASLHandshakeResponse](c, h, 1)
		q := kmsg.NewPtrSASLAuthenticateRequest()
		q.SASLAuthBytes = []byte(token)
		if r := ask[*kmsg.SASLAuthenticateResponse](c, q, 2); r.ErrorCode == 0 && mechanism != "PLAIN" {
			q.SASLAuthBytes = []byte("c=biws,r=" + string(r.SASLAuthBytes[2:]) + ",p=AAAA")
			if r := ask[*kmsg.SASLAuthenticateResponse](c, q, 2); r.ErrorCode == 0 {
				t.Error("a wrong proof was good enough")
			}
		}
		c.closed()
	}
	login("PLAIN", "\x00alice\x00not this")
	login("SCRAM-SHA-256", "n,,n=alice,r=abcdefgh")
	root := &broker.Caller{Principal: "alice"}
	var told []string
	for range 200 {
		told = told[:0]
		p, err := b.ReadPage(t.Context(), root, broker.PageRequest{Streams: []string{broker.SystemStream}, Limit: 100})
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range p.Events {
			e := d.Event()
			var data struct{ Principal, Address, Gateway string }
			if e.Type == broker.TypeLoginRefused && json.Unmarshal(e.Data, &data) == nil {
				told = append(told, data.Principal+" "+data.Address+" "+data.Gateway)
			}
		}
		if len(told) == 2 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	for _, s := range told {
		if s != "alice 127.0.0.1 kafka" {
			t.Errorf("told %q", s)
		}
	}
	if len(told) != 2 {
		t.Errorf("told %q", told)
	}
}
