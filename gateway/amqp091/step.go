package amqp091

import (
	"context"
	"fmt"
	"slices"

	"leat/broker/fault"
	"leat/gateway/amqp091/session"
	"leat/gateway/amqp091/wire"
	"leat/internal/clock"
)

// step does what a frame asks for; ch is its channel as the gateway knows it. A *wire.Error has not been answered.
func (k *conn) step(ctx context.Context, s session.Step, ch *channel) error {
	switch {
	case s.Do == session.Publish && ch == nil, s.Do == session.Call && ch == nil:
		return nil // a message before it was refused, which has ended the channel
	case s.Do == session.Publish:
		return k.publish(ctx, ch, s.Content)
	case s.Do == session.Call && settles(s.Method):
		return k.acknowledge(ctx, ch, s.Method)
	}
	if err := k.finish(ctx); err != nil {
		return err
	}
	begun := clock.Now()
	err := k.do(ctx, s, ch)
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

func (k *conn) do(ctx context.Context, s session.Step, ch *channel) error {
	switch s.Do {
	case session.Login:
		return k.logIn(ctx, s.Method)
	case session.Open:
		return k.open(s.Method.(*wire.ConnectionOpen))
	case session.Secret:
		return k.answer(0, &wire.ConnectionUpdateSecretOK{}) // a login lasts as long as its connection, whatever becomes of the password
	case session.ChannelOpen:
		k.sm.Lock()
		k.channels[s.Channel] = &channel{number: s.Channel, consumers: map[string]*consumer{}}
		k.sm.Unlock()
		return k.answer(s.Channel, &wire.ChannelOpenOK{})
	case session.ChannelClose:
		k.endChannel(ctx, s.Channel)
		return k.write(func(w *wire.Writer) error { return k.s.ChannelCloseOK(w, s.Channel) })
	case session.Close:
		k.end(ctx)
		return k.write(k.s.CloseOK)
	case session.Call:
		return k.call(ctx, ch, s.Method)
	case session.Nothing, session.Publish, session.End:
	}
	return nil
}

// logIn checks who it is. While there are no users everybody is nobody, whatever name a client's defaults say.
func (k *conn) logIn(ctx context.Context, m wire.Method) error {
	ok, is := m.(*wire.ConnectionStartOK)
	if !is {
		return &wire.Error{Code: wire.CommandInvalid, Method: m.ID(), Text: "no challenge was sent"}
	}
	name, password, err := session.Credentials(ok.Mechanism, ok.Response)
	if err != nil {
		return err
	}
	external := string(ok.Mechanism) == session.MechanismExternal
	if external {
		name = []byte(k.certified)
	}
	k.login = clip(string(name))
	k.said, k.mechanism = slices.Clone(ok.ClientProperties), string(ok.Mechanism)
	if v, ok := ok.ClientProperties.Get("connection_name"); ok {
		if text, ok := v.Text(); ok {
			k.caller.Client = string(text[:min(len(text), clientBytesMax)])
		}
	}
	if k.g.b.UsersExist() {
		user := string(name)
		if err := k.prove(ctx, user, string(password), external); err != nil {
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

// prove checks who a client says it is: by its password, or by its certificate, whose common name is a user's.
func (k *conn) prove(ctx context.Context, user, password string, external bool) error {
	if !external {
		return k.g.b.CheckPassword(ctx, k.caller, user, password)
	}
	if user != "" && k.g.b.HasUser(user) {
		return nil
	}
	k.g.b.LoginRefused(k.caller, user)
	return fault.New(fault.Denied, "login", user, "the client's certificate names no user")
}

const clientBytesMax = 256

// open takes the virtual host: "/" is the user's namespace, or the default one; any other is the namespace of its name, when there is one and the
// user is not bound to another.
func (k *conn) open(m *wire.ConnectionOpen) error {
	host := string(m.VirtualHost)
	k.host = clip(host)
	if ns := namespaceOfVhost(host); host != "/" && ns != k.namespace() {
		refuse := func(format string, args ...any) error {
			return &wire.Error{Code: wire.NotAllowed, Method: m.ID(), Text: fmt.Sprintf(format, args...)}
		}
		switch bound := k.caller.Principal != "" && k.g.b.NamespaceOf(k.caller.Principal) != ""; {
		case !slices.Contains(k.g.b.OwnNamespaces(), ns) || !k.g.hosts(ns):
			return refuse("vhost %s not found", k.host)
		case bound:
			return refuse("access to vhost '%s' refused for user '%s'", k.host, k.caller.Principal)
		}
		c := *k.caller
		c.Namespace = ns
		k.caller = &c
	}
	err := k.write(func(w *wire.Writer) error {
		k.cancelNotify = k.s.Abilities().ConsumerCancelNotify
		k.w.SetFrameMax(int(k.s.Limits().FrameMax))
		k.spare.SetFrameMax(int(k.s.Limits().FrameMax))
		return k.s.Opened(w)
	})
	if err == nil {
		k.enter()
	}
	return err
}

func clip(s string) string { return s[:min(len(s), 64)] }

func (k *conn) call(ctx context.Context, ch *channel, m wire.Method) error {
	joinLines(m)
	switch m := m.(type) {
	case *wire.AccessRequest:
		return k.answer(ch.number, &wire.AccessRequestOK{Ticket: 1})
	case *wire.ChannelFlow:
		return k.answer(ch.number, &wire.ChannelFlowOK{Active: true})
	case *wire.ConfirmSelect:
		k.mu.Lock() // for those who look at the channel
		ch.confirms = true
		k.mu.Unlock()
		return k.unless(m.NoWait, ch, &wire.ConfirmSelectOK{})
	case *wire.ExchangeDeclare:
		return k.declareExchange(ctx, ch, m)
	case *wire.ExchangeDelete:
		return k.deleteExchange(ctx, ch, m)
	case *wire.ExchangeBind:
		return k.bindExchange(ctx, ch, m)
	case *wire.ExchangeUnbind:
		return k.unbindExchange(ctx, ch, m)
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
		return k.qos(ctx, ch, m)
	case *wire.BasicConsume:
		return k.consume(ctx, ch, m)
	case *wire.BasicCancel:
		return k.cancel(ctx, ch, m)
	case *wire.TxSelect:
		return k.selectTx(ch)
	case *wire.TxCommit:
		return k.commit(ctx, ch)
	case *wire.TxRollback:
		return k.rollback(ch)
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
