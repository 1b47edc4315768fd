package session

import (
	"bytes"

	"leat/gateway/amqp091/wire"
)

// Mechanisms of login. AMQPLAIN is what old clients call PLAIN with a table around it.
const (
	MechanismPlain    = "PLAIN"
	MechanismAMQPlain = "AMQPLAIN"
	MechanismExternal = "EXTERNAL"
)

// Credentials is what a response says: a name and a password, which are part of it. EXTERNAL has neither, the certificate says who it is.
//
//	PLAIN      someone to act as, which must be nobody or the name | NUL | name | NUL | password
//	AMQPLAIN   a table with LOGIN and PASSWORD, without its length
//
// The error is a *wire.Error of a response that is none of its mechanism, or of a mechanism that is not among these.
func Credentials(mechanism, response []byte) (name, password []byte, err error) {
	switch string(mechanism) {
	case MechanismPlain:
		parts := bytes.Split(response, []byte{0})
		if len(parts) != 3 || len(parts[0]) > 0 && !bytes.Equal(parts[0], parts[1]) {
			return nil, nil, refuseLogin("invalid response for mechanism PLAIN")
		}
		return parts[1], parts[2], nil
	case MechanismAMQPlain:
		t, err := wire.DecodeTable(response)
		if err != nil {
			return nil, nil, refuseLogin("invalid response for mechanism AMQPLAIN")
		}
		login, _ := t.Get("LOGIN")
		secret, _ := t.Get("PASSWORD")
		name, named := login.Text()
		password, ok := secret.Text()
		if !named || !ok {
			return nil, nil, refuseLogin("AMQPLAIN auth info without LOGIN or PASSWORD")
		}
		return name, password, nil
	case MechanismExternal:
		return nil, nil, nil
	}
	return nil, nil, refuseLogin("unknown authentication mechanism '" + string(mechanism) + "'")
}

func refuseLogin(text string) *wire.Error {
	return &wire.Error{Code: wire.SyntaxError, Method: wire.IDConnectionStartOK, Text: text}
}
