package rabbitmq

import (
	"encoding/json"
	"strconv"

	"leat/gateway/amqp091/wire"
)

// flag is true or false as tools write it: rabbitmqadmin sends what it was given on the command line as text.
type flag bool

func (f *flag) UnmarshalJSON(b []byte) error {
	switch string(b) {
	case "true", `"true"`:
		*f = true
	case "false", `"false"`, "null":
		*f = false
	default:
		var v any
		if err := json.Unmarshal(b, &v); err != nil {
			return err
		}
		return badRequest([]any{"not_boolean", v})
	}
	return nil
}

func (f *flag) or(otherwise bool) bool {
	if f == nil {
		return otherwise
	}
	return bool(*f)
}

// count is a number as tools write it.
type count int

func (c *count) UnmarshalJSON(b []byte) error {
	s := string(b)
	if n, err := strconv.Unquote(s); err == nil {
		s = n
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 {
		var v any
		if err := json.Unmarshal(b, &v); err != nil {
			return err
		}
		return badRequest([]any{"not_integer", v})
	}
	*c = count(n)
	return nil
}

// texts are the properties that are text.
func texts(p *wire.Properties) []struct {
	name string
	flag wire.PropertyFlags
	text *[]byte
} {
	return []struct {
		name string
		flag wire.PropertyFlags
		text *[]byte
	}{
		{"content_type", wire.HasContentType, &p.ContentType},
		{"content_encoding", wire.HasContentEncoding, &p.ContentEncoding},
		{"correlation_id", wire.HasCorrelationID, &p.CorrelationID},
		{"reply_to", wire.HasReplyTo, &p.ReplyTo},
		{"expiration", wire.HasExpiration, &p.Expiration},
		{"message_id", wire.HasMessageID, &p.MessageID},
		{"type", wire.HasType, &p.Type},
		{"user_id", wire.HasUserID, &p.UserID},
		{"app_id", wire.HasAppID, &p.AppID},
		{"cluster_id", wire.HasClusterID, &p.ClusterID},
	}
}

// propertiesOf is the properties of a message as JSON.
func propertiesOf(p *wire.Properties) object {
	o := object{}
	for _, t := range texts(p) {
		if p.Flags&t.flag != 0 {
			o[t.name] = jsonValue(wire.StringBytes(*t.text))
		}
	}
	if p.Flags&wire.HasDeliveryMode != 0 {
		o["delivery_mode"] = p.DeliveryMode
	}
	if p.Flags&wire.HasPriority != 0 {
		o["priority"] = p.Priority
	}
	if p.Flags&wire.HasTimestamp != 0 {
		o["timestamp"] = p.Timestamp
	}
	if p.Flags&wire.HasHeaders != 0 {
		o["headers"] = jsonOf(p.Headers)
	}
	return o
}

// propertiesFrom is what JSON says of the properties of a message.
func propertiesFrom(o object) (out []byte, err error) {
	var p wire.Properties
	left := map[string]bool{}
	for name := range o {
		left[name] = true
	}
	for _, t := range texts(&p) {
		v, there := o[t.name]
		if !there {
			continue
		}
		switch v := v.(type) {
		case string:
			*t.text = []byte(v)
		case json.Number: // expiration, usually
			*t.text = []byte(v.String())
		default:
			return nil, badRequest([]any{"not_string", v})
		}
		p.Flags |= t.flag
		delete(left, t.name)
	}
	for _, n := range []struct {
		name string
		flag wire.PropertyFlags
		most uint64
		set  func(uint64)
	}{
		{"delivery_mode", wire.HasDeliveryMode, 255, func(n uint64) { p.DeliveryMode = uint8(n) }},
		{"priority", wire.HasPriority, 255, func(n uint64) { p.Priority = uint8(n) }},
		{"timestamp", wire.HasTimestamp, 1<<63 - 1, func(n uint64) { p.Timestamp = n }},
	} {
		v, there := o[n.name]
		if !there {
			continue
		}
		text, _ := v.(json.Number)
		if s, is := v.(string); is {
			text = json.Number(s)
		}
		number, err := strconv.ParseUint(text.String(), 10, 64)
		if err != nil || number > n.most {
			return nil, badRequest([]any{"not_integer", v})
		}
		n.set(number)
		p.Flags |= n.flag
		delete(left, n.name)
	}
	if v, there := o["headers"]; there {
		h, is := v.(object)
		if !is {
			return nil, badRequest([]any{"not_object", v})
		}
		if p.Headers, err = tableOf(h); err != nil {
			return nil, err
		}
		p.Flags |= wire.HasHeaders
		delete(left, "headers")
	}
	for name := range left {
		return nil, badRequest([]any{"unknown_property", name})
	}
	if out, err = p.Append(nil); err != nil {
		return nil, badRequest("a property is longer than 255 bytes")
	}
	return out, nil
}
