package tidy

import (
	"fmt"
	"path"
	"strings"
)

// Room is a folder of the house, and whom it may see.
//
// Paths are folders of the module; a last element * stands for any one name, and ** for the folder itself and everything below it.
type Room struct {
	Path string
	What string   // one line for ARCHITECTURE.md
	May  []string // which of our own packages it may import, besides what lies below itself
	Test []string // what its tests may import as well
}

// Small tools that every room may use. They import nothing but each other.
var tools = []string{"internal/*"}

// world is what the assembly sees: everything.
var world = []string{"**"}

// door is all that a gateway, a view or a flow sees of the core. (filter is vocabulary: what a client asks for is compiled to its predicates.)
var door = []string{"broker", "broker/record", "broker/fault", "broker/filter", "broker/filter/address"}

// core is what tests use to have the real broker: no mocks of our own packages.
var core = []string{"broker/**", "storage/**", "node"}

// vocabulary is what a machine is made of: values and pure functions.
var vocabulary = []string{"broker/record", "broker/fault", "broker/fact", "broker/filter", "broker/filter/address"}

// Table is the import law: down only, siblings never. A folder that has no room here is refused.
//
// A room may import the rooms named in May, what lies below itself, and the small tools. Everything else is refused, so a new need is a
// decision somebody has to take here, in sight.
var Table = []Room{
	{Path: "cmd/leat", What: "the binary: commands, and the list of protocols in it", May: world},
	{Path: "node", What: "assembly: configuration → running parts, start and stop order", May: world},
	{Path: "sim", What: "deterministic simulation: seeded world, fault plans, checkers", May: world},

	{Path: "broker", What: "the one way in: name, permission, contract, quota, metrics",
		May: []string{"broker/**", "contract", "contract/registry", "contract/usage", "contract/coupling", "contract/lint", "contract/asyncapi", "storage/journal", "storage/state", "storage/segment", "storage/keys", "storage/archive"}, Test: []string{"storage/**"}},
	{Path: "broker/fault", What: "vocabulary: the closed set of refusals"},
	{Path: "broker/record", What: "vocabulary: records, batches, CloudEvents attributes; the one stored encoding", May: []string{"broker/fault"}},
	{Path: "broker/fact", What: "vocabulary: what was decided, and its encoding in the journal", May: []string{"broker/record", "broker/fault"}},
	{Path: "broker/filter", What: "vocabulary: predicates over records, address and content", May: []string{"broker/record", "broker/fault"}},
	{Path: "broker/filter/address", What: "vocabulary: which subscriptions a record's address reaches", May: []string{"broker/record", "broker/fault"}},
	{Path: "broker/shard", What: "journal + state + the decide loop: propose, commit, evolve, recover, snapshot",
		May: append([]string{"broker/stream", "broker/subscription", "broker/catalog", "broker/access",
			"storage/journal", "storage/state", "storage/segment", "storage/keys"}, vocabulary...), Test: []string{"storage/**"}},
	{Path: "broker/stream", What: "machine: append conditions, offsets, producers, reading",
		May: append([]string{"storage/state"}, vocabulary...), Test: []string{"storage/state/**", "storage/vfs/**"}},
	{Path: "broker/subscription", What: "machine: cursor, lease, ack, attempts, delay, dead letter",
		May: append([]string{"storage/state"}, vocabulary...), Test: []string{"storage/state/**", "storage/vfs/**"}},
	{Path: "broker/catalog", What: "machine: named things, gateway-owned documents, compare-and-set",
		May: append([]string{"storage/state"}, vocabulary...), Test: []string{"storage/state/**", "storage/vfs/**"}},
	{Path: "broker/access", What: "machine: principals, grants, quotas; pure decisions",
		May: append([]string{"storage/state"}, vocabulary...), Test: []string{"storage/state/**", "storage/vfs/**"}},

	{Path: "storage/vfs", What: "the only way to the disk; contract"},
	{Path: "storage/vfs/*", What: "os, memory with crash clones, faulty; the suite", May: []string{"storage/vfs", "storage/vfs/*"}},
	{Path: "storage/journal", What: "the log engine: contract", May: []string{"storage/vfs"}},
	{Path: "storage/journal/*", What: "disk, memory; journaltest, the suite all engines pass",
		May: []string{"storage/journal", "storage/vfs"}, Test: []string{"storage/journal/*", "storage/vfs/**"}},
	{Path: "storage/state", What: "current state as an ordered key space; the registry of prefixes", May: []string{"storage/vfs"}},
	{Path: "storage/state/*", What: "pebble, memory; the suite both pass",
		May: []string{"storage/state", "storage/vfs"}, Test: []string{"storage/state/*", "storage/vfs/**"}},
	{Path: "storage/segment", What: "immutable files of batches, sorted by (stream, partition, offset); manifest", May: []string{"storage/vfs"}, Test: []string{"storage/vfs/**"}},
	{Path: "storage/keys", What: "where the records of a key lie: a chunk in memory, and sorted files", May: []string{"storage/vfs"}, Test: []string{"storage/vfs/**"}},
	{Path: "storage/archive", What: "frames and checkpoints shipped to another place, and brought back", May: []string{"storage/vfs", "storage/journal"}, Test: []string{"storage/vfs/**", "storage/journal/**"}},
	{Path: "storage/archive/*", What: "a folder, an S3-compatible store; archivetest, the suite both pass",
		May: []string{"storage/archive", "storage/vfs"}, Test: []string{"storage/archive/*", "storage/vfs/**", "storage/journal/**"}},

	{Path: "contract", What: "the promise about payloads, pure: schemas, compatibility, validation"},
	{Path: "contract/jsontree", What: "JSON that keeps its order"},
	{Path: "contract/*", What: "one format of schemas each", May: []string{"contract", "contract/jsontree"}},
	{Path: "contract/lint", What: "whether the schema of an event says enough: rules, with reasons and advice", May: []string{"contract"}, Test: []string{"contract/*"}},
	{Path: "contract/coupling", What: "how services hang together, from what they produce and consume"},
	{Path: "contract/asyncapi", What: "streams, types and who uses them as an AsyncAPI document"},
	{Path: "contract/usage", What: "who produces and consumes which type of event, as it was seen: the ledger, in bounded memory"},
	{Path: "contract/registry", What: "subjects, versions and ids of a namespace: decides what is to be recorded", May: []string{"contract", "contract/*"}},

	{Path: "push", What: "subscriptions handed to endpoints of others over HTTP: webhooks out", May: door, Test: append([]string{"gateway", "gateway/http"}, core...)},

	{Path: "link", What: "topics of a Kafka cluster copied with their offsets, until the switch", May: door, Test: append([]string{"node"}, core...)},

	{Path: "gateway", What: "the Gateway interface and the connection harness", May: door, Test: append([]string{"gateway/gatewaytest"}, core...)},
	{Path: "gateway/gatewaytest", What: "the suite that every gateway passes", May: append([]string{"gateway"}, core...)},
	{Path: "gateway/*", What: "one protocol each",
		May: append([]string{"gateway"}, door...), Test: append([]string{"gateway/gatewaytest"}, core...)},
	{Path: "gateway/http", What: "HTTP: CloudEvents, subscriptions, webhooks in; what can be set about webhooks out",
		May: append([]string{"gateway", "link", "push"}, door...), Test: append([]string{"gateway/gatewaytest", "contract/registry"}, core...)},
	{Path: "gateway/schemaregistry", What: "the REST API of Confluent's Schema Registry, over contracts",
		May: append([]string{"gateway", "contract", "contract/registry"}, door...), Test: append([]string{"gateway/gatewaytest"}, core...)},
	{Path: "gateway/rabbitmq", What: "RabbitMQ's management API, about what AMQP clients have made: another door to the rooms of amqp091",
		May: append([]string{"gateway", "gateway/amqp091", "gateway/amqp091/wire"}, door...), Test: append([]string{"gateway/gatewaytest"}, core...)},
	{Path: "gateway/*/**", What: "its codec (`wire`: bytes ↔ values, no I/O) and other parts that only it uses", Test: append([]string{"gateway/gatewaytest"}, core...)},

	{Path: "internal/kafkagroup", What: "which subscription stands for which group of Kafka", May: append([]string{"broker/record"}, tools...)},
	{Path: "internal/*", What: "small tools: clock, assert, crc32c (checksums joined), outbound (HTTP to others), hooks (signatures of webhooks), tally, tidy (this law, as tests)", May: tools},
}

// roomOf returns the room of a folder: the most exact match.
func roomOf(dir string) (Room, bool) {
	best, found := Room{}, false
	for _, r := range Table {
		if match(r.Path, dir) && (!found || exactness(r.Path) > exactness(best.Path)) {
			best, found = r, true
		}
	}
	return best, found
}

func exactness(pattern string) int {
	return 2*strings.Count(pattern, "/") + 2 - strings.Count(pattern, "*")
}

// match reports whether a folder fits a pattern of the table.
func match(pattern, dir string) bool {
	if pattern == "**" || pattern == dir {
		return true
	}
	if base, ok := strings.CutSuffix(pattern, "/**"); ok {
		parts, want := strings.Split(dir, "/"), strings.Count(base, "/")+1
		return len(parts) >= want && match(base, strings.Join(parts[:want], "/"))
	}
	ok, err := path.Match(pattern, dir)
	return err == nil && ok
}

// mayImport says whether a file of folder from may import folder to, and when not, why and what to do.
func mayImport(from, to string, test bool) error {
	room, ok := roomOf(from)
	if !ok {
		return fmt.Errorf("folder %s has no room in the table: add it to internal/tidy/table.go with what it is for and whom it may see", from)
	}
	may := append(append([]string{}, tools...), room.May...)
	if test {
		may = append(may, room.Test...)
	}
	for _, p := range may {
		if match(p, to) {
			return nil
		}
	}
	if strings.HasPrefix(to, from+"/") && (!strings.HasSuffix(to, "test") || test) {
		return nil // what lies below itself
	}
	if owner, _, ok := strings.Cut(strings.TrimPrefix(from, "gateway/"), "/"); ok && strings.HasPrefix(from, "gateway/") &&
		strings.HasPrefix(to, "gateway/"+owner+"/") {
		return nil // parts of one gateway see each other
	}
	return fmt.Errorf("%s imports %s, which the import law does not allow (%s). %s", from, to, lawOf(room), advice(from, to))
}

func lawOf(r Room) string {
	if len(r.May) == 0 {
		return r.Path + " sees only the small tools and what lies below itself"
	}
	return r.Path + " sees only " + strings.Join(r.May, " ")
}

// advice says where the need that led to a forbidden import belongs instead.
func advice(from, to string) string {
	switch {
	case strings.HasPrefix(from, "gateway/") && strings.HasPrefix(to, "gateway/"):
		return "Gateways do not know one another: go through broker, or move what both need to gateway or internal"
	case strings.HasPrefix(from, "gateway"):
		return "A gateway asks broker: add a method there that has no protocol words"
	case strings.HasPrefix(from, "storage"):
		return "Storage knows bytes: have the caller pass what is needed as bytes or a function"
	case strings.HasPrefix(from, "broker/"):
		return "Machines do not know one another: let shard or broker hand over the value"
	case strings.HasPrefix(from, "internal/"):
		return "A small tool knows nothing of Leat: move the code to the room whose word it uses"
	}
	return "Move the code to the room that may, or decide in sight that the table changes"
}
