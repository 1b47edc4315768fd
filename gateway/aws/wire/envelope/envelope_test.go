package envelope

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // as in signer.go
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"leat/gateway/aws/wire"
)

const (
	topic = "arn:aws:sns:us-west-2:123456789012:MyTopic"
	base  = "http://localhost:4566"
)

var at = time.Date(2012, 5, 2, 0, 54, 6, 655_400_000, time.UTC)

func notification() Document {
	return Document{
		Type: Notification, MessageID: "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324", TopicARN: topic, Subject: "My First Message", Message: "Hello world!", Time: at,
		UnsubscribeURL: UnsubscribeURL(base, topic+":c9135db0"),
	}
}

// The layout is that of Amazon's guide.
func TestAppend_Notification(t *testing.T) {
	d := notification()
	d.Attributes = wire.Attributes{
		{Name: "kind", DataType: "String", String: wire.Some("a\"b")},
		{Name: "bytes", DataType: "Binary", Binary: []byte{0, 0xff}},
	}
	got := string(d.Append(nil, Signature{Version: "1", Text: "EXAMPLEw6JRN", CertURL: base + "/x.pem"}))
	want := `{
  "Type" : "Notification",
  "MessageId" : "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
  "TopicArn" : "arn:aws:sns:us-west-2:123456789012:MyTopic",
  "Subject" : "My First Message",
  "Message" : "Hello world!",
  "Timestamp" : "2012-05-02T00:54:06.655Z",
  "SignatureVersion" : "1",
  "Signature" : "EXAMPLEw6JRN",
  "SigningCertURL" : "http://localhost:4566/x.pem",
  "UnsubscribeURL" : "http://localhost:4566/?Action=Unsubscribe&SubscriptionArn=arn:aws:sns:us-west-2:123456789012:MyTopic:c9135db0",
  "MessageAttributes" : {
    "kind" : {"Type":"String","Value":"a\"b"},
    "bytes" : {"Type":"Binary","Value":"AP8="}
  }
}`
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if !json.Valid([]byte(got)) {
		t.Error("not JSON")
	}
}

// FIFO topics number their messages and do not sign them.
func TestAppend_OfFIFOTopics(t *testing.T) {
	d := notification()
	d.SequenceNumber, d.Subject = "10000000000000003000", ""
	got := map[string]any{}
	if err := json.Unmarshal(d.Append(nil, Signature{}), &got); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"Signature", "SignatureVersion", "SigningCertURL", "Subject", "MessageAttributes"} {
		if _, ok := got[name]; ok {
			t.Errorf("it has %s", name)
		}
	}
	if got["SequenceNumber"] != "10000000000000003000" {
		t.Errorf("%v", got)
	}
}

func TestAppend_Confirmations(t *testing.T) {
	d := Confirm("id", topic, "tok+en", base, at)
	got := map[string]string{}
	if err := json.Unmarshal(d.Append(nil, Signature{Version: "2", Text: "s", CertURL: "u"}), &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"Type": "SubscriptionConfirmation", "MessageId": "id", "Token": "tok+en", "TopicArn": topic,
		"Message":      "You have chosen to subscribe to the topic " + topic + ".\nTo confirm the subscription, visit the SubscribeURL included in this message.",
		"SubscribeURL": base + "/?Action=ConfirmSubscription&TopicArn=" + topic + "&Token=tok%2Ben", "Timestamp": "2012-05-02T00:54:06.655Z",
		"SignatureVersion": "2", "Signature": "s", "SigningCertURL": "u",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	// The URL is one that our own codec understands.
	u, err := url.Parse(got["SubscribeURL"])
	if err != nil {
		t.Fatal(err)
	}
	c, werr := wire.ParseCall(&wire.Head{Path: u.Path, Query: u.RawQuery}, nil)
	if werr != nil {
		t.Fatal(werr)
	}
	var in wire.ConfirmInput
	if err := wire.ConfirmSubscription.Decode(&c, &in); err != nil || in.TopicARN != topic || in.Token != "tok+en" {
		t.Errorf("%+v, %v", in, err)
	}
	ended := Ended("id", topic, topic+":1", "t", base, at)
	if ended.Type != UnsubscribeConfirmation || !strings.HasPrefix(ended.Message, "You have chosen to deactivate subscription "+topic+":1.\n") {
		t.Errorf("%+v", ended)
	}
}

func TestCanonical(t *testing.T) {
	d := notification()
	if got, want := string(d.Canonical(nil)), "Message\nHello world!\nMessageId\n22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324\nSubject\nMy First Message\nTimestamp\n2012-05-02T00:54:06.655Z\n"+
		"TopicArn\narn:aws:sns:us-west-2:123456789012:MyTopic\nType\nNotification\n"; got != want {
		t.Errorf("%q", got)
	}
	d.Subject = ""
	if strings.Contains(string(d.Canonical(nil)), "Subject") {
		t.Error("a subject that is not there is signed")
	}
	d = Confirm("id", "arn", "tok", base, at)
	if got, want := string(d.Canonical(nil)), "Message\n"+d.Message+"\nMessageId\nid\nSubscribeURL\n"+d.SubscribeURL+"\nTimestamp\n2012-05-02T00:54:06.655Z\nToken\ntok\nTopicArn\narn\nType\nSubscriptionConfirmation\n"; got != want {
		t.Errorf("%q", got)
	}
}

// A subscriber takes the certificate, the canonical text of what it got, and checks.
func TestSign(t *testing.T) {
	id, err := NewIdentity("sns.leat", at)
	if err != nil {
		t.Fatal(err)
	}
	s, err := NewSigner(id)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(id.Certificate)
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	if cert.NotBefore.After(at) || cert.NotAfter.Before(at.AddDate(10, 0, 0)) || cert.Subject.CommonName != "sns.leat" {
		t.Errorf("%+v", cert)
	}
	check := func(sig Signature, d *Document) error {
		raw, err := base64.StdEncoding.DecodeString(sig.Text)
		if err != nil {
			t.Fatal(err)
		}
		text := d.Canonical(nil)
		if sig.Version == "2" {
			sum := sha256.Sum256(text)
			return rsa.VerifyPKCS1v15(cert.PublicKey.(*rsa.PublicKey), crypto.SHA256, sum[:], raw)
		}
		sum := sha1.Sum(text) //nolint:gosec // as in signer.go
		return rsa.VerifyPKCS1v15(cert.PublicKey.(*rsa.PublicKey), crypto.SHA1, sum[:], raw)
	}
	for version, want := range map[int64]string{0: "1", 1: "1", 2: "2"} {
		d := notification()
		sig, err := s.Sign(&d, version, base)
		if err != nil {
			t.Fatal(err)
		}
		if sig.Version != want || sig.CertURL != base+s.CertificatePath() {
			t.Errorf("%+v", sig)
		}
		if err := check(sig, &d); err != nil {
			t.Errorf("version %d: %v", version, err)
		}
		same := d // other subscribers get the same signature
		same.UnsubscribeURL, same.Attributes = "other", wire.Attributes{{Name: "a", DataType: "String", String: wire.Some("b")}}
		if err := check(sig, &same); err != nil {
			t.Errorf("version %d, another subscriber: %v", version, err)
		}
		for _, change := range []func(d *Document){
			func(d *Document) { d.Message += "!" }, func(d *Document) { d.Subject = "" }, func(d *Document) { d.MessageID = "x" },
			func(d *Document) { d.TopicARN = "x" }, func(d *Document) { d.Time = d.Time.Add(time.Millisecond) },
		} {
			other := notification()
			change(&other)
			if check(sig, &other) == nil {
				t.Errorf("version %d: the signature is good for %+v", version, other)
			}
		}
	}
	other, err := NewIdentity("sns.leat", at)
	if err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string]Identity{
		"another's certificate": {id.Key, other.Certificate}, "no key": {nil, id.Certificate}, "no certificate": {id.Key, nil}, "the wrong way round": {id.Certificate, id.Key},
	} {
		if _, err := NewSigner(bad); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	again, err := NewSigner(id)
	if err != nil || again.CertificatePath() != s.CertificatePath() || !strings.HasPrefix(s.CertificatePath(), "/SimpleNotificationService-") {
		t.Errorf("%v: %s and %s", err, again.CertificatePath(), s.CertificatePath())
	}
}

func TestHeaders(t *testing.T) {
	d := notification()
	got := d.Headers("sub", "application/json", true)
	want := []Header{
		{"Content-Type", "application/json"}, {"User-Agent", "Amazon Simple Notification Service Agent"}, {"x-amz-sns-message-type", "Notification"},
		{"x-amz-sns-message-id", d.MessageID}, {"x-amz-sns-topic-arn", topic}, {"x-amz-sns-subscription-arn", "sub"}, {"x-amz-sns-rawdelivery", "true"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	c := Confirm("id", topic, "t", base, at)
	got = c.Headers("sub", "application/json", true)
	want = []Header{
		{"Content-Type", "text/plain; charset=UTF-8"}, {"User-Agent", "Amazon Simple Notification Service Agent"}, {"x-amz-sns-message-type", "SubscriptionConfirmation"},
		{"x-amz-sns-message-id", "id"}, {"x-amz-sns-topic-arn", topic},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func FuzzAppend(f *testing.F) {
	f.Add("m", "s", "\xff\x00")
	f.Fuzz(func(t *testing.T, message, subject, name string) {
		d := notification()
		d.Message, d.Subject, d.Attributes = message, subject, wire.Attributes{{Name: name, DataType: "String", String: wire.Some(message)}}
		out := d.Append(nil, Signature{})
		var got struct{ Message, Subject string }
		if err := json.Unmarshal(out, &got); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		if got.Message != strings.ToValidUTF8(message, "\uFFFD") && got.Message != string([]rune(message)) {
			t.Fatalf("%q became %q", message, got.Message)
		}
	})
}

func BenchmarkSign(b *testing.B) {
	id, err := NewIdentity("sns.leat", at)
	if err != nil {
		b.Fatal(err)
	}
	s, err := NewSigner(id)
	if err != nil {
		b.Fatal(err)
	}
	d := notification()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Sign(&d, 1, base); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppend(b *testing.B) {
	d := notification()
	d.Message = strings.Repeat("x", 1024)
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf = d.Append(buf[:0], Signature{Version: "1", Text: "s", CertURL: "u"})
	}
}
