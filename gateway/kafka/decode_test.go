package kafka

import (
	"bytes"
	"encoding/hex"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A count of tagged fields that no request has is refused before anybody goes round for it; numbers, names and bytes that look like one are not.
func TestDecode_LargeNumbers(t *testing.T) {
	for name, c := range map[string]struct {
		q       kmsg.Request
		version int16
		body    string
		want    bool
	}{
		"api versions":                       {kmsg.NewPtrApiVersionsRequest(), 3, "0261" + "0262" + "00", true},
		"api versions, 2^32-1 tags":          {kmsg.NewPtrApiVersionsRequest(), 3, "0261" + "0262" + "ffffffff0f", false},
		"api versions, 2^27 tags":            {kmsg.NewPtrApiVersionsRequest(), 3, "0261" + "0262" + "8080" + "8040", false},
		"sasl authenticate, 2^32-1 tags":     {kmsg.NewPtrSASLAuthenticateRequest(), 2, "0261" + "ffffffff0f", false},
		"sasl authenticate, such a token":    {kmsg.NewPtrSASLAuthenticateRequest(), 2, "06ffffffff0f" + "00", true},
		"end of a transaction, -1 and a tag": {kmsg.NewPtrEndTxnRequest(), 3, "0274" + "ffffffffffffffff" + "ffff" + "01" + "00", true},
		"heartbeat, -1 and a long name":      {kmsg.NewPtrHeartbeatRequest(), 4, "0267" + "ffffffff" + "0f" + hex.EncodeToString(bytes.Repeat([]byte{'m'}, 14)) + "00" + "00", true},
		"heartbeat, -1 and a longer name":    {kmsg.NewPtrHeartbeatRequest(), 4, "0267" + "ffffffff" + "41" + hex.EncodeToString(bytes.Repeat([]byte{'m'}, 64)) + "00" + "00", true},
		"heartbeat, -1 and 200 bytes":        {kmsg.NewPtrHeartbeatRequest(), 4, "0267" + "ffffffff" + "c901" + hex.EncodeToString(bytes.Repeat([]byte{'m'}, 200)) + "00" + "00", true},
		"heartbeat, a name in high bytes":    {kmsg.NewPtrHeartbeatRequest(), 4, "06c3bcffffff" + "00000008" + "0267" + "00" + "00", true},
		"offsets, in a partition":            {kmsg.NewPtrOffsetDeleteRequest(), 0, "000167" + "00000000", true},
	} {
		body, err := hex.DecodeString(c.body)
		if err != nil {
			t.Fatal(err)
		}
		c.q.SetVersion(c.version)
		err = decode(c.q, body)
		if (err == nil) != c.want {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil {
			continue
		}
		plain := kmsg.RequestForKey(c.q.Key())
		plain.SetVersion(c.version)
		if err := plain.ReadFrom(body); err != nil || cmp.Diff(plain.AppendTo(nil), c.q.AppendTo(nil)) != "" {
			t.Errorf("%s: it is decoded as something else (%v)", name, err)
		}
	}
}

// What is right is let through, in every version of every request.
func TestDecode_EveryVersion(t *testing.T) {
	n := 0
	for _, a := range apis {
		for v := a.min; v <= a.max; v++ {
			q := transactional(a.key, v)
			plain := q.AppendTo(nil)
			other := kmsg.RequestForKey(a.key)
			other.SetVersion(v)
			if err := decode(other, plain); err != nil {
				t.Errorf("%s version %d: %v", a.name, v, err)
			}
			n++
		}
	}
	if n < 100 {
		t.Errorf("%d requests", n)
	}
}
