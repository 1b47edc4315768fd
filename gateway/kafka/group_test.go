package kafka

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"leat/broker"
	"leat/broker/fault"
	"leat/gateway/kafka/group"
)

func quickly(c *Config) { c.Groups.InitialDelay = 0 }

func joinRequest(id, member string, protocols ...string) *kmsg.JoinGroupRequest {
	q := kmsg.NewPtrJoinGroupRequest()
	q.Group, q.MemberID, q.ProtocolType, q.SessionTimeoutMillis, q.RebalanceTimeoutMillis = id, member, "consumer", 10_000, 10_000
	for _, p := range protocols {
		x := kmsg.NewJoinGroupRequestProtocol()
		x.Name, x.Metadata = p, []byte{0, 1, 0, 0, 0, 1, 0, 6, 'o', 'r', 'd', 'e', 'r', 's', 0xff, 0xff, 0xff, 0xff}
		q.Protocols = append(q.Protocols, x)
	}
	return q
}

// joined makes the client the only member of a group.
func joined(c *client, id string, version int16) *kmsg.JoinGroupResponse {
	c.t.Helper()
	r := ask[*kmsg.JoinGroupResponse](c, joinRequest(id, "", "range"), version)
	if r.ErrorCode == int16(group.MemberIDRequired) {
		r = ask[*kmsg.JoinGroupResponse](c, joinRequest(id, r.MemberID, "range"), version)
	}
	if r.ErrorCode != 0 || r.LeaderID != r.MemberID || len(r.Members) != 1 {
		c.t.Fatalf("join version %d: %+v", version, r)
	}
	return r
}

func syncRequest(id string, j *kmsg.JoinGroupResponse, part string) *kmsg.SyncGroupRequest {
	q := kmsg.NewPtrSyncGroupRequest()
	q.Group, q.MemberID, q.Generation = id, j.MemberID, j.Generation
	a := kmsg.NewSyncGroupRequestGroupAssignment()
	a.MemberID, a.MemberAssignment = j.MemberID, []byte(part)
	q.GroupAssignment = append(q.GroupAssignment, a)
	return q
}

func commitRequest(id, member string, generation int32, topic string, offsets ...int64) *kmsg.OffsetCommitRequest {
	q := kmsg.NewPtrOffsetCommitRequest()
	q.Group, q.MemberID, q.Generation = id, member, generation
	t := kmsg.NewOffsetCommitRequestTopic()
	t.Topic = topic
	for i, o := range offsets {
		p := kmsg.NewOffsetCommitRequestTopicPartition()
		p.Partition, p.Offset, p.Metadata = int32(i), o, new("about "+fmt.Sprint(o))
		t.Partitions = append(t.Partitions, p)
	}
	q.Topics = append(q.Topics, t)
	return q
}

// offsets are those of a group, of a topic's partitions, as text.
func offsets(c *client, id, topic string, partitions int32, version int16) string {
	c.t.Helper()
	q := kmsg.NewPtrOffsetFetchRequest()
	q.Group = id
	t := kmsg.NewOffsetFetchRequestTopic()
	g, gt := kmsg.NewOffsetFetchRequestGroup(), kmsg.NewOffsetFetchRequestGroupTopic()
	t.Topic, gt.Topic, g.Group, g.MemberEpoch = topic, topic, id, -1
	for p := range partitions {
		t.Partitions, gt.Partitions = append(t.Partitions, p), append(gt.Partitions, p)
	}
	g.Topics, q.Topics = append(g.Topics, gt), append(q.Topics, t)
	q.Groups = append(q.Groups, g)
	r := ask[*kmsg.OffsetFetchResponse](c, q, version)
	out := []string{}
	if version < 8 {
		for _, p := range r.Topics[0].Partitions {
			out = append(out, fmt.Sprintf("%d %q %d", p.Offset, *p.Metadata, p.ErrorCode))
		}
	} else {
		if r.Groups[0].ErrorCode != 0 {
			return fmt.Sprint("error ", r.Groups[0].ErrorCode)
		}
		for _, p := range r.Groups[0].Topics[0].Partitions {
			out = append(out, fmt.Sprintf("%d %q %d", p.Offset, *p.Metadata, p.ErrorCode))
		}
	}
	return strings.Join(out, ", ")
}

// A member's whole life in every version of each request.
func TestGroup_EveryVersion(t *testing.T) {
	b := newBroker(t, 1)
	c := dial(t, serve(t, b, quickly))
	create(c, "orders", 2)
	for v := range int16(10) {
		id := fmt.Sprint("g", v)
		j := joined(c, id, v)
		y := ask[*kmsg.SyncGroupResponse](c, syncRequest(id, j, "part"), min(v, 5))
		if y.ErrorCode != 0 || string(y.MemberAssignment) != "part" {
			t.Fatalf("sync: %+v", y)
		}
		h := kmsg.NewPtrHeartbeatRequest()
		h.Group, h.MemberID, h.Generation = id, j.MemberID, j.Generation
		if r := ask[*kmsg.HeartbeatResponse](c, h, min(v, 4)); r.ErrorCode != 0 {
			t.Errorf("heartbeat: %+v", r)
		}
		h.Generation++
		if r := ask[*kmsg.HeartbeatResponse](c, h, min(v, 4)); r.ErrorCode != int16(group.IllegalGeneration) {
			t.Errorf("heartbeat of another generation: %+v", r)
		}
		if v > 0 {
			r := ask[*kmsg.OffsetCommitResponse](c, commitRequest(id, j.MemberID, j.Generation, "orders", 3, 7, 9), v)
			if ps := r.Topics[0].Partitions; ps[0].ErrorCode != 0 || ps[1].ErrorCode != 0 || ps[2].ErrorCode != codeUnknownPartition {
				t.Errorf("commit version %d: %+v", v, r)
			}
			r = ask[*kmsg.OffsetCommitResponse](c, commitRequest(id, j.MemberID, j.Generation+1, "orders", 3), v)
			if r.Topics[0].Partitions[0].ErrorCode != int16(group.IllegalGeneration) {
				t.Errorf("commit of another generation, version %d: %+v", v, r)
			}
			if got := offsets(c, id, "orders", 3, v); got != `3 "about 3" 0, 7 "about 7" 0, -1 "" 0` {
				t.Errorf("offsets version %d: %s", v, got)
			}
		}
		r := ask[*kmsg.OffsetCommitResponse](c, commitRequest(id, "", -1, "orders", 3), v)
		if r.Topics[0].Partitions[0].ErrorCode != int16(group.UnknownMemberID) {
			t.Errorf("commit from outside, version %d: %+v", v, r)
		}
		l := kmsg.NewPtrLeaveGroupRequest()
		l.Group, l.MemberID = id, j.MemberID
		m := kmsg.NewLeaveGroupRequestMember()
		m.MemberID = j.MemberID
		l.Members = append(l.Members, m)
		if r := ask[*kmsg.LeaveGroupResponse](c, l, min(v, 5)); r.ErrorCode != 0 || v >= 3 && r.Members[0].ErrorCode != 0 {
			t.Errorf("leave: %+v", r)
		}
		r = ask[*kmsg.OffsetCommitResponse](c, commitRequest(id, "", -1, "orders", 4), v)
		if r.Topics[0].Partitions[0].ErrorCode != 0 {
			t.Errorf("commit of an empty group, version %d: %+v", v, r)
		}
	}
	if got := offsets(c, "never", "orders", 1, 9); got != `-1 "" 0` {
		t.Error(got)
	}
	if r := ask[*kmsg.OffsetCommitResponse](c, commitRequest("g9", "", -1, "orders", -1, -7), 9); r.Topics[0].Partitions[0].ErrorCode != 0 || r.Topics[0].Partitions[1].ErrorCode != 0 {
		t.Errorf("offsets below 0: %+v", r)
	}
	if got := offsets(c, "g9", "orders", 2, 9); got != `-1 "" 0, -1 "" 0` {
		t.Errorf("offsets below 0 are none: %s", got)
	}
	if c := ask[*kmsg.OffsetCommitResponse](c, commitRequest("never", "m", 1, "orders", 4), 8).Topics[0].Partitions[0].ErrorCode; c != int16(group.IllegalGeneration) {
		t.Errorf("a group that is not there: %d", c)
	}
	if r := ask[*kmsg.JoinGroupResponse](c, joinRequest("", "", "range"), 5); r.ErrorCode != codeInvalidGroupID {
		t.Errorf("no group: %+v", r)
	}
	// A group under a name of the platform's is not what the platform makes under it.
	if r := ask[*kmsg.OffsetCommitResponse](c, commitRequest("leat.quarantine", "", -1, "orders", 4), 9); r.Topics[0].Partitions[0].ErrorCode != 0 {
		t.Errorf("a commit under a name of the platform's: %+v", r)
	}
	if _, there := b.OwnSubscription("", "leat.quarantine"); there {
		t.Error("a group has taken the name of the platform's quarantine")
	}
}

// From version 10 on topics are given by their ids, in commits and in what is asked.
func TestGroup_OffsetsByTopicID(t *testing.T) {
	b := newBroker(t, 1)
	c := dial(t, serve(t, b, quickly))
	create(c, "orders", 2)
	s, _ := b.OwnStreamBrief(broker.DefaultNamespace, "orders")
	q := commitRequest("g", "", -1, "", 3, 4, 5)
	q.Topics[0].TopicID = s.UID
	q.Topics = append(q.Topics, commitRequest("", "", 0, "", 6).Topics...)
	q.Topics[1].TopicID = [16]byte{1}
	r := ask[*kmsg.OffsetCommitResponse](c, q, 10)
	if r.Topics[0].TopicID != s.UID || r.Topics[0].Partitions[1].ErrorCode != 0 || r.Topics[0].Partitions[2].ErrorCode != codeUnknownPartition || r.Topics[1].Partitions[0].ErrorCode != codeUnknownTopicID {
		t.Fatalf("%+v", r)
	}
	f := kmsg.NewPtrOffsetFetchRequest()
	g := kmsg.NewOffsetFetchRequestGroup()
	g.Group, g.MemberEpoch = "g", -1
	for _, id := range [][16]byte{s.UID, {1}} {
		x := kmsg.NewOffsetFetchRequestGroupTopic()
		x.TopicID, x.Partitions = id, []int32{1}
		g.Topics = append(g.Topics, x)
	}
	f.Groups = append(f.Groups, g)
	ts := ask[*kmsg.OffsetFetchResponse](c, f, 10).Groups[0].Topics
	if len(ts) != 2 || ts[0].TopicID != s.UID || ts[0].Partitions[0].Offset != 4 || ts[1].TopicID != [16]byte{1} || ts[1].Partitions[0].ErrorCode != codeUnknownTopicID {
		t.Fatalf("%+v", ts)
	}
	f.Groups[0].Topics = nil // all
	ts = ask[*kmsg.OffsetFetchResponse](c, f, 10).Groups[0].Topics
	if len(ts) != 1 || ts[0].TopicID != s.UID || len(ts[0].Partitions) != 2 {
		t.Fatalf("%+v", ts)
	}
}

// A group of readers goes from one protocol to the other on the wire: a member of the older one commits, reads what it is to read, and is told to join again.
func TestGroup_MembersOfBothProtocols(t *testing.T) {
	b := newBroker(t, 1)
	c := dial(t, serve(t, b, quickly))
	create(c, "orders", 2)
	old := joined(c, "g", 9)
	if y := ask[*kmsg.SyncGroupResponse](c, syncRequest("g", old, ""), 5); y.ErrorCode != 0 {
		t.Fatalf("%+v", y)
	}
	h := kmsg.NewPtrConsumerGroupHeartbeatRequest()
	h.Group, h.MemberID, h.RebalanceTimeoutMillis, h.SubscribedTopicNames, h.Topics = "g", "newer", 1000, []string{"orders"}, []kmsg.ConsumerGroupHeartbeatRequestTopic{}
	n := ask[*kmsg.ConsumerGroupHeartbeatResponse](c, h, 1)
	if n.ErrorCode != 0 || n.MemberEpoch != old.Generation+1 || n.Assignment == nil || len(n.Assignment.Topics[0].Partitions) != 1 {
		t.Fatalf("%+v", n)
	}
	beat := kmsg.NewPtrHeartbeatRequest()
	beat.Group, beat.MemberID, beat.Generation = "g", old.MemberID, old.Generation
	if r := ask[*kmsg.HeartbeatResponse](c, beat, 4); r.ErrorCode != int16(group.RebalanceInProgress) {
		t.Fatalf("%+v", r)
	}
	j := ask[*kmsg.JoinGroupResponse](c, joinRequest("g", old.MemberID, "range"), 9)
	if j.ErrorCode != 0 || j.Generation != n.MemberEpoch || j.LeaderID != "" || *j.Protocol != "range" {
		t.Fatalf("%+v", j)
	}
	y := ask[*kmsg.SyncGroupResponse](c, syncRequest("g", j, ""), 5)
	var a kmsg.ConsumerMemberAssignment
	if err := a.ReadFrom(y.MemberAssignment); err != nil || y.ErrorCode != 0 || len(a.Topics) != 1 || a.Topics[0].Topic != "orders" || len(a.Topics[0].Partitions) != 1 {
		t.Fatalf("%v %+v %+v", err, y, a)
	}
	beat.Generation = j.Generation
	if r := ask[*kmsg.HeartbeatResponse](c, beat, 4); r.ErrorCode != 0 {
		t.Fatalf("%+v", r)
	}
	if r := ask[*kmsg.OffsetCommitResponse](c, commitRequest("g", j.MemberID, j.Generation, "orders", 1), 8); r.Topics[0].Partitions[0].ErrorCode != 0 {
		t.Fatalf("%+v", r)
	}
	d := kmsg.NewPtrConsumerGroupDescribeRequest()
	d.Groups = []string{"g"}
	types := map[string]int8{}
	for _, m := range ask[*kmsg.ConsumerGroupDescribeResponse](c, d, 1).Groups[0].Members {
		types[m.MemberID] = m.MemberType
	}
	if types["newer"] != memberTypeConsumer || types[old.MemberID] != memberTypeClassic || len(types) != 2 {
		t.Fatal(types)
	}
	h.MemberEpoch, h.RebalanceTimeoutMillis, h.SubscribedTopicNames, h.Topics = -1, -1, nil, nil
	if r := ask[*kmsg.ConsumerGroupHeartbeatResponse](c, h, 1); r.ErrorCode != 0 {
		t.Fatalf("%+v", r)
	}
	if r := ask[*kmsg.HeartbeatResponse](c, beat, 4); r.ErrorCode == 0 { // it is of the older protocol again, and rebalances
		t.Fatalf("%+v", r)
	}
	if j := ask[*kmsg.JoinGroupResponse](c, joinRequest("g", old.MemberID, "range"), 9); j.ErrorCode != 0 || j.LeaderID != old.MemberID {
		t.Fatalf("%+v", j)
	}
	workers := joinRequest("workers", "", "default")
	workers.ProtocolType = "connect"
	if r := ask[*kmsg.JoinGroupResponse](c, workers, 3); r.ErrorCode != 0 {
		t.Fatalf("%+v", r)
	}
	h.Group, h.MemberEpoch, h.RebalanceTimeoutMillis, h.SubscribedTopicNames, h.Topics = "workers", 0, 1000, []string{"orders"}, []kmsg.ConsumerGroupHeartbeatRequestTopic{}
	if r := ask[*kmsg.ConsumerGroupHeartbeatResponse](c, h, 1); r.ErrorCode != codeGroupIDNotFound || r.ErrorMessage == nil {
		t.Errorf("a group of members that are no consumers: %+v", r)
	}
}

func TestUpdateFeatures(t *testing.T) {
	c := dial(t, serve(t, newBroker(t, 1)))
	for v := range int16(3) {
		for _, x := range []struct {
			name  string
			level int16
			want  int16
		}{{"group.version", 1, 0}, {"group.version", 0, codeInvalidUpdateVersion}, {"metadata.version", 20, codeInvalidUpdateVersion}} {
			q := kmsg.NewPtrUpdateFeaturesRequest()
			u := kmsg.NewUpdateFeaturesRequestFeatureUpdate()
			u.Feature, u.MaxVersionLevel = x.name, x.level
			q.FeatureUpdates = append(q.FeatureUpdates, u)
			r := ask[*kmsg.UpdateFeaturesResponse](c, q, v)
			if r.ErrorCode != x.want || (x.want == 0 && v < 2) != (len(r.Results) == 1) {
				t.Errorf("version %d, %s to %d: %+v", v, x.name, x.level, r)
			}
		}
	}
}

// A group is a subscription: it is seen, rewound while nobody is in it, and gone when it is deleted, whoever does so.
func TestGroup_IsASubscription(t *testing.T) {
	b := newBroker(t, 1)
	c := dial(t, serve(t, b, quickly))
	create(c, "orders", 1)
	if r := ask[*kmsg.ProduceResponse](c, produceRequest("orders", -1, batch(t, "a", "b", "c")), 9); r.Topics[0].Partitions[0].ErrorCode != 0 {
		t.Fatal(r)
	}
	j := joined(c, "billing", 5)
	ask[*kmsg.SyncGroupResponse](c, syncRequest("billing", j, ""), 3)
	ask[*kmsg.OffsetCommitResponse](c, commitRequest("billing", j.MemberID, j.Generation, "orders", 2), 8)
	all := &broker.Caller{}
	info, err := b.DescribeSubscription(t.Context(), all, "billing")
	if err != nil || info.Waiting != 1 || info.Members != 1 || !info.Config.Policy.Yields {
		t.Fatalf("%v %+v", err, info)
	}
	to := broker.Start{Kind: broker.StartEarliest}
	if err := b.Rewind(t.Context(), all, "billing", to); !fault.Is(err, fault.Conflict) {
		t.Fatal(err)
	}
	l := kmsg.NewPtrLeaveGroupRequest()
	l.Group, l.MemberID = "billing", j.MemberID
	ask[*kmsg.LeaveGroupResponse](c, l, 1)
	if err := b.Rewind(t.Context(), all, "billing", to); err != nil {
		t.Fatal(err)
	}
	if got := offsets(c, "billing", "orders", 1, 8); !strings.HasPrefix(got, "0 ") {
		t.Error(got)
	}
	j = joined(c, "billing", 5)
	ask[*kmsg.SyncGroupResponse](c, syncRequest("billing", j, ""), 3)
	if err := b.DeleteSubscription(t.Context(), all, "billing"); err != nil {
		t.Fatal(err)
	}
	h := kmsg.NewPtrHeartbeatRequest()
	h.Group, h.MemberID, h.Generation = "billing", j.MemberID, j.Generation
	if r := ask[*kmsg.HeartbeatResponse](c, h, 3); r.ErrorCode != int16(group.UnknownMemberID) {
		t.Errorf("%+v", r)
	}
	for end := time.Now().Add(time.Minute); len(b.AllMemos("")) > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("what was kept of the group is still there")
		}
	}
	// A subscription that is something else is no group.
	_, err = b.PutSubscription(t.Context(), all, "work", func(s *broker.SubscriptionConfig) error { s.Streams = []string{"orders"}; return nil }, broker.Start{Kind: broker.StartLatest}, 0)
	if err != nil {
		t.Fatal(err)
	}
	if r := ask[*kmsg.JoinGroupResponse](c, joinRequest("work", "", "range"), 3); r.ErrorCode != codeInvalidGroupID {
		t.Errorf("%+v", r)
	}
}

// Offsets go when nobody has used them for so long, and with the last of them the group.
func TestGroup_OffsetsExpire(t *testing.T) {
	b := newBroker(t, 1)
	c := dial(t, serve(t, b, quickly))
	create(c, "orders", 1)
	create(c, "other", 1)
	j := joined(c, "busy", 5)
	ask[*kmsg.SyncGroupResponse](c, syncRequest("busy", j, ""), 3)
	ask[*kmsg.OffsetCommitResponse](c, commitRequest("busy", j.MemberID, j.Generation, "orders", 2), 8)
	ask[*kmsg.OffsetCommitResponse](c, commitRequest("busy", j.MemberID, j.Generation, "other", 2), 8)
	ask[*kmsg.OffsetCommitResponse](c, commitRequest("simple", "", -1, "orders", 2), 8)
	x := newGroups(b, group.Default())
	r, err := x.find("", "busy") // as if it had been opened by this one, with the members of the other
	if err != nil {
		t.Fatal(err)
	}
	g := group.NewClassic(group.Default(), x.nowMS())
	q := joinRequest("busy", "", "range")
	g.Join(x.nowMS(), &group.Join{SessionMS: 10_000, RebalanceMS: 10_000, Kind: "consumer", FreshID: "m", Protocols: []group.Protocol{{Name: "range", Metadata: q.Protocols[0].Metadata}}}, 1)
	g.Tick(x.nowMS() + 60_000)
	g.Sync(x.nowMS(), &group.Sync{Member: "m", Generation: 1}, 2)
	r.use(g, nil)
	week := (7 * 24 * time.Hour).Milliseconds()
	x.sweepOnce(t.Context(), x.nowMS()+week-60_000)
	if got := offsets(c, "busy", "other", 1, 8) + offsets(c, "simple", "orders", 1, 8); got != `2 "about 2" 02 "about 2" 0` {
		t.Fatal(got)
	}
	x.sweepOnce(t.Context(), x.nowMS()+week+1000)
	if got := offsets(c, "busy", "orders", 1, 8) + ", " + offsets(c, "busy", "other", 1, 8); got != `2 "about 2" 0, -1 "" 0` {
		t.Errorf("what is read stays, what is not read goes: %s", got)
	}
	if _, there := b.OwnSubscription("", "simple"); there {
		t.Error("a group of which nothing is left is still there")
	}
	if _, there := b.OwnSubscription("", "busy"); !there {
		t.Error("a group with members is gone")
	}
}

// What it takes: read on the group and the topics.
func TestGroup_Rights(t *testing.T) {
	b := newBroker(t, 1, testUser, broker.User{Name: "bob", Password: "the-builder", Grants: []broker.Grant{
		{Action: broker.ActionRead, Kind: broker.KindSubscription, Pattern: "billing"}, {Action: broker.ActionRead, Kind: broker.KindStream, Pattern: "orders"},
	}})
	for _, name := range []string{"orders", "secret"} {
		if _, err := b.CreateStream(t.Context(), &broker.Caller{Principal: testUser.Name}, name, broker.StreamConfig{}); err != nil {
			t.Fatal(err)
		}
	}
	c := dial(t, serve(t, b, quickly))
	loginPlain(c, "bob", "the-builder")
	j := joined(c, "billing", 5)
	ask[*kmsg.SyncGroupResponse](c, syncRequest("billing", j, ""), 3)
	q := commitRequest("billing", j.MemberID, j.Generation, "orders", 2)
	q.Topics = append(q.Topics, commitRequest("", "", 0, "secret", 1).Topics...)
	if r := ask[*kmsg.OffsetCommitResponse](c, q, 8); r.Topics[0].Partitions[0].ErrorCode != 0 || r.Topics[1].Partitions[0].ErrorCode != codeTopicDenied {
		t.Errorf("%+v", r)
	}
	if got := offsets(c, "billing", "secret", 1, 7); got != `-1 "" 29` {
		t.Error(got)
	}
	if r := ask[*kmsg.JoinGroupResponse](c, joinRequest("other", "", "range"), 5); r.ErrorCode != codeGroupDenied {
		t.Errorf("join: %+v", r)
	}
	if got := offsets(c, "other", "orders", 1, 8); got != "error 30" {
		t.Error(got)
	}
	f := kmsg.NewPtrFindCoordinatorRequest()
	f.CoordinatorKey = "other"
	if r := ask[*kmsg.FindCoordinatorResponse](c, f, 2); r.ErrorCode != codeGroupDenied {
		t.Errorf("coordinator: %+v", r)
	}
	d := kmsg.NewPtrDeleteGroupsRequest()
	d.Groups = []string{"billing"}
	if r := ask[*kmsg.DeleteGroupsResponse](c, d, 2); r.Groups[0].ErrorCode != codeGroupDenied {
		t.Errorf("delete: %+v", r)
	}
	if r := ask[*kmsg.ListGroupsResponse](c, kmsg.NewPtrListGroupsRequest(), 5); len(r.Groups) != 1 || r.Groups[0].GroupState != "Stable" || r.Groups[0].GroupType != "classic" {
		t.Errorf("list: %+v", r)
	}
	h := kmsg.NewPtrConsumerGroupHeartbeatRequest()
	h.Group, h.MemberID, h.RebalanceTimeoutMillis, h.SubscribedTopicNames, h.Topics = "billing", "m", 1000, []string{"secret"}, []kmsg.ConsumerGroupHeartbeatRequestTopic{}
	if r := ask[*kmsg.ConsumerGroupHeartbeatResponse](c, h, 1); r.ErrorCode != codeTopicDenied {
		t.Errorf("heartbeat: %+v", r)
	}
}

// Ids that are no names of subscriptions have names written for them, each its own.
func TestOurName(t *testing.T) {
	seen := map[string]string{}
	for _, id := range []string{"billing", "my group", "my_group", "my_20group", "kafka.esc.my_20group", "a/b", "é", ".", "..", "leat.x", strings.Repeat("x", 249), strings.Repeat("x", 250), strings.Repeat("x", 251), strings.Repeat("/", 200), strings.Repeat("/", 201)} {
		name := ourName(id)
		if before, twice := seen[name]; twice {
			t.Errorf("%q and %q are both %q", before, id, name)
		}
		seen[name] = id
		if len(name) > 249 {
			t.Errorf("%q has %d bytes", name, len(name))
		}
	}
	if ourName("billing") != "billing" || ourName("my group") != "kafka.esc.my_20group" {
		t.Error(ourName("my group"))
	}
}

// loginPlain logs in with a password.
func loginPlain(c *client, user, password string) {
	c.t.Helper()
	h := kmsg.NewPtrSASLHandshakeRequest()
	h.Mechanism = "PLAIN"
	if r := ask[*kmsg.SASLHandshakeResponse](c, h, 1); r.ErrorCode != 0 {
		c.t.Fatal(r)
	}
	a := kmsg.NewPtrSASLAuthenticateRequest()
	a.SASLAuthBytes = []byte("\x00" + user + "\x00" + password)
	if r := ask[*kmsg.SASLAuthenticateResponse](c, a, 1); r.ErrorCode != 0 {
		c.t.Fatal(r)
	}
}

// An offset of -2 is where the partition begins, for good; another one below 0 is none.
func TestOffsetCommit_FromTheBeginning(t *testing.T) {
	c := dial(t, serve(t, newBroker(t, 1)))
	create(c, "orders", 1)
	for range 3 {
		putOne(c, "orders", 0, "x")
	}
	d := kmsg.NewPtrDeleteRecordsRequest()
	d.Topics = []kmsg.DeleteRecordsRequestTopic{{Topic: "orders", Partitions: []kmsg.DeleteRecordsRequestTopicPartition{{Offset: 2}}}}
	ask[*kmsg.DeleteRecordsResponse](c, d, 2)
	for _, x := range [][2]int64{{1, 1}, {-2, 2}, {-1, -1}} {
		q := kmsg.NewPtrOffsetCommitRequest()
		q.Group, q.Generation = "g", -1
		q.Topics = []kmsg.OffsetCommitRequestTopic{{Topic: "orders", Partitions: []kmsg.OffsetCommitRequestTopicPartition{{Offset: x[0], LeaderEpoch: -1}}}}
		if r := ask[*kmsg.OffsetCommitResponse](c, q, 8); r.Topics[0].Partitions[0].ErrorCode != 0 {
			t.Fatalf("commit of %d: %d", x[0], r.Topics[0].Partitions[0].ErrorCode)
		}
		f := kmsg.NewPtrOffsetFetchRequest()
		f.Group, f.Topics = "g", []kmsg.OffsetFetchRequestTopic{{Topic: "orders", Partitions: []int32{0}}}
		if r := ask[*kmsg.OffsetFetchResponse](c, f, 5); r.Topics[0].Partitions[0].Offset != x[1] {
			t.Errorf("committed %d, told %d, want %d", x[0], r.Topics[0].Partitions[0].Offset, x[1])
		}
	}
}
