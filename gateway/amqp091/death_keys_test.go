package amqp091

import (
	"testing"

	"leat/gateway/amqp091/wire"
)

// The routing keys of a death are the message's own and those of its header CC, each once.
func TestDeath_HasTheKeysOfCC(t *testing.T) {
	headers, err := wire.Table(nil).Add("CC", wire.ArrayValue(wire.Array(nil).Add(wire.String("foo")).Add(wire.String("test"))))
	if err != nil {
		t.Fatal(err)
	}
	v, _ := (&death{key: "test"}).table(headers).Get("routing-keys")
	keys, _ := v.Array()
	var got []string
	for v := range keys.All() {
		key, _ := v.Text()
		got = append(got, string(key))
	}
	if len(got) != 2 || got[0] != "test" || got[1] != "foo" {
		t.Error(got)
	}
}
