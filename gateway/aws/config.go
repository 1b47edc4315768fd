package aws

import (
	"fmt"
	"strings"
)

// Config is what the gateway can be told. Default gives a good one; Validate refuses the rest.
type Config struct {
	// BodyBytesMax is the longest request body. A batch has a mebibyte, more as it is written: %xx, \uxxxx.
	BodyBytesMax int `yaml:"body_bytes_max"`
	// Region is that of ARNs.
	Region string `yaml:"region"`
	// Account is that of ARNs and URLs.
	Account string `yaml:"account"`
	// Hosts are the names, besides loopback ones, by which the listener is reached while no users exist.
	Hosts []string `yaml:"hosts"`
	// UnsignedQueues has what topics send to queues go without a signature, which takes a millisecond of a core for each message and which few
	// receivers look at. What endpoints get is signed in any case.
	UnsignedQueues bool `yaml:"unsigned_queues"`
}

// The least and the most of BodyBytesMax, and the longest region.
const (
	bodyBytesLeast, bodyBytesMost = 1 << 20, 64 << 20
	regionBytesMax                = 64
	accountDigits                 = 12
)

// Default is the configuration of a gateway that was told nothing.
func Default() Config {
	return Config{BodyBytesMax: 8 << 20, Region: "us-east-1", Account: "000000000000"}
}

// Validate refuses what is out of bounds.
func (c *Config) Validate() error {
	switch {
	case c.BodyBytesMax < bodyBytesLeast || c.BodyBytesMax > bodyBytesMost:
		return fmt.Errorf("aws: body_bytes_max is %d; it must be from %d to %d", c.BodyBytesMax, bodyBytesLeast, bodyBytesMost)
	case c.Region == "" || len(c.Region) > regionBytesMax || strings.ContainsAny(c.Region, ":/ "):
		return fmt.Errorf("aws: region %q is none; write it like eu-west-1", c.Region)
	case len(c.Account) != accountDigits || strings.Trim(c.Account, "0123456789") != "":
		return fmt.Errorf("aws: account %q is none; it has %d digits", c.Account, accountDigits)
	}
	for _, h := range c.Hosts {
		if h == "" || strings.ContainsAny(h, "/:* ") {
			return fmt.Errorf("aws: hosts: %q is not a host name; write it without scheme, port and wildcard", h)
		}
	}
	return nil
}
