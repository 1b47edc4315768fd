package stream

import (
	"fmt"
	"strings"

	"leat/broker/fact"
)

// Tell puts a fact into words, for who looks into a journal: batches, markers and transactions with all they say, others by their kind. The words are for
// people and may change.
func Tell(f fact.Fact) (string, error) {
	switch f.Kind {
	case fact.Appended:
		a, err := ReadAppended(f.Body)
		return a.tell(), err
	case fact.TransactorPut:
		v, err := readTransactorPut(f.Body)
		return fmt.Sprintf("producer %d epoch %d is %q of %s, transactions take at most %d ms", v.producer, v.epoch, v.name.Name, v.name.Namespace, v.timeoutMS), err
	case fact.TransactorGone:
		b := fact.ReadBody(f.Body)
		id := readProducer(b)
		return fmt.Sprintf("producer %d is forgotten", id), b.Err()
	case fact.Enlisted:
		v, err := readEnlisted(f.Body)
		return fmt.Sprintf("producer %d announces partitions%s and subscriptions %v", v.producer, tellPlaces(v.places), v.cursors), err
	case fact.PositionsDeferred:
		id, ds, err := readDeferred(f.Body)
		var b strings.Builder
		for i := range ds {
			to := fmt.Sprint("to ", ds[i].To)
			if ds[i].To < 0 {
				to = "to none"
			}
			fmt.Fprintf(&b, ", subscription %d in %d/%d %s", ds[i].Cursor, ds[i].Place.Stream, ds[i].Place.Partition, to)
		}
		return fmt.Sprintf("producer %d moves when it commits%s", id, b.String()), err
	case fact.TransactionEnded:
		v, err := readEnded(f.Body)
		return fmt.Sprintf("transaction of producer %d ended: %s; then producer %d epoch %d", v.producer, tellEnd(v.commit), v.then, v.epoch), err
	default:
		return f.Kind.String(), nil
	}
}

func (a *Appended) tell() string {
	at := fmt.Sprintf("%d/%d at %d", a.Stream, a.Partition, a.Base)
	if a.Flags&AppendedMarker != 0 {
		return fmt.Sprintf("marker %s of producer %d epoch %d: %s", at, a.Producer, a.Epoch, tellEnd(a.Flags&AppendedCommit != 0))
	}
	at = fmt.Sprintf("appended %s, %d records, %d bytes", at, a.Count, a.Bytes)
	if a.Producer >= 0 {
		at += fmt.Sprintf(", producer %d epoch %d sequence %d", a.Producer, a.Epoch, a.First)
	}
	if a.Flags&AppendedTransactional != 0 {
		at += ", of a transaction"
	}
	return at
}

func tellEnd(commit bool) string {
	if commit {
		return "committed"
	}
	return "aborted"
}

func tellPlaces(ps []Place) string {
	var b strings.Builder
	for _, p := range ps {
		fmt.Fprintf(&b, " %d/%d", p.Stream, p.Partition)
	}
	return b.String()
}
