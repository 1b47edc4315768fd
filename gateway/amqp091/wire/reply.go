package wire

import (
	"fmt"
	"unicode/utf8"
)

// ReplyCode says in close and return methods what went wrong.
type ReplyCode uint16

// The reply codes of the specification.
const (
	ReplySuccess       ReplyCode = 200
	ContentTooLarge    ReplyCode = 311
	NoRoute            ReplyCode = 312
	NoConsumers        ReplyCode = 313
	ConnectionForced   ReplyCode = 320
	InvalidPath        ReplyCode = 402
	AccessRefused      ReplyCode = 403
	NotFound           ReplyCode = 404
	ResourceLocked     ReplyCode = 405
	PreconditionFailed ReplyCode = 406
	FrameError         ReplyCode = 501
	SyntaxError        ReplyCode = 502
	CommandInvalid     ReplyCode = 503
	ChannelError       ReplyCode = 504
	UnexpectedFrame    ReplyCode = 505
	ResourceError      ReplyCode = 506
	NotAllowed         ReplyCode = 530
	NotImplemented     ReplyCode = 540
	InternalError      ReplyCode = 541
)

// String is the code's name as it starts reply texts.
func (c ReplyCode) String() string {
	switch c {
	case ReplySuccess:
		return "OK"
	case ContentTooLarge:
		return "CONTENT_TOO_LARGE"
	case NoRoute:
		return "NO_ROUTE"
	case NoConsumers:
		return "NO_CONSUMERS"
	case ConnectionForced:
		return "CONNECTION_FORCED"
	case InvalidPath:
		return "INVALID_PATH"
	case AccessRefused:
		return "ACCESS_REFUSED"
	case NotFound:
		return "NOT_FOUND"
	case ResourceLocked:
		return "RESOURCE_LOCKED"
	case PreconditionFailed:
		return "PRECONDITION_FAILED"
	case FrameError:
		return "FRAME_ERROR"
	case SyntaxError:
		return "SYNTAX_ERROR"
	case CommandInvalid:
		return "COMMAND_INVALID"
	case ChannelError:
		return "CHANNEL_ERROR"
	case UnexpectedFrame:
		return "UNEXPECTED_FRAME"
	case ResourceError:
		return "RESOURCE_ERROR"
	case NotAllowed:
		return "NOT_ALLOWED"
	case NotImplemented:
		return "NOT_IMPLEMENTED"
	case InternalError:
		return "INTERNAL_ERROR"
	}
	return fmt.Sprintf("REPLY_%d", uint16(c))
}

// Hard reports whether the code ends the connection; the others end a channel. A code that is not known is hard: what it leaves behind
// is not known either.
func (c ReplyCode) Hard() bool {
	switch c {
	case ReplySuccess, ContentTooLarge, NoRoute, NoConsumers, AccessRefused, NotFound, ResourceLocked, PreconditionFailed:
		return false
	default:
		return true
	}
}

// Error is what the peer did wrong, in the words of the close method that answers it.
type Error struct {
	Code   ReplyCode
	Method ID // 0 where it was no method's fault
	Text   string
}

func (e *Error) Error() string {
	if e.Method == 0 {
		return fmt.Sprintf("%d %s", uint16(e.Code), e.ReplyText())
	}
	return fmt.Sprintf("%d %s (%s)", uint16(e.Code), e.ReplyText(), e.Method)
}

// ReplyText is the text for the close method: the code's name, then the error's, cut where it would not fit a short string.
func (e *Error) ReplyText() string {
	text := e.Code.String()
	if e.Text != "" {
		text += " - " + e.Text
	}
	if len(text) <= ShortBytesMax {
		return text
	}
	cut := ShortBytesMax - len("...")
	for cut > 0 && !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut] + "..."
}

func errorf(code ReplyCode, id ID, format string, args ...any) *Error {
	return &Error{Code: code, Method: id, Text: fmt.Sprintf(format, args...)}
}
