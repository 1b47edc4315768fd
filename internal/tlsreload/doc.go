// Package tlsreload keeps a server's TLS certificate and client CA as new as the files they come from.
//
// # What
//
// Open reads the files, Config is a tls.Config that always answers with what was read last, and Run looks at the files again
// and again.
//
// # Promises
//
// TLS 1.2 at least. Files that cannot be read or do not fit together change nothing: the old certificate goes on being served and the
// log says what is wrong, once per change of the files. A handshake sees one certificate and one set of CAs, never a mixture.
// Connections that are open are not touched.
//
// # Imports
//
// Only the standard library and internal/clock. It reads files itself: they are the machine's, not ours, and small tools see no
// rooms.
//
// # Where to start
//
// Reloader.
//
// # How tested
//
// tlsreload_test.go: real files, real handshakes.
package tlsreload
