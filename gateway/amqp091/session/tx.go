package session

import (
	"bytes"
	"fmt"

	"leat/gateway/amqp091/wire"
)

// Settled is how a delivery was settled.
type Settled uint8

// The ways.
const (
	Acked Settled = iota
	Requeued
	Rejected
)

// Settlement is one delivery that was settled in a transaction.
type Settlement[H any] struct {
	Tag    uint64
	Handle H
	How    Settled
}

// Limits of a transaction, which is held in memory and done in one piece.
const (
	TxItemsMax = 100_000
	TxBytesMax = 64 << 20
)

// Tx is what a transactional channel has published and settled since its last commit or rollback.
type Tx[H any] struct {
	Publishes   []Content
	Settlements []Settlement[H]
	bytes       int
}

// txItemBytes is about what an item takes beside the bytes of its message.
const txItemBytes = 512

// Publish keeps a copy of a content. The body is not copied when it is the gateway's already.
func (t *Tx[H]) Publish(c *Content) error {
	n := len(c.Exchange) + len(c.RoutingKey) + len(c.RawProperties) + len(c.Body) + txItemBytes
	if err := t.room(wire.IDBasicPublish, n); err != nil {
		return err
	}
	kept := Content{Exchange: bytes.Clone(c.Exchange), RoutingKey: bytes.Clone(c.RoutingKey), Mandatory: c.Mandatory,
		RawProperties: bytes.Clone(c.RawProperties), Body: c.Body, BodyKept: true}
	if !c.BodyKept {
		kept.Body = bytes.Clone(c.Body)
	}
	if err := kept.Properties.Decode(kept.RawProperties); err != nil {
		return err
	}
	t.bytes += n
	t.Publishes = append(t.Publishes, kept)
	return nil
}

// Settle keeps that a delivery, which was taken from Unacked, is settled.
func (t *Tx[H]) Settle(tag uint64, handle H, how Settled) error {
	if err := t.room(wire.IDBasicAck, txSettlementBytes); err != nil {
		return err
	}
	t.bytes += txSettlementBytes
	t.Settlements = append(t.Settlements, Settlement[H]{tag, handle, how})
	return nil
}

// txSettlementBytes is about what a settlement takes.
const txSettlementBytes = 64

func (t *Tx[H]) room(by wire.ID, n int) error {
	if len(t.Publishes)+len(t.Settlements) >= TxItemsMax || t.bytes+n > TxBytesMax {
		return &wire.Error{Code: wire.PreconditionFailed, Method: by,
			Text: fmt.Sprintf("a transaction may have %d publishes and acks of together %d bytes", TxItemsMax, TxBytesMax)}
	}
	return nil
}

// Bytes is about the memory that the transaction takes.
func (t *Tx[H]) Bytes() int { return t.bytes }

// Rollback forgets what was published, and puts the deliveries back to wait for their ack.
func (t *Tx[H]) Rollback(u *Unacked[H]) {
	for _, s := range t.Settlements {
		u.Restore(s.Tag, s.Handle)
	}
	t.Done()
}

// Done begins the next transaction, after a commit.
func (t *Tx[H]) Done() { *t = Tx[H]{} }
