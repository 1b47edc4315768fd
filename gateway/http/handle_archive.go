package http

import nethttp "net/http"

// GET /v1/archive: how the archive is doing. POST /v1/archive/checkpoint and /v1/archive/prune: what a node does by itself now and then, at once. All
// take the right to administer the node.

func archiveState(x *call) error {
	if err := x.onlyParams(); err != nil {
		return err
	}
	s, err := x.g.broker.ArchiveState(x.caller())
	if err != nil {
		return err
	}
	x.w.Header()["Cache-Control"] = headerNoStore
	return x.answerJSON(nethttp.StatusOK, s)
}

func archiveCheckpoint(x *call) error {
	if err := x.onlyParams(); err != nil {
		return err
	}
	made, err := x.g.broker.ArchiveCheckpoint(x.r.Context(), x.caller())
	if err != nil {
		return err
	}
	return x.answerJSON(nethttp.StatusOK, made)
}

func archivePrune(x *call) error {
	if err := x.onlyParams(); err != nil {
		return err
	}
	did, err := x.g.broker.ArchivePrune(x.r.Context(), x.caller())
	if err != nil {
		return err
	}
	return x.answerJSON(nethttp.StatusOK, did)
}
