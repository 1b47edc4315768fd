package kafka

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kmsg"

	"leat/broker"
	"leat/broker/record"
	"leat/gateway/kafka/wire"
)

// sessionClient fetches from one topic as a client with a session does.
type sessionClient struct {
	*client
	topic   string
	id      [16]byte // not zero: topics are named by id
	session int32
	epoch   int32
	wait    int32
	most    int32
}

func newSessionClient(c *client, topic string) *sessionClient {
	return &sessionClient{client: c, topic: topic, most: 1 << 20}
}

func (x *sessionClient) version() int16 {
	if x.id != [16]byte{} {
		return 13
	}
	return 11
}

// request names partitions with their offsets, in order, and what to forget.
func (x *sessionClient) request(from []offsetOf, forget ...int32) *kmsg.FetchRequest {
	q := kmsg.NewPtrFetchRequest()
	q.MaxWaitMillis, q.MinBytes, q.MaxBytes, q.SessionID, q.SessionEpoch = x.wait, 1, x.most, x.session, x.epoch
	t := kmsg.NewFetchRequestTopic()
	t.Topic, t.TopicID = x.topic, x.id
	for _, f := range from {
		p := kmsg.NewFetchRequestTopicPartition()
		p.Partition, p.FetchOffset, p.PartitionMaxBytes, p.CurrentLeaderEpoch = f.partition, f.offset, x.most, -1
		t.Partitions = append(t.Partitions, p)
	}
	if len(from) > 0 {
		q.Topics = append(q.Topics, t)
	}
	if len(forget) > 0 {
		f := kmsg.NewFetchRequestForgottenTopic()
		f.Topic, f.TopicID, f.Partitions = x.topic, x.id, forget
		q.ForgottenTopics = append(q.ForgottenTopics, f)
	}
	return q
}

type offsetOf struct {
	partition int32
	offset    int64
}

// fetch asks, and says of which partitions the answer tells, in its order.
func (x *sessionClient) fetch(from []offsetOf, forget ...int32) (*kmsg.FetchResponse, []int32) {
	x.t.Helper()
	r := ask[*kmsg.FetchResponse](x.client, x.request(from, forget...), x.version())
	if r.ErrorCode == 0 && x.epoch >= 0 {
		x.session = r.SessionID
		x.epoch++
	}
	told := []int32{}
	for _, t := range r.Topics {
		for _, p := range t.Partitions {
			told = append(told, p.Partition)
		}
	}
	return r, told
}

// tells fails unless the answer is of these partitions.
func (x *sessionClient) tells(want []int32, from []offsetOf, forget ...int32) *kmsg.FetchResponse {
	x.t.Helper()
	r, got := x.fetch(from, forget...)
	if r.ErrorCode != 0 {
		x.t.Fatalf("error %d", r.ErrorCode)
	}
	if !slices.Equal(got, want) {
		x.t.Fatalf("told of %v, want %v", got, want)
	}
	return r
}

// putOne appends a record to one partition.
func putOne(c *client, topic string, partition int32, value string) {
	c.t.Helper()
	q := produceRequest(topic, -1, batch(c.t, value))
	q.Topics[0].Partitions[0].Partition = partition
	if r := ask[*kmsg.ProduceResponse](c, q, 9).Topics[0].Partitions[0]; r.ErrorCode != 0 {
		c.t.Fatalf("produce: %d", r.ErrorCode)
	}
}

func firstOffsets(partitions int32) (from []offsetOf) {
	for p := range partitions {
		from = append(from, offsetOf{partition: p})
	}
	return from
}

// A session from its beginning to its end: what is asked once is asked for good, and told of only when there is something new.
func TestSession(t *testing.T) {
	for _, byID := range []bool{false, true} {
		t.Run(fmt.Sprint("by id ", byID), func(t *testing.T) {
			addr := serve(t, newBroker(t, 1))
			c := dial(t, addr)
			create(c, "s", 4)
			x := newSessionClient(dial(t, addr), "s")
			if byID {
				x.id = topicID(c, "s")
			}
			x.tells([]int32{0, 1, 2, 3}, firstOffsets(4))
			if x.session <= 0 {
				t.Fatalf("session %d", x.session)
			}
			x.tells(nil, nil)
			putOne(c, "s", 2, "a")
			x.tells([]int32{2}, nil)
			x.tells([]int32{2}, nil) // it has not taken it
			x.tells(nil, []offsetOf{{2, 1}})

			putOne(c, "s", 1, "a")
			putOne(c, "s", 3, "a")
			x.tells([]int32{3}, nil, 1)
			putOne(c, "s", 1, "b")
			x.tells(nil, []offsetOf{{3, 1}})
			if r := x.tells([]int32{1}, []offsetOf{{1, 1}}); r.Topics[0].Partitions[0].HighWatermark != 2 || len(r.Topics[0].Partitions[0].RecordBatches) == 0 {
				t.Errorf("added again: %+v", r.Topics[0].Partitions[0])
			}

			d := kmsg.NewPtrDeleteRecordsRequest()
			dt := kmsg.NewDeleteRecordsRequestTopic()
			dt.Topic = "s"
			dp := kmsg.NewDeleteRecordsRequestTopicPartition()
			dp.Partition, dp.Offset = 2, 1
			dt.Partitions = append(dt.Partitions, dp)
			d.Topics = append(d.Topics, dt)
			ask[*kmsg.DeleteRecordsResponse](c, d, 2)
			if r := x.tells([]int32{2}, []offsetOf{{1, 2}}); r.Topics[0].Partitions[0].LogStartOffset != 1 || len(r.Topics[0].Partitions[0].RecordBatches) > 0 {
				t.Errorf("a start that moved: %+v", r.Topics[0].Partitions[0])
			}
			r := x.tells([]int32{0}, []offsetOf{{0, 7}})
			if p := r.Topics[0].Partitions[0]; p.ErrorCode != codeOffsetOutOfRange {
				t.Errorf("beyond the end: %d", p.ErrorCode)
			}
			x.tells([]int32{0}, nil) // as long as it is wrong
			x.tells([]int32{0}, []offsetOf{{0, 0}})
			x.tells(nil, nil)

			x.epoch += 3
			if r, _ := x.fetch(nil); r.ErrorCode != codeInvalidSessionEpoch || r.SessionID != 0 {
				t.Errorf("another epoch: %+v", r)
			}
			x.epoch -= 3
			x.tells(nil, nil) // which has changed nothing
			was := x.epoch
			x.epoch = -1
			x.tells([]int32{3}, []offsetOf{{3, 0}}) // ends it, and is answered in full
			x.epoch = was
			if r, _ := x.fetch(nil); r.ErrorCode != codeSessionNotFound {
				t.Errorf("after its end: %+v", r)
			}
		})
	}
}

// Whoever goes on with a session must name topics as before; who begins anew ends the one before; who forgets everything has none any more.
func TestSession_BeginsAnew(t *testing.T) {
	b := newBroker(t, 1)
	g := New(b, Default())
	addr := serveGateway(t, g)
	c := dial(t, addr)
	create(c, "s", 2)
	x := newSessionClient(dial(t, addr), "s")
	x.tells([]int32{0, 1}, firstOffsets(2))
	x.id = topicID(c, "s")
	if r, _ := x.fetch([]offsetOf{{0, 0}}); r.ErrorCode != codeSessionTopicID {
		t.Errorf("by id: %+v", r)
	}
	old := x.session
	x.epoch = 0
	x.tells([]int32{0, 1}, firstOffsets(2))
	count := func() (sessions, parts int) {
		g.sessions.mu.Lock()
		defer g.sessions.mu.Unlock()
		return len(g.sessions.byID), g.sessions.parts
	}
	if n, _ := count(); x.session == old || n != 1 {
		t.Errorf("session %d after %d; there are %d", x.session, old, n)
	}
	if r := x.tells(nil, nil, 0, 1); r.SessionID != 0 {
		t.Errorf("forgot everything: session %d", r.SessionID)
	}
	if n, parts := count(); n != 0 || parts != 0 {
		t.Errorf("%d sessions of %d partitions are left", n, parts)
	}
}

// A client that waits is woken by what is appended to a partition that it has not named in this request, by a topic's deletion, and by nothing that
// it has forgotten.
func TestSession_Waits(t *testing.T) {
	addr := serve(t, newBroker(t, 1))
	c := dial(t, addr)
	create(c, "s", 3)
	x := newSessionClient(dial(t, addr), "s")
	x.id = topicID(c, "s")
	x.tells([]int32{0, 1, 2}, firstOffsets(3))
	x.tells(nil, nil)
	x.wait = 60_000
	x.send(x.request(nil, 0), 13)
	putOne(c, "s", 0, "forgotten")
	putOne(c, "s", 2, "a")
	q := x.request(nil)
	r, err := receive[*kmsg.FetchResponse](x.c, setVersion(q, 13), x.correlation)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Topics) != 1 || len(r.Topics[0].Partitions) != 1 || r.Topics[0].Partitions[0].Partition != 2 {
		t.Fatalf("%+v", r.Topics)
	}
	x.epoch++
	x.send(x.request([]offsetOf{{2, 1}}), 13)
	del := kmsg.NewPtrDeleteTopicsRequest()
	dt := kmsg.NewDeleteTopicsRequestTopic()
	dt.TopicID = x.id
	del.Topics = append(del.Topics, dt)
	ask[*kmsg.DeleteTopicsResponse](c, del, 6)
	if r, err = receive[*kmsg.FetchResponse](x.c, setVersion(q, 13), x.correlation); err != nil {
		t.Fatal(err)
	}
	if len(r.Topics) == 0 || r.Topics[0].Partitions[0].ErrorCode != codeUnknownTopicID {
		t.Fatalf("of a deleted topic: %+v", r.Topics)
	}
}

func setVersion(q *kmsg.FetchRequest, version int16) *kmsg.FetchRequest {
	q.SetVersion(version)
	return q
}

// What does not fit is told without records, and comes first the next time: none starves.
func TestSession_TakesTurns(t *testing.T) {
	addr := serve(t, newBroker(t, 1))
	c := dial(t, addr)
	create(c, "s", 3)
	x := newSessionClient(dial(t, addr), "s")
	x.most = 100
	x.tells([]int32{0, 1, 2}, firstOffsets(3))
	for p := range int32(3) {
		for range 3 {
			putOne(c, "s", p, fmt.Sprint("a record that is as long as an answer may be", p))
		}
	}
	next := map[int32]int64{}
	var order []int32
	var moved []offsetOf
	for range 9 {
		r, _ := x.fetch(moved)
		moved = nil
		for _, p := range r.Topics[0].Partitions {
			if len(p.RecordBatches) > 0 {
				next[p.Partition]++
				moved = append(moved, offsetOf{p.Partition, next[p.Partition]})
				order = append(order, p.Partition)
			}
		}
	}
	if want := []int32{0, 1, 2, 0, 1, 2, 0, 1, 2}; !slices.Equal(order, want) {
		t.Errorf("records came of %v, want %v", order, want)
	}
}

// Rights are asked for at each reading, and a session is nobody else's.
func TestSession_Rights(t *testing.T) {
	reader := broker.User{Name: "bob", Password: "the builder", Grants: []broker.Grant{{Action: broker.ActionRead, Kind: broker.KindStream, Pattern: "s"}}}
	b := newBroker(t, 1, testUser, reader)
	addr := serve(t, b)
	c := dial(t, addr)
	loginPlain(c, testUser.Name, testUser.Password)
	create(c, "s", 1)
	x := newSessionClient(dial(t, addr), "s")
	loginPlain(x.client, reader.Name, reader.Password)
	x.tells([]int32{0}, firstOffsets(1))
	x.tells(nil, nil)
	thief := *x
	thief.client = c
	if r, _ := thief.fetch(nil); r.ErrorCode != codeSessionNotFound {
		t.Errorf("somebody else's: %d", r.ErrorCode)
	}
	x.tells(nil, nil)
	reader.Grants, reader.Password = nil, ""
	if _, err := b.PutUser(t.Context(), &broker.Caller{Principal: testUser.Name}, reader); err != nil {
		t.Fatal(err)
	}
	putOne(c, "s", 0, "secret")
	if p := x.tells([]int32{0}, nil).Topics[0].Partitions[0]; p.ErrorCode != codeTopicDenied || len(p.RecordBatches) > 0 {
		t.Errorf("without the right to: %d, %d bytes", p.ErrorCode, len(p.RecordBatches))
	}
}

// A session outlives its connection, with everything that was appended in between.
func TestSession_OverAnotherConnection(t *testing.T) {
	g := New(newBroker(t, 1), Default())
	addr := serveGateway(t, g)
	c := dial(t, addr)
	create(c, "s", 2)
	x := newSessionClient(dial(t, addr), "s")
	x.tells([]int32{0, 1}, firstOffsets(2))
	x.tells(nil, nil)
	if err := x.c.Close(); err != nil {
		t.Fatal(err)
	}
	until(t, "the connection has left the session", func() bool {
		g.sessions.mu.Lock()
		defer g.sessions.mu.Unlock()
		s := g.sessions.byID[x.session]
		return s.conn == nil && !s.busy
	})
	putOne(c, "s", 1, "a")
	x.client = dial(t, addr)
	x.tells([]int32{1}, nil)
}

// What is a request's alone looks at few partitions: those that moved, not all that the session has.
func TestSession_LooksAtFew(t *testing.T) {
	b := newBroker(t, 1)
	addr := serve(t, b)
	c := dial(t, addr)
	create(c, "s", 100)
	all := newSessions(10)
	k := &conn{g: &Gateway{b: b}}
	f := wire.Fetch{Version: 11, Topics: []wire.Topic{{Name: []byte("s"), Count: 100}}}
	for p := range int32(100) {
		f.Parts = append(f.Parts, wire.FetchPart{Partition: p, LeaderEpoch: -1, MaxBytes: 1 << 20})
	}
	caller := &broker.Caller{}
	now := time.Unix(1000, 0)
	x := all.begin(k, caller, &f, now)
	look := func() int {
		x.choose(now)
		k.sessionCursors(caller, &f, x)
		r := &k.out.reader
		x.tell(b.Read(t.Context(), caller, r.cursors, 1<<20), r.refused, false)
		return len(r.cursors)
	}
	for i, want := range []int{100, 100, 0} { // the second time because they were not watched before
		if n := look(); n != want {
			t.Errorf("look %d: at %d partitions, want %d", i, n, want)
		}
	}
	for _, p := range []int32{3, 97, 3} {
		putOne(c, "s", p, "a")
	}
	if n := look(); n != 2 || len(x.told) != 2 {
		t.Errorf("at %d partitions, told of %d, want 2", n, len(x.told))
	}
	now = now.Add(sessionLookEvery)
	if n := look(); n != 100 || len(x.told) != 2 {
		t.Errorf("later: at %d partitions, want all; told of %d, want 2", n, len(x.told))
	}
	all.release(x)
	all.leave(k)
}

// Whatever a client does with its session, it gets each record of each partition once and in order.
func TestSession_NothingTwiceNothingLeftOut(t *testing.T) {
	const partitions, steps = 7, 400
	b := newBroker(t, 2)
	addr := serve(t, b)
	c := dial(t, addr)
	create(c, "s", partitions)
	for seed := range uint64(3) {
		rnd := rand.New(rand.NewPCG(seed, 8))
		x := newSessionClient(dial(t, addr), "s")
		x.most = 300
		next, has := map[int32]int64{}, map[int32]bool{}
		total := map[int32]int64{}
		for p := range int32(partitions) {
			e := b.Offsets(t.Context(), &broker.Caller{}, []broker.OffsetSpec{{Stream: "s", Partition: record.PartitionID(p), At: broker.StartLatest}})[0]
			if e.Err != nil {
				t.Fatal(e.Err)
			}
			next[p], total[p] = int64(e.Offset), int64(e.Offset)
		}
		moved := map[int32]bool{}
		round := func(change bool) (records int) {
			var from []offsetOf
			var forget []int32
			for p := range int32(partitions) {
				switch {
				case change && has[p] && rnd.IntN(8) == 0 && x.epoch > 0:
					forget, has[p] = append(forget, p), false
				case !has[p] && (!change || rnd.IntN(3) == 0), has[p] && moved[p]:
					from, has[p] = append(from, offsetOf{p, next[p]}), true
				}
			}
			clear(moved)
			rnd.Shuffle(len(from), func(i, j int) { from[i], from[j] = from[j], from[i] })
			r, _ := x.fetch(from, forget...)
			if r.ErrorCode != 0 {
				t.Fatalf("error %d", r.ErrorCode)
			}
			if x.session == 0 { // it had forgotten all
				x.epoch = 0
				clear(has)
			}
			for _, tp := range r.Topics {
				for _, p := range tp.Partitions {
					if p.ErrorCode != 0 || !has[p.Partition] && x.session != 0 {
						t.Fatalf("partition %d: error %d, has %v", p.Partition, p.ErrorCode, has[p.Partition])
					}
					if rnd.IntN(5) == 0 && len(p.RecordBatches) > 0 && change {
						continue // it does not take them
					}
					for raw := p.RecordBatches; len(raw) > 0; {
						h, err := record.ParseBatchHeader(raw)
						if err != nil {
							t.Fatal(err)
						}
						if int64(h.BaseOffset) != next[p.Partition] {
							t.Fatalf("partition %d: offset %d, want %d", p.Partition, h.BaseOffset, next[p.Partition])
						}
						next[p.Partition]++
						records++
						moved[p.Partition] = true
						raw = raw[h.Bytes:]
					}
				}
			}
			return records
		}
		for range steps {
			for rnd.IntN(2) == 0 {
				p := rnd.Int32N(partitions)
				putOne(c, "s", p, fmt.Sprintf("%d of %d", total[p], p))
				total[p]++
			}
			round(true)
			if rnd.IntN(50) == 0 { // over another connection
				x.client = dial(t, addr)
			}
		}
		for range 10_000 {
			if round(false); fmt.Sprint(next) == fmt.Sprint(total) {
				break
			}
		}
		if fmt.Sprint(next) != fmt.Sprint(total) {
			t.Fatalf("seed %d: read up to %v of %v", seed, next, total)
		}
	}
}

// Who catches up with what is not in memory, for which the next answer is read ahead, gets all of it as well.
func TestSession_CatchesUp(t *testing.T) {
	_, addr := aheadServe(t)
	x := newSessionClient(dial(t, addr), "s")
	x.most = 2 << 20
	next, moved := map[int32]int64{}, firstOffsets(aheadPartitions)
	for rounds := 0; ; rounds++ {
		r, _ := x.fetch(moved)
		moved = nil
		for _, tp := range r.Topics {
			for _, p := range tp.Partitions {
				for raw := p.RecordBatches; len(raw) > 0; next[p.Partition]++ {
					h, err := record.ParseBatchHeader(raw)
					if err != nil {
						t.Fatal(err)
					}
					if int64(h.BaseOffset) != next[p.Partition] || !strings.Contains(string(raw[:h.Bytes]), fmt.Sprintf("%d/%dv", p.Partition, next[p.Partition])) {
						t.Fatalf("partition %d: offset %d, want %d", p.Partition, h.BaseOffset, next[p.Partition])
					}
					raw = raw[h.Bytes:]
				}
				moved = append(moved, offsetOf{p.Partition, next[p.Partition]})
			}
		}
		if min(next[0], next[1], next[2], next[3]) == aheadBatches {
			break
		}
		if rounds > aheadPartitions*aheadBatches {
			t.Fatalf("no end of it: %v", next)
		}
	}
	x.tells(nil, moved)
	if err := x.c.Close(); err != nil {
		t.Fatal(err)
	}
	until(t, "nothing is held for who has gone", func() bool { return aheadHeld.Load() == 0 })
}

// When there are too many, those go first that nobody uses; then small ones that have been there for long; a new one is not remembered before that.
func TestSessions_Eviction(t *testing.T) {
	const most = 3
	x := newSessions(most)
	now := time.Unix(1000, 0)
	request := func(parts int) *wire.Fetch {
		f := &wire.Fetch{Version: 11, Topics: []wire.Topic{{Name: []byte("s"), Count: parts}}}
		for p := range parts {
			f.Parts = append(f.Parts, wire.FetchPart{Partition: int32(p)})
		}
		return f
	}
	caller := &broker.Caller{}
	begin := func(k *conn, parts int) *session {
		s := x.begin(k, caller, request(parts), now)
		if s != nil {
			x.release(s)
		}
		return s
	}
	conns := []*conn{{}, {}, {}, {}}
	small, large, other := begin(conns[0], 2), begin(conns[1], 20), begin(conns[2], 10)
	if small == nil || large == nil || other == nil || x.parts != 32 {
		t.Fatalf("%v %v %v, %d partitions", small, large, other, x.parts)
	}
	if begin(conns[3], 5) != nil || len(x.byID) != most {
		t.Error("one was taken in where there is no room, and nothing to go")
	}
	now = now.Add(sessionStale + time.Second)
	for _, s := range []*session{small, large, other} {
		if _, c := x.take(s.conn, caller, &wire.Fetch{Version: 11, SessionID: s.id, SessionEpoch: 1}, now); c != codeNone {
			t.Fatal(c)
		}
		x.release(s)
	}
	if begin(conns[3], 1) != nil {
		t.Error("a larger one had to go for a smaller one")
	}
	fresh := begin(conns[3], 5)
	if fresh == nil || !small.gone || large.gone || other.gone {
		t.Errorf("fresh %v; gone: small %v, large %v, other %v", fresh != nil, small.gone, large.gone, other.gone)
	}
	x.leave(conns[1])
	if begin(conns[3], 1) == nil || !large.gone || other.gone {
		t.Error("that of a connection that has ended did not go first")
	}
	now = now.Add(sessionStale + time.Second)
	if begin(conns[0], 1) == nil || len(x.byID) != most {
		t.Error("what nobody used for long did not go")
	}
	if s := begin(conns[0], sessionPartsMax+1); s != nil {
		t.Error("one of too many partitions was taken in")
	}
	gathersSessions(t, x, map[string]float64{
		"leat_kafka_fetch_sessions": most, "leat_kafka_fetch_session_partitions": float64(x.parts),
		"leat_kafka_fetch_sessions_evicted_total": 3, "leat_kafka_fetch_sessions_refused_total": 3,
	})
	for range 3 * sessionsPerConnMax {
		begin(conns[0], 1)
	}
	if len(conns[0].out.sessions) > sessionsPerConnMax {
		t.Errorf("a connection has %d", len(conns[0].out.sessions))
	}
	for _, k := range conns {
		x.leave(k)
	}
	sum := 0
	for _, s := range x.byID {
		sum += s.count()
	}
	if sum != x.parts {
		t.Errorf("%d partitions are counted, there are %d", x.parts, sum)
	}
	if (&sessions{byID: map[int32]*session{}}).begin(conns[0], caller, request(1), now) != nil {
		t.Error("one was taken in where there are to be none")
	}
}

// gathersSessions holds the numbers of sessions against what they are to be.
func gathersSessions(t *testing.T, x *sessions, want map[string]float64) {
	t.Helper()
	reg := prometheus.NewPedanticRegistry()
	if err := (&Gateway{sessions: x}).Register(reg); err != nil {
		t.Fatal(err)
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		m := f.GetMetric()[0]
		got[f.GetName()] = m.GetGauge().GetValue() + m.GetCounter().GetValue() // it is one of them
	}
	if !maps.Equal(got, want) {
		t.Errorf("gathered %v, want %v", got, want)
	}
}
