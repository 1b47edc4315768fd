// Package oidc checks access tokens of an OpenID provider, for logins by SASL OAUTHBEARER.
//
// # What
//
// JSON Web Tokens (RFC 7519) that are signed with a key of the provider's set (JWKS, RFC 7517): RS, PS and ES with SHA-256, 384 and 512, and
// EdDSA. Issuer, audience, expiry and not-before are checked; one claim is the user.
//
// # Promises
//
// A token without a signature, or with one by a shared secret, is refused whatever it says. Keys are fetched when a token names one that is
// not known, at most every few seconds, and again when they are old; while the provider cannot be reached, those that are known go on.
//
// # Imports
//
// github.com/golang-jwt/jwt/v5, internal/clock.
//
// # Where to start
//
// Verifier.Verify; keys.go reads sets of keys.
//
// # How tested
//
// Tokens made with the same library, against a provider in the test; a fuzz target for sets of keys.
package oidc
