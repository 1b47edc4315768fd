// Package restore proves with the real binary that an archive gives back what was acknowledged: a node that is killed while clients write, restored to a chosen
// second, is compared event by event with the node itself; and a node whose directory is gone has lost no more than two seconds.
package restore
