package shard

import "leat/broker/stream"

// Noted is a command together with an event that tells of it. Both are in one frame or neither is: an event that followed in a frame
// of its own would be missing after a crash between the two.
//
//	Command decided ── refused: nothing is recorded
//	                └─ its facts ── the event's facts ── the frame goes on its way
//
// Event has one entry and no conditions; it is recorded only when the command was not refused. Should it not be possible (its stream
// has changed meanwhile), the command stands and Recorded says so.
type Noted struct {
	Command
	Event Append
}

func (x *Noted) decide(c *Core, r *Request) {
	x.Command.decide(c, r)
	if r.Fault == nil {
		x.Event.decide(c, r)
	}
}

// Recorded reports, once the request is done and was not refused, whether the event is in its frame.
func (x *Noted) Recorded() bool {
	return x.Event.Stale == stream.Fresh && len(x.Event.Outcomes) == 1 && x.Event.Outcomes[0].Err == nil
}
