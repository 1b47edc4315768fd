package history

import (
	"fmt"
	"testing"
	"time"
)

func TestLinearizable(t *testing.T) {
	put := func(client int, call, ret int64, expect uint64, value string, answer Answer, version uint64) Access {
		return Access{Client: client, Key: "k", Call: call, Return: ret, Expect: expect, Value: value, Answer: answer, Version: version}
	}
	get := func(client int, call, ret int64, version uint64, value string) Access {
		return Access{Client: client, Key: "k", Call: call, Return: ret, Read: true, Value: value, Answer: Done, Version: version}
	}
	for name, c := range map[string]struct {
		as    []Access
		right bool
	}{
		"one after the other":                 {[]Access{put(1, 1, 2, 0, "a", Done, 1), get(2, 3, 4, 1, "a"), put(2, 5, 6, 1, "b", Done, 0), put(1, 7, 8, 1, "c", Refused, 2)}, true},
		"concurrent":                          {[]Access{put(1, 1, 9, 0, "a", Done, 1), get(2, 2, 3, 0, ""), get(2, 4, 5, 1, "a")}, true},
		"two winners":                         {[]Access{put(1, 1, 9, 0, "a", Done, 0), put(2, 1, 9, 0, "b", Done, 0)}, false},
		"read of the past":                    {[]Access{put(1, 1, 2, 0, "a", Done, 1), get(2, 3, 4, 0, "")}, false},
		"read goes back":                      {[]Access{put(1, 1, 9, 0, "a", Done, 1), get(2, 2, 3, 1, "a"), get(2, 4, 5, 0, "")}, false},
		"refused for nothing":                 {[]Access{put(1, 1, 2, 0, "a", Done, 1), put(1, 3, 4, 1, "b", Refused, 0)}, false},
		"refused, and names another version":  {[]Access{put(1, 1, 2, 0, "a", Done, 1), put(1, 3, 4, 0, "b", Refused, 2)}, false},
		"done, and names another version":     {[]Access{put(1, 1, 2, 0, "a", Done, 2)}, false},
		"lost and there":                      {[]Access{put(1, 1, 2, 0, "a", Lost, 0), get(2, 3, 4, 1, "a")}, true},
		"lost and not there":                  {[]Access{put(1, 1, 2, 0, "a", Lost, 0), get(2, 3, 4, 0, "")}, true},
		"lost and there late":                 {[]Access{put(1, 1, 2, 0, "a", Lost, 0), get(2, 3, 4, 0, ""), get(2, 5, 6, 1, "a")}, true},
		"lost, there, and gone":               {[]Access{put(1, 1, 2, 0, "a", Lost, 0), get(2, 3, 4, 1, "a"), get(2, 5, 6, 0, "")}, false},
		"lost, and what came next":            {[]Access{put(1, 1, 2, 0, "a", Lost, 0), put(2, 3, 4, 1, "b", Done, 2), put(1, 5, 6, 0, "c", Refused, 2)}, true},
		"lost, and still there for nobody":    {[]Access{put(1, 1, 2, 0, "a", Lost, 0), put(2, 3, 4, 0, "b", Done, 1), put(3, 3, 4, 0, "c", Lost, 0), get(3, 5, 6, 1, "b")}, true},
		"lost and there twice":                {[]Access{put(1, 1, 2, 0, "a", Lost, 0), put(2, 3, 4, 1, "b", Done, 2), get(2, 5, 6, 3, "a")}, false},
		"one of two that were lost":           {[]Access{put(1, 1, 2, 0, "a", Lost, 0), put(2, 1, 2, 0, "b", Lost, 0), get(3, 3, 4, 1, "b"), get(3, 5, 6, 1, "b")}, true},
		"both of two that were lost, in turn": {[]Access{put(1, 1, 2, 0, "a", Lost, 0), put(2, 1, 2, 0, "b", Lost, 0), get(3, 3, 4, 1, "b"), get(3, 5, 6, 1, "a")}, false},
		"acknowledged and gone after a kill":  {[]Access{put(1, 1, 2, 0, "a", Done, 1), put(2, 3, 4, 0, "b", Done, 1)}, false},
	} {
		t.Run(name, func(t *testing.T) {
			wrong, keys, undecided := Linearizable(c.as, time.Minute)
			if keys != 1 || undecided != 0 || (len(wrong) == 0) != c.right {
				t.Errorf("got %v (%d keys, %d undecided), want right: %v", wrong, keys, undecided, c.right)
			}
		})
	}
}

func TestLinearizable_EachKeyByItself(t *testing.T) {
	as := []Access{
		{Key: "k", Call: 1, Return: 2, Value: "a", Answer: Done, Version: 1}, {Key: "l", Call: 3, Return: 4, Value: "b", Answer: Done, Version: 1},
		{Key: "m", Read: true, Call: 1, Return: 2, Value: "not answered", Answer: Lost, Version: 9},
	}
	if wrong, keys, undecided := Linearizable(as, time.Minute); len(wrong) != 0 || keys != 3 || undecided != 0 {
		t.Errorf("got %v, %d keys, %d undecided", wrong, keys, undecided)
	}
}

// Many answers that were lost must not make the search long: what others tell of them is enough.
func TestLinearizable_ManyLost(t *testing.T) {
	var as []Access
	now := int64(0)
	tick := func() int64 { now++; return now }
	for v := range uint64(200) {
		for c := range 8 {
			as = append(as, Access{Client: c, Key: "k", Call: tick(), Return: tick(), Expect: v, Value: fmt.Sprint(v, "-", c)})
		}
		if v%2 == 0 { // one of those that were lost has happened
			as = append(as, Access{Client: 9, Key: "k", Call: tick(), Return: tick(), Read: true, Answer: Done, Version: v + 1, Value: fmt.Sprint(v, "-3")})
		} else {
			as = append(as, Access{Client: 9, Key: "k", Call: tick(), Return: tick(), Expect: v, Answer: Done, Value: "won"})
		}
	}
	if wrong, _, undecided := Linearizable(as, time.Minute); len(wrong) != 0 || undecided != 0 {
		t.Errorf("%v, %d undecided", wrong, undecided)
	}
}
