package hooks

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestConsent_BothSides(t *testing.T) {
	for _, c := range []struct {
		origins   string
		limit     int
		ask       Ask
		granted   bool
		rate      int
		allowRate string
	}{
		{"eventemitter.example.com", 0, Ask{Origin: "eventemitter.example.com"}, true, 0, "*"},
		{"*", 0, Ask{Origin: "eventemitter.example.com", Rate: 120}, true, 120, "120"},
		{"*", 100, Ask{Origin: "eventemitter.example.com", Rate: 120}, true, 100, "100"},
		{"*", 100, Ask{Origin: "eventemitter.example.com"}, true, 100, "100"},
		{"*.example.com", 0, Ask{Origin: "Eventemitter.Example.com", Callback: "https://example.com/confirm?id=12345&key=x"}, true, 0, "*"},
		{"*.example.com", 0, Ask{Origin: "example.com"}, false, 0, ""},
		{"*.example.com", 0, Ask{Origin: "badexample.com"}, false, 0, ""},
		{"other.example.com", 0, Ask{Origin: "eventemitter.example.com"}, false, 0, ""},
		{"", 0, Ask{Origin: "eventemitter.example.com"}, false, 0, ""},
	} {
		request, answer := http.Header{}, http.Header{}
		if err := c.ask.SetHeader(request); err != nil {
			t.Fatal(err)
		}
		read, ok, err := ReadAsk(request)
		if err != nil || !ok || read != c.ask {
			t.Errorf("got %+v %v %v, want %+v", read, ok, err, c.ask)
		}
		if ok := (Consent{Origins: strings.Fields(c.origins), Rate: c.limit}).Answer(read, answer); ok != c.granted {
			t.Errorf("%s: answered %v", c.origins, ok)
		}
		if got := answer.Get("WebHook-Allowed-Rate"); got != c.allowRate || !c.granted && len(answer) > 0 {
			t.Errorf("%s: %v", c.origins, answer)
		}
		g, granted, err := c.ask.ReadGrant(answer)
		if err != nil || granted != c.granted || g.Rate != c.rate {
			t.Errorf("%s: read %+v %v %v", c.origins, g, granted, err)
		}
	}
}

func TestConsent_AnswersThatAreRead(t *testing.T) {
	ask := Ask{Origin: "eventemitter.example.com", Rate: 120}
	for _, c := range []struct {
		origin, rate string
		granted, bad bool
		want         Grant
	}{
		{"*", "100", true, false, Grant{Any: true, Rate: 100}},
		{"*", "*", true, false, Grant{Any: true}},
		{"EVENTEMITTER.example.com", "", true, false, Grant{Rate: 120}},
		{"", "100", false, false, Grant{}},
		{"other.example.com", "100", false, true, Grant{}},
		{"*", "0", false, true, Grant{}},
		{"*", "-5", false, true, Grant{}},
		{"*", "fast", false, true, Grant{}},
		{"*", "99999999999999999999999", true, false, Grant{Any: true, Rate: RateMost}},
	} {
		h := http.Header{}
		if c.origin != "" {
			h.Set("WebHook-Allowed-Origin", c.origin)
		}
		h.Set("WebHook-Allowed-Rate", c.rate)
		g, granted, err := ask.ReadGrant(h)
		if granted != c.granted || (err != nil) != c.bad || g != c.want {
			t.Errorf("%+v: got %+v %v %v", c, g, granted, err)
		}
	}
	for name, h := range map[string]http.Header{
		"origin":   {"Webhook-Request-Origin": {"a b"}},
		"rate":     {"Webhook-Request-Origin": {"a"}, "Webhook-Request-Rate": {"0"}},
		"callback": {"Webhook-Request-Origin": {"a"}, "Webhook-Request-Callback": {"file:///etc/passwd"}},
	} {
		if _, ok, err := ReadAsk(h); !ok || err == nil {
			t.Errorf("a bad %s was taken", name)
		}
	}
	if _, ok, err := ReadAsk(http.Header{"Access-Control-Request-Method": {"POST"}}); ok || err != nil {
		t.Errorf("a browser's preflight: %v %v", ok, err)
	}
	for _, a := range []Ask{{}, {Origin: "a\nb"}, {Origin: "a", Rate: -1}, {Origin: "a", Callback: "x"}} {
		if a.SetHeader(http.Header{}) == nil {
			t.Errorf("%+v was asked", a)
		}
	}
}

// As Microsoft's documentation prints it.
const gridSample = `[
  {
    "id": "2d1781af-3a4c-4d7c-bd0c-e34b19da4e66",
    "topic": "/subscriptions/xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx",
    "subject": "",
    "data": {
      "validationCode": "512d38b6-c7b8-40c8-89fe-f46f9e9622b6",
      "validationUrl": "https://rp-eastus2.eventgrid.azure.net:553/eventsubscriptions/myeventsub/validate?id=0000000000-0000-0000-0000-00000000000000&t=2021-09-01T20:30:54.4538837Z&apiVersion=2018-05-01-preview&token=1A1A1A1A"
    },
    "eventType": "Microsoft.EventGrid.SubscriptionValidationEvent",
    "eventTime": "2021-00-01T22:12:19.4556811Z",
    "metadataVersion": "1",
    "dataVersion": "1"
  }
]`

func TestGrid_DocumentedSample(t *testing.T) {
	for _, h := range []http.Header{{}, {"Aeg-Event-Type": {"SubscriptionValidation"}}} {
		v, ok, err := ReadGridValidation(h, []byte(gridSample))
		if err != nil || !ok || v.Code != "512d38b6-c7b8-40c8-89fe-f46f9e9622b6" || !strings.HasPrefix(v.URL, "https://rp-eastus2") {
			t.Errorf("%+v %v %v", v, ok, err)
		}
		if got := string(v.Answer()); got != `{"validationResponse":"512d38b6-c7b8-40c8-89fe-f46f9e9622b6"}` {
			t.Error(got)
		}
	}
	if _, ok, _ := ReadGridValidation(http.Header{"Aeg-Event-Type": {"Notification"}}, []byte(gridSample)); ok {
		t.Error("a notification was read as a validation")
	}
}

func TestGrid_BothSides(t *testing.T) {
	h := http.Header{}
	want := Validation{Code: "abc", URL: "https://leat.example/confirm?x=1&y=2"}
	body, err := GridValidation(h, "1", "/topics/orders", want, time.Unix(1700000000, 0))
	if err != nil {
		t.Fatal(err)
	}
	var generic []map[string]any
	if err := json.Unmarshal(body, &generic); err != nil || generic[0]["eventTime"] != "2023-11-14T22:13:20.0000000Z" || generic[0]["topic"] != "/topics/orders" {
		t.Errorf("%s: %v", body, err)
	}
	got, ok, err := ReadGridValidation(h, body)
	if err != nil || !ok || got != want {
		t.Errorf("%+v %v %v", got, ok, err)
	}
	for _, c := range []struct {
		status int
		body   string
		want   bool
	}{
		{200, string(got.Answer()), true},
		{200, `{"ValidationResponse":"abc"}`, true},
		{202, string(got.Answer()), false},
		{200, `{"validationResponse":"abd"}`, false},
		{200, `{}`, false}, {200, ``, false}, {200, `abc`, false},
		{200, `{"validationResponse":"abc","x":"` + strings.Repeat("x", GridBodyMax) + `"}`, false},
	} {
		if GridAnswered(c.status, []byte(c.body), "abc") != c.want {
			t.Errorf("%d %.40s", c.status, c.body)
		}
	}
	if GridAnswered(200, []byte(`{"validationResponse":""}`), "") {
		t.Error("no code, and answered")
	}
	if _, err := GridValidation(h, "1", "", Validation{}, time.Unix(1, 0)); err == nil {
		t.Error("a validation without a code")
	}
}

func TestGrid_WhatIsNone(t *testing.T) {
	claimed := http.Header{"Aeg-Event-Type": {"SubscriptionValidation"}}
	for _, body := range []string{
		``, `[]`, `{`, `[{},{}]`, `[{"eventType":"other"}]`,
		`[{"eventType":"Microsoft.EventGrid.SubscriptionValidationEvent"}]`,
		`[{"eventType":"Microsoft.EventGrid.SubscriptionValidationEvent","data":{"validationCode":""}}]`,
		`[{"eventType":"Microsoft.EventGrid.SubscriptionValidationEvent","data":{"validationCode":"a","validationUrl":"gopher://x"}}]`,
		strings.Repeat(" ", GridBodyMax) + gridSample,
	} {
		if v, ok, err := ReadGridValidation(claimed, []byte(body)); !ok || err == nil || v != (Validation{}) {
			t.Errorf("%.60s: %+v %v %v", body, v, ok, err)
		}
	}
	// An event about validations is an event.
	for _, body := range []string{`{"type":"x","data":"Microsoft.EventGrid.SubscriptionValidationEvent"}`, `Microsoft.EventGrid.SubscriptionValidationEvent`} {
		if _, ok, err := ReadGridValidation(http.Header{}, []byte(body)); ok || err != nil {
			t.Errorf("%s: %v %v", body, ok, err)
		}
	}
}

func TestSlackChallenge(t *testing.T) {
	body := `{"token":"Jhj5dZrVaK7ZwHHjRyZWjbDl","challenge":"3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P","type":"url_verification"}`
	if c, ok := SlackChallenge([]byte(body)); !ok || c != "3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P" {
		t.Errorf("%q %v", c, ok)
	}
	if _, ok := SlackChallenge([]byte(`{"type":"event_callback","challenge":"x"}`)); ok {
		t.Error("an event was read as a challenge")
	}
}
