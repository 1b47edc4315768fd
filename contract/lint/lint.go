package lint

import (
	"fmt"
	"slices"
	"strings"

	"leat/contract"
)

// Severity says how bad a finding is.
type Severity string

// Severities.
const (
	Error   Severity = "error"   // will hurt
	Warning Severity = "warning" // will hurt some day
	Info    Severity = "info"    // worth a thought
)

// Finding is what one rule has found at one place.
type Finding struct {
	Rule     string   `json:"rule"`
	Severity Severity `json:"severity"`
	Path     string   `json:"path,omitempty"` // of the field; "" for the event as a whole
	Why      string   `json:"why"`
	Do       string   `json:"do"`
}

// Off is a rule that is switched off, and the reason.
type Off struct {
	Rule   string `json:"rule"`
	Reason string `json:"reason"`
}

// Input is a schema with what is known around it.
type Input struct {
	Schema contract.Schema
	Format string // AVRO, JSON, PROTOBUF
	Name   string // of the event: its type, else its schema's name
	Fields []contract.Field

	// Properties are those of the schema's metadata. "leat.lint.off" switches rules off, named with commas between; "leat.lint.off.RULE" switches one off
	// and says why.
	Properties map[string]string

	// Envelope says that events carry the attributes of CloudEvents, so that id, source, type and time are there whatever the payload says. Has are
	// extensions that events were seen with.
	Envelope bool
	Has      []string
}

// Report is what was found.
type Report struct {
	Findings []Finding `json:"findings"`
	Off      []Off     `json:"off,omitempty"`
	LeftOut  int       `json:"left_out,omitempty"` // findings beyond FindingsMax
}

// FindingsMax bounds a report; perRuleMax what one rule tells of one schema.
const (
	FindingsMax = 500
	perRuleMax  = 50
)

const (
	offProperty = "leat.lint.off"
	noReason    = "no reason was given"
)

// Check applies the rules.
func Check(in Input) Report {
	if in.Fields == nil {
		in.Fields = in.Schema.Fields()
	}
	if t, ok := in.Schema.(contract.Titled); ok && in.Name == "" {
		in.Name = t.Name()
	}
	off := switchedOff(in.Properties)
	r := Report{Findings: []Finding{}}
	for _, rule := range rules {
		found := rule.find(&in)
		if reason, ok := off[rule.name]; ok {
			if len(found) > 0 {
				r.Off = append(r.Off, Off{rule.name, reason})
			}
			continue
		}
		for i, f := range found {
			if i == perRuleMax || len(r.Findings) == FindingsMax {
				r.LeftOut += len(found) - i
				break
			}
			f.Rule, f.Severity = rule.name, rule.severity
			if f.Do == "" {
				f.Do = rule.do
			}
			r.Findings = append(r.Findings, f)
		}
	}
	return r
}

func switchedOff(properties map[string]string) map[string]string {
	out := map[string]string{}
	for name, v := range properties {
		if name == offProperty {
			for rule := range strings.SplitSeq(v, ",") {
				if rule = strings.TrimSpace(rule); out[rule] == "" {
					out[rule] = noReason
				}
			}
		} else if rule, ok := strings.CutPrefix(name, offProperty+"."); ok {
			if out[rule] = strings.TrimSpace(v); out[rule] == "" {
				out[rule] = noReason
			}
		}
	}
	return out
}

// Worst is the worst severity of a report; "" where nothing was found.
func (r *Report) Worst() Severity {
	for _, s := range []Severity{Error, Warning, Info} {
		if slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.Severity == s }) {
			return s
		}
	}
	return ""
}

func at(path, format string, a ...any) Finding {
	return Finding{Path: path, Why: fmt.Sprintf(format, a...)}
}
