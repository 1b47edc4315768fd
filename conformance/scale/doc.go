// Package scale has a number of workers follow the lag of a subscription, as an autoscaler does: from none to twenty and back, with nothing
// lost. The worker is examples/worker, the figures are those of /metrics.
package scale
