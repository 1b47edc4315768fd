package wire

// BasicQoS (basic.qos) limits what may be unacknowledged: for each later consumer of the channel, with global for all of the channel together (RabbitMQ).
type BasicQoS struct {
	PrefetchSize  uint32
	PrefetchCount uint16
	Global        bool
}

func (*BasicQoS) ID() ID { return IDBasicQoS }

func (m *BasicQoS) fields(c *codec) {
	c.long("prefetch-size", &m.PrefetchSize)
	c.short("prefetch-count", &m.PrefetchCount)
	c.bit("global", &m.Global)
}

// BasicQoSOK (basic.qos-ok) answers it.
type BasicQoSOK struct{}

func (*BasicQoSOK) ID() ID { return IDBasicQoSOK }

func (*BasicQoSOK) fields(*codec) {}

// BasicConsume (basic.consume) starts a consumer; without a tag the server makes one.
type BasicConsume struct {
	Ticket      uint16
	Queue       []byte
	ConsumerTag []byte
	NoLocal     bool
	NoAck       bool
	Exclusive   bool
	NoWait      bool
	Arguments   Table
}

func (*BasicConsume) ID() ID { return IDBasicConsume }

func (m *BasicConsume) fields(c *codec) {
	c.short("ticket", &m.Ticket)
	c.shortstr("queue", &m.Queue)
	c.shortstr("consumer-tag", &m.ConsumerTag)
	c.bit("no-local", &m.NoLocal)
	c.bit("no-ack", &m.NoAck)
	c.bit("exclusive", &m.Exclusive)
	c.bit("no-wait", &m.NoWait)
	c.table("arguments", &m.Arguments)
}

// BasicConsumeOK (basic.consume-ok) says its tag.
type BasicConsumeOK struct {
	ConsumerTag []byte
}

func (*BasicConsumeOK) ID() ID { return IDBasicConsumeOK }

func (m *BasicConsumeOK) fields(c *codec) {
	c.shortstr("consumer-tag", &m.ConsumerTag)
}

// BasicCancel (basic.cancel) ends a consumer; from the server, it tells a client with the capability consumer_cancel_notify that one has ended.
type BasicCancel struct {
	ConsumerTag []byte
	NoWait      bool
}

func (*BasicCancel) ID() ID { return IDBasicCancel }

func (m *BasicCancel) fields(c *codec) {
	c.shortstr("consumer-tag", &m.ConsumerTag)
	c.bit("no-wait", &m.NoWait)
}

// BasicCancelOK (basic.cancel-ok) answers it.
type BasicCancelOK struct {
	ConsumerTag []byte
}

func (*BasicCancelOK) ID() ID { return IDBasicCancelOK }

func (m *BasicCancelOK) fields(c *codec) {
	c.shortstr("consumer-tag", &m.ConsumerTag)
}

// BasicPublish (basic.publish) is a message for an exchange; content follows.
type BasicPublish struct {
	Ticket     uint16
	Exchange   []byte
	RoutingKey []byte
	Mandatory  bool
	Immediate  bool
}

func (*BasicPublish) ID() ID { return IDBasicPublish }

func (m *BasicPublish) fields(c *codec) {
	c.short("ticket", &m.Ticket)
	c.shortstr("exchange", &m.Exchange)
	c.shortstr("routing-key", &m.RoutingKey)
	c.bit("mandatory", &m.Mandatory)
	c.bit("immediate", &m.Immediate)
}

// BasicReturn (basic.return) is a mandatory message that nobody was to get, on its way back, before its confirmation; content follows.
type BasicReturn struct {
	ReplyCode  ReplyCode
	ReplyText  []byte
	Exchange   []byte
	RoutingKey []byte
}

func (*BasicReturn) ID() ID { return IDBasicReturn }

func (m *BasicReturn) fields(c *codec) {
	c.short("reply-code", (*uint16)(&m.ReplyCode))
	c.shortstr("reply-text", &m.ReplyText)
	c.shortstr("exchange", &m.Exchange)
	c.shortstr("routing-key", &m.RoutingKey)
}

// BasicDeliver (basic.deliver) is a message for a consumer; content follows.
type BasicDeliver struct {
	ConsumerTag []byte
	DeliveryTag uint64
	Redelivered bool
	Exchange    []byte
	RoutingKey  []byte
}

func (*BasicDeliver) ID() ID { return IDBasicDeliver }

func (m *BasicDeliver) fields(c *codec) {
	c.shortstr("consumer-tag", &m.ConsumerTag)
	c.longlong("delivery-tag", &m.DeliveryTag)
	c.bit("redelivered", &m.Redelivered)
	c.shortstr("exchange", &m.Exchange)
	c.shortstr("routing-key", &m.RoutingKey)
}

// BasicGet (basic.get) asks for one message.
type BasicGet struct {
	Ticket uint16
	Queue  []byte
	NoAck  bool
}

func (*BasicGet) ID() ID { return IDBasicGet }

func (m *BasicGet) fields(c *codec) {
	c.short("ticket", &m.Ticket)
	c.shortstr("queue", &m.Queue)
	c.bit("no-ack", &m.NoAck)
}

// BasicGetOK (basic.get-ok) is that message, and how many are ready behind it; content follows.
type BasicGetOK struct {
	DeliveryTag  uint64
	Redelivered  bool
	Exchange     []byte
	RoutingKey   []byte
	MessageCount uint32
}

func (*BasicGetOK) ID() ID { return IDBasicGetOK }

func (m *BasicGetOK) fields(c *codec) {
	c.longlong("delivery-tag", &m.DeliveryTag)
	c.bit("redelivered", &m.Redelivered)
	c.shortstr("exchange", &m.Exchange)
	c.shortstr("routing-key", &m.RoutingKey)
	c.long("message-count", &m.MessageCount)
}

// BasicGetEmpty (basic.get-empty) says there is none; the field is empty.
type BasicGetEmpty struct {
	ClusterID []byte
}

func (*BasicGetEmpty) ID() ID { return IDBasicGetEmpty }

func (m *BasicGetEmpty) fields(c *codec) {
	c.shortstr("cluster-id", &m.ClusterID)
}

// BasicAck (basic.ack) acknowledges a delivery, and with multiple all up to it that are not; tag 0 with
// multiple means all. From the server it confirms publishes, counted from 1.
type BasicAck struct {
	DeliveryTag uint64
	Multiple    bool
}

func (*BasicAck) ID() ID { return IDBasicAck }

func (m *BasicAck) fields(c *codec) {
	c.longlong("delivery-tag", &m.DeliveryTag)
	c.bit("multiple", &m.Multiple)
}

// BasicReject (basic.reject) refuses a delivery.
type BasicReject struct {
	DeliveryTag uint64
	Requeue     bool
}

func (*BasicReject) ID() ID { return IDBasicReject }

func (m *BasicReject) fields(c *codec) {
	c.longlong("delivery-tag", &m.DeliveryTag)
	c.bit("requeue", &m.Requeue)
}

// BasicRecoverAsync (basic.recover-async) is BasicRecover without answer.
type BasicRecoverAsync struct {
	Requeue bool
}

func (*BasicRecoverAsync) ID() ID { return IDBasicRecoverAsync }

func (m *BasicRecoverAsync) fields(c *codec) {
	c.bit("requeue", &m.Requeue)
}

// BasicRecover (basic.recover) gives everything unacknowledged on the channel back.
type BasicRecover struct {
	Requeue bool
}

func (*BasicRecover) ID() ID { return IDBasicRecover }

func (m *BasicRecover) fields(c *codec) {
	c.bit("requeue", &m.Requeue)
}

// BasicRecoverOK (basic.recover-ok) answers it.
type BasicRecoverOK struct{}

func (*BasicRecoverOK) ID() ID { return IDBasicRecoverOK }

func (*BasicRecoverOK) fields(*codec) {}

// BasicNack (basic.nack) is BasicReject for many; from the server it says that publishes were not taken (RabbitMQ).
type BasicNack struct {
	DeliveryTag uint64
	Multiple    bool
	Requeue     bool
}

func (*BasicNack) ID() ID { return IDBasicNack }

func (m *BasicNack) fields(c *codec) {
	c.longlong("delivery-tag", &m.DeliveryTag)
	c.bit("multiple", &m.Multiple)
	c.bit("requeue", &m.Requeue)
}
