package aws

import (
	"encoding/json"
	"encoding/xml"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"leat/gateway/aws/wire"
)

// element is an answer in XML.
type element struct {
	XMLName xml.Name
	Text    string    `xml:",chardata"`
	Kids    []element `xml:",any"`
}

// at follows names; of several with one name the first.
func (e *element) at(path ...string) *element {
	for _, name := range path {
		var next *element
		for i := range e.Kids {
			if e.Kids[i].XMLName.Local == name {
				next = &e.Kids[i]
				break
			}
		}
		if next == nil {
			return &element{}
		}
		e = next
	}
	return e
}

func (e *element) text(path ...string) string { return e.at(path...).Text }

// pairs reads a map, or a list of keys and values.
func (e *element) pairs(path ...string) map[string]string {
	m := map[string]string{}
	for _, k := range e.at(path...).Kids {
		name := k.text("key") + k.text("Key")
		m[name] = k.text("value") + k.text("Value")
	}
	return m
}

// list is the texts of a member of the elements of a list.
func (e *element) list(member string, path ...string) (out []string) {
	for i := range e.at(path...).Kids {
		out = append(out, e.at(path...).Kids[i].text(member))
	}
	return out
}

// asks sends a request to SNS and returns the result, or the code and text of a refusal.
func asks[In, Out any](s *served, a *wire.Action[In, Out], in In) (answer *element, code, why string) {
	s.t.Helper()
	status, _, b := s.post(map[string]string{"Content-Type": "application/x-www-form-urlencoded"}, "/", a.AppendRequest(nil, wire.Query, &in))
	var doc element
	if err := xml.Unmarshal(b, &doc); err != nil {
		s.t.Fatalf("%s: %v: %s", a.Action, err, b)
	}
	if status != http.StatusOK {
		return nil, doc.text("Error", "Code"), doc.text("Error", "Message")
	}
	return doc.at(a.Action + "Result"), "", ""
}

// does is asks where nothing may be refused.
func does[In, Out any](s *served, a *wire.Action[In, Out], in In) *element {
	s.t.Helper()
	answer, code, why := asks(s, a, in)
	if code != "" {
		s.t.Fatalf("%s: %s: %s", a.Action, code, why)
	}
	return answer
}

// fails is asks where a refusal is wanted; text is a part of what it says.
func fails[In, Out any](s *served, want, text string, a *wire.Action[In, Out], in In) {
	s.t.Helper()
	if _, code, why := asks(s, a, in); code != want || !strings.Contains(why, text) {
		s.t.Errorf("%s: %q %q; want %s %q", a.Action, code, why, want, text)
	}
}

func pairs(of ...string) (p wire.Pairs) {
	for i := 0; i < len(of); i += 2 {
		p = append(p, wire.Pair{Name: of[i], Value: of[i+1]})
	}
	return p
}

func (s *served) topic(name string, attributes ...string) string {
	s.t.Helper()
	return does(s, wire.CreateTopic, wire.CreateTopicInput{Name: name, Attributes: pairs(attributes...)}).text("TopicArn")
}

func queueARN(name string) string { return "arn:aws:sqs:us-east-1:000000000000:" + name }

func (s *served) subscribe(topic, queue string, attributes ...string) string {
	s.t.Helper()
	return does(s, wire.Subscribe, wire.SubscribeInput{TopicARN: topic, Protocol: "sqs", Endpoint: queueARN(queue), Attributes: pairs(attributes...)}).text("SubscriptionArn")
}

func (s *served) publish(topic, message string, more ...func(*wire.Notice)) *element {
	s.t.Helper()
	in := wire.PublishInput{TopicARN: topic, Notice: wire.Notice{Message: message}}
	for _, f := range more {
		f(&in.Notice)
	}
	return does(s, wire.Publish, in)
}

func with(name, kind, value string) func(*wire.Notice) {
	return func(n *wire.Notice) {
		n.Attributes = append(n.Attributes, wire.Attribute{Name: name, DataType: kind, String: wire.Some(value)})
	}
}

// envelopes receives as many messages as there are, waiting for the first, and reads their bodies.
func (s *served) envelopes(url string, n int) (out []map[string]any) {
	s.t.Helper()
	for len(out) < n {
		ms := s.receive(url, wait(20))
		if len(ms) == 0 {
			s.t.Fatalf("%d of %d came", len(out), n)
		}
		for _, m := range ms {
			var e map[string]any
			if err := json.Unmarshal([]byte(text(m, "Body")), &e); err != nil {
				s.t.Fatalf("%v: %s", err, text(m, "Body"))
			}
			out = append(out, e)
			s.deleted(url, m)
		}
	}
	return out
}

// bodies is envelopes for queues that want the bare message.
func (s *served) bodies(url string, n int) (out []string) {
	s.t.Helper()
	for len(out) < n {
		ms := s.receive(url, wait(20))
		if len(ms) == 0 {
			s.t.Fatalf("%d of %d came: %v", len(out), n, out)
		}
		for _, m := range ms {
			out = append(out, text(m, "Body"))
			s.deleted(url, m)
		}
	}
	return out
}

func (s *served) deleted(url string, m map[string]any) {
	s.t.Helper()
	ok(s, wire.DeleteMessage, wire.DeleteMessageInput{QueueURL: url, ReceiptHandle: text(m, "ReceiptHandle")})
}

func (s *served) none(url string) {
	s.t.Helper()
	if ms := s.receive(url); len(ms) > 0 {
		s.t.Errorf("received %v", ms)
	}
}

// post is what an endpoint was sent.
type posted struct {
	header http.Header
	body   string
	at     time.Time
}

func (p *posted) doc(t testing.TB) (d map[string]string) {
	t.Helper()
	var raw map[string]any
	if err := json.Unmarshal([]byte(p.body), &raw); err != nil {
		t.Fatalf("%v: %s", err, p.body)
	}
	d = map[string]string{}
	for k, v := range raw {
		d[k], _ = v.(string)
	}
	return d
}

// endpoint is a subscriber.
type endpoint struct {
	t      testing.TB
	server *httptest.Server
	mu     sync.Mutex
	answer func(p *posted) int // nil: 200
	got    chan *posted
}

func newEndpoint(t testing.TB) *endpoint {
	e := &endpoint{t: t, got: make(chan *posted, 1000)}
	e.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		p := &posted{r.Header, string(b), time.Now()}
		e.mu.Lock()
		answer := e.answer
		e.mu.Unlock()
		if answer != nil {
			w.WriteHeader(answer(p))
		}
		e.got <- p
	}))
	t.Cleanup(e.server.Close)
	return e
}

func (e *endpoint) answers(f func(p *posted) int) {
	e.mu.Lock()
	e.answer = f
	e.mu.Unlock()
}

// patience is how long is waited for what has to come.
const patience = 60 * time.Second

func (e *endpoint) next() *posted {
	e.t.Helper()
	select {
	case p := <-e.got:
		return p
	case <-time.After(patience):
		e.t.Fatal("nothing was posted")
		return nil
	}
}

func (e *endpoint) quiet(d time.Duration) {
	e.t.Helper()
	select {
	case p := <-e.got:
		e.t.Errorf("posted: %v %s", p.header, p.body)
	case <-time.After(d):
	}
}

// confirmed subscribes an endpoint and confirms it by visiting the URL.
func (s *served) confirmed(topic string, e *endpoint, attributes ...string) string {
	s.t.Helper()
	arn := does(s, wire.Subscribe, wire.SubscribeInput{
		TopicARN: topic, Protocol: "http", Endpoint: e.server.URL + "/hook", Attributes: pairs(attributes...), ReturnARN: true,
	}).text("SubscriptionArn")
	p := e.next()
	res, err := http.Get(p.doc(s.t)["SubscribeURL"])
	if err != nil {
		s.t.Fatal(err)
	}
	b, err := io.ReadAll(res.Body)
	res.Body.Close()
	if err != nil || res.StatusCode != 200 || !strings.Contains(string(b), arn) {
		s.t.Fatalf("%d %s %v", res.StatusCode, b, err)
	}
	return arn
}
