// Package schemaregistry is the REST API of Confluent's Schema Registry, version 8, over the contracts of a namespace.
//
// # Spec
//
// The API reference of Confluent's Schema Registry (subjects, schemas, config, mode, compatibility, contexts, metadata), and the serializers that
// use it. Beside it, and ours: /contracts, which streams and types of events keep to which subject, and /quarantine, what broke one.
//
//	route.go       paths to handlers; /contexts/{c}/… is the same path in a context
//	call.go        one request: login by Basic or Bearer, media types, body; answer.go: JSON
//	handle_*.go    one kind of resource per file
//	translate.go   what clients write ↔ contract/registry
//
// # Mapping
//
//	their word            ours
//	registry              contracts of the namespace of whoever logs in
//	subject, version, id  the same; a context is a part of a subject's name
//	config, mode          settings of contracts
//	data contract rules   kept and handed out; clients carry them out
//
// # Known gaps
//
// FORWARD mode, associations, exporters, the DEK registry and rules carried out by the server are not offered. compatibilityPolicy LOGICAL is refused.
// Protobuf texts have no comments when they come back.
//
// # Promises
//
// Every refusal has the status and error_code that Confluent's clients look for. Lists, bodies and texts are bounded. A change is durable when it is
// answered, and seen by the next request.
//
// # Imports
//
// broker, contract/registry, gateway.
//
// # Where to start
//
// route.go, then handle_version.go.
//
// # How tested
//
// gatewaytest; handlers against the real broker in memory; clienttest with real clients: franz-go's sr, and confluent-kafka for Python with its serializers;
// conformance/ecosystem with Confluent's serializers for Java.
package schemaregistry
