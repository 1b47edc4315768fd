package shard

import "leat/broker/stream"

// OriginOf returns who stands behind the number that runs carry; the zero Origin when that is not kept.
func (p *Published) OriginOf(n uint32) (stream.Origin, error) {
	if n == 0 {
		return stream.Origin{}, nil
	}
	o, _, err := stream.LoadOrigin(p.store, n)
	return o, err
}
