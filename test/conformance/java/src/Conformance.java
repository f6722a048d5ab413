import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/**
 * Runs themes of the official client against the name server given and prints a line a check:
 * "PASS theme.check", "FAIL theme.check reason" and, when all themes have ended, "DONE".
 *
 * Usage: java Conformance NAMESRV RUN THEMES|all PARALLEL. RUN prefixes every topic and group, so that several runs
 * may share a broker.
 */
public final class Conformance {
    private Conformance() { }

    private static Map<String, Theme> themes() {
        Map<String, Theme> themes = new LinkedHashMap<>();
        themes.put("transaction", new TransactionTheme());
        themes.put("retry", new RetryTheme());
        themes.put("orderly", new OrderlyTheme());
        themes.put("broadcast", new BroadcastTheme());
        themes.put("push", new PushTheme());
        themes.put("resume", new ResumeTheme());
        themes.put("consume-from", new ConsumeFromTheme());
        themes.put("delay", new DelayTheme());
        themes.put("send", new SendTheme());
        themes.put("refuse", new RefuseTheme());
        themes.put("tag", new TagTheme());
        themes.put("pull", new PullTheme());
        themes.put("lite-pull", new LitePullTheme());
        themes.put("query", new QueryTheme());
        themes.put("request", new RequestTheme());
        themes.put("admin", new AdminTheme());
        return themes;
    }

    /** Themes that are asked for by name only: the runner answers their questions on standard input. */
    private static Theme steered(String name) {
        switch (name) {
            case "consume-from-middle": return new ConsumeFromMiddleTheme();
            case "cluster": return new ClusterTheme();
            case "cluster-load": return new ClusterLoadTheme();
            case "golden": return new GoldenTheme();
            case "broker-restart": return new BrokerRestartTheme();
            case "store-step": return new StoreTheme(true);
            case "store-verify": return new StoreTheme(false);
            default: throw new IllegalArgumentException("no theme " + name);
        }
    }

    public static void main(String[] args) throws Exception {
        String namesrv = args[0];
        String run = args[1];
        List<String> names = new ArrayList<>();
        Map<String, Theme> all = themes();
        if (args[2].equals("all")) {
            names.addAll(all.keySet());
        } else {
            names.addAll(List.of(args[2].split(",")));
        }
        ExecutorService pool = Executors.newFixedThreadPool(Integer.parseInt(args[3]));
        Map<String, Future<?>> running = new LinkedHashMap<>();
        long msMax = 0;
        for (String name : names) {
            Theme theme = all.containsKey(name) ? all.get(name) : steered(name);
            msMax = Math.max(msMax, theme.msMax());
            running.put(name, pool.submit(() -> runTheme(name, theme, namesrv, run)));
        }
        for (Map.Entry<String, Future<?>> entry : running.entrySet()) {
            try {
                entry.getValue().get(msMax * 2, TimeUnit.MILLISECONDS);
            } catch (TimeoutException late) {
                Context.print("FAIL " + entry.getKey() + " still running after " + msMax * 2 + " ms");
            }
        }
        Context.print("DONE");
        System.exit(0);
    }

    private static void runTheme(String name, Theme theme, String namesrv, String run) {
        long start = System.currentTimeMillis();
        Context context = new Context(name, namesrv, run);
        Thread runner = new Thread(() -> {
            try {
                theme.run(context);
            } catch (Throwable error) {
                context.fail("theme", Context.reason(error));
            }
        }, "theme-" + name);
        runner.setDaemon(true);
        runner.start();
        try {
            runner.join(theme.msMax());
            if (runner.isAlive()) {
                StringBuilder where = new StringBuilder("still running after " + theme.msMax() + " ms, at");
                for (StackTraceElement frame : runner.getStackTrace()) {
                    if (frame.getClassName().indexOf('.') < 0) {
                        where.append(' ').append(frame);
                    }
                }
                context.fail("theme", where.toString());
            }
        } catch (InterruptedException stop) {
            Thread.currentThread().interrupt();
        } finally {
            context.close();
            Context.print("TIME " + name + " " + (System.currentTimeMillis() - start));
        }
    }
}
