//go:build !linux

package main

import "errors"

// dropCaches is not possible here; the rows that need it say so before they begin.
func (b *bench) dropCaches(*proc) (string, error) {
	return "", errors.New("the page cache cannot be dropped on this system")
}
