package main

import (
	"os"
	"strconv"
	"strings"
	"syscall"
)

// forgetStart lets the kernel unmap those pages of the program's own file that starting has touched: of some 40 MB nearly all, since every package has
// something to set up, and most of them are for what a node never does. What runs is mapped again as it is called, from the page cache. Where it does
// not work, memory is as it was.
//
// A mapping that cannot be written to may have been written to before: what a linker's relocations left (a program that is position independent or
// uses cgo), or a debugger's breakpoints. Such pages would come back as they are in the file, so a mapping that has any is left alone:
//
//	00400000-01899000 r-xp … /usr/bin/leat      Anonymous: 0 kB     forgotten
//	03c10000-03c60000 r--p … /usr/bin/leat      Anonymous: 320 kB   relocated, stays
func forgetStart() {
	exe, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return
	}
	maps, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		return
	}
	eachForgettable(string(maps), exe, func(start, bytes uintptr) {
		_, _, _ = syscall.Syscall(syscall.SYS_MADVISE, start, bytes, syscall.MADV_DONTNEED)
	})
}

// eachForgettable calls fn for parts of the program of which every page is as in the file.
func eachForgettable(smaps, exe string, fn func(start, bytes uintptr)) {
	var start, bytes uintptr
	own := false
	for line := range strings.Lines(smaps) {
		f := strings.Fields(line)
		switch {
		case len(f) > 1 && !strings.HasSuffix(f[0], ":"): // a mapping begins; what is told of it follows, a name and a colon each
			start, bytes, own = ownPages(line, exe)
		case own && len(f) == 3 && f[0] == "Anonymous:" && f[1] == "0":
			fn(start, bytes)
		}
	}
}

// ownPages reads the first line of a mapping; ok where it is a part of the program that cannot be written to.
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
