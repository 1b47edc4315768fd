package node

import "github.com/prometheus/client_golang/prometheus"

// contractsShown is how many contracts /metrics tells of: the first by namespace and name.
const contractsShown = 1_000

var (
	contractLabels      = []string{"namespace", "contract"}
	contractChecked     = prometheus.NewDesc("leat_contract_checked_total", "Records held against a contract since the start.", contractLabels, nil)
	contractBroken      = prometheus.NewDesc("leat_contract_broken_total", "Of them, those that broke it.", contractLabels, nil)
	contractQuarantined = prometheus.NewDesc("leat_contract_quarantined_total", "Of those, such as were put into quarantine and not refused.", contractLabels, nil)
	contractsHidden     = prometheus.NewDesc("leat_contracts_hidden", "Contracts that are not shown here, because there are too many.", nil, nil)
)

// contractCollector tells what contracts have seen, when somebody asks. How much waits in quarantine is told of the subscription leat.quarantine.
type contractCollector struct{ n *Node }

func (c *contractCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{contractChecked, contractBroken, contractQuarantined, contractsHidden} {
		ch <- d
	}
}

func (c *contractCollector) Collect(ch chan<- prometheus.Metric) {
	all, more := c.n.Broker.ContractNumbers(contractsShown)
	for _, x := range all {
		for d, n := range map[*prometheus.Desc]int64{contractChecked: x.Checked, contractBroken: x.Broken, contractQuarantined: x.Quarantined} {
			ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), x.Namespace, x.Contract)
		}
	}
	ch <- prometheus.MustNewConstMetric(contractsHidden, prometheus.GaugeValue, float64(more))
}
