package archive

import (
	"encoding/hex"
	"fmt"
	"path"
	"strconv"
	"strings"

	"leat/storage/journal"
)

// Names in the bucket:
//
//	shard-<n>/packs/<first>-<last>.pack      the frames with first ≤ Seq ≤ last, both in 16 hex digits
//	shard-<n>/checkpoints/<seq>/manifest     what a checkpoint is made of, written after all of it
//	shard-<n>/files/<base name>-<hash>       its files, shared by checkpoints
//
// first is one more than the last Seq before the pack, whether or not a frame has that Seq: a list of names shows every hole.

// Shard is the number of the shard an archive is of; one bucket holds many.
type Shard uint32

func (s Shard) dir() string { return "shard-" + strconv.FormatUint(uint64(s), 10) + "/" }

func (s Shard) packs() string       { return s.dir() + "packs/" }
func (s Shard) checkpoints() string { return s.dir() + "checkpoints/" }
func (s Shard) files() string       { return s.dir() + "files/" }

const (
	packSuffix   = ".pack"
	manifestName = "/manifest"
	seqDigits    = 16
	baseBytesMax = 80 // of a file's own name in the name of its object
)

func hexSeq(s journal.Seq) string { return fmt.Sprintf("%016x", uint64(s)) }

func parseSeq(s string) (journal.Seq, bool) {
	if len(s) != seqDigits || strings.ToLower(s) != s {
		return 0, false
	}
	n, err := strconv.ParseUint(s, 16, 64)
	return journal.Seq(n), err == nil
}

// packName is the name of a pack after prev up to last.
func packName(s Shard, prev, last journal.Seq) string {
	return s.packs() + hexSeq(prev+1) + "-" + hexSeq(last) + packSuffix
}

// parsePackName is the reverse.
func parsePackName(s Shard, name string) (prev, last journal.Seq, ok bool) {
	base, ok := strings.CutPrefix(name, s.packs())
	if !ok {
		return 0, 0, false
	}
	base, ok = strings.CutSuffix(base, packSuffix)
	from, to, two := strings.Cut(base, "-")
	first, ok1 := parseSeq(from)
	last, ok2 := parseSeq(to)
	if !ok || !two || !ok1 || !ok2 || first == 0 || last < first {
		return 0, 0, false
	}
	return first - 1, last, true
}

func checkpointName(s Shard, seq journal.Seq) string {
	return s.checkpoints() + hexSeq(seq) + manifestName
}

func parseCheckpointName(s Shard, name string) (journal.Seq, bool) {
	base, ok := strings.CutPrefix(name, s.checkpoints())
	if !ok {
		return 0, false
	}
	base, ok = strings.CutSuffix(base, manifestName)
	if !ok {
		return 0, false
	}
	return parseSeq(base)
}

// fileObject names a file by its content; the base name is only there for people.
func fileObject(s Shard, name string, sum Hash) string {
	base := []byte(path.Base(name))
	if len(base) > baseBytesMax {
		base = base[:baseBytesMax]
	}
	for i, c := range base {
		if !plain(c) {
			base[i] = '_'
		}
	}
	return s.files() + string(base) + "-" + hex.EncodeToString(sum[:16])
}
