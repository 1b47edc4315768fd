// Package sigv4 reads and verifies the signatures of requests: AWS Signature Version 4, in a header and in the query of a URL.
//
// # What
//
// Parse says who signed a request, for which service and region, and when. Verify holds the signature against a secret and a clock that it
// is given. Keys keeps what is derived from secrets for a day.
//
// # Promises
//
// No I/O, no clock. Signatures are compared in constant time. A request that passed Verify has the method, the path, the query, the signed
// headers and the body that were signed (but UNSIGNED-PAYLOAD, which Verify is told whether to let pass); the headers that say where the
// request goes and what it asks for are among the signed ones. Refusals are Amazon's, word for word, and say nothing of the secret.
//
// # Imports
//
// The package above, for refusals; otherwise only the standard library.
//
// # Where to start
//
// Parse, Verify; canonical.go for what is signed.
//
// # How tested
//
// Vectors with the keys of Amazon's published suite; every capture of a real client in testdata/captures of the gateway is verified, and
// refused when anything of it that was signed is changed; fuzz targets.
package sigv4
