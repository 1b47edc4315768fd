// Package hooks is what webhooks have besides HTTP: signatures, and the handshakes by which an endpoint consents.
//
// # What
//
// A Signer signs what goes out as Standard Webhooks asks. A Verifier checks what comes in: Standard Webhooks, GitHub, Stripe, Slack, or a plain
// HMAC by configuration; it tells the id by which the sender knows the event, so that it is stored once. The handshakes of CloudEvents
// and of Event Grid are here for both sides, and Slack's challenge.
//
//	key.go, mac.go       whsec_, whsk_ and whpk_ keys
//	sign.go              Signer; the headers of Standard Webhooks, drawn
//	verify.go            Verifier; the table of schemes; refusal.go why not
//	standard.go, stripe.go, plain.go   how each scheme is read
//	consent.go           CloudEvents' OPTIONS, both sides
//	eventgrid.go, slack.go             their validations
//
// # Promises
//
// Everything is a function of what is given: no clock, no network, no memory of earlier requests. Random bytes are drawn for new keys only.
//
// Signatures are compared in constant time. A time that is signed must be within the tolerance, either way. A template in which two requests
// could be the same bytes is refused when it is configured, an id that would blur the parts when it comes. Several secrets may be
// good at once, for signing and for checking. A Refusal says which header and why, and no secret. What has no signed time (GitHub, many
// plain HMACs) cannot be told from the same request sent again: only the id helps, as far as it is signed (Verified.IDSigned).
//
// # Imports
//
// The standard library.
//
// # Where to start
//
// NewSigner, New.
//
// # How tested
//
// The vectors that the specification's libraries, GitHub and Slack publish, and one of a sender that uses ed25519; what those libraries refuse;
// every bit of a signed request changed; fuzzed verifiers and handshakes.
package hooks
