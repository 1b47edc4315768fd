package http

import (
	nethttp "net/http"

	"leat/broker/fault"
)

// status is the HTTP status of a refusal, and its title. The switch is exhaustive: a new kind is a chore here.
func status(f *fault.Error) (code int, title string) {
	switch f.Kind {
	case fault.Invalid:
		return nethttp.StatusBadRequest, "The request is wrong in itself"
	case fault.NotFound:
		return nethttp.StatusNotFound, "It is not there"
	case fault.Exists:
		return nethttp.StatusConflict, "It is there already"
	case fault.Denied:
		if f.Reason == fault.ReasonLogin {
			return nethttp.StatusUnauthorized, "Log in first"
		}
		return nethttp.StatusForbidden, "You may not"
	case fault.ContractBroken:
		return nethttp.StatusUnprocessableEntity, "The payload breaks its contract"
	case fault.Conflict:
		return nethttp.StatusConflict, "A condition failed"
	case fault.Fenced:
		return nethttp.StatusConflict, "A newer owner has taken over"
	case fault.TooLarge:
		return nethttp.StatusRequestEntityTooLarge, "It is too large"
	case fault.QuotaSpent:
		return nethttp.StatusTooManyRequests, "The quota is spent"
	case fault.Unavailable:
		if f.Reason == fault.ReasonDiskReserve {
			return nethttp.StatusInsufficientStorage, "The disk is down to its reserve"
		}
		return nethttp.StatusServiceUnavailable, "Not now"
	case fault.Unknown:
		return nethttp.StatusServiceUnavailable, "It may have happened"
	case fault.Trimmed:
		return nethttp.StatusGone, "It was there and has been let go of"
	case fault.Unsupported:
		return nethttp.StatusNotImplemented, "It is understood and not offered"
	case fault.Corrupt:
		return nethttp.StatusInternalServerError, "Stored bytes are not what was written"
	case fault.Internal:
		return nethttp.StatusInternalServerError, "Something went wrong inside"
	}
	return nethttp.StatusInternalServerError, "Something went wrong inside"
}
