package disk

import (
	"fmt"
	"strconv"
	"strings"
)

// The names in a journal's folder.
//
//	LOCK                            held while open
//	journal-00000000000000a1.log    the file with that number
//	spare-000000000000000b.log      a filled file that waits for its turn
//	*.tmp                           being made; removed at open
//	torn-*.bin                      bytes that were cut at an open
//	repair-*.bin                    what a repair put aside
const (
	lockName   = "LOCK"
	filePrefix = "journal-"
	sparePfx   = "spare-"
	fileSuffix = ".log"
	tmpSuffix  = ".tmp"
	newName    = "new.tmp"
)

func fileName(number uint64) string  { return fmt.Sprintf("%s%016x%s", filePrefix, number, fileSuffix) }
func spareName(number uint64) string { return fmt.Sprintf("%s%016x%s", sparePfx, number, fileSuffix) }

func parseName(name, prefix string) (uint64, bool) {
	hex, ok := strings.CutPrefix(name, prefix)
	if !ok {
		return 0, false
	}
	if hex, ok = strings.CutSuffix(hex, fileSuffix); !ok || len(hex) != 16 {
		return 0, false
	}
	n, err := strconv.ParseUint(hex, 16, 64)
	return n, err == nil
}
