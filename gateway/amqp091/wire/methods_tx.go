package wire

// ConfirmSelect (confirm.select) makes the channel confirm what is published on it (RabbitMQ).
type ConfirmSelect struct {
	NoWait bool
}

func (*ConfirmSelect) ID() ID { return IDConfirmSelect }

func (m *ConfirmSelect) fields(c *codec) {
	c.bit("no-wait", &m.NoWait)
}

// ConfirmSelectOK (confirm.select-ok) answers it.
type ConfirmSelectOK struct{}

func (*ConfirmSelectOK) ID() ID { return IDConfirmSelectOK }

func (*ConfirmSelectOK) fields(*codec) {}

// TxSelect (tx.select) makes the channel transactional.
type TxSelect struct{}

func (*TxSelect) ID() ID { return IDTxSelect }

func (*TxSelect) fields(*codec) {}

// TxSelectOK (tx.select-ok) answers it.
type TxSelectOK struct{}

func (*TxSelectOK) ID() ID { return IDTxSelectOK }

func (*TxSelectOK) fields(*codec) {}

// TxCommit (tx.commit) does what was published and acknowledged since the last one.
type TxCommit struct{}

func (*TxCommit) ID() ID { return IDTxCommit }

func (*TxCommit) fields(*codec) {}

// TxCommitOK (tx.commit-ok) says it is done.
type TxCommitOK struct{}

func (*TxCommitOK) ID() ID { return IDTxCommitOK }

func (*TxCommitOK) fields(*codec) {}

// TxRollback (tx.rollback) forgets it.
type TxRollback struct{}

func (*TxRollback) ID() ID { return IDTxRollback }

func (*TxRollback) fields(*codec) {}

// TxRollbackOK (tx.rollback-ok) says it is forgotten.
type TxRollbackOK struct{}

func (*TxRollbackOK) ID() ID { return IDTxRollbackOK }

func (*TxRollbackOK) fields(*codec) {}
