package amqp091

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"leat/broker"
	"leat/gateway/amqp091/wire"
)

// Types of queues.
const (
	typeClassic = "classic"
	typeQuorum  = "quorum"
	typeStream  = "stream"
)

// Arguments of queues.
const (
	argumentType         = "x-queue-type"
	argumentExpires      = "x-expires"
	argumentTTL          = "x-message-ttl"
	argumentLength       = "x-max-length"
	argumentBytes        = "x-max-length-bytes"
	argumentOverflow     = "x-overflow"
	argumentDeadExchange = "x-dead-letter-exchange"
	argumentDeadKey      = "x-dead-letter-routing-key"
	argumentPriorities   = "x-max-priority"
	argumentSingleActive = "x-single-active-consumer"
	argumentDeliveries   = "x-delivery-limit"
	argumentAge          = "x-max-age"
)

// queueArgument is one that means something. types are the kinds of queues that take it: c, q,
// s. check says what is wrong with a value, in RabbitMQ's words.
type queueArgument struct {
	name, types string
	check       func(v wire.Value, all wire.Table) string
}

var queueArguments = []queueArgument{
	{argumentExpires, "cq", checkExpires},
	{argumentTTL, "cq", checkTTL},
	{argumentDeadExchange, "cq", checkText},
	{argumentDeadKey, "cq", checkDeadKey},
	{"x-dead-letter-strategy", "q", oneOf("invalid_dlx_strategy", "at-most-once", "at-least-once")},
	{argumentLength, "cq", checkNatural},
	{argumentBytes, "cqs", checkNatural},
	{"x-max-in-memory-length", "q", checkNatural},
	{"x-max-in-memory-bytes", "q", checkNatural},
	{argumentPriorities, "c", checkPriorities},
	{argumentOverflow, "cq", oneOf("invalid_overflow", "drop-head", overflowReject, overflowBury)},
	{"x-queue-mode", "c", checkMode},
	{"x-queue-version", "c", checkVersion},
	{argumentSingleActive, "cq", checkBool},
	{argumentType, "cqs", checkType},
	{"x-quorum-initial-group-size", "q", checkPositive},
	{argumentAge, "s", checkAge},
	{"x-stream-max-segment-size-bytes", "s", checkNatural},
	{"x-initial-cluster-size", "s", checkPositive},
	{"x-queue-leader-locator", "qs", oneOf("invalid_queue_locator_arg", "client-local", "random", "least-leaders", "balanced")},
	{argumentDeliveries, "q", checkLimit},
	{"x-queue-master-locator", "c", oneOf("invalid_queue_locator_arg", "min-masters", "client-local", "random")},
}

// compared are the arguments of each type of queue in the order in which RabbitMQ says what is not the same.
var compared = map[string][]string{
	typeClassic: {
		argumentExpires, argumentTTL, argumentDeadExchange, argumentDeadKey, argumentLength, argumentBytes, argumentPriorities, argumentOverflow,
		"x-queue-mode", "x-queue-version", argumentSingleActive, "x-queue-master-locator",
	},
	typeQuorum: {
		argumentDeadExchange, argumentDeadKey, "x-dead-letter-strategy", argumentExpires, argumentLength, argumentBytes, "x-max-in-memory-length",
		"x-max-in-memory-bytes", argumentOverflow, argumentSingleActive, "x-quorum-initial-group-size", argumentDeliveries, argumentTTL, "x-queue-leader-locator",
	},
	typeStream: {argumentBytes, argumentAge, "x-stream-max-segment-size-bytes", "x-initial-cluster-size", "x-queue-leader-locator"},
}

// typeNames are the types of values in RabbitMQ's errors.
var typeNames = map[wire.Kind]string{
	wire.KindBool: "bool", wire.KindInt8: "byte", wire.KindUint8: "unsignedbyte", wire.KindInt16: "short", wire.KindUint16: "unsignedshort",
	wire.KindInt32: "signedint", wire.KindUint32: "unsignedint", wire.KindInt64: "long", wire.KindLong: "long", wire.KindFloat32: "float",
	wire.KindFloat64: "double", wire.KindDecimal: "decimal", wire.KindString: "longstr", wire.KindBytes: "binary", wire.KindTimestamp: "timestamp",
	wire.KindArray: "array", wire.KindTable: "table", wire.KindVoid: "void",
}

func unacceptable(v wire.Value) string { return "{unacceptable_type," + typeNames[v.Kind()] + "}" }

func checkInt(v wire.Value, _ wire.Table) string {
	if _, ok := v.Int(); !ok {
		return `"expected integer, got ` + typeNames[v.Kind()] + `"`
	}
	return ""
}

func checkNatural(v wire.Value, all wire.Table) string {
	if bad := checkInt(v, all); bad != "" {
		return bad
	}
	if n, _ := v.Int(); n < 0 {
		return fmt.Sprintf("{value_negative,%d}", n)
	}
	return ""
}

func checkPositive(v wire.Value, all wire.Table) string {
	if n, ok := v.Int(); ok && n == 0 {
		return "{value_zero,0}"
	}
	return checkNatural(v, all)
}

// Longest times to live, RabbitMQ's: a century for a message, as far as a timer goes for both.
const (
	timeToLiveMax = 10 * 365 * 24 * 60 * 60 * 1000
	prioritiesMax = 255
)

func checkTTL(v wire.Value, all wire.Table) string {
	if bad := checkNatural(v, all); bad != "" {
		return bad
	}
	if n, _ := v.Int(); n > timeToLiveMax {
		return fmt.Sprintf("{value_too_large,%d}", n)
	}
	return ""
}

func checkExpires(v wire.Value, all wire.Table) string {
	if n, ok := v.Int(); ok && n == 0 {
		return "{value_zero,0}"
	}
	return checkTTL(v, all)
}

func checkPriorities(v wire.Value, all wire.Table) string {
	if bad := checkNatural(v, all); bad != "" {
		return bad
	}
	if n, _ := v.Int(); n > prioritiesMax {
		return fmt.Sprintf("{max_value_exceeded,%d}", n)
	}
	return ""
}

func checkText(v wire.Value, _ wire.Table) string {
	if v.Kind() != wire.KindString {
		return unacceptable(v)
	}
	return ""
}

func checkBool(v wire.Value, _ wire.Table) string {
	if v.Kind() != wire.KindBool {
		return unacceptable(v)
	}
	return ""
}

// checkLimit takes what RabbitMQ takes: it does not look.
func checkLimit(wire.Value, wire.Table) string { return "" }

func checkDeadKey(v wire.Value, all wire.Table) string {
	if bad := checkText(v, all); bad != "" {
		return bad
	}
	if _, ok := all.Get(argumentDeadExchange); !ok {
		return "routing_key_but_no_dlx_defined"
	}
	return ""
}

func oneOf(otherwise string, values ...string) func(wire.Value, wire.Table) string {
	return func(v wire.Value, all wire.Table) string {
		if bad := checkText(v, all); bad != "" {
			return bad
		}
		if s, _ := v.Text(); !slices.Contains(values, string(s)) {
			return otherwise
		}
		return ""
	}
}

func checkMode(v wire.Value, all wire.Table) string {
	if bad := checkText(v, all); bad != "" {
		return bad
	}
	if s, _ := v.Text(); string(s) != "default" && string(s) != "lazy" {
		return `"unsupported queue mode '` + string(s) + `'"`
	}
	return ""
}

func checkVersion(v wire.Value, all wire.Table) string {
	if bad := checkInt(v, all); bad != "" {
		return bad
	}
	if n, _ := v.Int(); n != 1 && n != 2 {
		return fmt.Sprintf(`"unsupported queue version '%d'"`, n)
	}
	return ""
}

func checkType(v wire.Value, all wire.Table) string {
	if bad := checkText(v, all); bad != "" {
		return bad
	}
	switch s, _ := v.Text(); string(s) {
	case typeClassic, typeQuorum, typeStream:
		return ""
	default:
		return `"unsupported queue type '` + string(s) + `'"`
	}
}

var anAge = regexp.MustCompile(`^([0-9]{1,9})([YMDhms])$`)

func checkAge(v wire.Value, all wire.Table) string {
	if bad := checkText(v, all); bad != "" {
		return bad
	}
	if s, _ := v.Text(); !anAge.Match(s) {
		return "invalid_max_age"
	}
	return ""
}

// ageMS reads an age that was checked, as 7D; or, with seconds, one as 1h of a consumer's x-stream-offset.
func ageMS(s string) (int64, bool) {
	m := anAge.FindStringSubmatch(s)
	if m == nil {
		return 0, false
	}
	n, _ := strconv.ParseInt(m[1], 10, 64)
	unit := map[string]int64{"s": 1, "m": 60, "h": 3600, "D": 86_400, "M": 30 * 86_400, "Y": 365 * 86_400}[m[2]]
	return min(n*unit*1000, ageMaxMS), true
}

const ageMaxMS = 100 * 366 * 24 * 60 * 60 * 1000

// queueType is the type that a declaration asks for.
func queueType(t wire.Table) string {
	if v, ok := t.Get(argumentType); ok {
		if s, ok := v.Text(); ok {
			return string(s)
		}
	}
	return typeClassic
}

// checkQueue refuses what cannot be declared, in RabbitMQ's words and order.
func (k *conn) checkQueue(name string, m *wire.QueueDeclare) error {
	refuse := func(format string, args ...any) error {
		return &wire.Error{Code: wire.PreconditionFailed, Method: m.ID(), Text: fmt.Sprintf(format, args...)}
	}
	if v, ok := m.Arguments.Get(argumentType); ok {
		if bad := checkType(v, m.Arguments); bad != "" {
			return refuse("invalid arg '%s' for queue '%s' in vhost '%s': %s", argumentType, name, k.vhost(), bad)
		}
	}
	kind := queueType(m.Arguments)
	for _, a := range queueArguments {
		if _, ok := m.Arguments.Get(a.name); ok && !strings.Contains(a.types, kind[:1]) {
			return refuse("invalid arg '%s' for queue '%s' in vhost '%s' of queue type rabbit_%s_queue", a.name, name, k.vhost(), kind)
		}
	}
	for _, a := range queueArguments {
		v, ok := m.Arguments.Get(a.name)
		if !ok {
			continue
		}
		if a.name == argumentDeadExchange && v.Kind() != wire.KindString {
			return refuse("invalid type '%s' for arg '%s' in queue '%s' in vhost '%s'", typeNames[v.Kind()], a.name, name, k.vhost())
		}
		if bad := a.check(v, m.Arguments); bad != "" {
			return refuse("invalid arg '%s' for queue '%s' in vhost '%s': %s", a.name, name, k.vhost(), bad)
		}
	}
	if kind == typeClassic {
		return nil
	}
	for _, p := range []struct {
		on   bool
		what string
	}{{!m.Durable, "non-durable"}, {m.AutoDelete, "auto-delete"}, {m.Exclusive, "exclusive-owner"}} {
		if p.on {
			return refuse("invalid property '%s' for queue '%s' in vhost '%s'", p.what, name, k.vhost())
		}
	}
	if len(m.Queue) == 0 {
		return refuse("Cannot declare a server-named queue for type rabbit_%s_queue", kind)
	}
	return nil
}

// otherwise says how what was declared differs from what is there, "" when it does not.
func otherwise(name string, is, asked wire.Table) string {
	v, had := is.Get(name)
	w, has := asked.Get(name)
	switch {
	case !had && !has:
		return ""
	case !had:
		return fmt.Sprintf("received the value '%s' of type '%s' but current is none", plain(w), typeNames[w.Kind()])
	case !has:
		return fmt.Sprintf("received none but current is the value '%s' of type '%s'", plain(v), typeNames[v.Kind()])
	case v.Equal(w):
		return ""
	}
	return fmt.Sprintf("received '%s' but current is '%s'", plain(w), plain(v))
}

func plain(v wire.Value) string {
	if s, ok := v.Text(); ok {
		return text(s)
	}
	return fmt.Sprint(toldValue(v))
}

// What x-overflow says, beside drop-head.
const (
	overflowReject = "reject-publish"
	overflowBury   = "reject-publish-dlx"
)

// Words of a policy.
const (
	leaseMS      = 12 * 60 * 60 * 1000 // acknowledgements have no deadline in this protocol, so a lease is as long as there are
	lanesMax     = 32
	neverHeld    = 50 // ms: a time to live of 0 is for whoever waits; so long it may take to come to him
	nothing      = 1  // bytes, less than any message has: with that limit none waits
	undertakerID = "amqp091"
)

// holdsNothing reports whether messages are only for who waits for them: who asks, gets none.
func (q *queue) holdsNothing() bool {
	for _, name := range []string{argumentTTL, argumentLength, argumentBytes} {
		if v, ok := q.get(name); ok {
			if n, ok := v.Int(); ok && n == 0 {
				return true
			}
		}
	}
	return false
}

// setPolicy is what the arguments of a queue say, which were checked.
func setPolicy(c *broker.SubscriptionConfig, kind string, t wire.Table) {
	number := func(name string) (int64, bool) {
		v, ok := t.Get(name)
		n, is := v.Int()
		return n, ok && is
	}
	word := func(name string) string {
		v, _ := t.Get(name)
		s, _ := v.Text()
		return string(s)
	}
	p := &c.Policy
	p.LeaseMS = leaseMS
	if ms, ok := number(argumentTTL); ok {
		p.TTLMS = max(ms, neverHeld)
	}
	if n, ok := number(argumentLength); ok {
		if p.LengthMax = n; n == 0 {
			p.BytesMax = nothing
		}
	}
	if n, ok := number(argumentBytes); ok && p.BytesMax == 0 {
		p.BytesMax = max(n, nothing)
	}
	if strings.HasPrefix(word(argumentOverflow), overflowReject) {
		p.Overflow = broker.OverflowRejectAppend
	}
	if n, ok := number(argumentPriorities); ok && n > 0 {
		p.Priorities = int32(min(n+1, lanesMax))
	}
	if n, ok := number(argumentDeliveries); ok && n >= 0 {
		p.AttemptsMax = int32(min(n+1, attemptsMax))
	}
	if v, ok := t.Get(argumentSingleActive); ok {
		if on, _ := v.Bool(); on {
			p.Members = broker.MembersSingleActive
		}
	}
	if ms, ok := ageMS(word(argumentAge)); ok && kind == typeStream {
		p.TTLMS = max(ms, neverHeld)
	}
	if _, ok := t.Get(argumentDeadExchange); ok {
		c.Undertaker = undertakerID
		p.Expires = true // what has a time to live of its own is due without anybody who looks
	}
}

const attemptsMax = 60_000
