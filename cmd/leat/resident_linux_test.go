package main

import (
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func TestOwnPages(t *testing.T) {
	for line, want := range map[string][2]uintptr{
		"00400000-01899000 r-xp 00000000 fe:00 1234    /usr/bin/leat":           {0x400000, 0x1499000},
		"01899000-02e80000 r--p 01499000 fe:00 1234    /usr/bin/leat\n":         {0x1899000, 0x15e7000},
		"02e80000-02f5f000 rw-p 02a80000 fe:00 1234    /usr/bin/leat":           {},
		"01899000-02e80000 r--s 01499000 fe:00 1234    /usr/bin/leat":           {},
		"01899000-02e80000 r--p 01499000 fe:00 1234    /usr/bin/leat (deleted)": {},
		"7f66bfa0c000-7f66bfa0e000 r-xp 00000000 00:00 0    [vdso]":             {},
		"354dd8000000-354dda000000 ---p 00000000 00:00 0 ":                      {},
		"x-y r-xp 00000000 fe:00 1234 /usr/bin/leat":                            {},
		"": {},
	} {
		start, bytes, ok := ownPages(line, "/usr/bin/leat")
		if ok != (want[1] > 0) || ok && (start != want[0] || bytes != want[1]) {
			t.Errorf("%q: %#x, %#x, %v, want %#x", line, start, bytes, ok, want)
		}
	}
}

// What was written to before it was closed to writing is not forgotten: relocations are in no file.
func TestEachForgettable(t *testing.T) {
	var got []uintptr
	eachForgettable(`00400000-01899000 r-xp 00000000 fe:00 1234    /usr/bin/leat
Rss:               10244 kB
Anonymous:             0 kB
VmFlags: rd ex mr mw me sd
01899000-01900000 r--p 01499000 fe:00 1234    /usr/bin/leat
Rss:                 412 kB
Anonymous:             4 kB
VmFlags: rd mr mw me sd
01900000-02e80000 r--p 01500000 fe:00 1234    /usr/bin/leat
Anonymous:             0 kB
02e80000-02f5f000 rw-p 02a80000 fe:00 1234    /usr/bin/leat
Anonymous:             0 kB
7f66bfa0c000-7f66bfa0e000 r-xp 00000000 00:00 0    [vdso]
Anonymous:             0 kB
`, "/usr/bin/leat", func(start, _ uintptr) { got = append(got, start) })
	if !slices.Equal(got, []uintptr{0x400000, 0x1900000}) {
		t.Errorf("%#x", got)
	}
}

// The program goes on, and its pages come back only as they are needed.
func TestForgetStart(t *testing.T) {
	runtime.GC() // nothing else runs meanwhile
	before := ownResident(t)
	forgetStart()
	if after := ownResident(t); after >= before {
		t.Errorf("%d kB of the program are mapped, %d before", after, before)
	}
}

// ownResident is how much is mapped of what forgetStart is about.
func ownResident(t *testing.T) (kb int) {
	t.Helper()
	exe, err := os.Readlink("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	own := false
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		switch {
		case len(f) > 1 && len(f[1]) == 4 && strings.Contains(f[0], "-"):
			_, _, own = ownPages(line, exe)
		case own && len(f) == 3 && f[0] == "Rss:":
			n, err := strconv.Atoi(f[1])
			if err != nil {
				t.Fatal(err)
			}
			kb += n
		}
	}
	return kb
}
