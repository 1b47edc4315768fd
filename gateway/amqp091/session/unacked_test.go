package session

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"leat/gateway/amqp091/wire"
)

// model is Unacked without cleverness: tags in order, and their handles.
type model struct {
	tags    []uint64
	handles map[uint64]int
}

func (m *model) take(tag uint64, multiple bool) (taken []uint64, ok bool) {
	if tag == 0 && multiple {
		taken, m.tags = m.tags, nil
		return taken, true
	}
	i := slices.Index(m.tags, tag)
	if i < 0 {
		return nil, false
	}
	from := i
	if multiple {
		from = 0
	}
	taken = slices.Clone(m.tags[from : i+1])
	m.tags = slices.Delete(m.tags, from, i+1)
	return taken, true
}

func TestUnacked_AgainstAModel(t *testing.T) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 1))
		var u Unacked[int]
		m := model{handles: map[uint64]int{}}
		type restored struct {
			tag    uint64
			handle int
		}
		var tx []restored
		keep := uint64(r.IntN(10)) // tags that are a multiple are hardly ever acked: stragglers
		for range 4000 {
			switch r.IntN(8) {
			case 0, 1, 2:
				h := r.Int()
				tag := u.Add(h)
				m.tags, m.handles[tag] = append(m.tags, tag), h
			case 3:
				u.Skip()
			case 7:
				for _, d := range tx {
					u.Restore(d.tag, d.handle)
					m.tags = append(m.tags, d.tag)
				}
				slices.Sort(m.tags)
				tx = nil
			default:
				tag := uint64(r.Int64N(int64(u.tag) + 2))
				if len(m.tags) > 0 && r.IntN(3) > 0 {
					tag = m.tags[r.IntN(len(m.tags))]
				}
				if keep > 1 && tag%keep == 0 && r.IntN(50) > 0 {
					continue
				}
				multiple := r.IntN(20) == 0
				want, ok := m.take(tag, multiple)
				var got []uint64
				err := u.Take(tag, multiple, wire.IDBasicAck, func(tag uint64, h int) {
					if h != m.handles[tag] {
						t.Fatalf("seed %d: tag %d has another's handle", seed, tag)
					}
					got = append(got, tag)
					if r.IntN(4) == 0 {
						tx = append(tx, restored{tag, h})
					}
				})
				if (err == nil) != ok || !slices.Equal(got, want) {
					t.Fatalf("seed %d: take %d %t: %v %v, want %v %t", seed, tag, multiple, got, err, want, ok)
				}
			}
			if u.Len() != len(m.tags) {
				t.Fatalf("seed %d: %d wait, want %d", seed, u.Len(), len(m.tags))
			}
			if n := len(u.list); n > 4*u.Len()+2*holesMin+8 {
				t.Fatalf("seed %d: a list of %d for %d", seed, n, u.Len())
			}
		}
	}
}

func TestUnacked_UnknownTagsAreRefused(t *testing.T) {
	var u Unacked[string]
	none := func(tag uint64, _ string) { t.Errorf("%d was taken", tag) }
	for _, c := range []struct {
		tag      uint64
		multiple bool
	}{{5, false}, {5, true}, {0, false}} {
		var e *wire.Error
		if err := u.Take(c.tag, c.multiple, wire.IDBasicNack, none); !errors.As(err, &e) || e.Code != wire.PreconditionFailed || e.Method != wire.IDBasicNack {
			t.Errorf("%+v: %v", c, err)
		}
	}
	if err := u.Take(0, true, wire.IDBasicAck, none); err != nil {
		t.Error(err)
	}
	u.Add("a")
	if err := u.Take(1, false, wire.IDBasicAck, func(uint64, string) {}); err != nil {
		t.Error(err)
	}
	if err := u.Take(1, false, wire.IDBasicAck, none); err == nil {
		t.Error("an ack counts twice")
	}
}

// One delivery that is held while very many pass costs nothing that grows.
func TestUnacked_AStragglerCostsLittle(t *testing.T) {
	var u Unacked[int]
	u.Add(0)
	for range 200_000 {
		tag := u.Add(1)
		if err := u.Take(tag, false, wire.IDBasicAck, func(uint64, int) {}); err != nil {
			t.Fatal(err)
		}
	}
	if u.Len() != 1 || cap(u.list) > 4*holesMin {
		t.Errorf("%d wait, room for %d", u.Len(), cap(u.list))
	}
	u.All(func(tag uint64, _ int) {
		if tag != 1 {
			t.Error(tag)
		}
	})
}

func TestTx_RollbackGivesBack(t *testing.T) {
	var u Unacked[string]
	var tx Tx[string]
	for _, h := range []string{"a", "b", "c"} {
		u.Add(h)
	}
	settle := func(tag uint64, h string) {
		if err := tx.Settle(tag, h, Acked); err != nil {
			t.Fatal(err)
		}
	}
	if err := u.Take(2, true, wire.IDBasicAck, settle); err != nil || u.Len() != 1 {
		t.Fatal(err)
	}
	if err := u.Take(1, false, wire.IDBasicAck, settle); err == nil {
		t.Error("an ack counts twice within a transaction")
	}
	body := []byte("body")
	c := &Content{Exchange: []byte("e"), RoutingKey: []byte("k"), RawProperties: []byte{0x10, 0, 2}, Body: body}
	if err := tx.Publish(c); err != nil {
		t.Fatal(err)
	}
	body[0], c.Exchange[0] = 'X', 'X'
	if p := tx.Publishes[0]; string(p.Body) != "body" || string(p.Exchange) != "e" || p.Properties.DeliveryMode != 2 || tx.Bytes() == 0 {
		t.Errorf("%+v", p)
	}
	tx.Rollback(&u)
	if u.Len() != 3 || len(tx.Publishes)+len(tx.Settlements)+tx.Bytes() != 0 {
		t.Errorf("%d wait, %+v", u.Len(), tx)
	}
	var got string
	u.All(func(_ uint64, h string) { got += h })
	if got != "abc" {
		t.Error(got)
	}
}

func TestTx_Limits(t *testing.T) {
	var tx Tx[int]
	big := &Content{RawProperties: []byte{0, 0}, Body: make([]byte, TxBytesMax/4), BodyKept: true}
	n := 0
	for ; n < 10; n++ {
		if err := tx.Publish(big); err != nil {
			break
		}
	}
	if n != 3 {
		t.Errorf("%d quarters of the limit were taken", n)
	}
	tx.Done()
	for i := range TxItemsMax {
		if err := tx.Settle(uint64(i), i, Requeued); err != nil {
			t.Fatal(i, err)
		}
	}
	if err := tx.Settle(0, 0, Requeued); err == nil {
		t.Error("one more than the limit")
	}
}
