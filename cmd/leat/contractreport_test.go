package main

import (
	"context"
	"encoding/json"
	"os"
	"strings"
	"testing"
)

func TestContractReports(t *testing.T) {
	c, write := contractNode(t)
	old := write("order.json", `{"type":"object","title":"order","required":["id","mail"],"properties":{"id":{"type":"string"},"mail":{"type":"string","confluent:tags":["PII"]}}}`)
	next := write("next.json", `{"type":"object","title":"order","required":["id"],"properties":{"id":{"type":"string"},"email":{"type":"string"}}}`)
	c.must(t, "", "contract put orders --type com.shop.order.* --subject orders --schema "+old)
	c.must(t, `{"id":"1","mail":"x"}`+"\n", "publish orders --type com.shop.order.placed")
	c.must(t, "", "read orders --from earliest")
	fails := func(args string) string {
		t.Helper()
		out, errs, code := c.run(context.Background(), "", strings.Fields(args)...)
		if code == exitOK {
			t.Errorf("%s is well: %s", args, out)
		}
		return out + errs
	}
	if out := fails("contract check --subject orders --schema " + next); !strings.Contains(out, "leat (com.shop.order.placed): unknown: no declaration") {
		t.Error(out)
	}
	c.must(t, "", "contract reads put --service leat --type com.shop.order.placed --fields id,mail")
	if out := fails("contract check --subject orders --schema " + next); !strings.Contains(out, "leat (com.shop.order.placed): breaks\n  mail: it is gone; it may be called email now") {
		t.Error(out)
	}
	if out := c.must(t, "", "contract check --subject orders --schema "+old); !strings.Contains(out, "leat (com.shop.order.placed): fine; it reads id, mail") {
		t.Error(out)
	}
	if out := c.must(t, "", "contract reads list"); !strings.Contains(out, "leat\tcom.shop.order.placed\tid, mail") {
		t.Error(out)
	}
	if out := c.must(t, "", "contract tags orders"); !strings.Contains(out, "orders\t1\tmail\tstring\tPII\tleat\tleat") {
		t.Error(out)
	}
	if out := c.must(t, "", "contract coupling"); !strings.HasPrefix(out, "1 service, 1 type of events: 2 edges through contracts, 0 without one; 1 pair of services\n") {
		t.Error(out)
	}
	var report map[string]any
	if err := json.Unmarshal([]byte(c.must(t, "", "contract coupling --output json")), &report); err != nil || report["contract_edges"] == nil {
		t.Error(err, report)
	}
	if out := fails("contract lint --schema " + next); !strings.Contains(out, "pii\temail") || !strings.Contains(out, "1 error") {
		t.Error(out)
	}
	if out := c.must(t, "", "contract lint orders"); !strings.Contains(out, "correlation") || strings.Contains(out, "type-and-version") {
		t.Error(out)
	}
	if out := c.must(t, "", "contract lint --rules"); !strings.Contains(out, "vague-type\twarning") {
		t.Error(out)
	}
	fails("contract lint")
	fails("contract lint orders --all")
	doc := write("asyncapi.json", "")
	c.must(t, "", "contract asyncapi --out "+doc)
	b, err := os.ReadFile(doc)
	if err != nil || !strings.Contains(string(b), `"com.shop.order.placed"`) || !strings.Contains(string(b), `"protocol": "http"`) {
		t.Errorf("%s, %v", b, err)
	}
	c.must(t, "", "contract reads delete --service leat --type com.shop.order.placed")
	fails("contract reads delete --service leat --type com.shop.order.placed")
}
