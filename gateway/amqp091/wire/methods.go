package wire

// The methods, by class and number.
const (
	IDConnectionStart          ID = 10<<16 | 10
	IDConnectionStartOK        ID = 10<<16 | 11
	IDConnectionSecure         ID = 10<<16 | 20
	IDConnectionSecureOK       ID = 10<<16 | 21
	IDConnectionTune           ID = 10<<16 | 30
	IDConnectionTuneOK         ID = 10<<16 | 31
	IDConnectionOpen           ID = 10<<16 | 40
	IDConnectionOpenOK         ID = 10<<16 | 41
	IDConnectionClose          ID = 10<<16 | 50
	IDConnectionCloseOK        ID = 10<<16 | 51
	IDConnectionBlocked        ID = 10<<16 | 60
	IDConnectionUnblocked      ID = 10<<16 | 61
	IDConnectionUpdateSecret   ID = 10<<16 | 70
	IDConnectionUpdateSecretOK ID = 10<<16 | 71
	IDChannelOpen              ID = 20<<16 | 10
	IDChannelOpenOK            ID = 20<<16 | 11
	IDChannelFlow              ID = 20<<16 | 20
	IDChannelFlowOK            ID = 20<<16 | 21
	IDChannelClose             ID = 20<<16 | 40
	IDChannelCloseOK           ID = 20<<16 | 41
	IDAccessRequest            ID = 30<<16 | 10
	IDAccessRequestOK          ID = 30<<16 | 11
	IDExchangeDeclare          ID = 40<<16 | 10
	IDExchangeDeclareOK        ID = 40<<16 | 11
	IDExchangeDelete           ID = 40<<16 | 20
	IDExchangeDeleteOK         ID = 40<<16 | 21
	IDExchangeBind             ID = 40<<16 | 30
	IDExchangeBindOK           ID = 40<<16 | 31
	IDExchangeUnbind           ID = 40<<16 | 40
	IDExchangeUnbindOK         ID = 40<<16 | 51
	IDQueueDeclare             ID = 50<<16 | 10
	IDQueueDeclareOK           ID = 50<<16 | 11
	IDQueueBind                ID = 50<<16 | 20
	IDQueueBindOK              ID = 50<<16 | 21
	IDQueuePurge               ID = 50<<16 | 30
	IDQueuePurgeOK             ID = 50<<16 | 31
	IDQueueDelete              ID = 50<<16 | 40
	IDQueueDeleteOK            ID = 50<<16 | 41
	IDQueueUnbind              ID = 50<<16 | 50
	IDQueueUnbindOK            ID = 50<<16 | 51
	IDBasicQoS                 ID = 60<<16 | 10
	IDBasicQoSOK               ID = 60<<16 | 11
	IDBasicConsume             ID = 60<<16 | 20
	IDBasicConsumeOK           ID = 60<<16 | 21
	IDBasicCancel              ID = 60<<16 | 30
	IDBasicCancelOK            ID = 60<<16 | 31
	IDBasicPublish             ID = 60<<16 | 40
	IDBasicReturn              ID = 60<<16 | 50
	IDBasicDeliver             ID = 60<<16 | 60
	IDBasicGet                 ID = 60<<16 | 70
	IDBasicGetOK               ID = 60<<16 | 71
	IDBasicGetEmpty            ID = 60<<16 | 72
	IDBasicAck                 ID = 60<<16 | 80
	IDBasicReject              ID = 60<<16 | 90
	IDBasicRecoverAsync        ID = 60<<16 | 100
	IDBasicRecover             ID = 60<<16 | 110
	IDBasicRecoverOK           ID = 60<<16 | 111
	IDBasicNack                ID = 60<<16 | 120
	IDConfirmSelect            ID = 85<<16 | 10
	IDConfirmSelectOK          ID = 85<<16 | 11
	IDTxSelect                 ID = 90<<16 | 10
	IDTxSelectOK               ID = 90<<16 | 11
	IDTxCommit                 ID = 90<<16 | 20
	IDTxCommitOK               ID = 90<<16 | 21
	IDTxRollback               ID = 90<<16 | 30
	IDTxRollbackOK             ID = 90<<16 | 31
)

// methods is every method there is: its name, who may send it, and its type.
var methods = map[ID]info{
	IDConnectionStart:          {"connection.start", server, func() Method { return new(ConnectionStart) }},
	IDConnectionStartOK:        {"connection.start-ok", client, func() Method { return new(ConnectionStartOK) }},
	IDConnectionSecure:         {"connection.secure", server, func() Method { return new(ConnectionSecure) }},
	IDConnectionSecureOK:       {"connection.secure-ok", client, func() Method { return new(ConnectionSecureOK) }},
	IDConnectionTune:           {"connection.tune", server, func() Method { return new(ConnectionTune) }},
	IDConnectionTuneOK:         {"connection.tune-ok", client, func() Method { return new(ConnectionTuneOK) }},
	IDConnectionOpen:           {"connection.open", client, func() Method { return new(ConnectionOpen) }},
	IDConnectionOpenOK:         {"connection.open-ok", server, func() Method { return new(ConnectionOpenOK) }},
	IDConnectionClose:          {"connection.close", both, func() Method { return new(ConnectionClose) }},
	IDConnectionCloseOK:        {"connection.close-ok", both, func() Method { return new(ConnectionCloseOK) }},
	IDConnectionBlocked:        {"connection.blocked", server, func() Method { return new(ConnectionBlocked) }},
	IDConnectionUnblocked:      {"connection.unblocked", server, func() Method { return new(ConnectionUnblocked) }},
	IDConnectionUpdateSecret:   {"connection.update-secret", client, func() Method { return new(ConnectionUpdateSecret) }},
	IDConnectionUpdateSecretOK: {"connection.update-secret-ok", server, func() Method { return new(ConnectionUpdateSecretOK) }},
	IDChannelOpen:              {"channel.open", client, func() Method { return new(ChannelOpen) }},
	IDChannelOpenOK:            {"channel.open-ok", server, func() Method { return new(ChannelOpenOK) }},
	IDChannelFlow:              {"channel.flow", both, func() Method { return new(ChannelFlow) }},
	IDChannelFlowOK:            {"channel.flow-ok", both, func() Method { return new(ChannelFlowOK) }},
	IDChannelClose:             {"channel.close", both, func() Method { return new(ChannelClose) }},
	IDChannelCloseOK:           {"channel.close-ok", both, func() Method { return new(ChannelCloseOK) }},
	IDAccessRequest:            {"access.request", client, func() Method { return new(AccessRequest) }},
	IDAccessRequestOK:          {"access.request-ok", server, func() Method { return new(AccessRequestOK) }},
	IDExchangeDeclare:          {"exchange.declare", client, func() Method { return new(ExchangeDeclare) }},
	IDExchangeDeclareOK:        {"exchange.declare-ok", server, func() Method { return new(ExchangeDeclareOK) }},
	IDExchangeDelete:           {"exchange.delete", client, func() Method { return new(ExchangeDelete) }},
	IDExchangeDeleteOK:         {"exchange.delete-ok", server, func() Method { return new(ExchangeDeleteOK) }},
	IDExchangeBind:             {"exchange.bind", client, func() Method { return new(ExchangeBind) }},
	IDExchangeBindOK:           {"exchange.bind-ok", server, func() Method { return new(ExchangeBindOK) }},
	IDExchangeUnbind:           {"exchange.unbind", client, func() Method { return new(ExchangeUnbind) }},
	IDExchangeUnbindOK:         {"exchange.unbind-ok", server, func() Method { return new(ExchangeUnbindOK) }},
	IDQueueDeclare:             {"queue.declare", client, func() Method { return new(QueueDeclare) }},
	IDQueueDeclareOK:           {"queue.declare-ok", server, func() Method { return new(QueueDeclareOK) }},
	IDQueueBind:                {"queue.bind", client, func() Method { return new(QueueBind) }},
	IDQueueBindOK:              {"queue.bind-ok", server, func() Method { return new(QueueBindOK) }},
	IDQueuePurge:               {"queue.purge", client, func() Method { return new(QueuePurge) }},
	IDQueuePurgeOK:             {"queue.purge-ok", server, func() Method { return new(QueuePurgeOK) }},
	IDQueueDelete:              {"queue.delete", client, func() Method { return new(QueueDelete) }},
	IDQueueDeleteOK:            {"queue.delete-ok", server, func() Method { return new(QueueDeleteOK) }},
	IDQueueUnbind:              {"queue.unbind", client, func() Method { return new(QueueUnbind) }},
	IDQueueUnbindOK:            {"queue.unbind-ok", server, func() Method { return new(QueueUnbindOK) }},
	IDBasicQoS:                 {"basic.qos", client, func() Method { return new(BasicQoS) }},
	IDBasicQoSOK:               {"basic.qos-ok", server, func() Method { return new(BasicQoSOK) }},
	IDBasicConsume:             {"basic.consume", client, func() Method { return new(BasicConsume) }},
	IDBasicConsumeOK:           {"basic.consume-ok", server, func() Method { return new(BasicConsumeOK) }},
	IDBasicCancel:              {"basic.cancel", both, func() Method { return new(BasicCancel) }},
	IDBasicCancelOK:            {"basic.cancel-ok", both, func() Method { return new(BasicCancelOK) }},
	IDBasicPublish:             {"basic.publish", client, func() Method { return new(BasicPublish) }},
	IDBasicReturn:              {"basic.return", server, func() Method { return new(BasicReturn) }},
	IDBasicDeliver:             {"basic.deliver", server, func() Method { return new(BasicDeliver) }},
	IDBasicGet:                 {"basic.get", client, func() Method { return new(BasicGet) }},
	IDBasicGetOK:               {"basic.get-ok", server, func() Method { return new(BasicGetOK) }},
	IDBasicGetEmpty:            {"basic.get-empty", server, func() Method { return new(BasicGetEmpty) }},
	IDBasicAck:                 {"basic.ack", both, func() Method { return new(BasicAck) }},
	IDBasicReject:              {"basic.reject", client, func() Method { return new(BasicReject) }},
	IDBasicRecoverAsync:        {"basic.recover-async", client, func() Method { return new(BasicRecoverAsync) }},
	IDBasicRecover:             {"basic.recover", client, func() Method { return new(BasicRecover) }},
	IDBasicRecoverOK:           {"basic.recover-ok", server, func() Method { return new(BasicRecoverOK) }},
	IDBasicNack:                {"basic.nack", both, func() Method { return new(BasicNack) }},
	IDConfirmSelect:            {"confirm.select", client, func() Method { return new(ConfirmSelect) }},
	IDConfirmSelectOK:          {"confirm.select-ok", server, func() Method { return new(ConfirmSelectOK) }},
	IDTxSelect:                 {"tx.select", client, func() Method { return new(TxSelect) }},
	IDTxSelectOK:               {"tx.select-ok", server, func() Method { return new(TxSelectOK) }},
	IDTxCommit:                 {"tx.commit", client, func() Method { return new(TxCommit) }},
	IDTxCommitOK:               {"tx.commit-ok", server, func() Method { return new(TxCommitOK) }},
	IDTxRollback:               {"tx.rollback", client, func() Method { return new(TxRollback) }},
	IDTxRollbackOK:             {"tx.rollback-ok", server, func() Method { return new(TxRollbackOK) }},
}
