package http

import nethttp "net/http"

// GET /v1/doctor: how the node is doing, and what to do about it. It takes the right to administer the node.

func doctor(x *call) error {
	if err := x.onlyParams(); err != nil {
		return err
	}
	d, err := x.g.broker.Doctor(x.r.Context(), x.caller())
	if err != nil {
		return err
	}
	x.w.Header()["Cache-Control"] = headerNoStore
	return x.answerJSON(nethttp.StatusOK, d)
}
