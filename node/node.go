package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"leat/broker"
	"leat/broker/shard"
	"leat/gateway"
	"leat/internal/clock"
	"leat/internal/outbound"
	"leat/internal/tlsreload"
	"leat/link"
	"leat/push"
	"leat/storage/journal/disk"
	osfs "leat/storage/vfs/os"
)

// ShardsMax is the most shards of one node.
const ShardsMax = 64

// Protocol is a gateway that this binary can make.
type Protocol struct {
	Name   string
	Config any // pointer to its defaults; the configuration file is decoded into it
	New    func(b *broker.Broker, env Env) (gateway.Gateway, error)
}

// Env is what a gateway is given beside the broker.
type Env struct {
	Config    any // as in Protocol, filled in
	Advertise string
	Registry  *prometheus.Registry
	Log       *slog.Logger
	Outbound  *outbound.Client         // for HTTP to others; shared by all, closed after the gateways have ended
	Push      *push.Sender             // hands subscriptions to endpoints; it runs from Start on
	Link      *link.Linker             // copies of other clusters; it runs from Start on
	Opened    func() map[string]Opened // the listeners that are open now, for those who ask where to connect
}

// Opened is a listener that is open.
type Opened struct {
	Addr      string // as it was bound
	Advertise string // what it was told to say instead; "" for nothing
	TLS       bool
}

// Options are what a node is opened with.
type Options struct {
	Data      string            // data directory; "" keeps all in memory
	Config    *Config           // nil: defaults
	Listen    map[string]string // NAME=ADDR; when given, only these open, and a busy port is an error
	Advertise map[string]string // NAME=HOST:PORT
	Protocols []Protocol
	Insecure  bool // listen beyond loopback although there are no users
	AnyPort   bool // listen on ports the system picks, unless Listen says otherwise
	Version   string
	Log       *slog.Logger
}

// Node is a running process.
type Node struct {
	opt       Options
	cfg       *Config
	log       *slog.Logger
	lock      io.Closer
	Identity  Identity
	Broker    *broker.Broker
	Registry  *prometheus.Registry
	metrics   *metrics
	listenMu  sync.Mutex // for who asks while others are being opened
	listening []serving
	tls       *tlsreload.Reloader
	wg        sync.WaitGroup
	cancel    context.CancelFunc
	stopOnce  sync.Once
	stopErr   error
	journals  journals
	shipping  *shipping // to the archive; nil without one
	files     shardFiles
	ballast   *ballast // nil without a disk
	clock     clockWatch
	outbound  *outbound.Client
	push      *push.Sender
	link      *link.Linker
	started   bool // it has told of its start
}

type serving struct {
	name string
	g    gateway.Gateway
	l    *gateway.Listener
}

// journals are the disk journals now open, by shard, for metrics and readiness.
type journals struct {
	mu   sync.Mutex
	disk []*disk.Journal
}

func (j *journals) set(i int, d *disk.Journal) {
	j.mu.Lock()
	j.disk[i] = d
	j.mu.Unlock()
}

// of is the journal of a shard, nil before it is open.
func (j *journals) of(i int) *disk.Journal {
	j.mu.Lock()
	defer j.mu.Unlock()
	if i >= len(j.disk) {
		return nil
	}
	return j.disk[i]
}

func (j *journals) get() []*disk.Journal {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(j.disk), func(d *disk.Journal) bool { return d == nil })
}

// Open opens the data directory and everything on it. Nothing listens yet.
func Open(opt Options) (*Node, error) {
	if opt.Log == nil {
		opt.Log = slog.Default()
	}
	cfg := opt.Config
	if cfg == nil {
		cfg = DefaultConfig(opt.Protocols)
	}
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	n := &Node{opt: opt, cfg: cfg, log: opt.Log, Registry: prometheus.NewRegistry()}
	n.metrics = newMetrics(n.Registry, opt.Version)
	var err error
	if n.outbound, err = outbound.New(cfg.Outbound); err != nil {
		return nil, err
	}
	if err := n.open(); err != nil {
		return nil, errors.Join(err, n.close())
	}
	n.metrics.watch(n)
	return n, nil
}

func (n *Node) open() error {
	cfg := n.cfg.Broker
	if cfg.SegmentBacklogBytesMax == 0 {
		// A file less than the ring: what waits to be moved then never makes the journal touch new blocks.
		cfg.SegmentBacklogBytesMax = max(n.cfg.Journal.RingBytes-n.cfg.Journal.FileBytes, cfg.SegmentWindowBytes+cfg.SegmentWindowBytes/2)
	}
	bo := broker.Options{Config: cfg, Clock: clock.Real, Log: n.log, OnFrame: n.onFrame, System: true, Diagnose: n.diagnose}
	if n.opt.Data == "" {
		if n.cfg.Archive.URL != "" {
			return errors.New("archive.url is set, and nothing is kept that could be archived: give a data directory")
		}
		n.Identity = newIdentity(n.cfg.Shards)
		for i := range n.cfg.Shards {
			st, err := n.memoryStores(i)
			if err != nil {
				return err
			}
			bo.Shards = append(bo.Shards, st)
		}
	} else {
		if err := n.openDisk(&bo); err != nil {
			return err
		}
	}
	bo.Format, bo.Lineage, bo.Cluster, bo.Node = n.Identity.Format, n.Identity.Short(), n.Identity.Lineage, n.Identity.Node
	bo.Past, bo.Made = n.Identity.past(), n.Identity.Made
	if n.shipping != nil {
		bo.Archive = n.shipping.control()
	}
	var err error
	if n.Broker, err = broker.Open(bo); err != nil {
		return n.missing(err)
	}
	if n.shipping != nil {
		n.shipping.start()
	}
	n.link = link.New(n.Broker, n.log)
	n.push, err = push.New(n.Broker, n.outbound, n.Registry, n.log)
	return err
}

// onFrame is told of every frame that is durable.
func (n *Node) onFrame(i uint16, f *shard.FrameStats) {
	n.metrics.frame(i, f)
	if n.shipping != nil {
		n.shipping.wake(i)
	}
}

func (n *Node) openDisk(bo *broker.Options) error {
	fsys := osfs.New()
	var err error
	if n.Identity, n.lock, err = openDirectory(fsys, n.opt.Data, n.cfg.Shards); err != nil {
		return err
	}
	n.ballast = newBallast(fsys, n.opt.Data, n.cfg.DiskReserveBytes, n.log)
	n.ballast.throwOff(ballastStarting)
	if err := n.openShipping(); err != nil {
		return err
	}
	if n.Identity.Format >= formatTrimmed {
		if err := removeOldState(fsys, n.opt.Data, n.Identity.Shards); err != nil { // a rest, where finalizing was cut short
			return err
		}
	}
	n.journals.disk = make([]*disk.Journal, n.Identity.Shards)
	for i := range n.Identity.Shards {
		st, err := n.diskStores(fsys, i)
		if err != nil {
			return fmt.Errorf("shard %d: %w", i, err)
		}
		bo.Shards = append(bo.Shards, st)
	}
	reserve := n.cfg.DiskReserveBytes
	bo.FreeBytes = func() (int64, int64) {
		free, err := fsys.Free(n.opt.Data)
		if err != nil {
			return reserve, reserve // unknown is not full
		}
		return free, reserve
	}
	return nil
}

// RingReady reports whether every journal has its files zero-filled ahead.
func (n *Node) RingReady() bool {
	for _, j := range n.journals.get() {
		if !j.RingReady() {
			return false
		}
	}
	return true
}

// Start opens the listeners and serves them. A busy port that nobody asked for by name is reported and left out.
func (n *Node) Start() error {
	ctx, cancel := context.WithCancel(context.Background())
	n.cancel = cancel
	n.wg.Go(func() { n.clock.run(ctx, n.Broker.System) })
	n.wg.Go(func() { keepHeadroom(ctx, n.cfg.GCHeadroomBytes) })
	if n.ballast != nil {
		n.wg.Go(func() { n.ballast.run(ctx) })
	}
	if n.cfg.TLS.CertFile != "" {
		r, err := tlsreload.Open(tlsreload.Config{CertFile: n.cfg.TLS.CertFile, KeyFile: n.cfg.TLS.KeyFile, ClientCAFile: n.cfg.TLS.ClientCAFile}, n.log)
		if err != nil {
			return err
		}
		n.tls = r
		n.wg.Go(func() { r.Run(ctx) })
	}
	for name := range n.opt.Listen {
		if !slices.ContainsFunc(n.opt.Protocols, func(p Protocol) bool { return p.Name == name }) {
			return fmt.Errorf("--listen %s=…: this binary has no gateway of that name; it has %s", name, n.protocolNames())
		}
	}
	// All gateways are made before a listener is opened: who connects waits until he is served, and should not for what others need to begin. And all listeners are
	// open before one serves: who is told that the node is ready finds every one there.
	var made []serving
	for i := range n.opt.Protocols {
		p := &n.opt.Protocols[i]
		if _, named := n.opt.Listen[p.Name]; len(n.opt.Listen) > 0 && !named {
			continue
		}
		g, err := p.New(n.Broker, Env{Config: n.cfg.Gateways[p.Name], Advertise: n.opt.Advertise[p.Name], Registry: n.Registry, Log: n.log, Outbound: n.outbound, Push: n.push, Link: n.link, Opened: n.opened})
		if err != nil {
			return err
		}
		made = append(made, serving{name: p.Name, g: g})
	}
	for _, s := range made {
		if err := n.listen(ctx, s); err != nil {
			return err
		}
	}
	if len(n.listening) == 0 {
		return errors.New("no listener could be opened; name free ports with --listen NAME=ADDR")
	}
	for _, s := range n.listening {
		n.wg.Go(func() {
			if err := s.g.Serve(ctx, s.l); err != nil {
				n.log.Error("a gateway stopped serving", "listener", s.name, "error", err)
			}
		})
	}
	n.wg.Go(func() { n.push.Run(ctx) })
	n.wg.Go(func() { n.link.Run(ctx) })
	n.started = true
	n.Broker.System(broker.SystemEvent{Type: broker.TypeNodeStarted, Subject: n.subject(), Data: map[string]any{"version": n.opt.Version, "listeners": n.Addrs()}})
	return n.tellFinalized()
}

// subject names the node in system events.
func (n *Node) subject() string { return fmt.Sprintf("node-%d", n.Identity.Node) }

func (n *Node) protocolNames() (s string) {
	for i, p := range n.opt.Protocols {
		if i > 0 {
			s += ", "
		}
		s += p.Name
	}
	return s
}

// listen opens the listener of a gateway. Who connects waits until it serves.
func (n *Node) listen(ctx context.Context, s serving) error {
	addr, named := n.opt.Listen[s.name]
	d := s.g.Descriptor()
	switch {
	case named:
	case n.opt.AnyPort:
		addr = "127.0.0.1:0"
	default:
		addr = d.DefaultAddr
	}
	if err := gateway.CheckExposure(s.name, addr, n.Broker.UsersExist(), n.opt.Insecure); err != nil {
		return err
	}
	opts := gateway.Options{
		Name: s.name, Addr: addr, Protocol: d.Name, Known: d.Operations, Limits: n.cfg.Listeners, Metrics: n.metrics.gateways, Log: n.log,
	}
	if n.tls != nil {
		opts.TLS = n.tls.Config()
	}
	var err error
	s.l, err = gateway.Listen(ctx, opts)
	if errors.Is(err, gateway.ErrBusy) && !named {
		n.log.Warn("port is taken; this gateway stays closed", "listener", s.name, "addr", addr)
		return nil
	}
	if err != nil {
		return err
	}
	n.listenMu.Lock()
	n.listening = append(n.listening, s)
	n.listenMu.Unlock()
	return nil
}

// Addr returns the address a listener has, "" when it is not open.
func (n *Node) Addr(name string) string {
	for _, s := range n.listening {
		if s.name == name {
			return s.l.Addr().String()
		}
	}
	return ""
}

// Addrs returns all open listeners and their addresses.
func (n *Node) Addrs() map[string]string {
	out := map[string]string{}
	for _, s := range n.listening {
		out[s.name] = s.l.Addr().String()
	}
	return out
}

// opened tells of the open listeners. It is called by gateways, at any time.
func (n *Node) opened() map[string]Opened {
	n.listenMu.Lock()
	defer n.listenMu.Unlock()
	out := map[string]Opened{}
	for _, s := range n.listening {
		out[s.name] = Opened{Addr: s.l.Addr().String(), Advertise: n.opt.Advertise[s.name], TLS: n.tls != nil}
	}
	return out
}

const drainGrace = time.Second // beyond the listeners' own DrainTimeout

// Stop drains the listeners, finishes what is in flight, and closes everything. Further calls return what the first one did.
func (n *Node) Stop() error {
	n.stopOnce.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), n.cfg.Listeners.DrainTimeout+drainGrace)
		defer cancel()
		var drains sync.WaitGroup
		for _, s := range n.listening {
			drains.Go(func() {
				if cut := s.l.Drain(ctx); cut > 0 {
					n.log.Warn("connections were cut at the end of the drain", "listener", s.name, "connections", cut)
				}
			})
		}
		drains.Wait()
		if n.cancel != nil {
			n.cancel()
		}
		n.wg.Wait()
		if n.started {
			n.Broker.System(broker.SystemEvent{Type: broker.TypeNodeStopped, Subject: n.subject()})
		}
		n.stopErr = n.close()
	})
	return n.stopErr
}

func (n *Node) close() error {
	var errs []error
	n.outbound.Close()
	if n.shipping != nil {
		errs = append(errs, n.shipping.stop())
	}
	if n.Broker != nil {
		errs = append(errs, n.Broker.Close())
	}
	if n.lock != nil {
		errs = append(errs, n.lock.Close())
	}
	return errors.Join(errs...)
}
