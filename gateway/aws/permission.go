package aws

import (
	"encoding/json"
	"slices"

	"leat/gateway/aws/wire"
)

// Permissions are kept as statements of the queue's Policy, where clients find them again. They have no effect: who may do what is said by
// grants.

// policyDocument is a Policy, of which only the statements that AddPermission makes are read.
type policyDocument struct {
	Version   string            `json:"Version"`
	ID        string            `json:"Id"`
	Statement []json.RawMessage `json:"Statement"`
}

type statement struct {
	Sid       string `json:"Sid"`
	Effect    string `json:"Effect"`
	Principal struct {
		AWS oneOrMore `json:"AWS"`
	} `json:"Principal"`
	Action   oneOrMore `json:"Action"`
	Resource string    `json:"Resource"`
}

// oneOrMore is a text where it is one.
type oneOrMore []string

// MarshalJSON is for a list, or for the one text that is in it.
func (o oneOrMore) MarshalJSON() ([]byte, error) {
	if len(o) == 1 {
		return json.Marshal(o[0])
	}
	return json.Marshal([]string(o))
}

// statementsMax is how many statements a policy has at most.
const statementsMax = 20

func (x *call) policyOf(q *queue, d *queueDocument) (p policyDocument, err error) {
	p = policyDocument{Version: "2008-10-17", ID: x.arn(q.name) + "/SQSDefaultPolicy"}
	if text := d.Attributes["Policy"]; text != "" && json.Unmarshal([]byte(text), &p) != nil {
		return p, wire.Refuse(wire.InvalidParameterValue, "The policy of the queue has no list of statements; it cannot be added to.")
	}
	return p, nil
}

func labelled(label string) func(s json.RawMessage) bool {
	return func(s json.RawMessage) bool {
		var is struct{ Sid string }
		return json.Unmarshal(s, &is) == nil && is.Sid == label
	}
}

func (d *queueDocument) setPolicy(p *policyDocument) error {
	text := ""
	if len(p.Statement) > 0 {
		b, err := json.Marshal(p)
		if err != nil {
			return err
		}
		text = string(b)
	}
	d.set(wire.Pairs{{Name: "Policy", Value: text}})
	return nil
}

func addPermission(x *call, in *wire.AddPermissionInput, _ *wire.None) error {
	q, err := x.queueAt(in.QueueURL)
	if err != nil {
		return err
	}
	s := statement{Sid: in.Label, Effect: "Allow", Resource: x.arn(q.name)}
	for _, a := range in.Accounts {
		s.Principal.AWS = append(s.Principal.AWS, "arn:aws:iam::"+a+":root")
	}
	for _, a := range in.Actions {
		s.Action = append(s.Action, "SQS:"+a)
	}
	text, err := json.Marshal(&s)
	if err != nil {
		return err
	}
	_, err = x.alter(q, func(d *queueDocument) error {
		p, err := x.policyOf(q, d)
		switch {
		case err != nil:
			return err
		case slices.ContainsFunc(p.Statement, labelled(in.Label)):
			return wire.Refuse(wire.InvalidParameterValue, "Value "+in.Label+" for parameter Label is invalid. Reason: Already exists.")
		case len(p.Statement) >= statementsMax:
			return wire.Refuse(wire.OverLimit, "The policy has too many statements.")
		}
		p.Statement = append(p.Statement, text)
		return d.setPolicy(&p)
	})
	return err
}

func removePermission(x *call, in *wire.RemovePermissionInput, _ *wire.None) error {
	q, err := x.queueAt(in.QueueURL)
	if err != nil {
		return err
	}
	_, err = x.alter(q, func(d *queueDocument) error {
		p, err := x.policyOf(q, d)
		if err != nil {
			return err
		}
		n := len(p.Statement)
		if p.Statement = slices.DeleteFunc(p.Statement, labelled(in.Label)); len(p.Statement) == n {
			return wire.Refuse(wire.InvalidParameterValue, "Value "+in.Label+" for parameter Label is invalid. Reason: can't find label.")
		}
		return d.setPolicy(&p)
	})
	return err
}
