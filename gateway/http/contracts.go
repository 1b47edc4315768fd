package http

import (
	nethttp "net/http"
	"time"

	"leat/broker"
)

// GET /v1/contracts/catalogue: who was seen to produce and consume which type of event. docs/contracts.md is for who uses it.

// withinMax is how far back a question about the catalogue may look.
const withinMax = 10 * 365 * 24 * time.Hour

// catalogueQuery is what the parameters ask for.
func (x *call) catalogueQuery() (q broker.CatalogueQuery, err error) {
	if err := x.onlyParams("type", "stream", "service", "role", "within"); err != nil {
		return q, err
	}
	if types := x.query["type"]; len(types) > 1 {
		return q, wrong("catalogue", "type", "this query parameter may be given once")
	}
	q = broker.CatalogueQuery{Type: x.param("type"), Stream: x.param("stream"), Service: x.param("service"), Role: x.param("role")}
	if q.Role != "" && q.Role != "produces" && q.Role != "consumes" {
		return q, wrong("catalogue", "role", "%q is no role; produces and consumes are", clip(q.Role))
	}
	if text := x.param("within"); text != "" {
		if q.Within, err = time.ParseDuration(text); err != nil || q.Within <= 0 || q.Within > withinMax {
			return q, wrong("catalogue", "within", "%q is no time up to %s; text such as 24h is", clip(text), withinMax)
		}
	}
	return q, nil
}

func contractCatalogue(x *call) error {
	q, err := x.catalogueQuery()
	if err != nil {
		return err
	}
	x.w.Header()["Cache-Control"] = headerNoStore
	return x.answerJSON(nethttp.StatusOK, x.g.broker.Catalogue(x.caller(), q))
}
