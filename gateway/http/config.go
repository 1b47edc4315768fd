package http

import (
	"fmt"
	"net/url"
	"strings"
	"time"
)

// Config is what the HTTP gateway can be told, beside the limits of its listener, where timeouts are. Default gives a good one;
// Validate refuses the rest.
type Config struct {
	// BodyBytesMax is the longest request body.
	BodyBytesMax int `yaml:"body_bytes_max"`
	// PageBytesMax is how much of events one page holds; one event is always given.
	PageBytesMax int `yaml:"page_bytes_max"`
	// EventsMax is the most events in one batch or one atomic append.
	EventsMax int `yaml:"events_max"`
	// HeartbeatInterval is how often a follower that has nothing to read is sent a comment (SSE) or a ping (WebSocket).
	HeartbeatInterval time.Duration `yaml:"heartbeat_interval"`
	// RetryAfter is what followers are told to wait before they connect again, and the least of Retry-After.
	RetryAfter time.Duration `yaml:"retry_after"`
	// FollowersMax is the most SSE and WebSocket followers at a time.
	FollowersMax int `yaml:"followers_max"`
	// FlushEventsMax is the most events one flush to a follower carries.
	FlushEventsMax int `yaml:"flush_events_max"`
	// Hosts are the names, besides loopback ones, this listener is reached by. While no users exist no other Host is answered, and a
	// name listed here restricts nothing once there are users.
	Hosts []string `yaml:"hosts"`
	// Origins are the web origins, such as https://app.example.com, whose pages may call. The listener's own origin always may.
	Origins []string `yaml:"origins"`
}

// The least and the most of each limit.
const (
	bodyBytesLeast, bodyBytesMost = 1 << 10, 256 << 20
	pageBytesLeast, pageBytesMost = 1 << 10, 256 << 20
	eventsLeast, eventsMost       = 1, 100_000
	followersLeast, followersMost = 1, 1_000_000
	flushLeast, flushMost         = 1, 10_000
	timeoutLeast, timeoutMost     = 100 * time.Millisecond, time.Hour
)

// Default is the configuration of a gateway that was told nothing.
func Default() Config {
	return Config{
		BodyBytesMax:      16 << 20,
		PageBytesMax:      16 << 20,
		EventsMax:         10_000,
		HeartbeatInterval: 15 * time.Second,
		RetryAfter:        time.Second,
		FollowersMax:      20_000,
		FlushEventsMax:    512,
	}
}

// Validate refuses a limit outside its bounds, a host that is no name and an origin that is none, "*" included: naming who may call
// is the point of the list.
func (c *Config) Validate() error {
	for _, n := range []struct {
		name            string
		is, least, most int
	}{
		{"body_bytes_max", c.BodyBytesMax, bodyBytesLeast, bodyBytesMost},
		{"page_bytes_max", c.PageBytesMax, pageBytesLeast, pageBytesMost},
		{"events_max", c.EventsMax, eventsLeast, eventsMost},
		{"followers_max", c.FollowersMax, followersLeast, followersMost},
		{"flush_events_max", c.FlushEventsMax, flushLeast, flushMost},
	} {
		if n.is < n.least || n.is > n.most {
			return fmt.Errorf("http: %s is %d; it must be from %d to %d", n.name, n.is, n.least, n.most)
		}
	}
	for _, d := range []struct {
		name string
		is   time.Duration
	}{
		{"heartbeat_interval", c.HeartbeatInterval}, {"retry_after", c.RetryAfter},
	} {
		if d.is < timeoutLeast || d.is > timeoutMost {
			return fmt.Errorf("http: %s is %s; it must be from %s to %s", d.name, d.is, timeoutLeast, timeoutMost)
		}
	}
	for _, h := range c.Hosts {
		if h == "" || strings.ContainsAny(h, "/:* ") {
			return fmt.Errorf("http: hosts: %q is not a host name; write it without scheme, port and wildcard", h)
		}
	}
	for _, o := range c.Origins {
		u, err := url.Parse(o)
		if err != nil || u.Scheme == "" || u.Host == "" || strings.Contains(u.Host, "*") || u.Scheme+"://"+u.Host != o {
			return fmt.Errorf("http: origins: %q is not an origin; write it like https://app.example.com, without path and wildcard", o)
		}
	}
	return nil
}
