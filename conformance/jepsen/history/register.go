package history

import (
	"fmt"
	"math"
	"time"

	"github.com/anishathalye/porcupine"
)

// Access is one reading of a key, or one append to it with an expected version. Times are of one clock.
type Access struct {
	Client       int
	Key          string
	Call, Return int64
	Read         bool
	Expect       uint64 // of an append
	Value        string // appended, or read
	Answer       Answer
	Version      uint64 // that the answer names; of an append 0 when it names none
}

// Answer is what became of an append. A reading that was not answered says nothing, and is left out.
type Answer int

// The answers.
const (
	Lost    Answer = iota // nobody knows, and it may still happen
	Done                  // appended
	Refused               // the key has another version
)

// register is a key: the version of its newest event, and that event.
type register struct {
	version uint64
	value   string
}

// step is whether an access can have had its answer in a state, and the state behind it. An append whose answer was lost has happened, or its version is there
// without it; until then it waits.
func step(s register, a *Access) (bool, register) {
	next := register{a.Expect + 1, a.Value}
	switch {
	case a.Read:
		return a.Version == s.version && a.Value == s.value, s
	case a.Answer == Lost && s.version == a.Expect:
		return true, next
	case a.Answer == Lost:
		return s.version > a.Expect, s
	case a.Answer == Refused:
		return s.version != a.Expect && (a.Version == 0 || a.Version == s.version), s
	}
	return s.version == a.Expect && (a.Version == 0 || a.Version == next.version), next
}

// settle finds out what became of appends whose answers were lost, where others tell: each left open doubles the search. Of one whose value was read it is
// known that it has happened. Of several that expect the same version one alone can have happened: where that one is known, the others have not.
func settle(as []*Access) (out []*Access) {
	seen, made := map[string]bool{}, map[uint64]*Access{}
	for _, a := range as {
		if a.Read && a.Answer == Done {
			seen[a.Value] = true
		}
	}
	for _, a := range as {
		if !a.Read && (a.Answer == Done || a.Answer == Lost && seen[a.Value]) {
			made[a.Expect] = a
		}
	}
	for _, a := range as {
		if a.Answer == Lost && (a.Read || made[a.Expect] != nil && made[a.Expect] != a && !seen[a.Value]) {
			continue
		}
		out = append(out, a)
	}
	return out
}

var model = porcupine.Model{
	Init: func() any { return register{} },
	Step: func(s, in, _ any) (bool, any) {
		ok, next := step(s.(register), in.(*Access))
		return ok, next
	},
}

// Linearizable looks for an order of the accesses of each key that explains all answers. Each value is appended by one access. undecided: of so many keys it was
// not found out within the limit for one.
func Linearizable(as []Access, limit time.Duration) (wrong []string, keys, undecided int) {
	byKey := map[string][]*Access{}
	for i := range as {
		byKey[as[i].Key] = append(byKey[as[i].Key], &as[i])
	}
	for key, of := range byKey {
		var ops []porcupine.Operation
		for _, a := range settle(of) {
			o := porcupine.Operation{ClientId: a.Client, Input: a, Call: a.Call, Return: a.Return}
			if a.Answer == Lost {
				o.Return = math.MaxInt64
			}
			ops = append(ops, o)
		}
		switch porcupine.CheckOperationsTimeout(model, ops, limit) {
		case porcupine.Illegal:
			wrong = append(wrong, fmt.Sprintf("key %s: no order explains its %d accesses", key, len(ops)))
		case porcupine.Unknown:
			undecided++
		case porcupine.Ok:
		}
	}
	return wrong, len(byKey), undecided
}
