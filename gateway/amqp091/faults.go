package amqp091

import (
	"errors"

	"leat/broker/fault"
	"leat/gateway/amqp091/wire"
)

// refusal is the protocol's word for what was refused. by is the method that asked for it.
func refusal(err error, by wire.ID) *wire.Error {
	var e *wire.Error
	if errors.As(err, &e) {
		return e
	}
	f := fault.As(err)
	return &wire.Error{Code: code(f.Kind), Method: by, Text: f.Text}
}

// code is the reply code of a kind of refusal. All but the last ones end a channel only: what was asked of it may be right elsewhere.
func code(k fault.Kind) wire.ReplyCode {
	switch k {
	case fault.NotFound, fault.Trimmed:
		return wire.NotFound
	case fault.Denied:
		return wire.AccessRefused
	case fault.Invalid, fault.Exists, fault.ContractBroken, fault.Conflict, fault.Fenced:
		return wire.PreconditionFailed
	case fault.TooLarge:
		return wire.ContentTooLarge
	case fault.QuotaSpent, fault.Unavailable, fault.Unknown:
		return wire.PreconditionFailed // 506 would end the connection, and every other channel with it
	case fault.Unsupported:
		return wire.NotImplemented
	case fault.Corrupt, fault.Internal:
		return wire.InternalError
	}
	return wire.InternalError
}
