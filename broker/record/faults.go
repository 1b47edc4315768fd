package record

import "leat/broker/fault"

// opBatch and opEvent are the operations named in refusals.
const (
	opBatch = "batch"
	opEvent = "event"
)

func invalid(subject, format string, args ...any) *fault.Error {
	return fault.New(fault.Invalid, opBatch, subject, format, args...)
}

func corrupt(format string, args ...any) *fault.Error {
	return fault.New(fault.Corrupt, opBatch, "stored batch", format, args...)
}

func badMagic(m byte) *fault.Error {
	if m < magic {
		return fault.New(fault.Unsupported, opBatch, "batch",
			"message format %d is not taken; format 2, which clients of the last years write, is", m)
	}
	return invalid("batch", "its format is %d; format 2 was expected", m)
}

func unknownCodec(c Codec) *fault.Error {
	return fault.New(fault.Unsupported, opBatch, "batch", "compression %d is not known; none, gzip, snappy, lz4 and zstd are", uint8(c)).Because(fault.ReasonCodec)
}
