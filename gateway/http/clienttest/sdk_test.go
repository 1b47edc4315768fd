package clienttest

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	nethttp "net/http"
	"strings"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	"github.com/cloudevents/sdk-go/v2/binding"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
)

func order(id string) cloudevents.Event {
	e := cloudevents.NewEvent()
	e.SetID(id)
	e.SetSource("/shop/gr%C3%BC%C3%9Fe")
	e.SetType("order.placed")
	e.SetSubject(`order "42" 100%`)
	e.SetTime(time.Date(2026, 11, 21, 10, 0, 0, 123_000_000, time.UTC))
	e.SetDataSchema("https://example.com/order.json")
	e.SetExtension("partitionkey", "customer 7")
	e.SetExtension("attempt", 3)
	e.SetExtension("urgent", true)
	if err := e.SetData(cloudevents.ApplicationJSON, map[string]any{"n": 1, "text": "é😀"}); err != nil {
		panic(err)
	}
	return e
}

// What the SDK sends in either mode is what the SDK reads back.
func TestSDK_SendsAndReadsBack(t *testing.T) {
	url := start(t)
	for mode, encoding := range map[string]binding.Encoding{"binary": binding.EncodingBinary, "structured": binding.EncodingStructured} {
		t.Run(mode, func(t *testing.T) {
			c, err := cloudevents.NewClientHTTP(cloudevents.WithTarget(url + "/v1/streams/" + mode + "/events"))
			if err != nil {
				t.Fatal(err)
			}
			ctx := context.Background()
			if encoding == binding.EncodingStructured {
				ctx = cloudevents.WithEncodingStructured(ctx)
			} else {
				ctx = cloudevents.WithEncodingBinary(ctx)
			}
			sent := order("1-" + mode)
			var status *cehttp.Result
			if res := c.Send(ctx, sent); !cloudevents.ResultAs(res, &status) || status.StatusCode != 201 {
				t.Fatalf("send: %v", res)
			}
			if res := c.Send(ctx, sent); !cloudevents.ResultAs(res, &status) || status.StatusCode != 200 {
				t.Errorf("sent again: %v; want 200", res)
			}
			got := read(t, url+"/v1/events/"+mode+"/0/0")
			if got.ID() != sent.ID() || got.Source() != sent.Source() || got.Type() != sent.Type() || got.Subject() != sent.Subject() ||
				!got.Time().Equal(sent.Time()) || got.DataSchema() != sent.DataSchema() || got.DataContentType() != sent.DataContentType() {
				t.Errorf("sent\n%v\nread\n%v", sent, got)
			}
			for name, want := range map[string]string{"partitionkey": "customer 7", "attempt": "3", "urgent": "true"} {
				if v, _ := got.Extensions()[name].(string); v != want {
					t.Errorf("extension %s: %v; want %s", name, got.Extensions()[name], want)
				}
			}
			if !bytes.Equal(compact(t, got.Data()), compact(t, sent.Data())) {
				t.Errorf("data: sent %s, read %s", sent.Data(), got.Data())
			}
		})
	}
}

func TestSDK_Batch(t *testing.T) {
	url := start(t)
	req, err := cehttp.NewHTTPRequestFromEvents(context.Background(), url+"/v1/streams/batch/events", []cloudevents.Event{order("1"), order("2"), order("3")})
	if err != nil {
		t.Fatal(err)
	}
	res, err := nethttp.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var list []struct{ Ref string }
	if err := json.NewDecoder(res.Body).Decode(&list); err != nil || res.StatusCode != 201 || len(list) != 3 || list[2].Ref != "batch/0/2" {
		t.Errorf("%d %v %v", res.StatusCode, list, err)
	}
}

// The data of server-sent events and the events of a page are events to the SDK.
func TestSDK_ReadsPagesAndStreams(t *testing.T) {
	url := start(t)
	c, err := cloudevents.NewClientHTTP(cloudevents.WithTarget(url + "/v1/streams/orders/events"))
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"1", "2"} {
		if res := c.Send(context.Background(), order(id)); !cloudevents.IsACK(res) {
			t.Fatal(res)
		}
	}
	var page struct{ Events []cloudevents.Event }
	if err := json.Unmarshal(get(t, url+"/v1/streams/orders/events"), &page); err != nil || len(page.Events) != 2 || page.Events[1].ID() != "2" {
		t.Errorf("page: %v %v", page, err)
	}
	for _, e := range page.Events {
		if err := e.Validate(); err != nil {
			t.Errorf("page: %v", err)
		}
	}
}

func read(t *testing.T, url string) (e cloudevents.Event) {
	t.Helper()
	if err := json.Unmarshal(get(t, url), &e); err != nil {
		t.Fatal(err)
	}
	if err := e.Validate(); err != nil {
		t.Errorf("%s: %v", url, err)
	}
	return e
}

func get(t *testing.T, url string) []byte {
	t.Helper()
	res, err := nethttp.Get(url) //nolint:noctx // a test
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != 200 {
		t.Fatalf("%s: %d %s %v", url, res.StatusCode, b, err)
	}
	return b
}

func compact(t *testing.T, p []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := json.Compact(&b, p); err != nil {
		t.Fatalf("%s: %v", strings.TrimSpace(string(p)), err)
	}
	return b.Bytes()
}
