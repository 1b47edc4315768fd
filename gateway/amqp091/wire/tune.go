package wire

import "math"

// Limits are what two peers agree on by tune and tune-ok. 0 means no limit, and no heartbeats.
type Limits struct {
	ChannelMax uint16
	FrameMax   uint32
	Heartbeat  uint16 // seconds
}

// Agree is what holds after a server offered l and the client answered with the limits of its tune-ok: the client's, if they are within
// what was offered. Its heartbeat is taken as it is, also a longer one.
func (l Limits) Agree(answer Limits) (Limits, error) {
	if err := within("frame_max", uint64(answer.FrameMax), FrameMaxLeast, uint64(l.FrameMax)); err != nil {
		return Limits{}, err
	}
	if err := within("channel_max", uint64(answer.ChannelMax), 1, uint64(l.ChannelMax)); err != nil {
		return Limits{}, err
	}
	return answer, nil
}

// within refuses as RabbitMQ does: no limit is more than any limit.
func within(name string, answer, least, offered uint64) error {
	switch {
	case answer != 0 && answer < least:
		return errorf(NotAllowed, IDConnectionTuneOK, "negotiated %s = %d is lower than the minimum allowed value (%d)", name, answer, least)
	case offered != 0 && (answer == 0 || answer > offered):
		return errorf(NotAllowed, IDConnectionTuneOK, "negotiated %s = %d is higher than the maximum allowed value (%d)", name, answer, offered)
	}
	return nil
}

// Channels is the highest channel number.
func (l Limits) Channels() uint16 {
	if l.ChannelMax == 0 {
		return math.MaxUint16
	}
	return l.ChannelMax
}
