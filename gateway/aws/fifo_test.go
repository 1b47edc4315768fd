package aws

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"leat/gateway/aws/wire"
)

func bodies(ms []map[string]any) (out []string) {
	for _, m := range ms {
		out = append(out, m["Body"].(string))
	}
	return out
}

// sendTogether sends messages in one batch, so that they are there at once; the first letter is the group.
func (s *served) sendTogether(url string, bodies ...string) {
	s.t.Helper()
	in := wire.SendMessageBatchInput{QueueURL: url}
	for _, b := range bodies {
		e := wire.SendMessageBatchEntry{ID: b, Message: wire.Message{Body: b}}
		group(b[:1], b)(&e.Message)
		in.Entries = append(in.Entries, e)
	}
	if failed := ok(s, wire.SendMessageBatch, in)["Failed"]; failed != nil {
		s.t.Fatalf("sent %v", failed)
	}
}

// A receive has as many of a group as it asks for, in order; then nobody gets more of the group until those are done with.
func TestFIFO_SeveralOfAGroupAtOnce(t *testing.T) {
	s := start(t)
	url := s.queue("orders.fifo", "FifoQueue", "true")
	s.sendTogether(url, "a0", "a1", "a2", "a3", "a4", "b0")
	first := s.receive(url, wait(20), most(3))
	if got := fmt.Sprint(bodies(first)); got != "[a0 a1 a2]" {
		t.Fatalf("the first receive has %s", got)
	}
	if got := fmt.Sprint(bodies(s.receive(url, wait(20)))); got != "[b0]" {
		t.Fatalf("while a is held: %s", got)
	}
	// One that comes back is received before what follows it, and not while others of the group are held.
	ok(s, wire.ChangeMessageVisibility, wire.ChangeMessageVisibilityInput{QueueURL: url, ReceiptHandle: text(first[1], "ReceiptHandle"), VisibilityTimeout: wire.Some(int64(0))})
	if got := s.receive(url); len(got) != 0 {
		t.Fatalf("a goes on while two of it are held: %v", bodies(got))
	}
	s.deleted(url, first[0])
	rest := s.receive(url, wait(20)) // what stands behind a2 waits for that
	if got := fmt.Sprint(bodies(rest)); got != "[a1]" {
		t.Fatalf("while a2 is held: %s", got)
	}
	s.deleted(url, rest[0])
	s.none(url)
	s.deleted(url, first[2])
	if got := fmt.Sprint(bodies(s.receive(url, wait(20)))); got != "[a3 a4]" {
		t.Fatalf("the rest of a: %s", got)
	}
	if text(rest[0], "Attributes", "ApproximateReceiveCount") != "2" ||
		text(rest[0], "Attributes", "ApproximateFirstReceiveTimestamp") != text(first[1], "Attributes", "ApproximateFirstReceiveTimestamp") {
		t.Errorf("the second receive of a1: %v", rest[0]["Attributes"])
	}
}

// As recorded at Amazon: other groups go before one that came back, and of that what stands before a message whose visibility was extended.
func TestFIFO_GroupsThatComeBack(t *testing.T) {
	s := start(t)
	url := s.queue("orders.fifo", "FifoQueue", "true", "VisibilityTimeout", "600")
	s.sendTogether(url, "a0", "a1", "a2", "b0", "c0")
	first := s.receive(url, most(3))
	b := s.receive(url, most(1))
	for _, m := range []map[string]any{first[0], first[2], b[0]} {
		s.visibility(url, m, 0)
	}
	s.visibility(url, first[1], 1200)
	if got := fmt.Sprint(bodies(first), bodies(b), bodies(s.receive(url))); got != "[a0 a1 a2] [b0] [c0 a0 b0]" {
		t.Error(got)
	}
}

func (s *served) visibility(url string, m map[string]any, seconds int64) {
	s.t.Helper()
	ok(s, wire.ChangeMessageVisibility, wire.ChangeMessageVisibilityInput{QueueURL: url, ReceiptHandle: text(m, "ReceiptHandle"), VisibilityTimeout: wire.Some(seconds)})
}

// A visibility timeout of 0: the messages can be received again when they have been answered, and not before others of a FIFO queue.
func TestVisibility_OfNothing(t *testing.T) {
	s := start(t)
	zero := func(in *wire.ReceiveMessageInput) { in.VisibilityTimeout = wire.Some(int64(0)) }
	url, fifo := s.queue("orders"), s.queue("orders.fifo", "FifoQueue", "true")
	s.send(url, "x")
	for n := range 5 {
		if ms := s.receive(url, zero); len(ms) != 1 || text(ms[0], "Attributes", "ApproximateReceiveCount") != fmt.Sprint(n+1) {
			t.Fatalf("%d: %v", n, ms)
		}
	}
	s.sendTogether(fifo, "a0", "b0", "b1", "c0", "a1")
	first := s.receive(fifo, zero, most(3))
	if got := fmt.Sprint(bodies(first), bodies(s.receive(fifo, zero))); got != "[a0 a1 b0] [c0 a0 a1 b0 b1]" {
		t.Error(got)
	}
}

// Any handle of a message of a standard queue hides it and shows it again, until it is deleted.
func TestVisibility_ByAnOlderHandle(t *testing.T) {
	s := start(t)
	url := s.queue("orders")
	s.send(url, "x")
	old := s.receive(url)[0]
	s.visibility(url, old, 0)
	s.visibility(url, old, 600) // which nobody has now
	s.none(url)
	s.visibility(url, old, 0)
	s.visibility(url, old, 0)
	again := s.receive(url)[0]
	if again["ReceiptHandle"] == old["ReceiptHandle"] {
		t.Fatal("the same handle")
	}
	s.visibility(url, old, 0)
	if ms := s.receive(url); len(ms) != 1 || text(ms[0], "Attributes", "ApproximateReceiveCount") != "3" {
		t.Fatalf("%v", ms)
	}
	s.deleted(url, old)
	s.none(url)
	refuses(s, "InvalidParameterValue", wire.ChangeMessageVisibility,
		wire.ChangeMessageVisibilityInput{QueueURL: url, ReceiptHandle: text(again, "ReceiptHandle"), VisibilityTimeout: wire.Some(int64(0))})
}

func TestFIFO_ReceiveAttemptIsAnsweredAgain(t *testing.T) {
	s := start(t)
	url := s.queue("orders.fifo", "FifoQueue", "true")
	s.sendTogether(url, "a0", "a1", "a2")
	attempt := func(id string) func(*wire.ReceiveMessageInput) {
		return func(in *wire.ReceiveMessageInput) { in.AttemptID = id }
	}
	first := s.receive(url, wait(20), most(2), attempt("x"))
	again := s.receive(url, most(2), attempt("x"))
	if fmt.Sprint(bodies(first)) != "[a0 a1]" || fmt.Sprint(bodies(again)) != "[a0 a1]" || first[0]["ReceiptHandle"] == "" {
		t.Fatalf("first %v, again %v", bodies(first), bodies(again))
	}
	if got := s.receive(url, attempt("y")); len(got) != 0 {
		t.Fatalf("another attempt got %v", bodies(got))
	}
	ok(s, wire.DeleteMessage, wire.DeleteMessageInput{QueueURL: url, ReceiptHandle: text(again[0], "ReceiptHandle")})
	if got := fmt.Sprint(bodies(s.receive(url, attempt("x")))); got != "[a1]" {
		t.Fatalf("what is still held: %s", got)
	}
}

func TestDelay_OfAQueue(t *testing.T) {
	s := start(t)
	url := s.queue("orders.fifo", "FifoQueue", "true", "DelaySeconds", "1")
	began := time.Now()
	s.send(url, "1", group("a", "1"))
	if ms := s.receive(url, wait(20)); len(ms) != 1 || time.Since(began) < 900*time.Millisecond {
		t.Fatalf("after %s: %v", time.Since(began), ms)
	}
	m := wire.Message{Body: "x", DelaySeconds: wire.Some(int64(1))}
	group("a", "2")(&m)
	refuses(s, "InvalidParameterValue", wire.SendMessage, wire.SendMessageInput{QueueURL: url, Message: m})
}

func TestAttempts_AreBounded(t *testing.T) {
	var a attempts
	now := time.Unix(0, 0)
	for i := range attemptsKeptMax + 10 {
		a.put(attemptKey{id: fmt.Sprint(i)}, nil, now)
	}
	if len(a.byKey) != attemptsKeptMax || len(a.order) != attemptsKeptMax {
		t.Fatalf("%d kept", len(a.byKey))
	}
	a.put(attemptKey{id: "late"}, nil, now.Add(attemptWindow))
	if len(a.byKey) != 1 || a.bytes != 0 {
		t.Errorf("%d kept after their time, %d bytes", len(a.byKey), a.bytes)
	}
	var f firsts
	for i := range 3 * firstsKeptMax {
		f.at(fmt.Sprint(i), 1, int64(i))
	}
	if n := len(f.young) + len(f.old); n > 2*firstsKeptMax {
		t.Errorf("%d first receives kept", n)
	}
	last := 3*firstsKeptMax - 1
	if got := f.at(fmt.Sprint(last), 2, 7); got != int64(last) {
		t.Errorf("the first receive was at %d", got)
	}
}

// What recorded answers of Amazon say about ids after a purge, counts of dead letters, traces and delays.
func TestAsAmazonAnswers(t *testing.T) {
	s := start(t)
	fifo := s.queue("orders.fifo", "FifoQueue", "true")
	s.send(fifo, "1", group("a", "same"))
	ok(s, wire.PurgeQueue, wire.QueueInput{QueueURL: fifo})
	s.send(fifo, "2", group("a", "same"))
	ms := s.receive(fifo, wait(20))
	if fmt.Sprint(bodies(ms)) != "[2]" || len(text(ms[0], "Attributes", "SequenceNumber")) != 20 || text(ms[0], "Attributes", "SequenceNumber")[0] == '0' {
		t.Errorf("after a purge: %v", ms)
	}
	dead := s.queue("dead")
	url := s.queue("orders", "RedrivePolicy", redrive("dead"))
	s.dies(url, dead, 1)
	if ms := s.receive(dead, wait(20)); text(ms[0], "Attributes", "ApproximateReceiveCount") != "2" {
		t.Errorf("a dead letter: %v", ms)
	}
	code, _, b := s.post(map[string]string{"X-Amz-Target": "AmazonSQS.SendMessage", "Content-Type": "application/x-amz-json-1.0", "X-Amzn-Trace-Id": "Root=1-2-3"}, "/",
		wire.SendMessage.AppendRequest(nil, wire.JSON, &wire.SendMessageInput{QueueURL: s.queue("traced"), Message: wire.Message{Body: "x"}}))
	if ms := s.receive(s.queue("traced"), wait(20)); len(ms) != 1 || text(ms[0], "Attributes", "AWSTraceHeader") != "Root=1-2-3" {
		t.Errorf("traced: %v; sent %d %s", ms, code, b)
	}
}

// The largest message there is, alone and as a batch, with attributes of which every byte counts.
func TestLargest(t *testing.T) {
	s := start(t)
	url := s.queue("large")
	var attributes wire.Attributes
	size := 0
	for i := range wire.AttributesMax {
		a := wire.Attribute{Name: fmt.Sprint("a", i), DataType: "String", String: wire.Some("v")}
		attributes, size = append(attributes, a), size+a.Size()
	}
	s.send(url, strings.Repeat("x", wire.MessageBytesMax-size), func(m *wire.Message) { m.Attributes = attributes })
	in := wire.SendMessageBatchInput{QueueURL: url}
	for i := range wire.BatchMax {
		in.Entries = append(in.Entries, wire.SendMessageBatchEntry{ID: fmt.Sprint(i), Message: wire.Message{Body: strings.Repeat("y", wire.BatchBytesMax/wire.BatchMax-size), Attributes: attributes}})
	}
	if out := ok(s, wire.SendMessageBatch, in); out["Failed"] != nil || len(out["Successful"].([]any)) != wire.BatchMax {
		t.Errorf("sent %.500v", out)
	}
	n, want := 0, wire.MessageBytesMax-size+wire.BatchMax*(wire.BatchBytesMax/wire.BatchMax-size)
	for tries := 0; tries < 20 && n < want; tries++ {
		for _, m := range s.receive(url, wait(20)) {
			n += len(m["Body"].(string))
		}
	}
	if n != want {
		t.Errorf("received %d bytes, want %d", n, want)
	}
}

// Each attribute of the system's is told to who asks for it, by the newer name of the parameter and by the older one, and nothing else is.
func TestSystemAttributes(t *testing.T) {
	s := start(t)
	dead := s.queue("dead.fifo", "FifoQueue", "true")
	url := s.queue("orders.fifo", "FifoQueue", "true", "RedrivePolicy", redrive("dead.fifo"))
	sent := s.send(url, "x", group("a", "1"), func(m *wire.Message) {
		m.System = wire.Attributes{{Name: "AWSTraceHeader", DataType: "String", String: wire.Some("Root=1-2")}}
	})
	want := map[string]string{
		"SenderId": "000000000000", "SentTimestamp": "", "ApproximateReceiveCount": "1", "ApproximateFirstReceiveTimestamp": "",
		"SequenceNumber": text(sent, "SequenceNumber"), "MessageGroupId": "a", "MessageDeduplicationId": "1", "AWSTraceHeader": "Root=1-2",
	}
	ask := func(url string, in wire.ReceiveMessageInput) map[string]any {
		t.Helper()
		in.QueueURL, in.WaitTimeSeconds = url, wire.Some(int64(20))
		list, _ := ok(s, wire.ReceiveMessage, in)["Messages"].([]any)
		if len(list) != 1 {
			t.Fatalf("%v", list)
		}
		return list[0].(map[string]any)
	}
	check := func(m map[string]any, want map[string]string) {
		t.Helper()
		got, _ := m["Attributes"].(map[string]any)
		if len(got) != len(want) {
			t.Errorf("told %v", got)
		}
		for name, v := range want {
			if got[name] == nil || v != "" && got[name] != v {
				t.Errorf("%s is %v, want %q", name, got[name], v)
			}
		}
	}
	m := ask(url, wire.ReceiveMessageInput{SystemAttributeNames: []string{"All"}})
	check(m, want)
	s.visibility(url, m, 0) // and it is a dead letter, for it was received once
	first := text(m, "Attributes", "SentTimestamp")
	want["DeadLetterQueueSourceArn"], want["ApproximateReceiveCount"], want["SentTimestamp"], want["SequenceNumber"] = arnPrefix+"orders.fifo", "2", first, ""
	m = ask(dead, wire.ReceiveMessageInput{AttributeNames: []string{"All"}})
	check(m, want)
	for name := range want {
		for _, in := range []wire.ReceiveMessageInput{{SystemAttributeNames: []string{name}}, {AttributeNames: []string{name}}} {
			s.visibility(dead, m, 0)
			m = ask(dead, in)
			if got := m["Attributes"].(map[string]any); len(got) != 1 || got[name] == nil {
				t.Errorf("asked for %s: %v", name, got)
			}
		}
	}
	s.visibility(dead, m, 0)
	if m = ask(dead, wire.ReceiveMessageInput{}); m["Attributes"] != nil {
		t.Errorf("asked for nothing: %v", m["Attributes"])
	}
}
