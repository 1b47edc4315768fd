package usage

import (
	"fmt"
	"strings"
	"sync"
	"testing"
)

var orders = Place{"default", "orders"}

func TestLedger_CountsByTypeAndParty(t *testing.T) {
	l := New()
	shop, audit := Party{Principal: "shop", Protocol: "kafka"}, Party{Protocol: "http", Client: "audit"}
	line := l.Line(orders, shop, Produces, 1000)
	if !line.Due(1000) || line.Due(1999) || !line.Due(2000) {
		t.Error("a line is looked into at once, and once a second")
	}
	var k Look
	for range 3 {
		k.Saw(What{Type: "placed"})
	}
	k.Saw(What{Type: "paid"})
	line.Looked(&k, 400, 4000, 2000)
	line.Spread(10, 101, 3000) // does not divide: nothing is lost
	if line.Count(What{Type: "new"}, false, 1, 1, 3000) {
		t.Error("a type that was never seen was counted as another")
	}
	if !line.Count(What{Type: "paid"}, true, 1, 9, 3000) {
		t.Error("a single record of a known type was not counted")
	}
	l.Line(orders, audit, Consumes, 2000).Add(What{Type: "paid", Schema: 7}, 5, 50, 2000)
	l.Via(orders, audit, "reports")
	l.Via(orders, audit, "reports")
	got := ""
	for _, u := range l.Uses("default") {
		got += fmt.Sprintln(u.Type, u.Schema, u.Role, u.Service(), u.Via, u.Records, u.Bytes, u.FirstMS, u.LastMS)
	}
	want := "paid 0 produces shop  104 1035 2000 3000\npaid 7 consumes audit reports 5 50 2000 2000\nplaced 0 produces shop  307 3075 2000 3000\n"
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if len(l.Uses("other")) != 0 {
		t.Error("another namespace has uses")
	}
}

func TestLedger_IsBounded(t *testing.T) {
	l := New()
	l.linesMax = 500
	for i := range l.linesMax + 10 {
		l.Line(orders, Party{Client: fmt.Sprint(i)}, Produces, int64(i)).Add(What{Type: "x"}, 1, 1, int64(i))
	}
	all := l.Uses("default")
	if n := len(all); n > l.linesMax || l.Forgotten() == 0 {
		t.Errorf("%d uses, %d forgotten", n, l.Forgotten())
	}
	for i := range all {
		if all[i].Client == "0" {
			t.Error("the one that was seen longest ago is still there")
		}
	}
	many := l.Line(orders, Party{Client: strings.Repeat("long", 1000)}, Produces, 1)
	for i := range 10 * TypesMax {
		many.Add(What{Type: fmt.Sprint("t", i)}, 1, 1, 1)
	}
	if len(many.mix) != TypesMax+1 || many.mix[TypesMax].Type != Others || many.mix[TypesMax].records != 9*TypesMax || len(many.key.party.Client) != textsBytes {
		t.Errorf("%d types, the last %+v; client of %d bytes", len(many.mix), many.mix[len(many.mix)-1], len(many.key.party.Client))
	}
}

func TestSummary_ComesBack(t *testing.T) {
	l := New()
	for i := range 2 * SummaryUsesMax {
		l.Line(orders, Party{Principal: fmt.Sprint("p", i), Via: "v"}, Consumes, int64(i)).Add(What{Type: "t", Schema: 3, GUID: "g"}, int64(i+1), 2, int64(i+1))
	}
	doc, err := l.Summary("default")
	if err != nil || len(doc) > SummaryBytesMax {
		t.Fatal(len(doc), err)
	}
	back := New()
	back.Line(orders, Party{Principal: fmt.Sprint("p", 2*SummaryUsesMax-1), Via: "v"}, Consumes, 1).Add(What{Type: "t", Schema: 3, GUID: "g"}, 1, 1, 1<<30)
	if err := back.Restore("default", doc); err != nil {
		t.Fatal(err)
	}
	all := back.Uses("default")
	if len(all) != SummaryUsesMax {
		t.Fatalf("%d uses came back", len(all))
	}
	for _, u := range all {
		if u.Principal == fmt.Sprint("p", 2*SummaryUsesMax-1) && (u.Records != 2*SummaryUsesMax+1 || u.LastMS != 1<<30 || u.FirstMS != 2*SummaryUsesMax) {
			t.Errorf("what was counted since, and what was kept, are not one: %+v", u)
		}
		if u.Principal == "p0" {
			t.Error("the one seen longest ago was kept before others")
		}
	}
	if err := back.Restore("default", []byte("{")); err == nil {
		t.Error("half a summary was taken")
	}
}

func TestLedger_ManyAtOnce(t *testing.T) {
	l := New()
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 500 {
				x := l.Line(Place{"default", fmt.Sprint(i % 50)}, Party{Principal: "p"}, Produces, 1)
				if !x.Count(What{Type: "a"}, true, 1, 1, 1) {
					x.Add(What{Type: "a"}, 1, 1, 1)
				}
				if g == 0 && i%100 == 0 {
					_ = l.Uses("default")
					_, _ = l.Summary("default")
				}
			}
		})
	}
	wg.Wait()
	sum := int64(0)
	for _, u := range l.Uses("default") {
		sum += u.Records
	}
	if sum != 4000 {
		t.Errorf("%d records were counted of 4000", sum)
	}
}

func TestService(t *testing.T) {
	for _, c := range []struct {
		p    Party
		want string
	}{
		{Party{Principal: "shop", Client: "x", Via: "g"}, "shop"},
		{Party{Protocol: "kafka", Client: "billing-service", Via: "g"}, "billing-service"},
		{Party{Protocol: "kafka", Client: "rdkafka", Via: "billing"}, "billing"},
		{Party{Protocol: "kafka", Client: "consumer-billing-1", Via: "billing"}, "billing"},
		{Party{Protocol: "http", Client: "curl/8.5.0"}, ""},
		{Party{Protocol: "http", Client: "shop/1.2 (linux)"}, "shop"},
		{Party{Protocol: "http", Client: "shop/unreleased"}, "shop"},
		{Party{Protocol: "kafka", Client: "team/app"}, "team/app"},
		{Party{Protocol: "aws", Client: "aws-sdk-go-v2/1.30 os/linux", Via: "jobs"}, "jobs"},
		{Party{Protocol: "push", Principal: "admin", Client: "to-crm", Via: "to-crm"}, "to-crm"},
	} {
		if got := c.p.Service(); got != c.want {
			t.Errorf("%+v is %q, want %q", c.p, got, c.want)
		}
	}
}
