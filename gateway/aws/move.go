package aws

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"leat/broker"
	"leat/broker/fault"
	"leat/broker/record"
	"leat/gateway/aws/wire"
	"leat/internal/clock"
)

// Tasks that move the messages of a queue of dead letters back to where they came from, or elsewhere. A message is sent there and deleted
// here in one frame: a node that stops in between has done both or neither. A task itself does not outlive the node; its record in the
// queue's document does, and then says so.

// moveRecord is a task as it is kept.
type moveRecord struct {
	ID          string `json:"id"`
	Destination string `json:"destination,omitempty"` // queue; "" for where each message came from
	PerSecond   int64  `json:"per_second,omitempty"`  // 0: as fast as may be
	StartedMS   int64  `json:"started_ms"`
	Status      string `json:"status"`
	Moved       int64  `json:"moved,omitempty"`
	ToMove      int64  `json:"to_move,omitempty"`
	Reason      string `json:"reason,omitempty"`
}

// What a task is.
const (
	moveRunning    = "RUNNING"
	moveCompleted  = "COMPLETED"
	moveCancelling = "CANCELLING"
	moveCancelled  = "CANCELLED"
	moveFailed     = "FAILED"
)

const (
	movesRunningMax = 100 // tasks that run at a time
	moveTriesMax    = 3   // of what is moved together
	moveWait        = time.Second
	moveLease       = 30 * time.Second
)

// move is a task that runs.
type move struct {
	record    moveRecord
	moved     atomic.Int64
	cancelled atomic.Bool
	cancel    context.CancelFunc
	done      chan struct{}
}

// moves are the tasks that run, by namespace and name of the source.
type moves struct {
	mu sync.Mutex
	by map[[2]string]*move
}

func (ms *moves) get(k [2]string) *move {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	return ms.by[k]
}

// begin takes a task in, unless one of the source runs.
func (ms *moves) begin(k [2]string, m *move) *wire.Error {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	switch {
	case ms.by[k] != nil:
		return wire.Refuse(wire.InvalidParameterValue, "There is already a task running. Only one active task is allowed for a source queue arn at a given time.")
	case len(ms.by) >= movesRunningMax:
		return wire.Refuse(wire.OverLimit, "Too many tasks that move messages are running.")
	}
	if ms.by == nil {
		ms.by = map[[2]string]*move{}
	}
	ms.by[k] = m
	return nil
}

func (ms *moves) end(k [2]string) {
	ms.mu.Lock()
	delete(ms.by, k)
	ms.mu.Unlock()
}

// queueOfARN finds the queue that a parameter names.
func (x *call) queueOfARN(parameter, s string) (*queue, error) {
	a, _, _ := wire.ParseARN(s)
	q, err := x.queueNamed(a.Resource)
	if err != nil && x.refusal(err).Code == wire.QueueDoesNotExist {
		return nil, wire.Refuse(wire.ResourceNotFound, "The resource that you specified for the "+parameter+" parameter doesn't exist.")
	}
	return q, err
}

func startMove(x *call, in *wire.StartMoveInput, out *wire.StartMoveOutput) error {
	q, err := x.queueOfARN("SourceArn", in.SourceARN)
	if err != nil {
		return err
	}
	m := &move{done: make(chan struct{}), record: moveRecord{ID: newID(), PerSecond: in.PerSecond.V, StartedMS: clock.Now().UnixMilli(), Status: moveRunning}}
	if in.DestinationARN != "" {
		to, err := x.queueOfARN("DestinationArn", in.DestinationARN)
		switch {
		case err != nil:
			return err
		case to.fifo != q.fifo:
			return wire.Refuse(wire.InvalidParameterValue, "The source and the destination must be queues of the same type.")
		case to.name == q.name:
			return wire.Refuse(wire.InvalidParameterValue, "Source queue arn and destination queue arn cannot be the same.")
		}
		m.record.Destination = to.name
	}
	sources, err := x.page("", 1, deadLettersOf(q.name))
	if err != nil {
		return err
	}
	if len(sources.QueueURLs) == 0 {
		return wire.Refuse(wire.InvalidParameterValue, "Source queue must be configured as a Dead Letter Queue.")
	}
	info, err := x.g.broker.DescribeSubscription(x.ctx, &x.who, q.name)
	if err != nil {
		return err
	}
	m.record.ToMove = info.Waiting
	k := [2]string{x.who.Namespace, q.name}
	if bad := x.g.moves.begin(k, m); bad != nil {
		return bad
	}
	if _, err := x.alter(q, func(d *queueDocument) error {
		d.Moves = slices.Insert(d.Moves, 0, m.record)
		d.Moves = d.Moves[:min(len(d.Moves), wire.MoveTasksMax)]
		return nil
	}); err != nil {
		x.g.moves.end(k)
		return err
	}
	var ctx context.Context
	ctx, m.cancel = context.WithCancel(x.g.polls) // it goes on when the request has ended, and ends with the gateway
	// The request's own memory goes with the request.
	task := &call{g: x.g, ctx: ctx, who: x.who, id: x.id, release: func() {}}
	go func() {
		defer close(m.done)
		defer m.cancel()
		task.move(q, m)
		x.g.moves.end(k)
	}()
	out.TaskHandle = handleOfTask(m.record.ID, in.SourceARN)
	return nil
}

// deadLettersOf wants queues whose dead letters go to the one named.
func deadLettersOf(name string) func(q *queue) bool {
	return func(q *queue) bool {
		p, bad := wire.ParseRedrivePolicy(q.Attributes["RedrivePolicy"])
		arn, _, _ := wire.ParseARN(p.Target)
		return bad == nil && arn.Resource == name
	}
}

// move runs a task and records how it has ended.
func (x *call) move(q *queue, m *move) {
	err := x.moveAll(q, m)
	r := m.record
	r.Moved, r.Status = m.moved.Load(), moveCompleted
	var f *wire.Error
	switch {
	case m.cancelled.Load():
		r.Status = moveCancelled
	case x.g.polls.Err() != nil:
		r.Status, r.Reason = moveFailed, "The node is stopping."
	case errors.As(err, &f):
		r.Status, r.Reason = moveFailed, f.Message
	case err != nil:
		r.Status, r.Reason = moveFailed, x.refusal(err).Message
	}
	x.ctx = context.WithoutCancel(x.ctx)
	_, err = x.alter(q, func(d *queueDocument) error {
		for i := range d.Moves {
			if d.Moves[i].ID == r.ID {
				d.Moves[i] = r
			}
		}
		return nil
	})
	if err != nil {
		x.g.log.Warn("the end of a task that moved messages was not recorded", "queue", q.name, "status", r.Status, "error", err)
	}
}

// moveAll moves as many messages as there were when the task began: what comes back meanwhile is not moved again.
func (x *call) moveAll(q *queue, m *move) error {
	began := clock.Now()
	for {
		most := min(m.record.ToMove-m.moved.Load(), wire.ReceiveMax)
		if rate := m.record.PerSecond; rate > 0 {
			most = min(most, rate)
			if early := time.Duration(m.moved.Load())*time.Second/time.Duration(rate) - clock.Now().Sub(began); early > 0 {
				if err := clock.Sleep(x.ctx, early); err != nil {
					return err
				}
			}
		}
		if most <= 0 || x.ctx.Err() != nil {
			return x.ctx.Err()
		}
		ds, err := x.g.broker.Receive(x.ctx, &x.who, q.name, broker.ReceiveRequest{Max: int(most), Wait: moveWait, Lease: moveLease})
		if err != nil || len(ds) == 0 {
			return err
		}
		n, err := x.moveSome(ds, m.record.Destination)
		m.moved.Add(int64(n))
		if err != nil {
			x.giveBack(handlesOf(ds)) // what was moved is no longer held, and stays moved
			return err
		}
	}
}

// moveSome sends messages elsewhere and deletes them here, in one frame. What is not held any more is somebody else's.
func (x *call) moveSome(ds []broker.Delivery, to string) (int, error) {
	for range moveTriesMax {
		a := broker.EventsAppend{Acks: handlesOf(ds)}
		for i := range ds {
			name := cmp.Or(to, originOf(ds[i].Record))
			if name == "" {
				return 0, wire.Refuse(wire.InvalidParameterValue, "CouldNotDetermineMessageSource")
			}
			q, err := x.queueNamed(name)
			if err != nil {
				return 0, err
			}
			a.Events = append(a.Events, movedEntry(q.stream, ds[i].Record))
		}
		_, err := x.g.broker.AppendEvents(x.ctx, &x.who, a)
		if err == nil {
			return len(ds), nil
		}
		outcomes, ok := fault.As(err).Detail.([]broker.Outcome)
		if !fault.Is(err, fault.Conflict) || !ok || len(outcomes) != len(ds) {
			return 0, err
		}
		var held []broker.Delivery
		for i := range ds {
			if outcomes[i] == broker.OutcomeDone {
				held = append(held, ds[i])
			}
		}
		if ds = held; len(ds) == 0 {
			return 0, nil
		}
	}
	return 0, nil
}

// originOf is the queue that a dead letter came from, "" where it is none.
func originOf(r *record.Record) string {
	v, _ := r.Header(broker.HeaderDeadSubscription) // which has the queue's name
	return string(v)
}

// movedEntry makes a message anew, as Amazon does: with another id, sent now, and a duplicate of nothing.
func movedEntry(stream string, r *record.Record) broker.EventEntry {
	e := broker.EventEntry{Stream: stream, Partition: record.NoPartition}
	e.Record.Key, e.Record.Value = r.Key, r.Value
	e.Record.Headers = append(e.Record.Headers, record.Header{Key: headerMessageID, Value: []byte(newID())})
	for _, h := range r.Headers {
		if h.Key != headerMessageID && !strings.HasPrefix(h.Key, "leat-dead-") && h.Key != broker.HeaderDeliverAt {
			e.Record.Headers = append(e.Record.Headers, h)
		}
	}
	return e
}

// taskHandle is what a handle says, in base64, as at Amazon.
type taskHandle struct {
	TaskID    string `json:"taskId"`
	SourceARN string `json:"sourceArn"`
}

func handleOfTask(id, source string) string {
	b, err := json.Marshal(taskHandle{id, source})
	if err != nil {
		panic(err) // a struct of texts
	}
	return base64.StdEncoding.EncodeToString(b)
}

func cancelMove(x *call, in *wire.CancelMoveInput, out *wire.CancelMoveOutput) error {
	none := wire.Refuse(wire.ResourceNotFound, "Task does not exist.")
	raw, err := base64.StdEncoding.DecodeString(in.TaskHandle)
	var h taskHandle
	if err != nil || json.Unmarshal(raw, &h) != nil {
		return wire.Refuse(wire.InvalidParameterValue, "Value for parameter TaskHandle is invalid.")
	}
	q, err := x.queueOfARN("SourceArn", h.SourceARN)
	if err != nil {
		return err
	}
	m := x.g.moves.get([2]string{x.who.Namespace, q.name})
	if m == nil || m.record.ID != h.TaskID {
		return none
	}
	if !x.g.broker.Allowed(&x.who, broker.ActionAlter, broker.KindStream, q.stream) {
		return wire.Refuse(wire.AccessDenied, "It takes the right to alter the stream "+q.stream+".")
	}
	m.cancelled.Store(true)
	m.cancel()
	select {
	case <-m.done:
	case <-x.ctx.Done():
	}
	out.Moved = m.moved.Load()
	return nil
}

func listMoves(x *call, in *wire.ListMovesInput, out *wire.ListMovesOutput) error {
	q, err := x.queueOfARN("SourceArn", in.SourceARN)
	if err != nil {
		return err
	}
	running := x.g.moves.get([2]string{x.who.Namespace, q.name})
	for _, r := range q.Moves[:min(len(q.Moves), int(in.MaxResults.Or(1)))] {
		t := wire.MoveTask{Status: r.Status, SourceARN: in.SourceARN, Moved: r.Moved, ToMove: wire.Some(r.ToMove), FailureReason: r.Reason, StartedMillis: r.StartedMS}
		switch {
		case running != nil && running.record.ID == r.ID:
			t.TaskHandle, t.Moved = handleOfTask(r.ID, in.SourceARN), running.moved.Load()
			if running.cancelled.Load() {
				t.TaskHandle, t.Status = "", moveCancelling
			}
		case r.Status == moveRunning:
			t.Status, t.FailureReason = moveFailed, "The node was started anew. What was moved stays moved; start another task for the rest."
		}
		if r.Destination != "" {
			t.DestinationARN = x.arn(r.Destination)
		}
		if r.PerSecond > 0 {
			t.PerSecond = wire.Some(r.PerSecond)
		}
		out.Results = append(out.Results, t)
	}
	return nil
}
