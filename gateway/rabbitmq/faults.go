package rabbitmq

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"leat/broker/fault"
	"leat/gateway/amqp091/wire"
)

// problem is a refusal as RabbitMQ writes it: {"error":name,"reason":reason}.
type problem struct {
	status int
	name   string
	reason any
}

func (p *problem) Error() string { return p.name }

var (
	errNotFound = &problem{http.StatusNotFound, "Object Not Found", "Not Found"}
	errTooLong  = &problem{http.StatusRequestEntityTooLarge, "bad_request", "the body is longer than gateways.rabbitmq-management.body_bytes_max"}
	errLogin    = &problem{http.StatusUnauthorized, "not_authorized", "Login failed"}
)

func badRequest(reason any) error { return &problem{http.StatusBadRequest, "bad_request", reason} }

// problemOf is what is answered for an error.
func problemOf(err error) *problem {
	var p *problem
	if errors.As(err, &p) {
		return p
	}
	var r *refused
	if errors.As(err, &r) {
		return ofAMQP(r)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return &problem{http.StatusServiceUnavailable, "timeout", "the request took too long"}
	}
	f := fault.As(err)
	return &problem{status(f.Kind), strings.ReplaceAll(strings.ToLower(f.Kind.String()), " ", "_"), f.Text}
}

// ofAMQP is what RabbitMQ says by HTTP of what AMQP refuses: its text without the code's name before it.
func ofAMQP(r *refused) *problem {
	_, reason, cut := strings.Cut(r.text, " - ")
	if !cut {
		reason = r.text
	}
	switch r.code {
	case wire.NotFound:
		return &problem{http.StatusNotFound, "not_found", reason}
	case wire.AccessRefused:
		return &problem{http.StatusUnauthorized, "not_authorised", reason}
	case wire.InternalError, wire.ResourceError, wire.ConnectionForced:
		return &problem{http.StatusServiceUnavailable, "unavailable", reason}
	default:
		return &problem{http.StatusBadRequest, "bad_request", reason}
	}
}

// status is the HTTP status of a kind of fault.
func status(k fault.Kind) int {
	switch k {
	case fault.Invalid, fault.ContractBroken:
		return http.StatusBadRequest
	case fault.NotFound, fault.Trimmed:
		return http.StatusNotFound
	case fault.Exists, fault.Conflict, fault.Fenced:
		return http.StatusConflict
	case fault.Denied:
		return http.StatusUnauthorized
	case fault.TooLarge:
		return http.StatusRequestEntityTooLarge
	case fault.QuotaSpent:
		return http.StatusTooManyRequests
	case fault.Unavailable, fault.Unknown:
		return http.StatusServiceUnavailable
	case fault.Unsupported:
		return http.StatusNotImplemented
	case fault.Corrupt, fault.Internal:
		return http.StatusInternalServerError
	}
	return http.StatusInternalServerError
}
