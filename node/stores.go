package node

import (
	"errors"
	"fmt"
	"path"

	"leat/broker"
	"leat/broker/shard"
	"leat/storage/journal"
	"leat/storage/journal/disk"
	memjournal "leat/storage/journal/memory"
	"leat/storage/keys"
	"leat/storage/segment"
	memstate "leat/storage/state/memory"
	"leat/storage/state/pebble"
	"leat/storage/vfs"
	memfs "leat/storage/vfs/memory"
)

// The folders of a shard. stateFolder is not that of format 1: a program of that format goes on from its own rows, which this one never touches.
const (
	journalFolder  = "journal"
	segmentsFolder = "segments"
	keysFolder     = "keys"
	stateFolder    = "state-2"
	stateFolderOld = "state"

	checkpointFolder = "checkpoint" // a copy of the rows, while a checkpoint is made
)

func shardFolder(data string, i int) string { return path.Join(data, fmt.Sprintf("shard-%d", i)) }

// memoryStores are what a shard runs on that keeps nothing.
func (n *Node) memoryStores(i int) (broker.ShardStore, error) {
	js, err := memjournal.NewStore(memjournal.Default())
	if err != nil {
		return broker.ShardStore{}, err
	}
	st := broker.ShardStore{OpenJournal: func() (journal.Journal, error) { return js.Open(), nil }, State: memstate.New()}
	return st, n.openFiles(memfs.New(), "/", i, &st)
}

// diskStores are what shard i runs on.
func (n *Node) diskStores(fsys vfs.FS, i int) (broker.ShardStore, error) {
	dir := shardFolder(n.opt.Data, i)
	if err := fsys.MkdirAll(dir); err != nil {
		return broker.ShardStore{}, err
	}
	// What a checkpoint that was cut short has left holds files that rows do not need any more.
	if err := removeFolder(fsys, path.Join(dir, checkpointFolder)); err != nil {
		return broker.ShardStore{}, err
	}
	pc := n.cfg.State
	pc.Log = n.log
	rows, err := pebble.Open(path.Join(dir, stateFolder), pc)
	if err != nil {
		return broker.ShardStore{}, err
	}
	st := broker.ShardStore{State: rows, OpenJournal: func() (journal.Journal, error) {
		j, err := disk.Open(fsys, path.Join(dir, journalFolder), n.cfg.Journal, disk.Options{Log: n.log, OnSync: n.metrics.synced})
		if err != nil {
			return nil, err
		}
		n.journals.set(i, j)
		return j, nil
	}}
	if err := n.openFiles(fsys, dir, i, &st); err != nil {
		return broker.ShardStore{}, errors.Join(err, rows.Close())
	}
	if n.shipping != nil {
		sh, err := n.shipping.add(rows, dir)
		if err != nil {
			return broker.ShardStore{}, errors.Join(err, st.Segments.Close(), rows.Close())
		}
		st.Archived = func() uint64 { return uint64(sh.Archived()) }
	}
	return st, nil
}

// openFiles opens segment files and key files of shard i below dir.
func (n *Node) openFiles(fsys vfs.FS, dir string, i int, st *broker.ShardStore) (err error) {
	if st.Segments, err = segment.Open(fsys, path.Join(dir, segmentsFolder), n.cfg.Segments, segment.Options{Log: n.log}); err != nil {
		return err
	}
	n.files.setSegments(i, st.Segments)
	st.OpenKeys = func(opt keys.Options) (*keys.Index, error) {
		opt.Log = n.log
		x, err := keys.Open(fsys, path.Join(dir, keysFolder), n.cfg.Keys, opt)
		if err == nil {
			n.files.setKeys(i, x)
		}
		return x, err
	}
	return nil
}

// missing names the folder when an open failed because what was in it is gone, and what to do.
func (n *Node) missing(err error) error {
	var m *shard.MissingError
	switch {
	case !errors.As(err, &m):
		return err
	case m.What == shard.MissingKeys:
		return fmt.Errorf("%w; the folder %s of a shard was deleted or is an older copy: build it again with leat repair --data %s --act", err, keysFolder, n.opt.Data)
	default:
		return fmt.Errorf("%w; the folder %s of a shard was deleted or is an older copy: put back the one that was there, or make the directory again from its archive with leat restore", err, stateFolder)
	}
}
