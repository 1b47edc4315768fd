package broker

import (
	"cmp"
	"context"
	"slices"
	"sync"
)

// lagWorkers is how many subscriptions are asked about at once: an answer waits for the frame that its shard is writing.
const lagWorkers = 16

// SubscriptionLags describes up to most subscriptions of all namespaces, by namespace and name, and says how many more there are. It asks nobody's
// leave: it is for the node's own numbers. One that is deleted meanwhile, or cannot be asked before ctx ends, is left out.
func (b *Broker) SubscriptionLags(ctx context.Context, most int) (infos []SubscriptionInfo, more int) {
	b.subs.mu.RLock()
	all := make([]*subscribed, 0, len(b.subs.byID))
	for _, x := range b.subs.byID {
		all = append(all, x)
	}
	b.subs.mu.RUnlock()
	slices.SortFunc(all, func(x, y *subscribed) int {
		return cmp.Or(cmp.Compare(x.namespace, y.namespace), cmp.Compare(x.name, y.name))
	})
	if more = max(0, len(all)-most); more > 0 {
		all = all[:most]
	}
	found := make([]SubscriptionInfo, len(all))
	var workers sync.WaitGroup
	for w := range min(lagWorkers, len(all)) {
		workers.Go(func() {
			for i := w; i < len(all); i += lagWorkers {
				if v, err := b.describeSubscription(ctx, all[i], all[i].name); err == nil {
					found[i] = v
				}
			}
		})
	}
	workers.Wait()
	return slices.DeleteFunc(found, func(v SubscriptionInfo) bool { return v.Name == "" }), more
}
