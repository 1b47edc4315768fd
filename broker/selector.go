package broker

import (
	"strings"

	"leat/broker/fault"
	"leat/broker/filter"
)

// Names that clients of the Java message API say in selectors, by what they stand for here. Its other names are those of headers.
var selectorNames = map[string]filter.Field{
	"JMSType": {From: filter.FromAttribute, Name: "type"}, "JMSMessageID": {From: filter.FromAttribute, Name: "id"}, "JMSTimestamp": {From: filter.FromAttribute, Name: "time"},
	"JMSPriority": {From: filter.FromHeader, Name: HeaderPriority, Decode: filter.Guess},
}

// selectorField is what a name in a selector stands for: an attribute of the event, data.a.b a member of its data, headers.a a header; any other name a
// header, too. Headers are text, and numbers and bools where they read as such.
func selectorField(name string) (filter.Field, error) {
	if f, ok := selectorNames[name]; ok {
		return f, nil
	}
	switch name {
	case "id", "source", "type", "subject", "time", "stream", "key", "partition", "offset", "datacontenttype", "dataschema":
		return filter.Field{From: filter.FromAttribute, Name: name}, nil
	case "data", "headers":
		return filter.Field{}, fault.New(fault.Invalid, "compile", "selector", "say which of %s: %s.name", name, name)
	}
	if path, ok := strings.CutPrefix(name, "data."); ok {
		return filter.Field{From: filter.FromData, Name: filter.DataPath(strings.Split(path, ".")...)}, nil
	}
	name, _ = strings.CutPrefix(name, "headers.")
	return filter.Field{From: filter.FromHeader, Name: name, Decode: filter.Guess}, nil
}

func compileSelector(text string) (*filter.Predicate, error) {
	return filter.CompileSelector(text, filter.SelectorOptions{Field: selectorField})
}
