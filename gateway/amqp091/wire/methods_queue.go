package wire

// QueueDeclare (queue.declare) makes a queue, which gets a name when it has none, or with passive asks whether there is one.
type QueueDeclare struct {
	Ticket     uint16
	Queue      []byte
	Passive    bool
	Durable    bool
	Exclusive  bool
	AutoDelete bool
	NoWait     bool
	Arguments  Table
}

func (*QueueDeclare) ID() ID { return IDQueueDeclare }

func (m *QueueDeclare) fields(c *codec) {
	c.short("ticket", &m.Ticket)
	c.shortstr("queue", &m.Queue)
	c.bit("passive", &m.Passive)
	c.bit("durable", &m.Durable)
	c.bit("exclusive", &m.Exclusive)
	c.bit("auto-delete", &m.AutoDelete)
	c.bit("no-wait", &m.NoWait)
	c.table("arguments", &m.Arguments)
}

// QueueDeclareOK (queue.declare-ok) says the queue's name, how many messages are ready and how many consumers it has.
type QueueDeclareOK struct {
	Queue         []byte
	MessageCount  uint32
	ConsumerCount uint32
}

func (*QueueDeclareOK) ID() ID { return IDQueueDeclareOK }

func (m *QueueDeclareOK) fields(c *codec) {
	c.shortstr("queue", &m.Queue)
	c.long("message-count", &m.MessageCount)
	c.long("consumer-count", &m.ConsumerCount)
}

// QueueBind (queue.bind) binds a queue to an exchange.
type QueueBind struct {
	Ticket     uint16
	Queue      []byte
	Exchange   []byte
	RoutingKey []byte
	NoWait     bool
	Arguments  Table
}

func (*QueueBind) ID() ID { return IDQueueBind }

func (m *QueueBind) fields(c *codec) {
	c.short("ticket", &m.Ticket)
	c.shortstr("queue", &m.Queue)
	c.shortstr("exchange", &m.Exchange)
	c.shortstr("routing-key", &m.RoutingKey)
	c.bit("no-wait", &m.NoWait)
	c.table("arguments", &m.Arguments)
}

// QueueBindOK (queue.bind-ok) answers it.
type QueueBindOK struct{}

func (*QueueBindOK) ID() ID { return IDQueueBindOK }

func (*QueueBindOK) fields(*codec) {}

// QueuePurge (queue.purge) drops the messages that are ready.
type QueuePurge struct {
	Ticket uint16
	Queue  []byte
	NoWait bool
}

func (*QueuePurge) ID() ID { return IDQueuePurge }

func (m *QueuePurge) fields(c *codec) {
	c.short("ticket", &m.Ticket)
	c.shortstr("queue", &m.Queue)
	c.bit("no-wait", &m.NoWait)
}

// QueuePurgeOK (queue.purge-ok) says how many those were.
type QueuePurgeOK struct {
	MessageCount uint32
}

func (*QueuePurgeOK) ID() ID { return IDQueuePurgeOK }

func (m *QueuePurgeOK) fields(c *codec) {
	c.long("message-count", &m.MessageCount)
}

// QueueDelete (queue.delete) deletes a queue.
type QueueDelete struct {
	Ticket   uint16
	Queue    []byte
	IfUnused bool
	IfEmpty  bool
	NoWait   bool
}

func (*QueueDelete) ID() ID { return IDQueueDelete }

func (m *QueueDelete) fields(c *codec) {
	c.short("ticket", &m.Ticket)
	c.shortstr("queue", &m.Queue)
	c.bit("if-unused", &m.IfUnused)
	c.bit("if-empty", &m.IfEmpty)
	c.bit("no-wait", &m.NoWait)
}

// QueueDeleteOK (queue.delete-ok) says how many messages were in it.
type QueueDeleteOK struct {
	MessageCount uint32
}

func (*QueueDeleteOK) ID() ID { return IDQueueDeleteOK }

func (m *QueueDeleteOK) fields(c *codec) {
	c.long("message-count", &m.MessageCount)
}

// QueueUnbind (queue.unbind) takes a binding back; there is no variant without answer.
type QueueUnbind struct {
	Ticket     uint16
	Queue      []byte
	Exchange   []byte
	RoutingKey []byte
	Arguments  Table
}

func (*QueueUnbind) ID() ID { return IDQueueUnbind }

func (m *QueueUnbind) fields(c *codec) {
	c.short("ticket", &m.Ticket)
	c.shortstr("queue", &m.Queue)
	c.shortstr("exchange", &m.Exchange)
	c.shortstr("routing-key", &m.RoutingKey)
	c.table("arguments", &m.Arguments)
}

// QueueUnbindOK (queue.unbind-ok) answers it.
type QueueUnbindOK struct{}

func (*QueueUnbindOK) ID() ID { return IDQueueUnbindOK }

func (*QueueUnbindOK) fields(*codec) {}
