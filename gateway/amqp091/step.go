package amqp091

import (
	"context"

	"leat/broker/fault"
	"leat/gateway/amqp091/session"
	"leat/gateway/amqp091/wire"
	"leat/internal/clock"
)

// step does what a frame asks for. A *wire.Error has not been answered.
func (k *conn) step(ctx context.Context, s session.Step) error {
	if s.Do == session.Nothing {
		return nil
	}
	if s.Do == session.Publish {
		return k.publish(s)
	}
	if settles(s) {
		return k.acknowledge(s)
	}
	if err := k.settle(ctx); err != nil {
		return err
	}
	begun := clock.Now()
	err := k.do(ctx, s)
	if s.Method != nil {
		if op := k.ops[s.Method.ID()]; op != nil {
			op.Done(clock.Since(begun), err)
		}
	}
	if s.Do == session.ChannelOpen {
		k.ops[wire.IDChannelOpen].Done(clock.Since(begun), err)
	}
	return err
}

func (k *conn) do(ctx context.Context, s session.Step) error {
	switch s.Do {
	case session.Login:
		return k.login(ctx, s.Method)
	case session.Open:
		return k.open(s.Method.(*wire.ConnectionOpen))
	case session.Secret:
		return &wire.Error{Code: wire.NotImplemented, Method: wire.IDConnectionUpdateSecret, Text: "update-secret"}
	case session.ChannelOpen:
		k.mu.Lock()
		k.channels[s.Channel] = &channel{number: s.Channel, consumers: map[string]*consumer{}}
		k.mu.Unlock()
		return k.answer(s.Channel, &wire.ChannelOpenOK{})
	case session.ChannelClose:
		k.endChannel(ctx, s.Channel)
		return k.write(func(w *wire.Writer) error { return k.s.ChannelCloseOK(w, s.Channel) })
	case session.Close:
		k.end(ctx)
		return k.write(k.s.CloseOK)
	case session.Call:
		ch := k.channels[s.Channel]
		if ch == nil {
			return nil // a message before it was refused, which has ended the channel
		}
		return k.call(ctx, ch, s.Method)
	case session.Nothing, session.Publish, session.End:
	}
	return nil
}

// write has an answer of the session written.
func (k *conn) write(add func(*wire.Writer) error) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := add(&k.w); err != nil {
		return err
	}
	return k.flush()
}

// login checks who it is. While there are no users everybody is nobody, whatever name a client's defaults say.
func (k *conn) login(ctx context.Context, m wire.Method) error {
	ok, is := m.(*wire.ConnectionStartOK)
	if !is {
		return &wire.Error{Code: wire.CommandInvalid, Method: m.ID(), Text: "no challenge was sent"}
	}
	name, password, err := session.Credentials(ok.Mechanism, ok.Response)
	if err == nil && string(ok.Mechanism) == session.MechanismExternal {
		err = &wire.Error{Code: wire.AccessRefused, Method: m.ID(), Text: "EXTERNAL is not offered"}
	}
	if err != nil {
		return err
	}
	if v, ok := ok.ClientProperties.Get("connection_name"); ok {
		if text, ok := v.Text(); ok {
			k.caller.Client = string(text[:min(len(text), clientBytesMax)])
		}
	}
	if k.g.b.UsersExist() {
		user := string(name)
		if err := k.g.b.CheckPassword(ctx, k.caller, user, string(password)); err != nil {
			if !fault.Is(err, fault.Denied) {
				return err
			}
			if err := clock.Sleep(ctx, k.g.cfg.LoginDelay); err != nil {
				return err
			}
			return k.write(func(w *wire.Writer) error {
				_, err := k.s.LoginRefused(w, "Login was refused using authentication mechanism "+string(ok.Mechanism))
				return err
			})
		}
		c := *k.caller
		c.Principal, c.Namespace = user, k.g.b.NamespaceOf(user)
		k.caller = &c
	}
	return k.write(k.s.LoggedIn)
}

const clientBytesMax = 256

// open takes the virtual host: "/" is the user's namespace, and so is its name.
func (k *conn) open(m *wire.ConnectionOpen) error {
	host := string(m.VirtualHost)
	if host != "/" && host != k.namespace() {
		return &wire.Error{Code: wire.NotAllowed, Method: m.ID(), Text: "vhost " + clip(host) + " not found"}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.w.SetFrameMax(int(k.s.Limits().FrameMax))
	if err := k.s.Opened(&k.w); err != nil {
		return err
	}
	return k.flush()
}

func clip(s string) string { return s[:min(len(s), 64)] }

func (k *conn) call(ctx context.Context, ch *channel, m wire.Method) error {
	switch m := m.(type) {
	case *wire.AccessRequest:
		return k.answer(ch.number, &wire.AccessRequestOK{Ticket: 1})
	case *wire.ChannelFlow:
		return k.answer(ch.number, &wire.ChannelFlowOK{Active: true})
	case *wire.ConfirmSelect:
		if ch.confirms == nil {
			ch.confirms = session.NewConfirms()
		}
		return k.unless(m.NoWait, ch, &wire.ConfirmSelectOK{})
	case *wire.ExchangeDeclare:
		return k.declareExchange(ctx, ch, m)
	case *wire.ExchangeDelete:
		return k.deleteExchange(ctx, ch, m)
	case *wire.QueueDeclare:
		return k.declareQueue(ctx, ch, m)
	case *wire.QueueBind:
		return k.bind(ctx, ch, m)
	case *wire.QueueUnbind:
		return k.unbind(ctx, ch, m)
	case *wire.QueuePurge:
		return k.purge(ctx, ch, m)
	case *wire.QueueDelete:
		return k.deleteQueue(ctx, ch, m)
	case *wire.BasicQoS:
		if m.Global {
			return notImplemented(m, "a prefetch over a whole channel")
		}
		ch.prefetch = int(m.PrefetchCount)
		return k.answer(ch.number, &wire.BasicQoSOK{})
	case *wire.BasicConsume:
		return k.consume(ctx, ch, m)
	case *wire.BasicCancel:
		return k.cancel(ctx, ch, m)
	case *wire.BasicNack:
		return k.refuse(ctx, ch, m.ID(), m.DeliveryTag, m.Multiple, m.Requeue)
	case *wire.BasicReject:
		return k.refuse(ctx, ch, m.ID(), m.DeliveryTag, false, m.Requeue)
	case *wire.BasicRecover:
		return k.recover(ctx, ch, true)
	case *wire.BasicRecoverAsync:
		return k.recover(ctx, ch, false)
	case *wire.BasicGet:
		return k.get(ctx, ch, m)
	}
	return notImplemented(m, "this method")
}

func notImplemented(m wire.Method, what string) error {
	return &wire.Error{Code: wire.NotImplemented, Method: m.ID(), Text: what + " is not offered"}
}

// unless answers a method whose client waits for it.
func (k *conn) unless(noWait bool, ch *channel, m wire.Method) error {
	if noWait {
		return nil
	}
	return k.answer(ch.number, m)
}
