package record

import (
	"bytes"

	"github.com/google/go-cmp/cmp"
)

// diff is cmp.Diff that compares long bytes as a whole: byte by byte takes seconds under the race detector.
func diff(want, got any, opts ...cmp.Option) string {
	long := cmp.FilterValues(func(a, b []byte) bool { return len(a)+len(b) > 256 }, cmp.Comparer(bytes.Equal))
	return cmp.Diff(want, got, append(opts, long)...)
}
