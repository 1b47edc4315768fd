package hooks

// Reason is why a request was not accepted.
type Reason uint8

// The reasons.
const (
	Unsigned  Reason = iota // a header that the scheme needs is missing
	Malformed               // a header cannot be read
	Stale                   // the time signed is too long ago, or too far ahead
	Mismatch                // no signature is right: another secret, or another body
	reasons
)

var reasonNames = [reasons]string{"unsigned", "malformed", "stale", "mismatch"}

func (r Reason) String() string { return reasonNames[r] }

// Refusal is the error of a request that was not accepted. Its text may be told to the sender: it never holds a secret, a signature or
// what would have been right.
type Refusal struct {
	Reason Reason
	Header string // that it is about; empty for Mismatch
	Text   string
}

func (r *Refusal) Error() string { return r.Text }

func refuse(r Reason, header, text string) error {
	return &Refusal{Reason: r, Header: header, Text: text}
}
