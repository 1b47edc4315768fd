package session

import (
	"errors"
	"testing"

	"leat/gateway/amqp091/wire"
)

func TestCredentials(t *testing.T) {
	table := func(entries ...string) string {
		var tb wire.Table
		for i := 0; i < len(entries); i += 2 {
			tb = add(tb, entries[i], wire.String(entries[i+1]))
		}
		return string(tb)
	}
	for _, c := range []struct{ mechanism, response, name, password, wrong string }{
		{"PLAIN", "\x00u\x00p", "u", "p", ""},
		{"PLAIN", "u\x00u\x00p", "u", "p", ""},
		{"PLAIN", "\x00\x00", "", "", ""},
		{"PLAIN", "other\x00u\x00p", "", "", "invalid response for mechanism PLAIN"},
		{"PLAIN", "\x00u", "", "", "invalid response for mechanism PLAIN"},
		{"PLAIN", "\x00u\x00p\x00", "", "", "invalid response for mechanism PLAIN"},
		{"PLAIN", "", "", "", "invalid response for mechanism PLAIN"},
		{"AMQPLAIN", table("LOGIN", "u", "PASSWORD", "p"), "u", "p", ""},
		{"AMQPLAIN", table("LOGIN", "u"), "", "", "AMQPLAIN auth info without LOGIN or PASSWORD"},
		{"AMQPLAIN", "\x05LOG", "", "", "invalid response for mechanism AMQPLAIN"},
		{"EXTERNAL", "", "", "", ""},
		{"CRAM-MD5", "", "", "", "unknown authentication mechanism 'CRAM-MD5'"},
	} {
		name, password, err := Credentials([]byte(c.mechanism), []byte(c.response))
		var e *wire.Error
		if c.wrong == "" && (err != nil || string(name) != c.name || string(password) != c.password) ||
			c.wrong != "" && (!errors.As(err, &e) || e.Text != c.wrong || name != nil || password != nil) {
			t.Errorf("%s %q: %q %q %v", c.mechanism, c.response, name, password, err)
		}
	}
}

// Kombu's questions, and those of others, are answered.
func TestServerProperties(t *testing.T) {
	p, err := wire.DecodeTable(ServerProperties("leat@n1", "1.2"))
	if err != nil {
		t.Fatal(err)
	}
	if v, _ := p.Get("product"); !v.Equal(wire.String("RabbitMQ")) {
		t.Error(p)
	}
	able := abilities(p)
	if able != (Abilities{true, true, true, true}) {
		t.Errorf("%+v", able)
	}
	conn := New(Config{Properties: p, Mechanisms: MechanismPlain})
	var w wire.Writer
	w.SetFrameMax(wire.FrameMaxLeast)
	if err := conn.Start(&w); err != nil {
		t.Error(err)
	}
}
