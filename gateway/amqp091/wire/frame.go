package wire

import "encoding/binary"

// FrameType is the first byte of a frame.
type FrameType uint8

// The types of frames.
const (
	FrameMethod    FrameType = 1
	FrameHeader    FrameType = 2
	FrameBody      FrameType = 3
	FrameHeartbeat FrameType = 8
)

// FrameEnd is the last byte of every frame.
const FrameEnd = 0xCE

// Bytes of a frame around its payload: before it, and with the end all together.
const (
	FrameHeaderBytes   = 7
	FrameOverheadBytes = FrameHeaderBytes + 1
)

// FrameExcessBytes is how much longer than agreed a frame of a peer may be: clients that count the payload only, or are off by one, are
// many, and RabbitMQ suffers them.
const FrameExcessBytes = FrameOverheadBytes

// Limits of the frame-max that peers agree on, which counts the whole frame. Below the least a peer need not talk to us; until there is
// an agreement frames may have FrameBytesUntuned, which is more than the specification's 4096 because tokens sent as passwords are long.
const (
	FrameMaxLeast     = 4096
	FrameBytesUntuned = 8192
)

// Frame is one frame; its payload is part of what it was decoded from.
type Frame struct {
	Type    FrameType
	Channel uint16
	Payload []byte
}

// FrameHead is what stands before a payload.
type FrameHead struct {
	Type         FrameType
	Channel      uint16
	PayloadBytes int
}

// DecodeFrameHead decodes the first FrameHeaderBytes of a frame, of which b must have that many, and refuses what must not be waited for
// or given memory: an unknown type, a payload over frameMax, a heartbeat with a payload.
func DecodeFrameHead(b []byte, frameMax int) (FrameHead, error) {
	_ = b[FrameHeaderBytes-1]
	h := FrameHead{Type: FrameType(b[0]), Channel: binary.BigEndian.Uint16(b[1:])}
	size := binary.BigEndian.Uint32(b[3:])
	switch h.Type {
	case FrameMethod, FrameHeader, FrameBody:
		if int64(size) > int64(frameMax)-FrameOverheadBytes+FrameExcessBytes {
			return FrameHead{}, errorf(FrameError, 0, "frame of %d bytes on channel %d, the agreed frame_max is %d", int64(size)+FrameOverheadBytes, h.Channel, frameMax)
		}
	case FrameHeartbeat:
		if size != 0 {
			return FrameHead{}, errorf(FrameError, 0, "heartbeat on channel %d with %d bytes", h.Channel, size)
		}
	default:
		return FrameHead{}, errorf(FrameError, 0, "frame of unknown type %d", b[0])
	}
	h.PayloadBytes = int(size)
	return h, nil
}

// CheckFrameEnd refuses a last byte that is not a frame's: the sizes have gone wrong and nothing behind can be understood.
func CheckFrameEnd(end byte) error {
	if end != FrameEnd {
		return errorf(FrameError, 0, "frame ends in 0x%02X instead of 0xCE", end)
	}
	return nil
}

// DecodeFrame takes a frame off the front of b. n is the number of its bytes, or 0 when b ends before the frame does; frames that will be
// refused are refused as soon as their head is there.
func DecodeFrame(b []byte, frameMax int) (f Frame, n int, err error) {
	if len(b) < FrameHeaderBytes {
		return Frame{}, 0, nil
	}
	h, err := DecodeFrameHead(b, frameMax)
	if err != nil {
		return Frame{}, 0, err
	}
	end := FrameHeaderBytes + h.PayloadBytes
	if len(b) <= end {
		return Frame{}, 0, nil
	}
	if err := CheckFrameEnd(b[end]); err != nil {
		return Frame{}, 0, err
	}
	return Frame{Type: h.Type, Channel: h.Channel, Payload: b[FrameHeaderBytes:end:end]}, end + 1, nil
}

// appendFrameHead begins a frame whose payload is not known yet; endFrame closes it.
func appendFrameHead(dst []byte, t FrameType, channel uint16, payloadBytes int) []byte {
	dst = append(dst, byte(t), byte(channel>>8), byte(channel))
	return binary.BigEndian.AppendUint32(dst, uint32(payloadBytes))
}

// endFrame writes the size of the frame that begins at start, and its end.
func endFrame(dst []byte, start int) []byte {
	binary.BigEndian.PutUint32(dst[start+3:], uint32(len(dst)-start-FrameHeaderBytes))
	return append(dst, FrameEnd)
}
