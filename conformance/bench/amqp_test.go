package main

import "testing"

func TestConfirms_EachCountsOnce(t *testing.T) {
	c := &confirms{base: 1}
	for _, s := range []struct {
		tag      uint64
		multiple bool
		want     int
	}{{2, false, 1}, {3, true, 2}, {4, false, 1}, {6, true, 2}} {
		if got, err := c.add(s.tag, s.multiple); err != nil || got != s.want {
			t.Errorf("add(%d, %v) = %d, %v; want %d", s.tag, s.multiple, got, err, s.want)
		}
	}
	for _, tag := range []uint64{6, 7 + amqpConfirming} {
		if _, err := c.add(tag, false); err == nil {
			t.Errorf("add(%d) after all to 6 was taken", tag)
		}
	}
	if _, err := c.add(8, false); err != nil {
		t.Error(err)
	}
	if _, err := c.add(8, false); err == nil {
		t.Error("8 was taken twice")
	}
}
