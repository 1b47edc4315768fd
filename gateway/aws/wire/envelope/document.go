package envelope

import (
	"encoding/base64"
	"net/url"
	"strings"
	"time"

	"leat/gateway/aws/wire"
)

// Type is the kind of a document.
type Type string

// The kinds.
const (
	Notification             Type = "Notification"
	SubscriptionConfirmation Type = "SubscriptionConfirmation"
	UnsubscribeConfirmation  Type = "UnsubscribeConfirmation"
)

// timeFormat is that of timestamps: milliseconds, in UTC.
const timeFormat = "2006-01-02T15:04:05.000Z"

// Document is what a subscriber gets.
type Document struct {
	Type           Type
	MessageID      string
	TopicARN       string
	Subject        string // "" for none
	Message        string
	Time           time.Time // when it was published
	SequenceNumber string    // of FIFO topics
	Token          string    // of confirmations
	SubscribeURL   string    // of confirmations
	UnsubscribeURL string    // of notifications
	Attributes     wire.Attributes
}

// Confirm makes the document that asks a new subscriber whether it wants to be one.
func Confirm(id, topicARN, token, base string, now time.Time) Document {
	return Document{
		Type: SubscriptionConfirmation, MessageID: id, TopicARN: topicARN, Token: token, Time: now,
		Message:      "You have chosen to subscribe to the topic " + topicARN + ".\nTo confirm the subscription, visit the SubscribeURL included in this message.",
		SubscribeURL: ConfirmURL(base, topicARN, token),
	}
}

// Ended makes the document that tells a subscriber that it is one no longer, and how to take that back.
func Ended(id, topicARN, subscriptionARN, token, base string, now time.Time) Document {
	return Document{
		Type: UnsubscribeConfirmation, MessageID: id, TopicARN: topicARN, Token: token, Time: now,
		Message:      "You have chosen to deactivate subscription " + subscriptionARN + ".\nTo cancel this operation and restore the subscription, visit the SubscribeURL included in this message.",
		SubscribeURL: ConfirmURL(base, topicARN, token),
	}
}

// ConfirmURL is where a subscription is confirmed by visiting it. base is our own address, scheme and host.
func ConfirmURL(base, topicARN, token string) string {
	return base + "/?Action=ConfirmSubscription&TopicArn=" + escapeARN(topicARN) + "&Token=" + url.QueryEscape(token)
}

// UnsubscribeURL is where a subscription is ended by visiting it.
func UnsubscribeURL(base, subscriptionARN string) string {
	return base + "/?Action=Unsubscribe&SubscriptionArn=" + escapeARN(subscriptionARN)
}

// escapeARN leaves colons as they are, as Amazon does: people compare.
func escapeARN(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "%3A", ":") }

// Canonical appends the text that is signed: names and values in turn, each with a line feed behind it, sorted by name.
//
//	Notification:   Message MessageId [Subject] Timestamp TopicArn Type
//	confirmations:  Message MessageId SubscribeURL Timestamp Token TopicArn Type
func (d *Document) Canonical(b []byte) []byte {
	line := func(name, value string) {
		b = append(append(b, name...), '\n')
		b = append(append(b, value...), '\n')
	}
	line("Message", d.Message)
	line("MessageId", d.MessageID)
	if d.Type == Notification {
		if d.Subject != "" {
			line("Subject", d.Subject)
		}
	} else {
		line("SubscribeURL", d.SubscribeURL)
	}
	line("Timestamp", d.Time.UTC().Format(timeFormat))
	if d.Type != Notification {
		line("Token", d.Token)
	}
	line("TopicArn", d.TopicARN)
	line("Type", string(d.Type))
	return b
}

// Append writes the document as Amazon lays it out. sig is left out where it is zero, as it is for FIFO topics.
//
//	{
//	  "Type" : "Notification",
//	  "MessageId" : "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
//	  "TopicArn" : "arn:aws:sns:us-west-2:123456789012:MyTopic",
//	  …
//	  "MessageAttributes" : {
//	    "kind" : {"Type":"String","Value":"new"}
//	  }
//	}
func (d *Document) Append(b []byte, sig Signature) []byte {
	b = append(b, '{')
	first := true
	member := func(name, value string) {
		if value == "" && name != "Message" {
			return
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		b = append(b, "\n  \""...)
		b = append(b, name...)
		b = wire.AppendQuoted(append(b, `" : `...), value)
	}
	member("Type", string(d.Type))
	member("MessageId", d.MessageID)
	member("Token", d.Token)
	member("SequenceNumber", d.SequenceNumber)
	member("TopicArn", d.TopicARN)
	member("Subject", d.Subject)
	member("Message", d.Message)
	if d.Type != Notification {
		member("SubscribeURL", d.SubscribeURL)
	}
	member("Timestamp", d.Time.UTC().Format(timeFormat))
	member("SignatureVersion", sig.Version)
	member("Signature", sig.Text)
	member("SigningCertURL", sig.CertURL)
	if d.Type == Notification {
		member("UnsubscribeURL", d.UnsubscribeURL)
	}
	if len(d.Attributes) > 0 {
		b = append(b, ",\n  \"MessageAttributes\" : {"...)
		for i := range d.Attributes {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendAttribute(append(b, "\n    "...), &d.Attributes[i])
		}
		b = append(b, "\n  }"...)
	}
	return append(b, "\n}"...)
}

func appendAttribute(b []byte, a *wire.Attribute) []byte {
	b = wire.AppendQuoted(b, a.Name)
	b = wire.AppendQuoted(append(b, ` : {"Type":`...), a.DataType)
	b = append(b, `,"Value":`...)
	if a.IsBinary() {
		b = append(b, '"')
		b = base64.StdEncoding.AppendEncode(b, a.Binary)
		return append(b, `"}`...)
	}
	return append(wire.AppendQuoted(b, a.String.V), '}')
}

// Header is one of a delivery by HTTP.
type Header struct{ Name, Value string }

// userAgent is how deliveries present themselves; some endpoints let nothing else pass.
const userAgent = "Amazon Simple Notification Service Agent"

// Headers are those of a delivery by HTTP. contentType is what the subscription's delivery policy asks for, or "".
func (d *Document) Headers(subscriptionARN, contentType string, raw bool) []Header {
	if contentType == "" || d.Type != Notification {
		contentType = "text/plain; charset=UTF-8"
	}
	h := []Header{
		{"Content-Type", contentType},
		{"User-Agent", userAgent},
		{"x-amz-sns-message-type", string(d.Type)},
		{"x-amz-sns-message-id", d.MessageID},
		{"x-amz-sns-topic-arn", d.TopicARN},
	}
	if d.Type != SubscriptionConfirmation {
		h = append(h, Header{"x-amz-sns-subscription-arn", subscriptionARN})
	}
	if raw && d.Type == Notification {
		h = append(h, Header{"x-amz-sns-rawdelivery", "true"})
	}
	return h
}
