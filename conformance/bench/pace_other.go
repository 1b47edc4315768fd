//go:build !linux

package main

import "time"

func sleeper() (sleep func(time.Duration), done func()) { return time.Sleep, func() {} }
