package main

import (
	"fmt"
	"io"
	"os"
)

// openFile opens a file that the command line names.
func openFile(path string) (io.ReadCloser, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read the input: %w", err)
	}
	return f, nil
}
