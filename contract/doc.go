// Package contract is the promise about payloads: schemas, whether one may follow another, and whether a payload keeps to one.
//
// # What
//
//	contract.go      Format and Schema, what a format has to do; references between schemas
//	difference.go    what stands between two schemas, with the place and a sentence for people
//	field.go         a named place in a payload, with its tags
//	reads.go         what a change of a schema does to somebody who reads certain fields
//	level.go         the seven compatibility levels, and Check, which applies one
//	frame.go         how a payload names its schema: five bytes before it, or a header beside it
//	avro/ jsonschema/ protobuf/   the formats; jsontree/ is JSON that keeps its order
//	registry/        subjects, versions and ids, folded from documents
//
// # Promises
//
// Pure: no I/O, no clock, no goroutine, nothing shared; a Schema never changes and may be used by many. Texts come from strangers: what they can
// cost is bounded by named limits, and no text makes anything here panic. A refusal says where in the schema or payload, and why.
//
// # Imports
//
// Nothing of ours but internal tools.
//
// # Where to start
//
// Schema in contract.go, then avro/.
//
// # How tested
//
// Tables of our own with the verdicts of Avro's specification and of Confluent's registry; fuzz targets for every parser and validator.
package contract
