package wire

import (
	"bytes"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What real clients sent is understood, and written anew it is understood as the same. In the query form it has the same parameters too:
// nothing was passed over.
func TestCaptures_AreUnderstoodWhole(t *testing.T) {
	actions := all(t)
	clients := map[string]int{}
	for _, c := range captures(t) {
		name := c.client + " " + c.key.Action
		clients[c.client]++
		got, err := ParseCall(&c.head, bytes.Clone(c.body))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if (Key{got.Service, got.Action}) != c.key {
			t.Fatalf("%s: taken for %s of %s", name, got.Action, got.Service)
		}
		e := actions[c.key]
		in, err := e.decode(&got)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		again := e.again(got.Protocol, in)
		if got.Protocol == Query {
			if d := cmp.Diff(params(t, string(c.body)), params(t, string(again))); d != "" {
				t.Errorf("%s: (-sent +understood)\n%s", name, d)
			}
		}
		second, err := ParseCall(&c.head, bytes.Clone(again))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		in2, err := e.decode(&second)
		if err != nil {
			t.Fatalf("%s, written anew: %v", name, err)
		}
		if d := cmp.Diff(in, in2); d != "" {
			t.Errorf("%s: (-first +second)\n%s", name, d)
		}
	}
	if len(clients) != 4 || clients["boto3-query"] < 40 {
		t.Errorf("captures of %v", clients)
	}
}

// params is the parameters of a form as sorted lines. Clients number lists as they like to; ours are numbered from 1 in their order.
func params(t *testing.T, form string) []string {
	t.Helper()
	v, err := url.ParseQuery(form)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for name, values := range v {
		lines = append(lines, name+"="+strings.Join(values, ","))
	}
	slices.Sort(lines)
	return lines
}

// All clients asked for the same message to be sent, as far as they can.
func TestCaptures_OfSendMessage(t *testing.T) {
	n := 0
	for _, c := range captures(t) {
		if c.key != SendMessage.Key {
			continue
		}
		n++
		got, err := ParseCall(&c.head, bytes.Clone(c.body))
		if err != nil {
			t.Fatal(err)
		}
		var in SendMessageInput
		if err := SendMessage.Decode(&got, &in); err != nil {
			t.Fatalf("%s: %v", c.client, err)
		}
		if in.QueueURL != "http://127.0.0.1:4599/000000000000/orders" || !strings.HasPrefix(in.Body, "hi \"there\" \\ é 😀 \n <&>") {
			t.Errorf("%s: %q %q", c.client, in.QueueURL, in.Body)
		}
		i := slices.IndexFunc(in.Attributes, func(a Attribute) bool { return a.Name == "b" })
		if i < 0 || !bytes.Equal(in.Attributes[i].Binary, []byte{0, 0xff, 0x10}) || in.Attributes[i].DataType != "Binary" {
			t.Errorf("%s: %+v", c.client, in.Attributes)
		}
		if strings.HasPrefix(c.client, "boto3") {
			if in.DelaySeconds != Some[int64](3) || len(in.System) != 1 || in.System[0].Name != "AWSTraceHeader" {
				t.Errorf("%s: %+v", c.client, in)
			}
			if got := MD5OfAttributes(in.Attributes); got != "a7bfded3788b45c253fadd1507f890e7" {
				t.Errorf("%s: digest %s", c.client, got)
			}
		}
	}
	if n != 4 {
		t.Errorf("%d clients", n)
	}
}
