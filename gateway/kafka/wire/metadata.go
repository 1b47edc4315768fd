package wire

import "iter"

// MetadataVersionMax is the newest version of Metadata that AppendMetadata writes.
const (
	MetadataVersionMax      int16 = 13
	metadataVersionFlexible int16 = 9
)

// OperationsUnset is what stands where authorized operations were not asked for.
const OperationsUnset int32 = -2147483648

// MetadataHead is what a Metadata response says of the cluster: one node, which leads everything.
type MetadataHead struct {
	NodeID            int32
	Host              string
	Port              int32
	ClusterID         string
	ClusterOperations int32
	LeaderEpoch       int32 // of all partitions
}

// MetadataTopic is what it says of a topic.
type MetadataTopic struct {
	Code       int16
	Name       string // "" where an id was asked for that is nobody's
	ID         [16]byte
	Internal   bool
	Partitions int32
	Operations int32
}

// AppendMetadata appends the body of a response. It is written by hand because "all topics" may be 100,000: nothing is allocated but dst.
//
//	throttle int32 (3+) | [node] | cluster id (2+) | controller int32 (1+) | [topic] | cluster operations int32 (8 to 10) | error int16 (13+) | tags
//	node:      id int32 | host string | port int32 | rack nullable string (1+) | tags
//	topic:     error int16 | name string, nullable from 12 on | id uuid (10+) | internal bool (1+) | [partition] | operations int32 (8+) | tags
//	partition: error int16 | index int32 | leader int32 | leader epoch int32 (7+) | [replica] | [in sync] | [offline] (5+) | tags
func AppendMetadata(dst []byte, version int16, h MetadataHead, count int, topics iter.Seq[MetadataTopic]) []byte {
	flex := version >= metadataVersionFlexible
	if version >= 3 {
		dst = appendInt32(dst, 0)
	}
	dst = appendArray(dst, 1, flex)
	dst = appendInt32(dst, h.NodeID)
	dst = appendString(dst, h.Host, flex)
	dst = appendInt32(dst, h.Port)
	if version >= 1 {
		dst = appendText(dst, "", flex)
	}
	dst = appendTags(dst, flex)
	if version >= 2 {
		dst = appendText(dst, h.ClusterID, flex)
	}
	if version >= 1 {
		dst = appendInt32(dst, h.NodeID)
	}
	dst = appendArray(dst, count, flex)
	for t := range topics {
		dst = appendMetadataTopic(dst, version, flex, &h, &t)
	}
	if version >= 8 && version <= 10 {
		dst = appendInt32(dst, h.ClusterOperations)
	}
	if version >= 13 {
		dst = appendInt16(dst, 0)
	}
	return appendTags(dst, flex)
}

func appendMetadataTopic(dst []byte, version int16, flex bool, h *MetadataHead, t *MetadataTopic) []byte {
	dst = appendInt16(dst, t.Code)
	if version >= 12 {
		dst = appendText(dst, t.Name, flex)
	} else {
		dst = appendString(dst, t.Name, flex)
	}
	if version >= 10 {
		dst = append(dst, t.ID[:]...)
	}
	if version >= 1 {
		internal := byte(0)
		if t.Internal {
			internal = 1
		}
		dst = append(dst, internal)
	}
	dst = appendArray(dst, int(t.Partitions), flex)
	for p := range t.Partitions {
		dst = appendInt16(dst, 0)
		dst = appendInt32(dst, p)
		dst = appendInt32(dst, h.NodeID)
		if version >= 7 {
			dst = appendInt32(dst, h.LeaderEpoch)
		}
		for range 2 { // replicas, and those in sync
			dst = appendArray(dst, 1, flex)
			dst = appendInt32(dst, h.NodeID)
		}
		if version >= 5 {
			dst = appendArray(dst, 0, flex)
		}
		dst = appendTags(dst, flex)
	}
	if version >= 8 {
		dst = appendInt32(dst, t.Operations)
	}
	return appendTags(dst, flex)
}
