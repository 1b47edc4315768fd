import com.rabbitmq.client.*;
import java.nio.charset.StandardCharsets;
import java.util.*;
import java.util.concurrent.*;

/**
 * The Java client's own recovery while its node is killed: Restart.java AMQP_URL. A consumer and a publisher with confirms, both left alone; what
 * was not confirmed is published again. It prints "half" after 100 of 200; then somebody kills the node and starts it again.
 */
public class Restart {
    public static void main(String[] args) throws Exception {
        ConnectionFactory f = new ConnectionFactory();
        f.setUri(args[0]);
        f.setNetworkRecoveryInterval(100);
        f.setRequestedHeartbeat(5);
        Connection conn = f.newConnection();
        CountDownLatch recovered = new CountDownLatch(1);
        ((Recoverable) conn).addRecoveryListener(new RecoveryListener() {
            public void handleRecovery(Recoverable r) { recovered.countDown(); }
            public void handleRecoveryStarted(Recoverable r) {}
        });
        Channel in = conn.createChannel(), out = conn.createChannel();
        in.queueDeclare("r.java", true, false, false, null);
        Set<String> seen = ConcurrentHashMap.newKeySet();
        in.basicQos(10);
        in.basicConsume("r.java", false, (tag, d) -> {
            seen.add(new String(d.getBody(), StandardCharsets.UTF_8));
            try { in.basicAck(d.getEnvelope().getDeliveryTag(), false); } catch (AlreadyClosedException e) { /* it comes again */ }
        }, tag -> {});
        out.confirmSelect();
        for (int i = 0; i < 200; i++) {
            for (;;) {
                try {
                    out.basicPublish("", "r.java", MessageProperties.PERSISTENT_BASIC, ("" + i).getBytes());
                    out.waitForConfirmsOrDie(2000);
                    break;
                } catch (Exception e) {
                    Thread.sleep(50);
                }
            }
            if (i == 99) {
                System.out.println("half");
                System.out.flush();
                System.in.read(); // somebody has killed the node
            }
        }
        for (int i = 0; i < 1200 && seen.size() < 200; i++) Thread.sleep(50);
        System.out.println("all there: " + (seen.size() == 200) + " recovered: " + recovered.await(60, TimeUnit.SECONDS));
        in.queueDelete("r.java");
        conn.close();
        System.exit(0);
    }
}
