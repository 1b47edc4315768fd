package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// dropCaches takes what a stopped or running node has written out of the page cache, and says how. With -quick, or without the right to drop
// all that the machine has cached, each of the node's files is asked for by itself.
func (b *bench) dropCaches(p *proc) (how string, err error) {
	syscall.Sync() // dirty pages stay
	if !b.quick {
		if err := os.WriteFile("/proc/sys/vm/drop_caches", []byte("3"), 0); err == nil {
			return "drop_caches", nil
		}
	}
	return "posix_fadvise of each file", filepath.WalkDir(p.dir, func(name string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return ifThere(err)
		}
		f, err := os.Open(name)
		if err != nil {
			return ifThere(err)
		}
		const dontNeed = 4
		_, _, errno := syscall.Syscall6(syscall.SYS_FADVISE64, f.Fd(), 0, 0, dontNeed, 0, 0)
		if errno != 0 {
			return errors.Join(fmt.Errorf("posix_fadvise %s: %w", name, errno), f.Close())
		}
		return f.Close()
	})
}

// ifThere passes over files that a running node has removed meanwhile.
func ifThere(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}
