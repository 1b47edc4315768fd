package lint

import (
	"slices"
	"strings"

	"leat/contract"
)

// rule is one thing that is looked for.
type rule struct {
	name     string
	severity Severity
	what     string // what is right, in a sentence
	do       string
	find     func(in *Input) []Finding
}

// rules are all there are, in the order of a report.
var rules []rule

func init() {
	rules = []rule{
		{"identity", Error, "An event says what it is about: the id of an order, a customer, a device.", "add the id of what the event is about", identity},
		{"time", Warning, "An event says when it happened, which is not when it was sent.", "add a time such as occurred_at, or send CloudEvents, whose time says it", noTime},
		{"correlation", Info, "An event can be followed to what caused it.", "add correlation_id and causation_id, or the CloudEvents extensions of these names, or traceparent", correlation},
		{"context", Warning, "An event says enough that its readers need not call back for the rest.", "add what readers need to know: the state after the event, or at least what has changed", context},
		{"type-and-version", Info, "An event says its type and the version of its schema.", "send CloudEvents (type), and the schema's id in front of the payload or in dataschema", typeAndVersion},
		{"units", Warning, "A number says its unit.", "end the name with the unit (_ms, _bytes, _kg); money has a currency beside it", units},
		{"enum-open", Warning, "A reader lives on when a value is added to an enum.", "Avro: give the enum a default; JSON Schema: use a string and list the known values in its description; Protobuf: a zero value UNSPECIFIED", openEnum},
		{"nullable", Warning, "Most fields of an event are always there: what happened is known.", "make required what is always known; give events that know less a type of their own", nullable},
		{"generic-name", Warning, "A name says what is in it.", "", genericName},
		{"vague-type", Warning, "The name of an event says what happened, not that something did.", "say what happened: order.shipped, not order.updated", vagueType},
		{"pii", Error, "What is about a person is marked, so that who reads it can be known.", `tag it: "confluent:tags": ["PII"] in the schema, or in its metadata; tag it "not-pii" where it is none`, pii},
		{"free-form", Info, "Everything in an event has a schema.", "say which members it has", freeForm},
		{"depth", Info, "An event is flat enough to be read.", "give what nests so deep an event or a schema of its own", tooDeep},
	}
}

// Rule tells of one rule.
type Rule struct {
	Name     string   `json:"name"`
	Severity Severity `json:"severity"`
	What     string   `json:"what"`
	Do       string   `json:"do,omitempty"`
}

// Rules are all there are.
func Rules() []Rule {
	out := make([]Rule, 0, len(rules))
	for _, r := range rules {
		out = append(out, Rule{r.name, r.severity, r.what, r.do})
	}
	return out
}

func isID(f *contract.Field) bool { return has(last(f.Path), idWords) || f.Type == "uuid" }

func isTime(f *contract.Field) bool {
	if slices.Contains([]string{"date-time", "date", "timestamp-millis", "timestamp-micros", "timestamp-nanos", "local-timestamp-millis", "local-timestamp-micros", "google.protobuf.Timestamp"}, f.Type) {
		return true
	}
	ws := words(last(f.Path))
	return len(ws) > 0 && (slices.Contains(timeWords, ws[len(ws)-1]) || slices.Contains(timeWords, ws[0]))
}

func isCorrelation(f *contract.Field) bool {
	return slices.Contains(correlationNames, glued(last(f.Path)))
}

func identity(in *Input) []Finding {
	for i := range in.Fields {
		f := &in.Fields[i]
		if isID(f) && !isCorrelation(f) && !slices.Contains([]string{"eventid", "messageid"}, glued(last(f.Path))) {
			return nil
		}
	}
	return []Finding{at("", "no field is the id of what the event is about")}
}

func noTime(in *Input) []Finding {
	if in.Envelope || slices.ContainsFunc(in.Fields, func(f contract.Field) bool { return isTime(&f) }) {
		return nil
	}
	return []Finding{at("", "no field says when it happened")}
}

func correlation(in *Input) []Finding {
	known := func(name string) bool { return slices.Contains(correlationNames, glued(name)) }
	if slices.ContainsFunc(in.Has, known) || slices.ContainsFunc(in.Fields, func(f contract.Field) bool { return isCorrelation(&f) }) {
		return nil
	}
	return []Finding{at("", "nothing says which request or event caused it")}
}

func context(in *Input) []Finding {
	rest := 0
	for i := range in.Fields {
		f := &in.Fields[i]
		if !isID(f) && !isTime(f) && !isCorrelation(f) && !slices.Contains(typeNames, glued(last(f.Path))) && !slices.Contains(versionNames, glued(last(f.Path))) {
			rest++
		}
	}
	if len(in.Fields) == 0 || rest > 0 {
		return nil
	}
	return []Finding{at("", "it has ids and times only: everybody who reads it has to ask its producer for the rest")}
}

func typeAndVersion(in *Input) (out []Finding) {
	if in.Envelope {
		return nil
	}
	top := func(names []string) bool {
		return slices.ContainsFunc(in.Fields, func(f contract.Field) bool { return depth(f.Path) <= 1 && slices.Contains(names, glued(last(f.Path))) })
	}
	if !top(typeNames) && in.Name == "" {
		out = append(out, at("", "neither the schema nor a field says which type of event it is"))
	}
	if !top(versionNames) {
		out = append(out, at("", "no field says which version of the schema it was written with"))
	}
	return out
}

func units(in *Input) (out []Finding) {
	money := slices.ContainsFunc(in.Fields, func(f contract.Field) bool {
		return slices.Contains(currency, glued(last(f.Path))) || has(last(f.Path), currency)
	})
	for i := range in.Fields {
		f := &in.Fields[i]
		name := last(f.Path)
		if !slices.Contains(numbers, f.Type) && f.Type != "decimal" || has(name, unitWords) || f.Doc != "" && has(f.Doc, unitWords) {
			continue
		}
		switch {
		case has(name, needUnit) && !has(name, []string{"count", "number"}):
			out = append(out, at(f.Path, "a number, and nothing says in which unit"))
		case has(name, moneyWord) && !money && !has(name, []string{"count", "number", "id", "items", "quantity"}):
			out = append(out, at(f.Path, "looks like money, and nothing says in which currency"))
		}
	}
	return out
}

func openEnum(in *Input) (out []Finding) {
	for i := range in.Fields {
		if f := &in.Fields[i]; len(f.Enum) > 1 && !f.Open && !constant(f) {
			out = append(out, at(f.Path, "an enum of %d values: one more breaks whoever reads with this version", len(f.Enum)))
		}
		if f := &in.Fields[i]; in.Format == "PROTOBUF" && f.Open && len(f.Enum) > 0 && !slices.ContainsFunc([]string{"UNSPECIFIED", "UNKNOWN"}, func(s string) bool { return strings.HasSuffix(f.Enum[0], s) }) {
			out = append(out, at(f.Path, "its zero value is %s, so a reader cannot tell that from a value that was left out or that it does not know", f.Enum[0]))
		}
	}
	return out
}

// constant reports an enum that is a way to write a boolean.
func constant(f *contract.Field) bool { return f.Type == "boolean" }

const (
	nullableLeast = 4   // fields that an event has for the rule to count
	nullablePart  = 0.8 // of them that may be missing
)

func nullable(in *Input) []Finding {
	if in.Format == "PROTOBUF" && !slices.ContainsFunc(in.Fields, func(f contract.Field) bool { return f.Nullable }) {
		return nil // proto3 knows nothing that must be there
	}
	n, all := 0, 0
	for i := range in.Fields {
		f := &in.Fields[i]
		if depth(f.Path) > 0 {
			continue
		}
		all++
		if f.Nullable || !f.Required && in.Format == "JSON" {
			n++
		}
	}
	if all < nullableLeast || float64(n) < nullablePart*float64(all) {
		return nil
	}
	return []Finding{at("", "%d of %d fields may be null or missing: a reader can count on next to nothing", n, all)}
}

func genericName(in *Input) (out []Finding) {
	for i := range in.Fields {
		if f := &in.Fields[i]; slices.Contains(genericNames, glued(last(f.Path))) {
			x := at(f.Path, "%q does not say what is in it", last(f.Path))
			x.Do = "call it by what it is"
			out = append(out, x)
		}
	}
	return out
}

func vagueType(in *Input) []Finding {
	ws := words(in.Name)
	for len(ws) > 1 && (ws[len(ws)-1] == "event" || strings.Trim(ws[len(ws)-1], "v0123456789") == "") { // OrderShippedEvent, order.shipped.v1
		ws = ws[:len(ws)-1]
	}
	if len(ws) == 0 || !slices.Contains(vagueVerbs, ws[len(ws)-1]) {
		return nil
	}
	if slices.ContainsFunc(in.Fields, func(f contract.Field) bool {
		return slices.Contains([]string{"changes", "changedfields", "before", "old", "previous", "diff", "patch", "reason"}, glued(last(f.Path)))
	}) {
		return nil // it says what has changed
	}
	return []Finding{at("", "%q says that something happened, not what", in.Name)}
}

// marked are tags by which somebody has said what a field is, also that it is nothing personal.
func marked(f *contract.Field) bool {
	return len(f.Tags) > 0
}

func pii(in *Input) (out []Finding) {
	under := ""
	for i := range in.Fields {
		f := &in.Fields[i]
		path := contract.PlainPath(f.Path)
		if under != "" && strings.HasPrefix(path, under+".") {
			continue // what is marked is marked with all that is in it
		}
		if under = ""; marked(f) {
			under = path
			continue
		}
		name := last(f.Path)
		if f.Type == "email" || f.Type == "ipv4" || f.Type == "ipv6" || has(name, piiWords) || slices.Contains(piiWords, glued(name)) {
			if len(f.Enum) == 0 && f.Type != "boolean" && f.Type != "bool" && !strings.HasSuffix(glued(name), "id") || has(name, []string{"national id", "tax id"}) {
				out = append(out, at(f.Path, "looks like something about a person, and has no tag"))
			}
		}
	}
	return out
}

func freeForm(in *Input) (out []Finding) {
	for i := range in.Fields {
		f := &in.Fields[i]
		switch f.Type {
		case "anything", "google.protobuf.Any", "google.protobuf.Struct", "google.protobuf.Value":
		case "object":
			if in.Format != "JSON" || i+1 < len(in.Fields) && strings.HasPrefix(in.Fields[i+1].Path, f.Path+".") {
				continue
			}
		default:
			continue
		}
		out = append(out, at(f.Path, "may hold anything: nobody can be told when it changes"))
	}
	return out
}

const depthMost = 5 // names in a path

func tooDeep(in *Input) []Finding {
	for i := range in.Fields {
		if f := &in.Fields[i]; depth(f.Path) >= depthMost {
			return []Finding{at(f.Path, "it lies %d levels deep", depth(f.Path)+1)}
		}
	}
	return nil
}
