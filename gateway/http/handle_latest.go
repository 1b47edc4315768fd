package http

import (
	"encoding/base64"
	nethttp "net/http"
	"strconv"

	"leat/broker"
)

// The newest event of each key: GET /v1/streams/{stream}/latest?prefix=&after=&limit=, always a page.

// place of a key, which is next of a page and after of the one behind it: base64url, without padding, of
//
//	┌─────────┬─────────┐
//	│ version │   key   │
//	│  1 byte │ 0 bytes…│
//	└─────────┴─────────┘
const placeVersion = 1

// placeBytesMax is the longest place that is read: that of the longest key a stream can be told to take.
const placeBytesMax = (256<<10+1)*4/3 + 1

func appendPlaceOfKey(b, key []byte) []byte {
	return base64.RawURLEncoding.AppendEncode(b, append([]byte{placeVersion}, key...))
}

// placeOfKey reads what appendPlaceOfKey has written; nil for nothing said.
func placeOfKey(s string) ([]byte, error) {
	if s == "" {
		return nil, nil
	}
	if len(s) <= placeBytesMax {
		b, err := base64.RawURLEncoding.Strict().DecodeString(s)
		if err == nil && len(b) > 0 && b[0] == placeVersion && len(s) == base64.RawURLEncoding.EncodedLen(len(b)) {
			return b[1:], nil
		}
	}
	return nil, wrong("read", "after", "%q is no place to go on after; give `next` of the page before, or nothing to begin", clip(s))
}

func readLatest(x *call) error {
	if err := x.onlyParams("prefix", "after", "limit"); err != nil {
		return err
	}
	after, err := placeOfKey(x.param("after"))
	if err != nil {
		return err
	}
	limit, err := x.limit(pageLimitDefault)
	if err != nil {
		return err
	}
	page, err := x.g.broker.ReadLatest(x.r.Context(), x.caller(), broker.LatestRequest{
		Stream: x.params[0], Prefix: []byte(x.param("prefix")), After: after, Limit: limit,
	})
	if err != nil {
		return err
	}
	buf := buffers.Get().(*[]byte)
	defer putBuffer(buf)
	*buf = appendLatest((*buf)[:0], &page, x.g.config.PageBytesMax)
	x.answer(nethttp.StatusOK, contentTypeJSON, *buf)
	return nil
}

// appendLatest appends {"events":[…],"stored":[…],"next":…,"caught_up":…} like appendPage; next is the place of a key.
func appendLatest(b []byte, page *broker.LatestPage, bytesMax int) []byte {
	b, fit := appendEvents(b, page.Events, bytesMax)
	if fit < len(page.Events) {
		page.Events, page.Next, page.CaughtUp = page.Events[:fit], page.Events[fit-1].Record.Key, false
	}
	b = append(b, `,"next":"`...)
	if page.Next != nil {
		b = appendPlaceOfKey(b, page.Next)
	}
	b = append(b, `","caught_up":`...)
	return append(strconv.AppendBool(b, page.CaughtUp), '}', '\n')
}
