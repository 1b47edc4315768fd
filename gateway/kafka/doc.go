// Package kafka speaks the Kafka protocol: clients of Kafka 2.1 and later work unchanged for producing, fetching and administration.
//
// # What
//
// Specification: the message definitions of Apache Kafka 3.9 (clients/src/main/resources/common/message), KIP-98, 152, 211, 219, 255, 345, 368,
// 227, 394, 482, 516, 848, 890; RFC 4616, 5802, 7628.
//
//	Produce 0-13 (0-2 refused)   Fetch 4-17            ListOffsets 0-11              Metadata 0-13       FindCoordinator 0-4
//	SaslHandshake 0-1            SaslAuthenticate 0-2  ApiVersions 0-4               InitProducerId 0-5  DescribeCluster 0-2
//	OffsetForLeaderEpoch 0-4     DescribeTopicPartitions 0  ListConfigResources 0-1  DescribeAcls, CreateAcls, DeleteAcls 0-3
//	DescribeLogDirs 0-4          AlterReplicaLogDirs 0-2  ElectLeaders 0-2           Alter-, ListPartitionReassignments 0
//	Describe-, AlterUserScramCredentials 0  Describe-, AlterClientQuotas 0-1
//	CreateTopics 0-7             DeleteTopics 0-6      CreatePartitions 0-3          DescribeConfigs 0-4
//	AlterConfigs 0-2             IncrementalAlterConfigs 0-1  DeleteRecords 0-2
//	AddPartitionsToTxn 0-3       AddOffsetsToTxn 0-4   TxnOffsetCommit 0-5           EndTxn 0-5          WriteTxnMarkers 0-1 (abort)
//	DescribeTransactions 0       ListTransactions 0-2  DescribeProducers 0
//	OffsetCommit, OffsetFetch 0-9  OffsetDelete 0      JoinGroup 0-9, SyncGroup 0-5, Heartbeat 0-4, LeaveGroup 0-5
//	DescribeGroups 0-6           ListGroups 0-5        DeleteGroups 0-2              ConsumerGroupHeartbeat, ConsumerGroupDescribe 0-1
//
// # Mapping
//
//	their word            ours
//	topic                 stream of the same name
//	partition, offset     partition, offset
//	record batch (v2)     batch, stored as it came
//	topic config          document "kafka.<name>" of the stream; cleanup.policy=compact is keys: latest, message.timestamp.type is whose
//	                      time records carry, max.message.bytes is the stream's largest batch, retention.ms and retention.bytes are
//	                      what the stream keeps, unless it is only compacted
//	principal User:x      principal x; ACLs are its grants (translate_acl.go)
//	topic id              UID of the stream; leader epoch: that of the lineage, 0 until there is a restore
//	consumer group        cursor subscription that names no streams (groups.go); offsets are its positions, its members are memos of it
//	transactional id      name of a producer (broker.InitTransactor); its rights are those of kind producer
//	cluster id            name of the data directory; broker: this node, leader of everything
//
// Known gaps: record formats before 2. What is missing is not advertised.
//
// # Promises
//
// A produced batch is answered when it is durable, with acks=1 as with acks=all. Appends of a connection keep their order, answers are
// in the order of requests. A peer costs a connection's buffers and what was reserved for its requests before they were read.
//
// # Imports
//
// broker, broker/record, broker/fault, gateway, internal/clock; kmsg for the requests that are not hot. Tests: xdg-go/scram as the client.
//
// # Where to start
//
// conn.go, which draws a connection; api.go lists the requests; one handle_*.go each; translate.go knows both vocabularies.
//
// # How tested
//
// Tables beside the code against the real broker; wire/ is fuzzed; testdata/captures holds what real clients send; gatewaytest;
// clienttest/ is a module of its own that runs real clients against the real binary.
package kafka
