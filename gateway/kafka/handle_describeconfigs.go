package kafka

import (
	"context"
	"net"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"leat/broker"
	"leat/broker/fault"
)

// DescribeConfigs(32), versions 0-4, of topics, of this node and of groups. A topic's are those in configKeys, whether set or default; a node's are
// the few that tools look for, and read only, as are those of a group, which are the same for all. Synonyms say where a value comes from, as UIs show it.
func (k *conn) describeConfigs(ctx context.Context, s *slot, q *kmsg.DescribeConfigsRequest) (*kmsg.DescribeConfigsResponse, error) {
	r := kmsg.NewPtrDescribeConfigsResponse()
	var failed error
	for i := range q.Resources {
		res := &q.Resources[i]
		rr := kmsg.NewDescribeConfigsResponseResource()
		rr.ResourceType, rr.ResourceName = res.ResourceType, res.ResourceName
		var err error
		switch res.ResourceType {
		case kmsg.ConfigResourceTypeTopic:
			rr.Configs, err = k.topicConfigs(ctx, s.caller, q, res)
		case kmsg.ConfigResourceTypeBroker:
			rr.Configs, err = k.nodeConfigs(s.caller, q, res)
		case kmsg.ConfigResourceTypeGroupConfig:
			rr.Configs, err = k.groupConfigs(s.caller, q, res)
		case kmsg.ConfigResourceTypeBrokerLogger, kmsg.ConfigResourceTypeClientMetrics: // there are none, and tools ask for them all the same
			err = k.mayCluster(s.caller, broker.ActionDescribe)
		default:
			err = fault.New(fault.Invalid, "describe", res.ResourceName, "configs of resource type %d are not kept here; of topics (2), brokers (4) and groups (32) they are", res.ResourceType)
		}
		if err != nil {
			f := fault.As(err)
			rr.ErrorCode, rr.ErrorMessage = code(f, configPlace(res.ResourceType)), message(f)
			if f.Kind == fault.Denied && res.ResourceType == kmsg.ConfigResourceTypeGroupConfig {
				rr.ErrorCode = codeGroupDenied
			}
			k.report("", -1, err)
			failed = err
		}
		r.Resources = append(r.Resources, rr)
	}
	return r, failed
}

func configPlace(t kmsg.ConfigResourceType) place {
	if t == kmsg.ConfigResourceTypeTopic {
		return placeAdmin
	}
	return placeCluster
}

func sourceOf(own bool) kmsg.ConfigSource {
	if own {
		return kmsg.ConfigSourceDynamicTopicConfig
	}
	return kmsg.ConfigSourceDefaultConfig
}

func (k *conn) topicConfigs(ctx context.Context, caller *broker.Caller, q *kmsg.DescribeConfigsRequest, res *kmsg.DescribeConfigsRequestResource) ([]kmsg.DescribeConfigsResponseResourceConfig, error) {
	info, err := k.g.b.DescribeStream(ctx, caller, res.ResourceName)
	if err != nil {
		return nil, err
	}
	var configs []kmsg.DescribeConfigsResponseResourceConfig
	for i := range configKeys {
		key := &configKeys[i]
		if res.ConfigNames != nil && !slices.Contains(res.ConfigNames, key.name) {
			continue
		}
		value, own := topicConfig(&info.Config, key)
		if !own && slices.Contains(bygone, key.name) && res.ConfigNames == nil {
			continue
		}
		c := kmsg.NewDescribeConfigsResponseResourceConfig()
		c.Name, c.Value, c.IsDefault, c.Source, c.ConfigType = key.name, &value, !own, sourceOf(own), key.kind
		if q.IncludeSynonyms {
			if own {
				c.ConfigSynonyms = append(c.ConfigSynonyms, synonym(key.name, value, kmsg.ConfigSourceDynamicTopicConfig))
			}
			c.ConfigSynonyms = append(c.ConfigSynonyms, synonym(nodeName(key.name), key.value, kmsg.ConfigSourceDefaultConfig))
		}
		if q.IncludeDocumentation {
			c.Documentation = &key.doc
		}
		configs = append(configs, c)
	}
	return configs, nil
}

func synonym(name, value string, source kmsg.ConfigSource) kmsg.DescribeConfigsResponseResourceConfigConfigSynonym {
	s := kmsg.NewDescribeConfigsResponseResourceConfigConfigSynonym()
	s.Name, s.Value, s.Source = name, &value, source
	return s
}

// nodeConfigs are what tools look for about a broker.
func (k *conn) nodeConfigs(caller *broker.Caller, q *kmsg.DescribeConfigsRequest, res *kmsg.DescribeConfigsRequestResource) ([]kmsg.DescribeConfigsResponseResourceConfig, error) {
	if !k.g.b.Allowed(caller, broker.ActionDescribe, broker.KindNode, "") {
		return nil, fault.New(fault.Denied, "describe", "node", "the configuration of the node needs the right to describe it")
	}
	if id := formatNumber(int64(k.g.b.NodeID())); res.ResourceName != "" && res.ResourceName != id {
		return nil, fault.New(fault.Invalid, "describe", res.ResourceName, "there is no broker %s; this one is %s", clip(res.ResourceName), id)
	}
	truth := "false"
	if k.g.cfg.AutoCreate {
		truth = "true"
	}
	listens := k.listens()
	return fixedConfigs(q, res, kmsg.ConfigSourceStaticBrokerConfig, []fixedConfig{
		{"advertised.listeners", listens, kmsg.ConfigTypeString, "Where clients are told to connect to (--advertise), as this connection sees it."},
		{"auto.create.topics.enable", truth, kmsg.ConfigTypeBoolean, "Whether a topic is made when a client asks for it (gateways.kafka.auto_create)."},
		{"broker.id", formatNumber(int64(k.g.b.NodeID())), kmsg.ConfigTypeInt, "The number of this node."},
		{"default.replication.factor", "1", kmsg.ConfigTypeInt, "There is one node, and it has every partition."},
		{"delete.topic.enable", "true", kmsg.ConfigTypeBoolean, "Topics can be deleted."},
		{"fetch.max.bytes", formatNumber(int64(k.g.cfg.FetchBytesMax)), kmsg.ConfigTypeInt, "Bytes of a Fetch response at most (gateways.kafka.fetch_bytes_max)."},
		{"listeners", listens, kmsg.ConfigTypeString, "The listener of this connection; the node's are in its settings."},
		{"log.cleanup.policy", "delete", kmsg.ConfigTypeList, "Of topics that do not say."},
		{"log.message.timestamp.after.max.ms", formatNumber(timeAheadBorn), kmsg.ConfigTypeLong, "Of topics that clients of this protocol make and that do not say."},
		{"log.retention.ms", "604800000", kmsg.ConfigTypeLong, "Of topics that do not say."},
		{"max.incremental.fetch.session.cache.slots", formatNumber(int64(k.g.cfg.FetchSessionsMax)), kmsg.ConfigTypeInt, "Fetch sessions that are remembered (gateways.kafka.fetch_sessions_max)."},
		{"message.max.bytes", "1048588", kmsg.ConfigTypeInt, "Bytes of the largest record batch, of topics that do not say."},
		{"min.insync.replicas", "1", kmsg.ConfigTypeInt, "Acknowledged records are durable on this node."},
		{"node.id", formatNumber(int64(k.g.b.NodeID())), kmsg.ConfigTypeInt, "The number of this node."},
		{"num.partitions", formatNumber(int64(k.g.cfg.PartitionsDefault)), kmsg.ConfigTypeInt, "How many partitions a topic has that is made when a client asks for it (gateways.kafka.partitions_default)."},
		{"socket.request.max.bytes", formatNumber(int64(k.g.cfg.RequestBytesMax)), kmsg.ConfigTypeInt, "Bytes of a Produce request at most (gateways.kafka.request_bytes_max)."},
	}), nil
}

// groupConfigs are those of members of the newer protocol, whatever the group is called and whether it is there.
func (k *conn) groupConfigs(caller *broker.Caller, q *kmsg.DescribeConfigsRequest, res *kmsg.DescribeConfigsRequestResource) ([]kmsg.DescribeConfigsResponseResourceConfig, error) {
	if err := k.mayGroup(caller, broker.ActionDescribe, res.ResourceName); err != nil {
		return nil, err
	}
	c := &k.g.cfg.Groups
	return fixedConfigs(q, res, kmsg.ConfigSourceDefaultConfig, []fixedConfig{
		{"consumer.heartbeat.interval.ms", formatNumber(c.Heartbeat.Milliseconds()), kmsg.ConfigTypeInt, "How often members say that they are there (gateways.kafka.groups.heartbeat)."},
		{"consumer.session.timeout.ms", formatNumber(c.Session.Milliseconds()), kmsg.ConfigTypeInt, "When a member that is silent is taken for gone (gateways.kafka.groups.session)."},
	}), nil
}

// fixedConfig is one that is read only.
type fixedConfig struct {
	name, value string
	kind        kmsg.ConfigType
	doc         string
}

func fixedConfigs(q *kmsg.DescribeConfigsRequest, res *kmsg.DescribeConfigsRequestResource, source kmsg.ConfigSource, all []fixedConfig) (configs []kmsg.DescribeConfigsResponseResourceConfig) {
	for _, n := range all {
		if res.ConfigNames != nil && !slices.Contains(res.ConfigNames, n.name) {
			continue
		}
		c := kmsg.NewDescribeConfigsResponseResourceConfig()
		c.Name, c.Value, c.ReadOnly, c.Source, c.ConfigType = n.name, new(n.value), true, source, n.kind
		c.IsDefault = source == kmsg.ConfigSourceDefaultConfig
		if q.IncludeSynonyms {
			c.ConfigSynonyms = append(c.ConfigSynonyms, synonym(n.name, n.value, c.Source))
		}
		if q.IncludeDocumentation {
			c.Documentation = &n.doc
		}
		configs = append(configs, c)
	}
	return configs
}

// listens is the listener that the connection came in by, as brokers write theirs.
func (k *conn) listens() string {
	protocol := "PLAINTEXT"
	secure := k.c.TLSState() != nil
	switch {
	case k.g.b.UsersExist() && secure:
		protocol = "SASL_SSL"
	case k.g.b.UsersExist():
		protocol = "SASL_PLAINTEXT"
	case secure:
		protocol = "SSL"
	}
	host, port := k.address()
	return protocol + "://" + net.JoinHostPort(host, formatNumber(int64(port)))
}
