package schemaregistry

import (
	"context"
	"errors"
	"net/http"

	"leat/broker/fault"
	"leat/contract/registry"
)

// problem is a refusal as Confluent's registry writes it: {"error_code":code,"message":text}.
type problem struct {
	status, code int
	text         string
}

func (p *problem) Error() string { return p.text }

var (
	errPath    = &problem{http.StatusNotFound, http.StatusNotFound, "HTTP 404 Not Found"}
	errTooLong = &problem{http.StatusRequestEntityTooLarge, int(registry.SchemaTooLarge), "the body is longer than gateways.schema-registry.body_bytes_max"}
	errLogin   = &problem{http.StatusUnauthorized, http.StatusUnauthorized, "Unauthorized"}
)

const (
	storeError   = 50001
	timeoutError = 50002
	deniedError  = 40301
)

// problemOf is what is answered for an error.
func problemOf(err error) *problem {
	var p *problem
	if errors.As(err, &p) {
		return p
	}
	var r *registry.Problem
	if errors.As(err, &r) {
		return &problem{int(r.Code) / 100, int(r.Code), r.Text}
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return &problem{http.StatusInternalServerError, timeoutError, "the request took too long"}
	}
	f := fault.As(err)
	switch f.Kind {
	case fault.Denied:
		return &problem{http.StatusForbidden, deniedError, f.Text}
	case fault.TooLarge:
		return &problem{http.StatusUnprocessableEntity, int(registry.SchemaTooLarge), f.Text}
	case fault.Invalid, fault.ContractBroken:
		return &problem{http.StatusUnprocessableEntity, http.StatusUnprocessableEntity, f.Text}
	case fault.NotFound, fault.Trimmed:
		return &problem{http.StatusNotFound, http.StatusNotFound, f.Text}
	case fault.Exists, fault.Conflict, fault.Fenced:
		return &problem{http.StatusConflict, http.StatusConflict, f.Text}
	case fault.QuotaSpent:
		return &problem{http.StatusTooManyRequests, http.StatusTooManyRequests, f.Text}
	case fault.Unavailable, fault.Unknown, fault.Unsupported, fault.Corrupt, fault.Internal:
		return &problem{http.StatusInternalServerError, storeError, f.Text}
	}
	return &problem{http.StatusInternalServerError, storeError, f.Text}
}
