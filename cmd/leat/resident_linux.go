package main

import (
	"os"
	"strconv"
	"strings"
	"syscall"
)

// forgetStart lets the kernel unmap those pages of the program's own file that starting has touched: of some 40 MB nearly all, since every package has
// something to set up, and most of them are for what a node never does. What runs is mapped again as it is called, from the page cache; nothing of
// this is ever written. Where it does not work, memory is as it was.
func forgetStart() {
	exe, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return
	}
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return
	}
	for line := range strings.Lines(string(maps)) {
		if start, bytes, ok := ownPages(line, exe); ok {
			_, _, _ = syscall.Syscall(syscall.SYS_MADVISE, start, bytes, syscall.MADV_DONTNEED)
		}
	}
}

// ownPages reads a line of /proc/self/maps; ok where it is a part of the program that cannot be written to, so that nothing but the file is in it.
//
//	00400000-01899000 r-xp 00000000 fe:00 1234    /usr/bin/leat
func ownPages(line, exe string) (start, bytes uintptr, ok bool) {
	f := strings.Fields(line)
	if len(f) < 6 || strings.Join(f[5:], " ") != exe || len(f[1]) != 4 || f[1][1] != '-' || f[1][3] != 'p' {
		return 0, 0, false
	}
	from, to, _ := strings.Cut(f[0], "-")
	a, err := strconv.ParseUint(from, 16, 64)
	if err != nil {
		return 0, 0, false
	}
	b, err := strconv.ParseUint(to, 16, 64)
	return uintptr(a), uintptr(b - a), err == nil && b > a
}
