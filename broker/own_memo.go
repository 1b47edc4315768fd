package broker

import (
	"cmp"
	"context"
	"encoding/hex"
	"strconv"
	"strings"

	"leat/broker/catalog"
	"leat/broker/fault"
	"leat/broker/shard"
	"leat/broker/subscription"
)

// Memos are rows that a gateway keeps with a subscription: what changes too often, or is too much, for a document of the subscription. They are
// facts, survive restarts, and nobody is told of them. They do not go with their subscription: the gateway takes them away when it is gone. What is
// here is for that gateway: nobody is asked whether he may.

// Limits of memos.
const (
	MemoBytesMax   = catalog.DocumentBytesMax // of one
	MemoKeyMax     = 512                      // bytes of a key
	MemosAtOnceMax = 20_000                   // in one call
)

// Memo is one row of a subscription.
type Memo struct {
	Key   string
	Value []byte // shared, never changed; nil in PutMemos: the row is taken away
}

// OwnMemos are the rows of a subscription.
type OwnMemos struct {
	Subscription uint32 // its number
	Memos        []Memo // in no order
}

// PutMemos writes rows of a subscription, given by its number, in one frame: all or none. They are kept when it returns. NotFound: the subscription is
// gone, and nothing is written.
func (b *Broker) PutMemos(ctx context.Context, namespace string, id uint32, ms []Memo) error {
	namespace = cmp.Or(namespace, DefaultNamespace)
	return b.putMemos(ctx, namespace, subscription.ID(id), id, ms)
}

// DropMemos takes away rows of a subscription that is gone.
func (b *Broker) DropMemos(ctx context.Context, namespace string, id uint32, keys []string) error {
	ms := make([]Memo, len(keys))
	for i, k := range keys {
		ms[i].Key = k
	}
	for len(ms) > 0 {
		n := min(len(ms), MemosAtOnceMax)
		if err := b.putMemos(ctx, cmp.Or(namespace, DefaultNamespace), 0, id, ms[:n]); err != nil {
			return err
		}
		ms = ms[n:]
	}
	return nil
}

func (b *Broker) putMemos(ctx context.Context, namespace string, must subscription.ID, id uint32, ms []Memo) error {
	if len(ms) > MemosAtOnceMax {
		return fault.New(fault.TooLarge, "put", "memos", "%d rows at once; the limit is %d", len(ms), MemosAtOnceMax)
	}
	cmd := &shard.PutMemos{Sub: must, Puts: make([]shard.MemoPut, len(ms))}
	for i := range ms {
		if len(ms[i].Key) > MemoKeyMax {
			return fault.New(fault.TooLarge, "put", "memos", "the key of a row has %d bytes; the limit is %d", len(ms[i].Key), MemoKeyMax)
		}
		cmd.Puts[i] = shard.MemoPut{Name: memoName(namespace, id, ms[i].Key), Document: ms[i].Value}
	}
	_, err := b.shards[b.shardOf(namespace)].Do(ctx, cmd)
	return err
}

// memoName is the name of a row in the catalog: the number of the subscription in eight digits, and the key.
func memoName(namespace string, id uint32, key string) catalog.Name {
	digits := strconv.FormatUint(uint64(id), 16)
	return catalog.Name{Kind: catalog.Memo, Namespace: namespace, Name: "00000000"[len(digits):] + digits + "/" + key}
}

// AllMemos are the rows of all subscriptions of a namespace, by subscription, also of such as are gone. It is read once, when the gateway begins.
func (b *Broker) AllMemos(namespace string) map[uint32]*OwnMemos {
	namespace = cmp.Or(namespace, DefaultNamespace)
	out := map[uint32]*OwnMemos{}
	b.shards[b.shardOf(namespace)].Published().Entries(func(e *catalog.Entry) {
		if e.Name.Kind != catalog.Memo || e.Name.Namespace != namespace {
			return
		}
		digits, key, _ := strings.Cut(e.Name.Name, "/")
		p, err := hex.DecodeString(digits)
		if err != nil || len(p) != 4 {
			return
		}
		id := uint32(p[0])<<24 | uint32(p[1])<<16 | uint32(p[2])<<8 | uint32(p[3])
		m := out[id]
		if m == nil {
			m = &OwnMemos{Subscription: id}
			out[id] = m
		}
		m.Memos = append(m.Memos, Memo{key, e.Document})
	})
	return out
}
