package wire

// AccessRequest (access.request) is a relic of 0-8 that some clients still send; it is answered with ticket 1 and means nothing.
type AccessRequest struct {
	Realm     []byte
	Exclusive bool
	Passive   bool
	Active    bool
	Write     bool
	Read      bool
}

func (*AccessRequest) ID() ID { return IDAccessRequest }

func (m *AccessRequest) fields(c *codec) {
	c.shortstr("realm", &m.Realm)
	c.bit("exclusive", &m.Exclusive)
	c.bit("passive", &m.Passive)
	c.bit("active", &m.Active)
	c.bit("write", &m.Write)
	c.bit("read", &m.Read)
}

// AccessRequestOK (access.request-ok) answers it.
type AccessRequestOK struct {
	Ticket uint16
}

func (*AccessRequestOK) ID() ID { return IDAccessRequestOK }

func (m *AccessRequestOK) fields(c *codec) {
	c.short("ticket", &m.Ticket)
}
