package http

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

// Every limit is taken at both of its ends and refused beyond them, by its name in the file.
func TestConfig_Limits(t *testing.T) {
	c := Default()
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	bounds := map[string][2]int64{
		"BodyBytesMax": {bodyBytesLeast, bodyBytesMost}, "PageBytesMax": {pageBytesLeast, pageBytesMost}, "EventsMax": {eventsLeast, eventsMost},
		"FollowersMax": {followersLeast, followersMost}, "FlushEventsMax": {flushLeast, flushMost},
		"HeartbeatInterval": {int64(timeoutLeast), int64(timeoutMost)}, "RetryAfter": {int64(timeoutLeast), int64(timeoutMost)},
	}
	typ := reflect.TypeFor[Config]()
	for i := range typ.NumField() {
		f := typ.Field(i)
		if f.Type.Kind() == reflect.Slice {
			continue
		}
		b, ok := bounds[f.Name]
		if !ok {
			t.Errorf("%s has no limits in this test", f.Name)
			continue
		}
		name := f.Tag.Get("yaml")
		for v, good := range map[int64]bool{b[0]: true, b[1]: true, b[0] - 1: false, b[1] + 1: false} {
			c := Default()
			reflect.ValueOf(&c).Elem().Field(i).SetInt(v)
			err := c.Validate()
			if good && err != nil || !good && (err == nil || !strings.Contains(err.Error(), name+" is ")) {
				t.Errorf("%s = %d (%s): %v", f.Name, v, time.Duration(v), err)
			}
		}
	}
}

func TestConfig_HostsAndOrigins(t *testing.T) {
	for _, bad := range []string{"", "*", "a:80", "http://a", "a/b", "*.a"} {
		c := Default()
		c.Hosts = []string{bad}
		if c.Validate() == nil {
			t.Errorf("host %q was taken", bad)
		}
	}
	for _, bad := range []string{"", "*", "null", "a.example", "https://a.example/", "https://a.example/x", "https://*.example", "https://"} {
		c := Default()
		c.Origins = []string{bad}
		if c.Validate() == nil {
			t.Errorf("origin %q was taken", bad)
		}
	}
	c := Default()
	c.Hosts, c.Origins = []string{"leat.internal"}, []string{"https://app.example.com", "http://localhost:5173"}
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
}
