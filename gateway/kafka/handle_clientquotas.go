package kafka

import (
	"context"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"leat/broker"
	"leat/broker/fault"
)

// DescribeClientQuotas(48), AlterClientQuotas(49), versions 0-1: what users and clients may use, each by name or by default, as the broker's
// allotments. producer_byte_rate, consumer_byte_rate and request_percentage there are; by address, and of making partitions, there are none.
//
// A byte rate of a producer holds for every protocol. The other two hold here: who is over them is answered, told how long to keep away, and
// nothing more is read from the connection until then (KIP-219).

const (
	entityUser   = "user"
	entityClient = "client-id"

	quotaProducer = "producer_byte_rate"
	quotaConsumer = "consumer_byte_rate"
	quotaRequest  = "request_percentage"
)

func (k *conn) describeClientQuotas(_ context.Context, s *slot, q *kmsg.DescribeClientQuotasRequest) (*kmsg.DescribeClientQuotasResponse, error) {
	r := kmsg.NewPtrDescribeClientQuotasResponse()
	refuse := func(code int16, err error) (*kmsg.DescribeClientQuotasResponse, error) {
		r.ErrorCode, r.ErrorMessage = code, message(fault.As(err))
		return r, err
	}
	all, err := k.g.b.Allotments(s.caller)
	if err != nil {
		return refuse(code(fault.As(err), placeCluster), err)
	}
	seen := map[string]bool{}
	for _, c := range q.Components {
		switch {
		case c.EntityType != entityUser && c.EntityType != entityClient && c.EntityType != "ip", seen[c.EntityType]:
			return refuse(codeInvalidRequest, fault.New(fault.Invalid, "describe", "quota", "%q is no type of entity, or is there twice", clip(c.EntityType)))
		case c.MatchType < kmsg.QuotasMatchTypeExact || c.MatchType > kmsg.QuotasMatchTypeAny, c.MatchType == kmsg.QuotasMatchTypeExact && c.Match == nil:
			return refuse(codeInvalidRequest, fault.New(fault.Invalid, "describe", "quota", "a match by exactly nothing, or of a type that is none"))
		}
		seen[c.EntityType] = true
	}
	slices.SortFunc(all, func(x, y broker.Allotment) int {
		return strings.Compare(x.Principal+"\x00"+x.Client, y.Principal+"\x00"+y.Client)
	})
	r.Entries = []kmsg.DescribeClientQuotasResponseEntry{} // null makes the Java client fail
	for i := range all {
		if matchesQuota(q, &all[i]) {
			r.Entries = append(r.Entries, quotaEntry(&all[i]))
		}
	}
	return r, nil
}

// matchesQuota: every component must fit; what no component is about may be there, unless the filter is strict.
func matchesQuota(q *kmsg.DescribeClientQuotasRequest, a *broker.Allotment) bool {
	parts := map[string]string{entityUser: a.Principal, entityClient: a.Client}
	for _, c := range q.Components {
		part := parts[c.EntityType]
		delete(parts, c.EntityType)
		switch {
		case part == "",
			c.MatchType == kmsg.QuotasMatchTypeDefault && part != broker.Everyone,
			c.MatchType == kmsg.QuotasMatchTypeExact && (*c.Match != part || part == broker.Everyone):
			return false
		}
	}
	for _, part := range parts {
		if q.Strict && part != "" {
			return false
		}
	}
	return true
}

func quotaEntry(a *broker.Allotment) kmsg.DescribeClientQuotasResponseEntry {
	e := kmsg.NewDescribeClientQuotasResponseEntry()
	for _, part := range [...][2]string{{entityUser, a.Principal}, {entityClient, a.Client}} {
		if part[1] == "" {
			continue
		}
		x := kmsg.NewDescribeClientQuotasResponseEntryEntity()
		if x.Type = part[0]; part[1] != broker.Everyone {
			x.Name = &part[1]
		}
		e.Entity = append(e.Entity, x)
	}
	for _, v := range []struct {
		key   string
		value float64
	}{{quotaProducer, a.WriteBytesPerSecond}, {quotaConsumer, a.ReadBytesPerSecond}, {quotaRequest, a.WorkPercent}} {
		if v.value > 0 {
			x := kmsg.NewDescribeClientQuotasResponseEntryValue()
			x.Key, x.Value = v.key, v.value
			e.Values = append(e.Values, x)
		}
	}
	return e
}

func (k *conn) alterClientQuotas(ctx context.Context, s *slot, q *kmsg.AlterClientQuotasRequest) (*kmsg.AlterClientQuotasResponse, error) {
	r := kmsg.NewPtrAlterClientQuotasResponse()
	var failed error
	for i := range q.Entries {
		e := &q.Entries[i]
		re := kmsg.NewAlterClientQuotasResponseEntry()
		for _, x := range e.Entity {
			rx := kmsg.NewAlterClientQuotasResponseEntryEntity()
			rx.Type, rx.Name = x.Type, x.Name
			re.Entity = append(re.Entity, rx)
		}
		if err := k.alterQuota(ctx, s.caller, e, q.ValidateOnly); err != nil {
			re.ErrorCode, re.ErrorMessage = code(fault.As(err), placeCluster), message(fault.As(err))
			k.report("", -1, err)
			failed = err
		}
		r.Entries = append(r.Entries, re)
	}
	return r, failed
}

func (k *conn) alterQuota(ctx context.Context, c *broker.Caller, e *kmsg.AlterClientQuotasRequestEntry, validate bool) error {
	bad := func(format string, args ...any) error {
		return fault.New(fault.Invalid, "alter", "quota", format, args...)
	}
	var of broker.AllotmentOf
	for _, x := range e.Entity {
		part := map[string]*string{entityUser: &of.Principal, entityClient: &of.Client}[x.Type]
		switch {
		case part == nil:
			return bad("quotas are of users and client ids here, not of %q", clip(x.Type))
		case *part != "":
			return bad("%s is named twice", x.Type)
		case x.Name == nil:
			*part = broker.Everyone
		case *x.Name == "" || *x.Name == broker.Everyone:
			return bad("a quota of the %s %q cannot be kept; leave the name out for the default", x.Type, *x.Name)
		default:
			*part = *x.Name
		}
	}
	for _, op := range e.Ops {
		switch op.Key {
		case quotaProducer, quotaConsumer, quotaRequest:
		default:
			return bad("there is no quota %q here; there are %s, %s and %s", clip(op.Key), quotaProducer, quotaConsumer, quotaRequest)
		}
		if !op.Remove && !(op.Value > 0) {
			return bad("%s is %v; it must be more than 0", op.Key, op.Value)
		}
	}
	if validate {
		return k.mayCluster(c, broker.ActionAlter)
	}
	return k.g.b.PutAllotment(ctx, c, of, func(a *broker.Allotment) {
		for _, op := range e.Ops {
			if op.Remove {
				op.Value = 0
			}
			switch op.Key {
			case quotaProducer:
				a.WriteBytesPerSecond = op.Value
			case quotaConsumer:
				a.ReadBytesPerSecond = op.Value
			case quotaRequest:
				a.WorkPercent = op.Value
			}
		}
	})
}
