package shard

import "leat/broker/subscription"

// LetGo is a record of a subscription that is to be settled as Cancelled, by whoever has done with it what there was to do.
type LetGo struct {
	Sub subscription.ID
	Cancelled

	Outcome subscription.Outcome // result
}

// may says whether nobody has the record, and nobody has settled it.
func (x *LetGo) may(c *Core) bool {
	switch how, known := c.subs.Explain(x.Sub, x.At); {
	case !known:
		x.Outcome = subscription.Unknown
	case how.State == stateSettled:
		x.Outcome = subscription.Already
	case how.State == stateLeased:
		x.Outcome = subscription.Lost
	default:
		return true
	}
	return false
}

// What Explain calls them.
const (
	stateSettled = "settled"
	stateLeased  = "leased"
)

// Standing asks how records of one subscription stand.
type Standing struct {
	Sub     subscription.ID
	Records []subscription.At

	Settled []bool // result: of each; a record that does not reach the subscription is settled
	Leased  []bool
}

func (x *Standing) kind() string { return "standing" }

func (x *Standing) decide(c *Core, _ *Request) {
	x.Settled, x.Leased = make([]bool, len(x.Records)), make([]bool, len(x.Records))
	for i, at := range x.Records {
		how, known := c.subs.Explain(x.Sub, at)
		x.Settled[i], x.Leased[i] = !known || how.State == stateSettled, how.State == stateLeased
	}
}
