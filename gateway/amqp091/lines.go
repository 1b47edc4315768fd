package amqp091

import (
	"bytes"

	"leat/gateway/amqp091/wire"
)

// joinLines takes the ends of lines out of the names that a method makes, deletes or binds, as RabbitMQ does: "my\nqueue" is "myqueue". Other
// methods say names as they are.
func joinLines(m wire.Method) {
	join := func(names ...*[]byte) {
		for _, name := range names {
			if bytes.ContainsAny(*name, "\r\n") {
				*name = bytes.ReplaceAll(bytes.ReplaceAll(*name, []byte("\n"), nil), []byte("\r"), nil)
			}
		}
	}
	switch m := m.(type) {
	case *wire.ExchangeDeclare:
		join(&m.Exchange)
	case *wire.ExchangeDelete:
		join(&m.Exchange)
	case *wire.ExchangeBind:
		join(&m.Source, &m.Destination)
	case *wire.ExchangeUnbind:
		join(&m.Source, &m.Destination)
	case *wire.QueueDeclare:
		join(&m.Queue)
	case *wire.QueueDelete:
		join(&m.Queue)
	case *wire.QueuePurge:
		join(&m.Queue)
	case *wire.QueueBind:
		join(&m.Queue, &m.Exchange)
	case *wire.QueueUnbind:
		join(&m.Queue, &m.Exchange)
	}
}
