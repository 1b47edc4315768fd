package fault

import (
	"errors"
	"fmt"
)

// Kind is why something was refused. The set is closed: each gateway translates every kind in one exhaustive switch.
type Kind uint8

const (
	Internal       Kind = iota // a broken invariant or an error nobody planned for
	Invalid                    // the request is wrong in itself
	NotFound                   // what it names is not there
	Exists                     // what it would make is there already
	Denied                     // the principal may not
	ContractBroken             // the payload breaks its contract
	Conflict                   // a condition on current state failed
	Fenced                     // a newer owner or producer has taken over
	TooLarge                   // over a size limit
	QuotaSpent                 // over a rate or amount; Retry says when
	Unavailable                // not now: draining, starting, disk reserve
	Unknown                    // it may have happened
	Trimmed                    // it was there and has been let go of
	Corrupt                    // stored bytes are not what was written
	Unsupported                // understood and not offered
)

var names = [...]string{"internal", "invalid", "not-found", "exists", "denied", "contract-broken", "conflict", "fenced", "too-large",
	"quota-spent", "unavailable", "unknown", "trimmed", "corrupt", "unsupported"}

func (k Kind) String() string { return names[k] }

// Retry says whether the same request may succeed later.
type Retry uint8

const (
	Never Retry = iota // not without a change
	Later              // as it is, after a while
	Check              // first find out whether it happened
)

// Reason narrows a Kind where a protocol has a word for it. The zero Reason is "nothing more to say".
type Reason string

const (
	ReasonSequence           Reason = "out-of-sequence"     // Conflict: idempotent producer left a gap
	ReasonProducerEpoch      Reason = "producer-epoch"      // Fenced: a newer epoch of this producer exists
	ReasonEvent              Reason = "event"               // Conflict: an event that must not be
	ReasonVersion            Reason = "version"             // Conflict: expected version of a key
	ReasonChecksum           Reason = "checksum"            // Invalid: CRC of a batch
	ReasonCodec              Reason = "codec"               // Invalid or Unsupported: compression
	ReasonTimestamp          Reason = "timestamp"           // Invalid
	ReasonPartition          Reason = "partition"           // NotFound: stream is there, partition is not
	ReasonUID                Reason = "uid"                 // NotFound: there is one of that name, and it is another one
	ReasonOffset             Reason = "offset"              // Invalid or Trimmed: offset outside the partition
	ReasonDiskReserve        Reason = "disk-reserve"        // Unavailable: free space has reached the reserve
	ReasonLogin              Reason = "login"               // Denied: who are you
	ReasonRevision           Reason = "revision"            // Conflict: compare-and-set of a named thing
	ReasonProducerFenced     Reason = "producer-fenced"     // Fenced: a newer instance of a named producer exists
	ReasonProducerMapping    Reason = "producer-id"         // NotFound: the named producer is not there, or has another id
	ReasonTransaction        Reason = "transaction"         // Conflict: not with the transaction as it stands
	ReasonTransactionTimeout Reason = "transaction-timeout" // Invalid
	ReasonKept               Reason = "kept"                // Conflict: the stream is immutable, or protected from being deleted
)

// Error is a refusal at the broker's door. Its text is for users: it says what and where, and never how we are built.
type Error struct {
	Kind    Kind
	Reason  Reason
	Op      string // append, read, describe, ...
	Subject string // what it is about: a stream, a ref, a field
	Text    string // one sentence a person can act on
	Retry   Retry
	AfterMS int64 // with Later: when to try again; 0 is unsaid
	Detail  any   // what a gateway may show in its own form, e.g. the list of failed conditions
	Cause   error // for the log, with the request id
}

func (e *Error) Error() string {
	if e.Cause != nil {
		return fmt.Sprintf("%s %s: %s (%s): %v", e.Op, e.Subject, e.Text, e.Kind, e.Cause)
	}
	return fmt.Sprintf("%s %s: %s (%s)", e.Op, e.Subject, e.Text, e.Kind)
}

func (e *Error) Unwrap() error { return e.Cause }

// New makes a refusal that is final.
func New(k Kind, op, subject, format string, args ...any) *Error {
	e := &Error{Kind: k, Op: op, Subject: subject, Text: fmt.Sprintf(format, args...)}
	switch k {
	case Unavailable, QuotaSpent:
		e.Retry = Later
	case Unknown:
		e.Retry = Check
	}
	return e
}

// Because adds the reason.
func (e *Error) Because(r Reason) *Error { e.Reason = r; return e }

// From adds the cause.
func (e *Error) From(err error) *Error { e.Cause = err; return e }

// With adds the detail.
func (e *Error) With(d any) *Error { e.Detail = d; return e }

// As returns err as a refusal; what is none becomes Internal.
func As(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	if err == nil {
		return nil
	}
	return New(Internal, "", "", "something went wrong inside; the log has the cause").From(err)
}

// Is reports whether err is a refusal of that kind.
func Is(err error, k Kind) bool {
	var e *Error
	return errors.As(err, &e) && e.Kind == k
}
