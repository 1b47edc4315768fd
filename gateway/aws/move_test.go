package aws

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"leat/gateway/aws/wire"
)

const arnPrefix = "arn:aws:sqs:us-east-1:000000000000:"

func redrive(dead string) string {
	return `{"deadLetterTargetArn":"` + arnPrefix + dead + `","maxReceiveCount":1}`
}

// dies sends messages that are received once and given back, and waits until they are dead letters.
func (s *served) dies(url, dead string, n int) {
	s.t.Helper()
	before := s.waiting(dead)
	for i := range n {
		s.send(url, fmt.Sprint(i))
	}
	for left := n; left > 0; {
		ms := s.receive(url, wait(20))
		if len(ms) == 0 {
			s.t.Fatalf("%d of %d messages did not come", left, n)
		}
		left -= len(ms)
		for _, m := range ms {
			ok(s, wire.ChangeMessageVisibility, wire.ChangeMessageVisibilityInput{QueueURL: url, ReceiptHandle: text(m, "ReceiptHandle"), VisibilityTimeout: wire.Some(int64(0))})
		}
	}
	s.until("as many dead letters", func() bool { return s.waiting(dead) == before+n })
}

// until waits for what happens in the background.
func (s *served) until(what string, ok func() bool) {
	s.t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			s.t.Fatalf("it does not come to that: %s", what)
		}
	}
}

func (s *served) waiting(url string) (n int) {
	s.t.Helper()
	got := ok(s, wire.GetQueueAttributes, wire.GetQueueAttributesInput{QueueURL: url, Names: []string{"ApproximateNumberOfMessages"}})
	fmt.Sscan(text(got, "Attributes", "ApproximateNumberOfMessages"), &n)
	return n
}

func (s *served) task(source string) map[string]any {
	s.t.Helper()
	list := ok(s, wire.ListMessageMoveTasks, wire.ListMovesInput{SourceARN: arnPrefix + source})["Results"].([]any)
	return list[0].(map[string]any)
}

func (s *served) ended(source string) map[string]any {
	s.t.Helper()
	s.until("the task ends", func() bool { return s.task(source)["Status"] != moveRunning })
	return s.task(source)
}

func TestMove_BackToWhereTheyCameFrom(t *testing.T) {
	s := start(t)
	dead := s.queue("dead")
	a, b := s.queue("a", "RedrivePolicy", redrive("dead")), s.queue("b", "RedrivePolicy", redrive("dead"))
	s.dies(a, dead, 12)
	s.dies(b, dead, 3)
	start := ok(s, wire.StartMessageMoveTask, wire.StartMoveInput{SourceARN: arnPrefix + "dead"})
	if text(start, "TaskHandle") == "" {
		t.Fatalf("started %v", start)
	}
	task := s.ended("dead")
	if task["Status"] != moveCompleted || task["ApproximateNumberOfMessagesMoved"].(float64) != 15 || text(task, "TaskHandle") != "" {
		t.Fatalf("the task: %v", task)
	}
	if s.waiting(a) != 12 || s.waiting(b) != 3 || s.waiting(dead) != 0 {
		t.Errorf("after it a has %d, b %d, dead %d", s.waiting(a), s.waiting(b), s.waiting(dead))
	}
	m := s.receive(a, wait(20))[0]
	if text(m, "Attributes", "ApproximateReceiveCount") != "1" || text(m, "Attributes", "DeadLetterQueueSourceArn") != "" {
		t.Errorf("moved: %v", m)
	}
}

func TestMove_SlowlyElsewhereCancelled(t *testing.T) {
	s := start(t)
	dead := s.queue("dead")
	url, to := s.queue("a", "RedrivePolicy", redrive("dead")), s.queue("to")
	s.dies(url, dead, 99) // for 49 s, of which the test needs one
	in := wire.StartMoveInput{SourceARN: arnPrefix + "dead", DestinationARN: arnPrefix + "to", PerSecond: wire.Some(int64(2))}
	handle := text(ok(s, wire.StartMessageMoveTask, in), "TaskHandle")
	refuses(s, "InvalidParameterValue", wire.StartMessageMoveTask, in)
	if task := s.task("dead"); task["Status"] != moveRunning || text(task, "TaskHandle") != handle || text(task, "DestinationArn") != arnPrefix+"to" {
		t.Errorf("while it runs: %v", task)
	}
	s.until("something is moved", func() bool { return s.waiting(to) > 0 })
	moved := int(ok(s, wire.CancelMessageMoveTask, wire.CancelMoveInput{TaskHandle: handle})["ApproximateNumberOfMessagesMoved"].(float64))
	if moved == 0 || moved == 99 || s.waiting(to) != moved {
		t.Errorf("%d moved, %d there", moved, s.waiting(to))
	}
	if task := s.ended("dead"); task["Status"] != moveCancelled {
		t.Errorf("cancelled: %v", task)
	}
	refuses(s, "ResourceNotFoundException", wire.CancelMessageMoveTask, wire.CancelMoveInput{TaskHandle: handle})
}

func TestMove_Refused(t *testing.T) {
	s := start(t)
	s.queue("a")
	s.queue("dead")
	s.queue("b", "RedrivePolicy", redrive("dead"))
	refuses(s, "ResourceNotFoundException", wire.StartMessageMoveTask, wire.StartMoveInput{SourceARN: arnPrefix + "none"})
	refuses(s, "InvalidParameterValue", wire.StartMessageMoveTask, wire.StartMoveInput{SourceARN: arnPrefix + "a"})
	refuses(s, "ResourceNotFoundException", wire.StartMessageMoveTask, wire.StartMoveInput{SourceARN: arnPrefix + "dead", DestinationARN: arnPrefix + "none"})
	refuses(s, "InvalidParameterValue", wire.CancelMessageMoveTask, wire.CancelMoveInput{TaskHandle: "made up"})
	s.send(s.queue("dead"), "sent here")
	ok(s, wire.StartMessageMoveTask, wire.StartMoveInput{SourceARN: arnPrefix + "dead"})
	if task := s.ended("dead"); task["Status"] != moveFailed || task["FailureReason"] != "CouldNotDetermineMessageSource" {
		t.Errorf("what came from nowhere: %v", task)
	}
	if s.waiting(s.queue("dead")) != 1 {
		t.Error("it is gone")
	}
}

func TestRedriveAllow(t *testing.T) {
	s := start(t)
	dead := s.queue("dead", "RedriveAllowPolicy", `{"redrivePermission":"byQueue","sourceQueueArns":["`+arnPrefix+`a"]}`)
	s.queue("a", "RedrivePolicy", redrive("dead"))
	b := s.queue("b")
	set := func(url, name, value string) wire.SetQueueAttributesInput {
		return wire.SetQueueAttributesInput{QueueURL: url, Attributes: wire.Pairs{{Name: name, Value: value}}}
	}
	refuses(s, "InvalidParameterValue", wire.SetQueueAttributes, set(b, "RedrivePolicy", redrive("dead")))
	ok(s, wire.SetQueueAttributes, set(dead, "RedriveAllowPolicy", `{"redrivePermission":"allowAll"}`))
	ok(s, wire.SetQueueAttributes, set(b, "RedrivePolicy", redrive("dead")))
	ok(s, wire.SetQueueAttributes, set(dead, "RedriveAllowPolicy", `{"redrivePermission":"denyAll"}`))
	refuses(s, "InvalidParameterValue", wire.SetQueueAttributes, set(b, "RedrivePolicy", redrive("dead")))
}

func TestPermissions_AreInThePolicy(t *testing.T) {
	s := start(t)
	url := s.queue("orders")
	policy := func() string {
		return text(ok(s, wire.GetQueueAttributes, wire.GetQueueAttributesInput{QueueURL: url, Names: []string{"Policy"}}), "Attributes", "Policy")
	}
	add := wire.AddPermissionInput{QueueURL: url, Label: "them", Accounts: []string{"111111111111"}, Actions: []string{"SendMessage"}}
	ok(s, wire.AddPermission, add)
	refuses(s, "InvalidParameterValue", wire.AddPermission, add)
	if p := policy(); !strings.Contains(p, `"Sid":"them"`) || !strings.Contains(p, "SQS:SendMessage") || !strings.Contains(p, "arn:aws:iam::111111111111:root") {
		t.Errorf("policy %s", p)
	}
	ok(s, wire.RemovePermission, wire.RemovePermissionInput{QueueURL: url, Label: "them"})
	refuses(s, "InvalidParameterValue", wire.RemovePermission, wire.RemovePermissionInput{QueueURL: url, Label: "them"})
	if p := policy(); p != "" {
		t.Errorf("policy %s", p)
	}
}
