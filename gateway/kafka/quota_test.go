package kafka

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"leat/broker"
)

// alterQuota sets a quota and returns the code. Entities are written as type=name, type= for the default.
func alterQuota(c *client, entity []string, ops map[string]float64) int16 {
	c.t.Helper()
	q := kmsg.NewPtrAlterClientQuotasRequest()
	e := kmsg.NewAlterClientQuotasRequestEntry()
	for _, text := range entity {
		x := kmsg.NewAlterClientQuotasRequestEntryEntity()
		for i := range text {
			if text[i] == '=' {
				x.Type = text[:i]
				if i+1 < len(text) {
					x.Name = new(text[i+1:])
				}
			}
		}
		e.Entity = append(e.Entity, x)
	}
	for key, v := range ops {
		op := kmsg.NewAlterClientQuotasRequestEntryOp()
		op.Key, op.Value, op.Remove = key, v, v == 0
		e.Ops = append(e.Ops, op)
	}
	q.Entries = append(q.Entries, e)
	return ask[*kmsg.AlterClientQuotasResponse](c, q, 1).Entries[0].ErrorCode
}

func describeQuotas(c *client, strict bool, components ...kmsg.DescribeClientQuotasRequestComponent) (out []string) {
	c.t.Helper()
	q := kmsg.NewPtrDescribeClientQuotasRequest()
	q.Strict, q.Components = strict, components
	r := ask[*kmsg.DescribeClientQuotasResponse](c, q, 1)
	if r.ErrorCode != 0 {
		c.t.Fatalf("describe: %d %s", r.ErrorCode, *r.ErrorMessage)
	}
	if r.Entries == nil {
		c.t.Error("the list of entries is null, which the Java client does not take for an empty one")
	}
	for _, e := range r.Entries {
		text := ""
		for _, x := range e.Entity {
			name := "<default>"
			if x.Name != nil {
				name = *x.Name
			}
			text += x.Type + "=" + name + " "
		}
		for _, v := range e.Values {
			text += fmt.Sprint(v.Key, "=", v.Value, " ")
		}
		out = append(out, text[:len(text)-1])
	}
	return out
}

func TestClientQuotas_AreToldAsTheyWereSet(t *testing.T) {
	b := newBroker(t, 1)
	c := dial(t, serve(t, b))
	sets := []struct {
		entity []string
		ops    map[string]float64
	}{
		{[]string{"user=bob"}, map[string]float64{quotaProducer: 1000, quotaConsumer: 2000}},
		{[]string{"user="}, map[string]float64{quotaProducer: 10}},
		{[]string{"client-id=app"}, map[string]float64{quotaRequest: 12.5}},
		{[]string{"user=bob", "client-id=app"}, map[string]float64{quotaConsumer: 77}},
		{[]string{"client-id=", "user="}, map[string]float64{quotaConsumer: 78}},
	}
	for _, s := range sets {
		if code := alterQuota(c, s.entity, s.ops); code != 0 {
			t.Fatalf("%v: %d", s.entity, code)
		}
	}
	if got := describeQuotas(c, false); len(got) != len(sets) || !slices.Contains(got, "user=bob producer_byte_rate=1000 consumer_byte_rate=2000") || !slices.Contains(got, "user=<default> client-id=<default> consumer_byte_rate=78") {
		t.Errorf("all: %q", got)
	}
	exactly := func(of, name string) kmsg.DescribeClientQuotasRequestComponent {
		return kmsg.DescribeClientQuotasRequestComponent{EntityType: of, Match: &name}
	}
	if got := describeQuotas(c, false, exactly("user", "bob")); len(got) != 2 {
		t.Errorf("of bob: %q", got)
	}
	if got := describeQuotas(c, true, exactly("user", "bob")); len(got) != 1 {
		t.Errorf("of bob alone: %q", got)
	}
	if got := describeQuotas(c, true, kmsg.DescribeClientQuotasRequestComponent{EntityType: "user", MatchType: kmsg.QuotasMatchTypeDefault}); len(got) != 1 {
		t.Errorf("of users by default: %q", got)
	}
	if got := describeQuotas(c, false, kmsg.DescribeClientQuotasRequestComponent{EntityType: "client-id", MatchType: kmsg.QuotasMatchTypeAny}); len(got) != 3 {
		t.Errorf("of any client: %q", got)
	}
	for _, s := range sets {
		for key := range s.ops {
			s.ops[key] = 0
		}
		if code := alterQuota(c, s.entity, s.ops); code != 0 {
			t.Errorf("remove %v: %d", s.entity, code)
		}
	}
	if got := describeQuotas(c, false); len(got) != 0 || b.Allotted() {
		t.Errorf("left: %q", got)
	}
	for name, code := range map[string]int16{
		"by address":  alterQuota(c, []string{"ip=127.0.0.1"}, map[string]float64{"connection_creation_rate": 1}),
		"no such key": alterQuota(c, []string{"user=bob"}, map[string]float64{"controller_mutation_rate": 1}),
		"negative":    alterQuota(c, []string{"user=bob"}, map[string]float64{quotaProducer: -1}),
		"nobody":      alterQuota(c, nil, map[string]float64{quotaProducer: 1}),
		"twice":       alterQuota(c, []string{"user=bob", "user=eve"}, map[string]float64{quotaProducer: 1}),
	} {
		if code != codeInvalidRequest {
			t.Errorf("%s: %d", name, code)
		}
	}
}

// Who is over a quota is told how long to keep away; who is not under one is not.
func TestClientQuotas_Throttle(t *testing.T) {
	b := newBroker(t, 1)
	addr := serve(t, b)
	c := dial(t, addr)
	create(c, "orders", 1)
	big := batch(t, string(make([]byte, 3000)))
	produced := func(c *client) int32 {
		return ask[*kmsg.ProduceResponse](c, produceRequest("orders", -1, big), 9).ThrottleMillis
	}
	fetched := func(c *client) int32 {
		return ask[*kmsg.FetchResponse](c, fetchRequest("orders", 0, 0, 1), 11).ThrottleMillis
	}
	if produced(c) != 0 || fetched(c) != 0 {
		t.Error("throttled without a quota")
	}
	// Connections of tests call themselves "test".
	if code := alterQuota(c, []string{"client-id=test"}, map[string]float64{quotaProducer: 2000, quotaConsumer: 2000}); code != 0 {
		t.Fatal(code)
	}
	if ms := produced(dial(t, addr)); ms < 300 || ms > 1000 {
		t.Errorf("3000 of 2000 B/s written: throttled %d ms", ms)
	}
	if ms := fetched(dial(t, addr)); ms < 300 || ms > 3000 {
		t.Errorf("3000 of 2000 B/s read: throttled %d ms", ms)
	}
	if code := alterQuota(c, []string{"client-id=test"}, map[string]float64{quotaProducer: 0, quotaConsumer: 0, quotaRequest: 0.001}); code != 0 {
		t.Fatal(code)
	}
	again := dial(t, addr)
	throttled := int32(0)
	for range 3 { // microseconds of work against ten a second
		if throttled = max(throttled, ask[*kmsg.DescribeClusterResponse](again, kmsg.NewPtrDescribeClusterRequest(), 1).ThrottleMillis); throttled > 0 {
			break
		}
	}
	if throttled == 0 {
		t.Error("nothing was throttled for its work")
	}
}

// The quota of a user with a client is before that of the user, which is before that of the client.
func TestClientQuotas_TheNearestCounts(t *testing.T) {
	b := newBroker(t, 1)
	me := &broker.Caller{}
	put := func(principal, client string, v float64) {
		t.Helper()
		if err := b.PutAllotment(t.Context(), me, broker.AllotmentOf{Principal: principal, Client: client}, func(a *broker.Allotment) { a.ReadBytesPerSecond = v }); err != nil {
			t.Fatal(err)
		}
	}
	// Each has a debt of a second after reading twice its rate; the wait tells which rate it was.
	wait := func(principal, client string) time.Duration {
		return b.SpendRead(&broker.Caller{Principal: principal, Client: client}, 1_000_000).Round(time.Second)
	}
	put("", broker.Everyone, 10_000)
	put("", "app", 20_000)
	if got := wait("bob", "app"); got != 49*time.Second {
		t.Errorf("client: %v", got)
	}
	if got := wait("bob", "other"); got != 99*time.Second {
		t.Errorf("any client: %v", got)
	}
	put(broker.Everyone, "", 25_000)
	if got := wait("bob", "app"); got != 39*time.Second {
		t.Errorf("any user: %v", got)
	}
	put("bob", "", 40_000)
	if got := wait("bob", "app"); got != 49*time.Second { // with what it read before
		t.Errorf("user: %v", got)
	}
	put("bob", "app", 100_000)
	if got := wait("bob", "app"); got != 9*time.Second {
		t.Errorf("user and client: %v", got)
	}
	if got := wait("eve", "app"); got != 39*time.Second {
		t.Errorf("another user counts apart: %v", got)
	}
	if got := wait("", "app"); got != 39*time.Second {
		t.Errorf("nobody: %v", got)
	}
}
