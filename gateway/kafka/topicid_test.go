package kafka

import (
	"context"
	"encoding/binary"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"leat/broker"
	"leat/broker/record"
	"leat/gateway/gatewaytest"
	"leat/internal/clock"
)

// metadata asks for topics by name.
func metadata(c *client, version int16, names ...string) *kmsg.MetadataResponse {
	c.t.Helper()
	q := kmsg.NewPtrMetadataRequest()
	for _, n := range names {
		t := kmsg.NewMetadataRequestTopic()
		t.Topic = &n
		q.Topics = append(q.Topics, t)
	}
	return ask[*kmsg.MetadataResponse](c, q, version)
}

func topicID(c *client, name string) [16]byte {
	c.t.Helper()
	return metadata(c, 12, name).Topics[0].TopicID
}

// A topic's id is told everywhere, finds the topic, and dies with it: one that is made under the same name has another.
func TestTopicID(t *testing.T) {
	for _, shards := range []int{1, 3} {
		b := newBroker(t, shards)
		c := dial(t, serve(t, b))
		q := kmsg.NewPtrCreateTopicsRequest()
		rt := kmsg.NewCreateTopicsRequestTopic()
		rt.Topic, rt.NumPartitions, rt.ReplicationFactor = "orders", 2, 1
		q.Topics = append(q.Topics, rt)
		id := ask[*kmsg.CreateTopicsResponse](c, q, 7).Topics[0].TopicID
		if id == [16]byte{} || id[6]>>4 != 4 || id[8]>>6 != 2 {
			t.Fatalf("id %x is no UUID of version 4", id)
		}
		if got := topicID(c, "orders"); got != id {
			t.Errorf("metadata says %x, create %x", got, id)
		}
		byID := kmsg.NewPtrMetadataRequest()
		mt := kmsg.NewMetadataRequestTopic()
		mt.TopicID = id
		byID.Topics = append(byID.Topics, mt)
		if m := ask[*kmsg.MetadataResponse](c, byID, 12).Topics[0]; m.ErrorCode != 0 || m.Topic == nil || *m.Topic != "orders" || len(m.Partitions) != 2 {
			t.Errorf("metadata by id: %+v", m)
		}
		produce := produceRequest("", -1, batch(t, "x"))
		produce.Topics[0].TopicID = id
		if r := ask[*kmsg.ProduceResponse](c, produce, 13).Topics[0]; r.TopicID != id || r.Partitions[0].ErrorCode != 0 {
			t.Errorf("produce by id: %+v", r)
		}

		// A name that changes hands between the look at it and the use: the id decides.
		if _, ok := b.StreamName(&broker.Caller{Namespace: "elsewhere"}, id); ok {
			t.Error("another namespace finds the stream")
		}
		del := kmsg.NewPtrDeleteTopicsRequest()
		dt := kmsg.NewDeleteTopicsRequestTopic()
		dt.TopicID = id
		del.Topics = append(del.Topics, dt)
		if r := ask[*kmsg.DeleteTopicsResponse](c, del, 6).Topics[0]; r.ErrorCode != 0 || r.TopicID != id || r.Topic == nil || *r.Topic != "orders" {
			t.Errorf("delete by id: %+v", r)
		}
		create(c, "orders", 2)
		if again := topicID(c, "orders"); again == id {
			t.Error("the new topic has the id of the deleted one")
		}
		fetch := fetchRequest("", 0, 1000, 1)
		fetch.Topics[0].TopicID = id
		codes := map[string]int16{
			"metadata": ask[*kmsg.MetadataResponse](c, byID, 12).Topics[0].ErrorCode,
			"delete":   ask[*kmsg.DeleteTopicsResponse](c, del, 6).Topics[0].ErrorCode,
			"produce":  ask[*kmsg.ProduceResponse](c, produce, 13).Topics[0].Partitions[0].ErrorCode,
			"fetch":    ask[*kmsg.FetchResponse](c, fetch, 13).Topics[0].Partitions[0].ErrorCode,
		}
		for what, code := range codes {
			if code != codeUnknownTopicID {
				t.Errorf("%s with the id of the deleted topic: %d", what, code)
			}
		}
		entries := []broker.BatchEntry{{Stream: "orders", UID: id, Batch: batch(t, "x")}}
		if r := b.SubmitBatches(t.Context(), &broker.Caller{}, broker.BatchAppend{Entries: entries}).Wait(t.Context()); r[0].Err == nil || code(r[0].Err, placeAppend) != codeUnknownTopicID {
			t.Errorf("append to another stream of the name: %+v", r[0].Err)
		}
		cursors := []broker.Cursor{{Stream: "orders", UID: id, BytesMax: 1}}
		if r := b.Read(t.Context(), &broker.Caller{}, cursors, 1); r[0].Err == nil || code(r[0].Err, placeRead) != codeUnknownTopicID {
			t.Errorf("read of another stream of the name: %+v", r[0].Err)
		}
	}
}

// restored opens a broker in memory on what was restored from past.
func restored(t *testing.T, shards []broker.ShardStore, past []broker.PastLineage, made time.Time) *broker.Broker {
	t.Helper()
	b, err := broker.Open(broker.Options{
		Config: broker.Default(), Lineage: uint32(len(past) + 1), Past: past, Made: made, Cluster: "c", Node: 1, Clock: clock.Real,
		Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Shards: shards,
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// A consumer that has read on in a future that was restored away is told where what it has read parts from what there is.
func TestLeaderEpochs_TellOfRestores(t *testing.T) {
	shards := gatewaytest.MemoryShards(t, 1)
	me := &broker.Caller{}
	b := restored(t, shards, nil, time.Time{})
	if _, err := b.CreateStream(t.Context(), me, "orders", broker.StreamConfig{Partitions: 1}); err != nil {
		t.Fatal(err)
	}
	put := func(b *broker.Broker, text string) {
		t.Helper()
		e := []broker.BatchEntry{{Stream: "orders", Batch: batch(t, text)}}
		if r := b.SubmitBatches(t.Context(), me, broker.BatchAppend{Entries: e}).Wait(context.Background()); r[0].Err != nil {
			t.Fatal(r[0].Err)
		}
	}
	put(b, "a")
	put(b, "b")
	page, err := b.ReadPage(t.Context(), me, broker.PageRequest{Streams: []string{"orders"}, Limit: 10})
	if err != nil {
		t.Fatal(err)
	}
	until := page.Events[1].Position.Seq // the restore has both
	before, _ := b.DescribeStream(t.Context(), me, "orders")
	if b.Epoch() != 0 {
		t.Fatalf("epoch %d of a node that was never restored", b.Epoch())
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}

	shards[0].State = gatewaytest.MemoryShards(t, 1)[0].State // the old one is closed; a new one is built from the journal
	made := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	b = restored(t, shards, []broker.PastLineage{{Short: 1, Until: []uint64{until}}}, made)
	defer b.Close()
	put(b, "c")
	epoch := b.Epoch()
	if epoch != int32(120*24*3600) {
		t.Errorf("epoch %d", epoch)
	}
	if after, _ := b.DescribeStream(t.Context(), me, "orders"); after.UID != before.UID {
		t.Error("a restore changes the id of a stream")
	}
	c := dial(t, serve(t, b))
	if p := metadata(c, 12, "orders").Topics[0].Partitions[0]; p.LeaderEpoch != epoch {
		t.Errorf("metadata says epoch %d, want %d", p.LeaderEpoch, epoch)
	}
	r := ask[*kmsg.FetchResponse](c, fetchRequest("orders", 0, 0, 1), 12).Topics[0].Partitions[0]
	var epochs []int32
	for p := r.RecordBatches; len(p) > 61; p = p[12+binary.BigEndian.Uint32(p[8:]):] {
		epochs = append(epochs, int32(binary.BigEndian.Uint32(p[12:])))
		if _, err := record.CheckBatch(p[:12+binary.BigEndian.Uint32(p[8:])]); err != nil {
			t.Error(err)
		}
	}
	if len(epochs) != 3 || epochs[0] != 0 || epochs[1] != 0 || epochs[2] != epoch {
		t.Errorf("batches of epochs %v", epochs)
	}
	for _, want := range []struct {
		believed, of, is int32
		end              int64
		code             int16
	}{
		{-1, 0, 0, 2, 0},            // read at most two records of the old lineage
		{epoch, epoch, epoch, 3, 0}, // this one
		{epoch, epoch - 1, 0, 2, 0}, // of another restore, which is not of this history
		{-1, epoch + 1, -1, -1, 0},  // of a later one
		{0, 0, -1, -1, codeFencedLeaderEpoch},
		{epoch + 9, 0, -1, -1, codeUnknownLeaderEpoch},
	} {
		q := kmsg.NewPtrOffsetForLeaderEpochRequest()
		q.ReplicaID = -1
		rt := kmsg.NewOffsetForLeaderEpochRequestTopic()
		rt.Topic = "orders"
		rp := kmsg.NewOffsetForLeaderEpochRequestTopicPartition()
		rp.CurrentLeaderEpoch, rp.LeaderEpoch = want.believed, want.of
		rt.Partitions = append(rt.Partitions, rp)
		q.Topics = append(q.Topics, rt)
		got := ask[*kmsg.OffsetForLeaderEpochResponse](c, q, 4).Topics[0].Partitions[0]
		if got.ErrorCode != want.code || got.LeaderEpoch != want.is || got.EndOffset != want.end {
			t.Errorf("end of epoch %d for who believes in %d: %+v", want.of, want.believed, got)
		}
	}
	fetch := fetchRequest("orders", 0, 0, 1)
	fetch.Topics[0].Partitions[0].CurrentLeaderEpoch = 0
	if p := ask[*kmsg.FetchResponse](c, fetch, 12).Topics[0].Partitions[0]; p.ErrorCode != codeFencedLeaderEpoch || p.CurrentLeader.LeaderEpoch != epoch {
		t.Errorf("fetch in an old epoch: %+v", p)
	}
}

func TestDescribeTopicPartitions_Pages(t *testing.T) {
	c := dial(t, serve(t, newBroker(t, 1)))
	for _, name := range []string{"a", "b", "c"} {
		create(c, name, 3)
	}
	var got []string
	q := kmsg.NewPtrDescribeTopicPartitionsRequest()
	q.ResponsePartitionLimit = 2
	for range 10 {
		r := ask[*kmsg.DescribeTopicPartitionsResponse](c, q, 0)
		for _, rt := range r.Topics {
			for _, p := range rt.Partitions {
				got = append(got, *rt.Topic+formatNumber(int64(p.Partition)))
			}
		}
		if r.NextCursor == nil {
			break
		}
		q.Cursor = &kmsg.DescribeTopicPartitionsRequestCursor{Topic: r.NextCursor.Topic, Partition: r.NextCursor.Partition}
	}
	if len(got) != 9 || got[0] != "a0" || got[3] != "b0" || got[8] != "c2" {
		t.Errorf("%v", got)
	}
	one := kmsg.NewPtrDescribeTopicPartitionsRequest()
	for _, name := range []string{"nope", "b"} {
		rt := kmsg.NewDescribeTopicPartitionsRequestTopic()
		rt.Topic = name
		one.Topics = append(one.Topics, rt)
	}
	r := ask[*kmsg.DescribeTopicPartitionsResponse](c, one, 0)
	if len(r.Topics) != 2 || *r.Topics[0].Topic != "b" || r.Topics[0].TopicID == [16]byte{} || r.Topics[1].ErrorCode != codeUnknownPartition {
		t.Errorf("by name: %+v", r.Topics)
	}
}
