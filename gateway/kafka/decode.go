package kafka

import (
	"bytes"
	"errors"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// kmsg believes the number that says how many tagged fields follow: one of 2³² has it go round for ten seconds, for a request of twenty bytes. No field
// of a request is that long, so a number of four or five bytes is refused, where it is one. Whether bytes that look like it are one only the decoder
// knows: much looks like it that is not, as -1 in front of a short name. So it is asked with a zero in their place, written in two bytes:
//
//	…  ff ff ff ff 0f  …    as a number 2³²-1, or -1 and a name of 14 bytes
//	…  80 00 ff ff 0f  …    as a number 0; encoded again it is 00, and not 80 00. As -1 and a name it is another number and the same name
//
// A request that is the same again, encoded, had data there, and is decoded as it came.

const (
	numberBytesLong = 5       // the longest number
	numberLarge     = 1 << 24 // more than any request has of anything; going round so often takes 40 ms
	highBit         = byte(0x80)
)

var errNumber = errors.New("a number in it is larger than any request")

// decode reads a request. What it takes is bounded by the request's bytes.
func decode(q kmsg.Request, body []byte) error {
	if q.IsFlexible() && len(body) < numberLarge {
		if err := noLargeNumbers(q, body); err != nil {
			return err
		}
	}
	return q.ReadFrom(body)
}

// noLargeNumbers refuses a request in which a number is that large.
func noLargeNumbers(q kmsg.Request, body []byte) error {
	var long, short []byte // body with zeros where numbers of five bytes may be, or else of four; and the other way round
	last := 0
	zero := func(b []byte, at int) {
		b[at], b[at+1] = highBit, 0
		last = at
	}
	run := 0 // bytes before this one that say that more follows
	for i, b := range body {
		if b >= highBit {
			run++
			continue
		}
		five := run >= numberBytesLong-1 && b <= 0x0f // a greater one does not fit into 32 bits, and is refused as no number
		four := run >= numberBytesLong-2 && int(b)<<21 >= numberLarge
		run = 0
		if !five && !four {
			continue
		}
		if long == nil {
			long, short = bytes.Clone(body), bytes.Clone(body)
		}
		if five {
			zero(long, i-4)
		} else {
			zero(long, i-3)
		}
		if four {
			zero(short, i-3)
		} else {
			zero(short, i-4)
		}
	}
	if long == nil {
		return nil
	}
	for _, b := range [][]byte{long, short} {
		other := kmsg.RequestForKey(q.Key())
		other.SetVersion(q.GetVersion())
		if err := other.ReadFrom(b); err != nil {
			return err
		}
		if again := other.AppendTo(nil); len(again) <= last+1 || !bytes.Equal(again[:last+2], b[:last+2]) {
			return errNumber
		}
	}
	return nil
}
