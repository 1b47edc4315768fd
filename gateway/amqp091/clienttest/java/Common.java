import com.rabbitmq.client.*;
import java.nio.charset.StandardCharsets;
import java.util.*;
import java.util.concurrent.*;

/** The common transcript by the Java client: Common.java AMQP_URL. common_test.go and common.mjs say the same in their languages. */
public class Common {
    interface Call { Object on(Channel c) throws Exception; }
    interface Section { void run() throws Exception; }

    static Connection conn;
    static String section;

    static void say(String s) { System.out.println(section + ": " + s); }
    static byte[] bytes(String s) { return s.getBytes(StandardCharsets.UTF_8); }
    static String text(byte[] b) { return b == null ? "nothing" : new String(b, StandardCharsets.UTF_8); }

    /** Says with which code and text a channel is closed. */
    static void refused(String what, Call call) throws Exception {
        Channel c = conn.createChannel();
        try {
            call.on(c);
            c.queueDeclare();
            say(what + " was not refused");
            c.close();
        } catch (Exception e) {
            Throwable t = e;
            while (t != null && !(t instanceof ShutdownSignalException)) t = t.getCause();
            if (t == null) throw e;
            AMQP.Channel.Close m = (AMQP.Channel.Close) ((ShutdownSignalException) t).getReason();
            say(what + " " + m.getReplyCode() + " " + m.getReplyText());
        }
    }

    static GetResponse get(Channel c, String queue, boolean autoAck) throws Exception {
        for (long end = System.nanoTime() + 30_000_000_000L; ; Thread.sleep(20)) {
            GetResponse r = c.basicGet(queue, autoAck);
            if (r != null || System.nanoTime() > end) return r;
        }
    }

    static String bodies(Channel c, String queue, int n) throws Exception {
        List<String> out = new ArrayList<>();
        for (int i = 0; i < n; i++) {
            GetResponse r = get(c, queue, true);
            out.add(r == null ? "nothing" : text(r.getBody()));
        }
        return String.join(" ", out);
    }

    /** A consumer whose messages can be waited for. */
    static class Inbox extends DefaultConsumer {
        final BlockingQueue<Delivery> kept = new LinkedBlockingQueue<>();
        final BlockingQueue<String> cancelled = new LinkedBlockingQueue<>();
        Inbox(Channel c) { super(c); }
        @Override public void handleDelivery(String tag, Envelope e, AMQP.BasicProperties p, byte[] b) { kept.add(new Delivery(e, p, b)); }
        @Override public void handleCancel(String tag) { cancelled.add(tag); }
        Delivery next() throws Exception { return kept.poll(30, TimeUnit.SECONDS); }
    }

    static void declare() throws Exception {
        Channel c = conn.createChannel();
        AMQP.Queue.DeclareOk q = c.queueDeclare("c.declare", true, false, false, null);
        say(q.getQueue() + " " + q.getMessageCount() + " " + q.getConsumerCount());
        refused("other durable", x -> x.queueDeclare("c.declare", false, false, false, null));
        refused("passive", x -> x.queueDeclarePassive("c.nosuch"));
        refused("unknown exchange", x -> { x.basicPublish("c.nosuch", "k", null, bytes("x")); return null; });
        List<String> kinds = List.of("direct", "fanout", "topic", "headers");
        for (String kind : kinds) {
            c.exchangeDeclare("c." + kind, kind);
            c.queueBind("c.declare", "c." + kind, "a.#", Map.of("x-match", "all", "k", "v"));
            c.basicPublish("c." + kind, "a.b", new AMQP.BasicProperties.Builder().headers(Map.of("k", "v")).build(), bytes(kind));
        }
        say("routed " + bodies(c, "c.declare", 3));
        for (String kind : kinds) c.exchangeDelete("c." + kind);
        say("deleted with " + c.queueDelete("c.declare").getMessageCount());
        c.close();
    }

    static void confirms() throws Exception {
        Channel c = conn.createChannel();
        c.queueDeclare("c.confirms", true, false, false, null);
        c.confirmSelect();
        BlockingQueue<Return> returned = new LinkedBlockingQueue<>();
        c.addReturnListener((ReturnCallback) returned::add);
        Set<Long> waiting = ConcurrentHashMap.newKeySet();
        int[] acked = {0};
        c.addConfirmListener((tag, multiple) -> {
            if (!multiple) { if (waiting.remove(tag)) acked[0]++; return; }
            for (Long x : List.copyOf(waiting)) if (x <= tag && waiting.remove(x)) acked[0]++;
        }, (tag, multiple) -> {});
        for (int i = 0; i < 100; i++) {
            waiting.add(c.getNextPublishSeqNo());
            c.basicPublish("", "c.confirms", true, MessageProperties.MINIMAL_PERSISTENT_BASIC, bytes("" + i));
        }
        c.waitForConfirmsOrDie(10_000);
        say("acked " + acked[0] + ", messages " + c.messageCount("c.confirms"));
        c.basicPublish("amq.direct", "nowhere", true, null, bytes("lost"));
        boolean ok = c.waitForConfirms(10_000);
        Return r = returned.poll();
        if (r == null) say("not returned before the ack");
        else say("returned " + r.getReplyCode() + " " + r.getReplyText() + " " + r.getExchange() + " " + r.getRoutingKey() + " " + text(r.getBody()) + ", then acked " + ok);
        say("deleted with " + c.queueDelete("c.confirms").getMessageCount());
        c.close();
    }

    static String show(Delivery d) { return d == null ? "nothing" : text(d.getBody()) + " " + d.getEnvelope().getDeliveryTag() + " " + d.getEnvelope().isRedeliver(); }

    static void settle() throws Exception {
        Channel c = conn.createChannel();
        c.queueDeclare("c.settle", false, false, false, null);
        for (int i = 0; i < 5; i++) c.basicPublish("", "c.settle", null, bytes("" + i));
        Inbox box = new Inbox(c);
        c.basicConsume("c.settle", false, "settler", box);
        List<Delivery> first = new ArrayList<>();
        List<String> line = new ArrayList<>();
        for (int i = 0; i < 5; i++) { first.add(box.next()); line.add(show(first.get(i))); }
        say(String.join(", ", line));
        c.basicAck(first.get(0).getEnvelope().getDeliveryTag(), false);
        c.basicNack(first.get(2).getEnvelope().getDeliveryTag(), false, true);
        Delivery d = box.next();
        say("again " + show(d));
        c.basicAck(d.getEnvelope().getDeliveryTag(), false);
        c.basicReject(first.get(3).getEnvelope().getDeliveryTag(), false);
        c.basicCancel("settler");
        c.close();
        c = conn.createChannel();
        String left = bodies(c, "c.settle", 2);
        say("left " + left + ", then " + c.messageCount("c.settle"));
        refused("unknown tag", x -> { x.basicAck(7, false); return null; });
        c.queueDelete("c.settle");
        c.close();
    }

    static Delivery read(Inbox box, int n) throws Exception {
        List<String> line = new ArrayList<>();
        Delivery last = null;
        for (int i = 0; i < n; i++) { last = box.next(); line.add(last == null ? "nothing" : text(last.getBody())); }
        Delivery more = box.kept.poll(200, TimeUnit.MILLISECONDS);
        if (more != null) line.add("and " + text(more.getBody()));
        say(String.join(" ", line));
        return last;
    }

    static void prefetch() throws Exception {
        Channel c = conn.createChannel();
        c.queueDeclare("c.prefetch", false, false, false, null);
        for (int i = 0; i < 10; i++) c.basicPublish("", "c.prefetch", null, bytes("" + i));
        c.basicQos(3);
        Inbox box = new Inbox(c);
        c.basicConsume("c.prefetch", false, box);
        c.basicAck(read(box, 3).getEnvelope().getDeliveryTag(), true);
        read(box, 3);
        c.queueDelete("c.prefetch");
        c.close();
    }

    @SuppressWarnings("unchecked")
    static void retry() throws Exception {
        Channel c = conn.createChannel();
        c.exchangeDeclare("c.retry", "direct");
        c.queueDeclare("c.work", false, false, false, Map.of("x-dead-letter-exchange", "c.retry", "x-dead-letter-routing-key", "wait"));
        c.queueDeclare("c.wait", false, false, false, Map.of("x-message-ttl", 100, "x-dead-letter-exchange", "", "x-dead-letter-routing-key", "c.work"));
        c.queueBind("c.wait", "c.retry", "wait");
        c.basicPublish("", "c.work", null, bytes("job"));
        for (int attempt = 0; attempt < 3; attempt++) {
            GetResponse r = get(c, "c.work", false);
            if (r == null) { say("attempt " + attempt + ": nothing comes"); break; }
            StringBuilder line = new StringBuilder("attempt " + attempt + ": " + text(r.getBody()));
            Map<String, Object> headers = r.getProps().getHeaders();
            if (headers != null && headers.get("x-death") != null)
                for (Map<String, Object> d : (List<Map<String, Object>>) headers.get("x-death"))
                    line.append(", ").append(d.get("queue")).append(" ").append(d.get("reason")).append(" ").append(d.get("count")).append(" times");
            say(line.toString());
            if (attempt == 2) c.basicAck(r.getEnvelope().getDeliveryTag(), false);
            else c.basicReject(r.getEnvelope().getDeliveryTag(), false);
        }
        c.queueDelete("c.work");
        c.queueDelete("c.wait");
        c.exchangeDelete("c.retry");
        c.close();
    }

    static void priorities() throws Exception {
        Channel c = conn.createChannel();
        c.queueDeclare("c.priority", false, false, false, Map.of("x-max-priority", 5));
        for (int p : new int[] {0, 3, 1, 5, 3, 9}) c.basicPublish("", "c.priority", new AMQP.BasicProperties.Builder().priority(p).build(), bytes("" + p));
        say(bodies(c, "c.priority", 6));
        c.queueDelete("c.priority");
        c.close();
    }

    static void transactions() throws Exception {
        Channel c = conn.createChannel(), other = conn.createChannel();
        c.queueDeclare("c.tx", false, false, false, null);
        c.txSelect();
        c.basicPublish("", "c.tx", null, bytes("x"));
        say("published " + other.messageCount("c.tx"));
        c.txCommit();
        say("committed " + other.messageCount("c.tx"));
        c.basicPublish("", "c.tx", null, bytes("x"));
        c.txRollback();
        say("rolled back " + other.messageCount("c.tx"));
        c.basicAck(get(c, "c.tx", false).getEnvelope().getDeliveryTag(), false);
        c.txCommit();
        say("acked " + other.messageCount("c.tx"));
        c.queueDelete("c.tx");
        c.close();
        other.close();
    }

    static void rpc() throws Exception {
        Channel c = conn.createChannel(), server = conn.createChannel();
        server.queueDeclare("c.rpc", false, false, false, null);
        server.basicConsume("c.rpc", true, (tag, d) -> server.basicPublish("", d.getProperties().getReplyTo(),
            new AMQP.BasicProperties.Builder().correlationId(d.getProperties().getCorrelationId()).build(), bytes(text(d.getBody()).toUpperCase())), tag -> {});
        Inbox box = new Inbox(c);
        c.basicConsume("amq.rabbitmq.reply-to", true, box);
        for (int i = 0; i < 3; i++) {
            c.basicPublish("", "c.rpc", new AMQP.BasicProperties.Builder().replyTo("amq.rabbitmq.reply-to").correlationId("" + i).build(), bytes("hello " + i));
            Delivery d = box.next();
            if (d == null) throw new Exception("no answer");
            say(d.getProperties().getCorrelationId() + " " + text(d.getBody()));
        }
        server.queueDelete("c.rpc");
        c.close();
        server.close();
    }

    static void cancelled() throws Exception {
        Channel c = conn.createChannel(), other = conn.createChannel();
        c.queueDeclare("c.cancel", false, false, false, null);
        Inbox box = new Inbox(c);
        c.basicConsume("c.cancel", false, "mine", box);
        other.queueDelete("c.cancel");
        String tag = box.cancelled.poll(30, TimeUnit.SECONDS);
        say(tag == null ? "nobody says so" : tag);
        c.close();
        other.close();
    }

    static void exclusive() throws Exception {
        Channel c = conn.createChannel();
        c.queueDeclare("c.only", false, false, false, null);
        c.basicConsume("c.only", true, "", false, true, null, new Inbox(c));
        refused("second consumer", x -> x.basicConsume("c.only", true, new DefaultConsumer(x)));
        c.queueDelete("c.only");
        c.close();
    }

    static void section(String name, Section s) throws Exception {
        section = name;
        try {
            s.run();
        } catch (Exception e) {
            Throwable t = e;
            while (t.getMessage() == null && t.getCause() != null) t = t.getCause();
            say("FAILED " + t);
        }
        if (!conn.isOpen()) connect();
    }

    static String url;

    static void connect() throws Exception {
        ConnectionFactory f = new ConnectionFactory();
        f.setUri(url);
        f.setAutomaticRecoveryEnabled(false);
        conn = f.newConnection();
    }

    public static void main(String[] args) throws Exception {
        url = args[0];
        connect();
        section("declare", Common::declare);
        section("confirms", Common::confirms);
        section("settle", Common::settle);
        section("prefetch", Common::prefetch);
        section("retry", Common::retry);
        section("priorities", Common::priorities);
        section("transactions", Common::transactions);
        section("rpc", Common::rpc);
        section("cancelled", Common::cancelled);
        section("exclusive", Common::exclusive);
        conn.close();
        System.exit(0);
    }
}
