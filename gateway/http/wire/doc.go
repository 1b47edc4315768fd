// Package wire reads the heads of the busiest HTTP requests in bytes, those that publish or append events. Every other request is net/http's.
//
// # What
//
// Publish.Decode takes the head of a request of exactly one simple shape and says of all others that they are not its business.
//
// # Promises
//
// No I/O. What it takes, net/http takes too, and understands as the same: method, path, host, headers, content length. It never
// refuses: what is not simple is passed on, and is judged by net/http alone. One string is allocated for a head; names that are not
// spelled canonically may be one more each.
//
// # Imports
//
// Only the standard library.
//
// # Where to start
//
// Publish.Decode.
//
// # How tested
//
// Tables of what is taken and of what is not; a fuzz target that holds what is taken against http.ReadRequest and the checks of
// http.Server.
package wire
