package push

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strconv"

	"leat/broker"
	"leat/broker/record"
	"leat/internal/clock"
	"leat/internal/outbound"
)

// Headers of a request beside those of Standard Webhooks and CloudEvents.
const (
	headerSubscription = "Leat-Subscription"
	headerAttempt      = "Leat-Attempt" // from 1
	headerGap          = "Leat-Gap"     // marks, of those that have some
	headerLate         = "Leat-Late"
	headerDuplicateOf  = "Leat-Duplicate-Of"
	headerID           = "Webhook-Id"
	headerTimestamp    = "Webhook-Timestamp"
)

// attributeDelivery is the extension attribute that carries the id of a delivery in a batch, where one header cannot.
const attributeDelivery = "leatdelivery"

// request makes the request for deliveries: one, or a batch.
func (u *pump) request(ds []broker.Delivery) (*outbound.Request, error) {
	h := make(http.Header, 20)
	var body []byte
	id := ds[0].ID
	switch u.doc.Format {
	case FormatStructured:
		e := ds[0].Event()
		h["Content-Type"] = structuredType
		body = e.AppendJSON(make([]byte, 0, jsonRoom(ds)), nil)
	case FormatBatch:
		h["Content-Type"] = batchType
		body = appendBatch(make([]byte, 0, jsonRoom(ds)), ds)
		id = batchID(ds)
	default:
		e := ds[0].Event()
		e.EachHTTPHeader(func(name, value string) { h[name] = []string{value} })
		body = e.Data
	}
	h[headerSubscription] = []string{u.l.key.name}
	h[headerAttempt] = []string{strconv.Itoa(ds[0].Attempt)}
	if u.doc.Format != FormatBatch {
		mark(h, &ds[0].Marks)
	}
	now := clock.Now()
	if u.signer != nil {
		if err := u.signer.Sign(h, id, now, body); err != nil {
			return nil, err
		}
	} else {
		h[headerID], h[headerTimestamp] = []string{id}, []string{strconv.FormatInt(now.Unix(), 10)}
	}
	return &outbound.Request{Header: h, Body: body}, nil
}

func mark(h http.Header, m *broker.Marks) {
	if m.Gap > 0 {
		h[headerGap] = []string{strconv.FormatInt(m.Gap, 10)}
	}
	if m.Late {
		h[headerLate] = []string{"true"}
	}
	if m.DuplicateOf != "" {
		h[headerDuplicateOf] = []string{m.DuplicateOf}
	}
}

var (
	structuredType = []string{record.HTTPStructuredType}
	batchType      = []string{record.HTTPBatchType}
)

// appendBatch appends the events as a JSON array, each with the id of its delivery.
func appendBatch(dst []byte, ds []broker.Delivery) []byte {
	dst = append(dst, '[')
	for i := range ds {
		if i > 0 {
			dst = append(dst, ',')
		}
		e := ds[i].Event()
		e.RemoveExtension(attributeDelivery) // of an event that came by such a way
		dst = e.AppendJSON(dst, func(dst []byte) []byte {
			return append(append(append(dst, `,"`+attributeDelivery+`":"`...), ds[i].ID...), '"') // letters, digits and dashes
		})
	}
	return append(dst, ']')
}

// batchID is an id for the request of a batch: the same for the same deliveries.
func batchID(ds []broker.Delivery) string {
	if len(ds) == 1 {
		return ds[0].ID
	}
	sum := sha256.New()
	for i := range ds {
		sum.Write([]byte(ds[i].ID))
		sum.Write([]byte{0})
	}
	return "batch_" + hex.EncodeToString(sum.Sum(nil)[:16])
}

func jsonRoom(ds []broker.Delivery) int {
	n := 2
	for i := range ds {
		n += 320 + len(ds[i].Record.Value) + len(ds[i].Record.Value)/8 + 2*len(ds[i].Record.Key)
	}
	return n
}
