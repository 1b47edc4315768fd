package lint

import (
	"slices"
	"strings"
	"unicode"

	"leat/contract"
)

// words cuts a name where its style does: customerID, customer_id and customer-id are customer and id.
func words(name string) (out []string) {
	var word []rune
	flush := func() {
		if len(word) > 0 {
			out = append(out, strings.ToLower(string(word)))
			word = word[:0]
		}
	}
	rs := []rune(name)
	for i, r := range rs {
		switch {
		case !unicode.IsLetter(r) && !unicode.IsDigit(r):
			flush()
			continue
		case unicode.IsUpper(r) && i > 0 && (unicode.IsLower(rs[i-1]) || i+1 < len(rs) && unicode.IsLower(rs[i+1]) && unicode.IsUpper(rs[i-1])):
			flush()
		}
		word = append(word, r)
	}
	flush()
	return out
}

// last is the last name of a path.
func last(path string) string {
	path = contract.PlainPath(path)
	return path[strings.LastIndexByte(path, '.')+1:]
}

// depth is how many names stand before it.
func depth(path string) int { return strings.Count(contract.PlainPath(path), ".") }

// has reports whether a name has one of the words, or some of them one after the other, as "e mail".
func has(name string, list []string) bool {
	ws := words(name)
	all := " " + strings.Join(ws, " ") + " "
	return slices.ContainsFunc(list, func(w string) bool { return strings.Contains(all, " "+w+" ") })
}

// glued is a name without what separates its words.
func glued(name string) string { return strings.Join(words(name), "") }

var (
	idWords   = []string{"id", "uuid", "guid", "key", "number", "no", "code", "sku", "iban", "urn", "ref", "reference", "ids"}
	timeWords = []string{"time", "timestamp", "date", "at", "on", "when", "occurred", "created", "ts"}

	correlationNames = []string{"correlationid", "causationid", "traceparent", "traceid", "requestid", "commandid", "conversationid", "sagaid", "parentid", "causedby"}

	// genericNames say nothing of what is in them.
	genericNames = []string{"data", "payload", "body", "content", "value", "values", "info", "details", "object", "item", "attributes", "properties", "params", "misc", "extra", "blob", "json", "stuff"}

	// vagueVerbs say that something happened, and not what.
	vagueVerbs = []string{"changed", "updated", "modified", "edited", "event", "happened", "occurred", "upserted", "saved", "synced", "notification", "message"}

	typeNames    = []string{"type", "eventtype", "kind", "eventname", "event", "messagetype", "name"}
	versionNames = []string{"version", "schemaversion", "eventversion", "specversion", "v", "revision"}

	unitWords = []string{
		"ms", "s", "sec", "secs", "seconds", "second", "minutes", "minute", "min", "hours", "hour", "days", "day", "weeks", "months", "years", "us", "ns", "millis", "micros", "nanos",
		"bytes", "kb", "mb", "gb", "kib", "mib", "gib", "bits", "percent", "pct", "ratio", "cents", "cent", "minor", "eur", "usd", "gbp", "chf",
		"g", "kg", "mg", "mm", "cm", "m", "km", "meters", "metres", "miles", "celsius", "c", "fahrenheit", "kelvin", "watts", "w", "kw", "kwh", "volts", "amps", "bar", "psi", "liters", "litres", "l", "ml",
	}
	needUnit  = []string{"duration", "timeout", "delay", "interval", "ttl", "age", "latency", "elapsed", "size", "length", "weight", "width", "height", "depth", "distance", "temperature", "speed", "volume", "power", "energy"}
	moneyWord = []string{"amount", "price", "total", "cost", "fee", "tax", "balance", "salary", "subtotal", "discount", "charge", "payment"}
	currency  = []string{"currency", "currencycode", "ccy"}

	// piiWords are names of what is about a person.
	piiWords = []string{
		"email", "e mail", "mail", "phone", "mobile", "telephone", "fax", "firstname", "first name", "lastname", "last name", "surname", "given name", "family name", "full name", "fullname", "maiden name",
		"birthday", "birthdate", "birth date", "date of birth", "dob", "ssn", "social security", "passport", "national id", "tax id", "driver license", "drivers license", "license plate",
		"street", "postcode", "postal code", "zip", "zip code", "iban", "card number", "credit card", "pan", "cvv", "cvc", "ip", "ip address", "ipaddress", "latitude", "longitude", "geolocation",
		"gender", "religion", "ethnicity", "diagnosis", "health", "password", "passwort", "secret", "token", "username", "user name", "login",
	}
	numbers = []string{"int", "long", "float", "double", "int32", "int64", "uint32", "uint64", "sint32", "sint64", "fixed32", "fixed64", "sfixed32", "sfixed64", "number", "integer"}
)
