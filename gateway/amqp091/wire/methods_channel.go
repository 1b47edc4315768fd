package wire

// ChannelOpen (channel.open) opens a channel; the field has no meaning.
type ChannelOpen struct {
	OutOfBand []byte
}

func (*ChannelOpen) ID() ID { return IDChannelOpen }

func (m *ChannelOpen) fields(c *codec) {
	c.shortstr("out-of-band", &m.OutOfBand)
}

// ChannelOpenOK (channel.open-ok) says it is open; the field is empty.
type ChannelOpenOK struct {
	ChannelID []byte
}

func (*ChannelOpenOK) ID() ID { return IDChannelOpenOK }

func (m *ChannelOpenOK) fields(c *codec) {
	c.longstr("channel-id", &m.ChannelID)
}

// ChannelFlow (channel.flow) asks the peer to stop or to go on sending content. RabbitMQ refuses to stop at a client's wish.
type ChannelFlow struct {
	Active bool
}

func (*ChannelFlow) ID() ID { return IDChannelFlow }

func (m *ChannelFlow) fields(c *codec) {
	c.bit("active", &m.Active)
}

// ChannelFlowOK (channel.flow-ok) says that the peer does.
type ChannelFlowOK struct {
	Active bool
}

func (*ChannelFlowOK) ID() ID { return IDChannelFlowOK }

func (m *ChannelFlowOK) fields(c *codec) {
	c.bit("active", &m.Active)
}

// ChannelClose (channel.close) ends a channel, as ConnectionClose a connection.
type ChannelClose struct {
	ReplyCode ReplyCode
	ReplyText []byte
	ClassID   uint16
	MethodID  uint16
}

func (*ChannelClose) ID() ID { return IDChannelClose }

func (m *ChannelClose) fields(c *codec) {
	c.short("reply-code", (*uint16)(&m.ReplyCode))
	c.shortstr("reply-text", &m.ReplyText)
	c.short("class-id", &m.ClassID)
	c.short("method-id", &m.MethodID)
}

// ChannelCloseOK (channel.close-ok) frees the channel's number.
type ChannelCloseOK struct{}

func (*ChannelCloseOK) ID() ID { return IDChannelCloseOK }

func (*ChannelCloseOK) fields(*codec) {}
