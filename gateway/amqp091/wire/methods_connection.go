package wire

// ConnectionStart (connection.start) offers mechanisms and locales, each a list of words, and says what the server is and can.
type ConnectionStart struct {
	VersionMajor     uint8
	VersionMinor     uint8
	ServerProperties Table
	Mechanisms       []byte
	Locales          []byte
}

func (*ConnectionStart) ID() ID { return IDConnectionStart }

func (m *ConnectionStart) fields(c *codec) {
	c.octet("version-major", &m.VersionMajor)
	c.octet("version-minor", &m.VersionMinor)
	c.table("server-properties", &m.ServerProperties)
	c.longstr("mechanisms", &m.Mechanisms)
	c.longstr("locales", &m.Locales)
}

// ConnectionStartOK (connection.start-ok) chooses a mechanism and carries its first response: for PLAIN NUL, user, NUL,
// password; for AMQPLAIN a table without length.
type ConnectionStartOK struct {
	ClientProperties Table
	Mechanism        []byte
	Response         []byte
	Locale           []byte
}

func (*ConnectionStartOK) ID() ID { return IDConnectionStartOK }

func (m *ConnectionStartOK) fields(c *codec) {
	c.table("client-properties", &m.ClientProperties)
	c.shortstr("mechanism", &m.Mechanism)
	c.secret("response", &m.Response)
	c.shortstr("locale", &m.Locale)
}

// ConnectionSecure (connection.secure) is a further challenge of the mechanism.
type ConnectionSecure struct {
	Challenge []byte
}

func (*ConnectionSecure) ID() ID { return IDConnectionSecure }

func (m *ConnectionSecure) fields(c *codec) {
	c.secret("challenge", &m.Challenge)
}

// ConnectionSecureOK (connection.secure-ok) answers a challenge.
type ConnectionSecureOK struct {
	Response []byte
}

func (*ConnectionSecureOK) ID() ID { return IDConnectionSecureOK }

func (m *ConnectionSecureOK) fields(c *codec) {
	c.secret("response", &m.Response)
}

// ConnectionTune (connection.tune) offers limits.
type ConnectionTune struct{ Limits }

func (*ConnectionTune) ID() ID { return IDConnectionTune }

func (m *ConnectionTune) fields(c *codec) {
	c.short("channel-max", &m.ChannelMax)
	c.long("frame-max", &m.FrameMax)
	c.short("heartbeat", &m.Heartbeat)
}

// ConnectionTuneOK (connection.tune-ok) answers with the limits that hold; see Limits.Agree.
type ConnectionTuneOK struct{ Limits }

func (*ConnectionTuneOK) ID() ID { return IDConnectionTuneOK }

func (m *ConnectionTuneOK) fields(c *codec) {
	c.short("channel-max", &m.ChannelMax)
	c.long("frame-max", &m.FrameMax)
	c.short("heartbeat", &m.Heartbeat)
}

// ConnectionOpen (connection.open) chooses a virtual host. The other fields have had no meaning since 0-9.
type ConnectionOpen struct {
	VirtualHost  []byte
	Capabilities []byte
	Insist       bool
}

func (*ConnectionOpen) ID() ID { return IDConnectionOpen }

func (m *ConnectionOpen) fields(c *codec) {
	c.shortstr("virtual-host", &m.VirtualHost)
	c.shortstr("capabilities", &m.Capabilities)
	c.bit("insist", &m.Insist)
}

// ConnectionOpenOK (connection.open-ok) ends the handshake.
type ConnectionOpenOK struct {
	KnownHosts []byte
}

func (*ConnectionOpenOK) ID() ID { return IDConnectionOpenOK }

func (m *ConnectionOpenOK) fields(c *codec) {
	c.shortstr("known-hosts", &m.KnownHosts)
}

// ConnectionClose (connection.close) ends the connection: in the middle of a session by the code and text of an Error and the method it was
// about. Whoever has sent it discards everything but close and close-ok.
type ConnectionClose struct {
	ReplyCode ReplyCode
	ReplyText []byte
	ClassID   uint16
	MethodID  uint16
}

func (*ConnectionClose) ID() ID { return IDConnectionClose }

func (m *ConnectionClose) fields(c *codec) {
	c.short("reply-code", (*uint16)(&m.ReplyCode))
	c.shortstr("reply-text", &m.ReplyText)
	c.short("class-id", &m.ClassID)
	c.short("method-id", &m.MethodID)
}

// ConnectionCloseOK (connection.close-ok) is the last method of a connection.
type ConnectionCloseOK struct{}

func (*ConnectionCloseOK) ID() ID { return IDConnectionCloseOK }

func (*ConnectionCloseOK) fields(*codec) {}

// ConnectionBlocked (connection.blocked) tells a client that has the capability connection.blocked that nothing it publishes is read for now, and why.
type ConnectionBlocked struct {
	Reason []byte
}

func (*ConnectionBlocked) ID() ID { return IDConnectionBlocked }

func (m *ConnectionBlocked) fields(c *codec) {
	c.shortstr("reason", &m.Reason)
}

// ConnectionUnblocked (connection.unblocked) takes that back.
type ConnectionUnblocked struct{}

func (*ConnectionUnblocked) ID() ID { return IDConnectionUnblocked }

func (*ConnectionUnblocked) fields(*codec) {}

// ConnectionUpdateSecret (connection.update-secret) brings a new token for the login of a connection that goes on.
type ConnectionUpdateSecret struct {
	NewSecret []byte
	Reason    []byte
}

func (*ConnectionUpdateSecret) ID() ID { return IDConnectionUpdateSecret }

func (m *ConnectionUpdateSecret) fields(c *codec) {
	c.secret("new-secret", &m.NewSecret)
	c.shortstr("reason", &m.Reason)
}

// ConnectionUpdateSecretOK (connection.update-secret-ok) says that it holds.
type ConnectionUpdateSecretOK struct{}

func (*ConnectionUpdateSecretOK) ID() ID { return IDConnectionUpdateSecretOK }

func (*ConnectionUpdateSecretOK) fields(*codec) {}
