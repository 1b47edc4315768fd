package wire

// ExchangeDeclare (exchange.declare) makes an exchange, or with passive asks whether there is one.
type ExchangeDeclare struct {
	Ticket     uint16
	Exchange   []byte
	Type       []byte
	Passive    bool
	Durable    bool
	AutoDelete bool
	Internal   bool
	NoWait     bool
	Arguments  Table
}

func (*ExchangeDeclare) ID() ID { return IDExchangeDeclare }

func (m *ExchangeDeclare) fields(c *codec) {
	c.short("ticket", &m.Ticket)
	c.shortstr("exchange", &m.Exchange)
	c.shortstr("type", &m.Type)
	c.bit("passive", &m.Passive)
	c.bit("durable", &m.Durable)
	c.bit("auto-delete", &m.AutoDelete)
	c.bit("internal", &m.Internal)
	c.bit("no-wait", &m.NoWait)
	c.table("arguments", &m.Arguments)
}

// ExchangeDeclareOK (exchange.declare-ok) answers it.
type ExchangeDeclareOK struct{}

func (*ExchangeDeclareOK) ID() ID { return IDExchangeDeclareOK }

func (*ExchangeDeclareOK) fields(*codec) {}

// ExchangeDelete (exchange.delete) deletes an exchange.
type ExchangeDelete struct {
	Ticket   uint16
	Exchange []byte
	IfUnused bool
	NoWait   bool
}

func (*ExchangeDelete) ID() ID { return IDExchangeDelete }

func (m *ExchangeDelete) fields(c *codec) {
	c.short("ticket", &m.Ticket)
	c.shortstr("exchange", &m.Exchange)
	c.bit("if-unused", &m.IfUnused)
	c.bit("no-wait", &m.NoWait)
}

// ExchangeDeleteOK (exchange.delete-ok) answers it.
type ExchangeDeleteOK struct{}

func (*ExchangeDeleteOK) ID() ID { return IDExchangeDeleteOK }

func (*ExchangeDeleteOK) fields(*codec) {}

// ExchangeBind (exchange.bind) binds an exchange to another, from which it gets what matches (RabbitMQ).
type ExchangeBind struct {
	Ticket      uint16
	Destination []byte
	Source      []byte
	RoutingKey  []byte
	NoWait      bool
	Arguments   Table
}

func (*ExchangeBind) ID() ID { return IDExchangeBind }

func (m *ExchangeBind) fields(c *codec) {
	c.short("ticket", &m.Ticket)
	c.shortstr("destination", &m.Destination)
	c.shortstr("source", &m.Source)
	c.shortstr("routing-key", &m.RoutingKey)
	c.bit("no-wait", &m.NoWait)
	c.table("arguments", &m.Arguments)
}

// ExchangeBindOK (exchange.bind-ok) answers it.
type ExchangeBindOK struct{}

func (*ExchangeBindOK) ID() ID { return IDExchangeBindOK }

func (*ExchangeBindOK) fields(*codec) {}

// ExchangeUnbind (exchange.unbind) takes a binding between exchanges back.
type ExchangeUnbind struct {
	Ticket      uint16
	Destination []byte
	Source      []byte
	RoutingKey  []byte
	NoWait      bool
	Arguments   Table
}

func (*ExchangeUnbind) ID() ID { return IDExchangeUnbind }

func (m *ExchangeUnbind) fields(c *codec) {
	c.short("ticket", &m.Ticket)
	c.shortstr("destination", &m.Destination)
	c.shortstr("source", &m.Source)
	c.shortstr("routing-key", &m.RoutingKey)
	c.bit("no-wait", &m.NoWait)
	c.table("arguments", &m.Arguments)
}

// ExchangeUnbindOK (exchange.unbind-ok) answers it; its number is 51, not 41.
type ExchangeUnbindOK struct{}

func (*ExchangeUnbindOK) ID() ID { return IDExchangeUnbindOK }

func (*ExchangeUnbindOK) fields(*codec) {}
