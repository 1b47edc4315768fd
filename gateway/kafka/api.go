package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"leat/gateway/kafka/wire"
)

// api is a request type: the versions that are advertised, and what answers it. Produce, Fetch, ApiVersions and the two of SASL are
// answered by the connection itself and have no handler here.
type api struct {
	key      int16
	min, max int16
	name     string // metric label
	handle   func(k *conn, ctx context.Context, s *slot, q kmsg.Request) (kmsg.Response, error)
}

// apis is everything that is offered, by key. What is not offered is not here, so it is not advertised: a client that finds no group or
// transaction requests says so at once, where one that finds them and is refused may try for ever.
//
// Low ends matter: librdkafka derives what a broker can do from them, and old clients use old versions without asking.
var apis = []api{
	{0, wire.ProduceVersionMin, wire.ProduceVersionMax, "produce", nil},
	{1, wire.FetchVersionMin, wire.FetchVersionMax, "fetch", nil},
	{2, 0, 11, "list_offsets", handler((*conn).listOffsets)},
	{3, 0, wire.MetadataVersionMax, "metadata", nil},
	{8, 0, 10, "offset_commit", handler((*conn).offsetCommit)},
	{9, 0, 10, "offset_fetch", handler((*conn).offsetFetch)},
	{10, 0, 6, "find_coordinator", handler((*conn).findCoordinator)},
	{11, 0, 9, "join_group", handler((*conn).joinGroup)},
	{12, 0, 4, "heartbeat", handler((*conn).heartbeat)},
	{13, 0, 5, "leave_group", handler((*conn).leaveGroup)},
	{14, 0, 5, "sync_group", handler((*conn).syncGroup)},
	{15, 0, 6, "describe_groups", handler((*conn).describeGroups)},
	{16, 0, 5, "list_groups", handler((*conn).listGroups)},
	{17, 0, 1, "sasl_handshake", nil},
	{18, 0, 4, "api_versions", nil},
	{19, 0, 7, "create_topics", handler((*conn).createTopics)},
	{20, 0, 6, "delete_topics", handler((*conn).deleteTopics)},
	{21, 0, 2, "delete_records", handler((*conn).deleteRecords)},
	{22, 0, 5, "init_producer_id", handler((*conn).initProducerID)},
	{23, 0, 4, "offset_for_leader_epoch", handler((*conn).offsetForLeaderEpoch)},
	{29, 0, 3, "describe_acls", handler((*conn).describeACLs)},
	{30, 0, 3, "create_acls", handler((*conn).createACLs)},
	{31, 0, 3, "delete_acls", handler((*conn).deleteACLs)},
	{24, 0, 3, "add_partitions_to_txn", handler((*conn).addPartitionsToTxn)},
	{25, 0, 4, "add_offsets_to_txn", handler((*conn).addOffsetsToTxn)},
	{26, 0, 5, "end_txn", handler((*conn).endTxn)},
	{27, 0, 1, "write_txn_markers", handler((*conn).writeTxnMarkers)},
	{28, 0, 5, "txn_offset_commit", handler((*conn).txnOffsetCommit)},
	{32, 0, 4, "describe_configs", handler((*conn).describeConfigs)},
	{33, 0, 2, "alter_configs", handler((*conn).alterConfigs)},
	{34, 0, 2, "alter_replica_log_dirs", handler((*conn).alterReplicaLogDirs)},
	{35, 0, 4, "describe_log_dirs", handler((*conn).describeLogDirs)},
	{36, 0, 2, "sasl_authenticate", nil},
	{37, 0, 3, "create_partitions", handler((*conn).createPartitions)},
	{38, 0, 3, "create_delegation_token", handler((*conn).createToken)},
	{39, 0, 2, "renew_delegation_token", handler((*conn).renewToken)},
	{40, 0, 2, "expire_delegation_token", handler((*conn).expireToken)},
	{41, 0, 3, "describe_delegation_token", handler((*conn).describeTokens)},
	{43, 0, 2, "elect_leaders", handler((*conn).electLeaders)},
	{42, 0, 2, "delete_groups", handler((*conn).deleteGroups)},
	{44, 0, 1, "incremental_alter_configs", handler((*conn).incrementalAlterConfigs)},
	{45, 0, 1, "alter_partition_reassignments", handler((*conn).alterReassignments)},
	{46, 0, 0, "list_partition_reassignments", handler((*conn).listReassignments)},
	{48, 0, 1, "describe_client_quotas", handler((*conn).describeClientQuotas)},
	{49, 0, 1, "alter_client_quotas", handler((*conn).alterClientQuotas)},
	{50, 0, 0, "describe_user_scram_credentials", handler((*conn).describeScram)},
	{51, 0, 0, "alter_user_scram_credentials", handler((*conn).alterScram)},
	{68, 0, 1, "consumer_group_heartbeat", handler((*conn).consumerGroupHeartbeat)},
	{69, 0, 1, "consumer_group_describe", handler((*conn).consumerGroupDescribe)},
	{47, 0, 0, "offset_delete", handler((*conn).offsetDelete)},
	{60, 0, 2, "describe_cluster", handler((*conn).describeCluster)},
	{74, 0, 1, "list_config_resources", handler((*conn).listConfigResources)},
	{57, 0, 2, "update_features", handler((*conn).updateFeatures)},
	{61, 0, 0, "describe_producers", handler((*conn).describeProducers)},
	{65, 0, 0, "describe_transactions", handler((*conn).describeTransactions)},
	{66, 0, 2, "list_transactions", handler((*conn).listTransactions)},
	{75, 0, 0, "describe_topic_partitions", handler((*conn).describeTopicPartitions)},
}

// handler puts a handler of one request type into the table. The error it returns is for the numbers only: the response says it already.
func handler[Q kmsg.Request, R kmsg.Response](f func(*conn, context.Context, *slot, Q) (R, error)) func(*conn, context.Context, *slot, kmsg.Request) (kmsg.Response, error) {
	return func(k *conn, ctx context.Context, s *slot, q kmsg.Request) (kmsg.Response, error) {
		return f(k, ctx, s, q.(Q))
	}
}

// keysMax is above all keys of requests that there are.
const keysMax = 96

// byKey finds an api; nil when it is not offered.
var byKey = func() (t [keysMax]*api) {
	for i := range apis {
		t[apis[i].key] = &apis[i]
	}
	return t
}()

func findAPI(key int16) *api {
	if key < 0 || int(key) >= len(byKey) {
		return nil
	}
	return byKey[key]
}

// flexibleFrom is the first version of each request that has tagged fields in its header.
var flexibleFrom = func() (t [keysMax]int16) {
	for i := range apis {
		q := kmsg.RequestForKey(apis[i].key)
		t[apis[i].key] = 1<<15 - 1
		for v := int16(0); v <= q.MaxVersion(); v++ {
			if q.SetVersion(v); q.IsFlexible() {
				t[apis[i].key] = v
				break
			}
		}
	}
	return t
}()

// flexibleHeader says how the header of a request is encoded. For versions that are not offered only ApiVersions is ever answered, by
// its correlation id, which comes before the difference.
func flexibleHeader(key, version int16) bool {
	return findAPI(key) != nil && version <= findAPI(key).max && version >= flexibleFrom[key]
}
