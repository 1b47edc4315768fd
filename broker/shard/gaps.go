package shard

import "leat/broker/subscription"

// Gaps says of all subscriptions what went of their partitions before they had it, since they began, where that is anything.
func (p *Published) Gaps() (gs []subscription.Gap) {
	p.subsMu.RLock()
	defer p.subsMu.RUnlock()
	for id, x := range p.subs.Subs {
		for _, src := range x.Sources {
			if src.Gaps > 0 {
				gs = append(gs, subscription.Gap{Sub: id, At: src.Place, From: src.Start, To: src.Floor, Lost: subscription.Amount{Count: src.Gaps}})
			}
		}
	}
	return gs
}
