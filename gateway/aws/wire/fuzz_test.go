package wire

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// FuzzParseCall gives any bytes to any action: nothing panics, what is taken is valid JSON where it is JSON, and what was understood is
// understood as the same when it is written anew, in both forms.
func FuzzParseCall(f *testing.F) {
	for _, c := range captures(f) {
		f.Add(c.head.Path, c.head.Query, c.head.Target, c.head.ContentType, c.body)
	}
	f.Add("/1/q", "Action=SendMessage&MessageBody=%41+b", "", "", []byte(""))
	f.Add("/", "", "AmazonSQS.SendMessage", "", []byte(`{"QueueUrl":"\ud83d\ude00","MessageBody":"\u00e9\n"}`))
	f.Add("/\xc2/", "Action=SendMessage&MessageBody=0", "", "0", []byte("")) // found: a path that is no text
	actions := all(f)
	f.Fuzz(func(t *testing.T, path, query, target, contentType string, body []byte) {
		h := Head{Path: path, Query: query, Target: target, ContentType: contentType}
		c, err := ParseCall(&h, bytes.Clone(body))
		if err != nil {
			AppendError(nil, &c, err, "id")
			return
		}
		k := Key{c.Service, c.Action}
		e, ok := actions[k]
		if !ok {
			if Known(k) {
				t.Fatalf("%s is known", c.Action)
			}
			return
		}
		in, err := e.decode(&c)
		if err != nil {
			if out := AppendError(nil, &c, err, "id"); c.Protocol == JSON && !json.Valid(out) {
				t.Fatalf("%v is written as %s", err, out)
			}
			return
		}
		if c.Protocol == JSON && len(body) > 0 && !json.Valid(body) {
			t.Fatalf("%s took %q", c.Action, body)
		}
		for _, p := range []Protocol{JSON, Query} {
			again := e.again(p, in)
			h := Head{Path: "/"}
			if p == JSON {
				h.Target = sqsTarget + c.Action
			}
			second, err := ParseCall(&h, bytes.Clone(again))
			if err != nil {
				t.Fatalf("%s: %v", again, err)
			}
			second.Service = c.Service
			in2, err := e.decode(&second)
			if err != nil {
				t.Fatalf("%s of %q in protocol %d: %v", c.Action, again, p, err)
			}
			if d := cmp.Diff(in, in2); d != "" {
				t.Fatalf("%s of %q in protocol %d:\n%s", c.Action, again, p, d)
			}
		}
	})
}

// FuzzJSON holds the reader against encoding/json: the same documents are taken, and their texts are the same.
func FuzzJSON(f *testing.F) {
	for _, s := range []string{`{"a":"b"}`, `[1,-2.5e3,true,null,"\u00e9\ud83d\ude00"]`, `"x`, ` {} `, `"` + "\x1f" + `"`, `01`, `-`, `[1,]`, `{"a" 1}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		r := readDocument(bytes.Clone(p))
		r.skip()
		err := r.finish()
		if err == nil && !json.Valid(p) {
			t.Fatalf("%q was taken", p)
		}
		var v any
		if err != nil && json.Unmarshal(p, &v) == nil && !cannot(p, err) {
			t.Fatalf("%q was refused: %v", p, err)
		}
		r = readDocument(bytes.Clone(p))
		got := r.text()
		var want string
		if json.Unmarshal(p, &want) == nil && r.finish() == nil && got != want {
			t.Fatalf("%q is %q, want %q", p, got, want)
		}
		body := append(append([]byte(`{"QueueUrl":"u","MessageBody":`), p...), '}')
		var in SendMessageInput
		if c := asJSON(t, "SendMessage", string(body)); json.Unmarshal(p, &want) == nil && SendMessage.Decode(c, &in) == nil && in.Body != want {
			t.Fatalf("%s is %q, want %q", body, in.Body, want)
		}
	})
}

// cannot is for what encoding/json takes and we do not, on purpose: half characters, bytes that are no UTF-8, nesting.
func cannot(p []byte, err *Error) bool {
	return bytes.Contains(p, []byte(`\u`)) || err.Message == "the request is not UTF-8" || err.Message == "the JSON document is nested too deeply"
}

func FuzzParseQueueURL(f *testing.F) {
	for _, s := range []string{"http://localhost:4566/000000000000/orders", "orders", "/queue/eu-west-1/1/q", "arn:aws:sns:eu-west-1:1:news:8b", "://", "a://sqs.x./y/z"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if a, err := ParseQueueURL(s); err == nil {
			if _, err := CheckQueueName(a.Name); err != nil {
				t.Fatalf("%q has the name %q", s, a.Name)
			}
			if a.Account != "" {
				if b, err := ParseQueueURL(QueueURL("http://h", Address{"", a.Account, a.Name})); err != nil || b.Name != a.Name || b.Account != a.Account {
					t.Fatalf("%q: %+v, written anew %+v, %v", s, a, b, err)
				}
			}
		}
		if a, _, ok := ParseARN(s); ok && a.String() != s {
			t.Fatalf("%q is written anew as %q", s, a)
		}
		if a, err := ParseTopicARN("x", s); err == nil && a.String() != s {
			t.Fatalf("%q is written anew as %q", s, a)
		}
	})
}

func FuzzParseAttributes(f *testing.F) {
	for _, s := range []string{"", "0", "true", `{"deadLetterTargetArn":"arn:aws:sqs:r:1:d","maxReceiveCount":"3"}`, `{"redrivePermission":"byQueue","sourceQueueArns":["x"]}`, "[]", "null"} {
		for _, name := range []string{"RedrivePolicy", "RedriveAllowPolicy", "DelaySeconds", "FifoQueue", "FilterPolicy", "Policy", "FifoTopic", "ArchivePolicy"} {
			f.Add(name, s, true, false)
		}
	}
	f.Fuzz(func(t *testing.T, name, value string, fifo, create bool) {
		p := Pairs{{name, value}}
		q, err := ParseQueueAttributes(p, fifo, create)
		if r := q.Redrive; err == nil && r.Set && r.V.Target != "" && (r.V.MaxReceiveCount < 1 || r.V.MaxReceiveCount > ReceiveCountMax) {
			t.Fatalf("%q: %+v", value, r)
		}
		if _, e := ParseRedrivePolicy(value); name == "RedrivePolicy" && (e == nil) != (err == nil) && !create {
			t.Fatalf("%q: %v and %v", value, e, err)
		}
		if a, err := ParseRedriveAllowPolicy(value); err == nil && value != "" && (a.Permission == "byQueue") != (len(a.Sources) > 0) {
			t.Fatalf("%q: %+v", value, a)
		}
		if top, err := ParseTopicAttributes(p, fifo, create); err == nil && create && top.FIFO.V != fifo {
			t.Fatalf("%q=%q: %+v", name, value, top)
		}
		if s, err := ParseSubscriptionAttributes(p, create); err == nil && s.FilterPolicy.V != "" && !json.Valid([]byte(s.FilterPolicy.V)) {
			t.Fatalf("%q", value)
		}
	})
}

func FuzzValidText(f *testing.F) {
	f.Add("12345678\x00")
	f.Add("é\uFFFE")
	f.Fuzz(func(t *testing.T, s string) {
		if got, want := ValidText(s), validRunes(s); got != want {
			t.Fatalf("%q: %v", s, got)
		}
		if out := AppendQuoted(nil, s); !json.Valid(out) {
			t.Fatalf("%q is written as %s", s, out)
		}
	})
}
