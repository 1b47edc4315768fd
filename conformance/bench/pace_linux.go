package main

import (
	"runtime"
	"syscall"
	"time"
)

// sleeper sleeps on a thread of its own: the runtime's timers wake an idle process to the millisecond only, which would send what should
// be spread over it at once.
func sleeper() (sleep func(time.Duration), done func()) {
	runtime.LockOSThread()
	return func(d time.Duration) {
		t := syscall.NsecToTimespec(int64(d))
		_ = syscall.Nanosleep(&t, nil) // a signal may cut it short; the caller looks at the clock
	}, runtime.UnlockOSThread
}
