package node

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"leat/storage/archive"
)

// ArchiveConfig says where a second copy of everything goes, a second or so behind.
type ArchiveConfig struct {
	URL                string         // file:///path, or s3://bucket/prefix?endpoint=HOST:PORT&region=R; empty: no archive
	CheckpointInterval time.Duration  // between checkpoints, from which a restore begins; frames are archived all the time
	KeepCheckpoints    int            // how many of the newest checkpoints stay at least
	KeepFor            time.Duration  // every moment of so long ago can be restored; what is older goes. 0 keeps everything
	Keys               ArchiveKeys    // of an S3-compatible store
	Packs              archive.Config // how frames are sent
}

// ArchiveKeys are the credentials of an S3-compatible store. Empty: the environment (AWS_ACCESS_KEY_ID and so on), the files of the AWS tools,
// the machine's role.
type ArchiveKeys struct {
	AccessKey    string // empty: the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY), the files of the AWS tools, or the machine's role
	SecretKey    string // write ${VAR} to take it from the environment
	SessionToken string // of temporary keys
}

// The ends of what ArchiveConfig allows.
const (
	checkpointIntervalLeast = time.Minute
	checkpointIntervalMost  = 30 * 24 * time.Hour
	keepCheckpointsMost     = 10_000
	keepForMost             = 100 * 365 * 24 * time.Hour
)

// DefaultArchive is no archive, and what holds once there is a URL.
func DefaultArchive() ArchiveConfig {
	return ArchiveConfig{CheckpointInterval: 6 * time.Hour, KeepCheckpoints: 2, KeepFor: 30 * 24 * time.Hour, Packs: archive.Default()}
}

// Validate names the first setting that is out of bounds.
func (c *ArchiveConfig) Validate() error {
	switch {
	case c.CheckpointInterval < checkpointIntervalLeast || c.CheckpointInterval > checkpointIntervalMost:
		return fmt.Errorf("checkpoint_interval is %s; it must be from %s to %s", c.CheckpointInterval, checkpointIntervalLeast, checkpointIntervalMost)
	case c.KeepCheckpoints < 1 || c.KeepCheckpoints > keepCheckpointsMost:
		return fmt.Errorf("keep_checkpoints is %d; it must be from 1 to %d", c.KeepCheckpoints, keepCheckpointsMost)
	case c.KeepFor < 0 || c.KeepFor > keepForMost:
		return fmt.Errorf("keep_for is %s; it must be from 0 to %s", c.KeepFor, keepForMost)
	case (c.Keys.AccessKey == "") != (c.Keys.SecretKey == ""):
		return fmt.Errorf("keys needs both access_key and secret_key, or neither")
	}
	if c.URL != "" {
		if _, err := OpenArchivePlace(c.URL, c.Keys); err != nil {
			return err
		}
	}
	return c.Packs.Validate()
}

// keep is what pruning leaves; false: it takes nothing.
func (c *ArchiveConfig) keep(now time.Time) (archive.Keep, bool) {
	if c.KeepFor == 0 {
		return archive.Keep{}, false
	}
	return archive.Keep{Last: c.KeepCheckpoints, SinceMS: now.Add(-c.KeepFor).UnixMilli()}, true
}

func sortLineages(all []ArchivedLineage) {
	slices.SortStableFunc(all, func(a, b ArchivedLineage) int {
		return cmp.Or(a.Identity.Made.Compare(b.Identity.Made), cmp.Compare(a.Lineage.String(), b.Lineage.String()))
	})
}
