package broker

import "context"

// ReadLatestAfter is ReadLatest with something that happens between the look into the index and the reading of events.
func (b *Broker) ReadLatestAfter(ctx context.Context, c *Caller, q LatestRequest, between func()) (LatestPage, error) {
	l, err := b.openLatest(c, &q)
	if err != nil {
		return LatestPage{}, err
	}
	defer l.walk.Close()
	between()
	return l.page(ctx, &q)
}
