package hooks

import (
	"bytes"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// The handshake of Azure Event Grid in its own schema:
//
//	sender                                                  endpoint
//	POST, aeg-event-type: SubscriptionValidation
//	  [{"id":…,"topic":…,"subject":"","eventType":"Microsoft.EventGrid.SubscriptionValidationEvent","eventTime":…,
//	    "metadataVersion":"1","dataVersion":"1","data":{"validationCode":"512d…","validationUrl":"https://…"}}]
//	                                                        200 {"validationResponse":"512d…"}
//
// or the endpoint answers 200 with something else, and somebody opens validationUrl within ten minutes.
const (
	GridBodyMax       = 64 << 10         // bytes of a validation, and of the answer to one
	GridAnswerTimeout = 30 * time.Second // the sender waits for the answer
	GridURLTimeout    = 10 * time.Minute // the sender accepts the validation URL

	headerGridType      = "Aeg-Event-Type"
	gridValidation      = "SubscriptionValidation"
	gridValidationEvent = "Microsoft.EventGrid.SubscriptionValidationEvent"
	gridCodeMax         = 1024 // bytes
)

type gridEvent struct {
	ID              string          `json:"id"`
	Topic           string          `json:"topic,omitempty"`
	Subject         string          `json:"subject"`
	Data            json.RawMessage `json:"data"`
	EventType       string          `json:"eventType"`
	EventTime       string          `json:"eventTime"`
	MetadataVersion string          `json:"metadataVersion"`
	DataVersion     string          `json:"dataVersion"`
}

// Validation is what an Event Grid wants answered.
type Validation struct {
	Code string `json:"validationCode"`
	URL  string `json:"validationUrl,omitempty"` // opening it answers, too
}

// GridValidation is the request with which a sender in Event Grid's schema asks an endpoint for consent. topic is the sender's resource, code
// a secret of this handshake.
func GridValidation(h http.Header, id, topic string, v Validation, now time.Time) ([]byte, error) {
	if v.Code == "" || len(v.Code) > gridCodeMax {
		return nil, errors.New("hooks: a validation needs a code")
	}
	data, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	h[headerGridType] = []string{gridValidation}
	h["Content-Type"] = []string{"application/json; charset=utf-8"}
	return json.Marshal([]gridEvent{{
		ID: id, Topic: topic, Data: data, EventType: gridValidationEvent, EventTime: now.UTC().Format("2006-01-02T15:04:05.0000000Z"),
		MetadataVersion: "1", DataVersion: "1",
	}})
}

// GridAnswered reports whether the answer to GridValidation is consent. No consent in a 200 is not yet refusal: the URL may be opened.
func GridAnswered(status int, body []byte, code string) bool {
	var answer struct {
		Response string `json:"validationResponse"`
	}
	// Members are matched without regard to case: the samples in circulation write them both ways.
	if status != http.StatusOK || len(body) > GridBodyMax || json.Unmarshal(body, &answer) != nil || code == "" {
		return false
	}
	return subtle.ConstantTimeCompare([]byte(answer.Response), []byte(code)) == 1
}

// ReadGridValidation reads a request that came. ok is false for one that is no validation. The caller decides whether it is expected at this
// address: whoever answers consents.
func ReadGridValidation(h http.Header, body []byte) (v Validation, ok bool, err error) {
	t := h.Get(headerGridType)
	if t != "" && t != gridValidation || t == "" && !bytes.Contains(body[:min(len(body), GridBodyMax)], []byte(gridValidationEvent)) {
		return v, false, nil
	}
	claimed := t == gridValidation // otherwise it may be an event that holds the word somewhere
	if len(body) > GridBodyMax {
		return v, claimed, tooLarge(claimed, len(body))
	}
	events := make([]gridEvent, 1)
	if b := bytes.TrimLeft(body, " \t\r\n"); len(b) > 0 && b[0] == '{' {
		err = json.Unmarshal(b, &events[0])
	} else {
		err = json.Unmarshal(b, &events)
	}
	if err != nil || len(events) != 1 || events[0].EventType != gridValidationEvent {
		if !claimed {
			return v, false, nil
		}
		return v, true, errors.New("hooks: a validation is a JSON array of one event of the type " + gridValidationEvent)
	}
	if err := json.Unmarshal(events[0].Data, &v); err != nil || v.Code == "" || len(v.Code) > gridCodeMax {
		return Validation{}, true, errors.New("hooks: the validation has no validationCode")
	}
	if v.URL != "" && !callbackURL(v.URL) {
		return Validation{}, true, errors.New("hooks: the validationUrl is no http or https URL")
	}
	return v, true, nil
}

func tooLarge(claimed bool, n int) error {
	if !claimed {
		return nil
	}
	return fmt.Errorf("hooks: the validation has %d bytes; at most %d", n, GridBodyMax)
}

// Answer is the body that answers with consent, as application/json and 200.
func (v Validation) Answer() []byte {
	b, _ := json.Marshal(map[string]string{"validationResponse": v.Code}) // text always is JSON
	return b
}

func callbackURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && len(s) <= CallbackBytesMax && (u.Scheme == "https" || u.Scheme == "http") && u.Hostname() != "" && !strings.ContainsAny(s, "\r\n")
}
