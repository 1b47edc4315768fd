// Package envelope is what SNS hands to subscribers: JSON documents around a message, signed, and the headers beside them.
//
// # What
//
// Document is a notification, or a request to confirm a subscription or its end. Canonical is the text of it that is signed, Signer signs
// it (SignatureVersion 1 and 2), Append writes the document. NewIdentity makes the key and the certificate. Headers are those of deliveries
// by HTTP.
//
// # Promises
//
// Pure: no I/O, no clock, and chance only in NewIdentity. The signature of a document does not depend on the subscriber, so that it is made
// once for all that get the same text (it takes most of a millisecond). A document is valid JSON whatever its texts are.
//
// # Imports
//
// The package above; otherwise only the standard library.
//
// # Where to start
//
// Document.Append, Signer.Sign.
//
// # How tested
//
// Documents against Amazon's published layouts, read back with encoding/json; canonical texts of each kind; signatures verified with the
// certificate as subscribers do, and refused when anything that is signed was changed.
package envelope
