import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.opensearch.common.settings.Settings;
import org.opensearch.node.InternalSettingsPreparer;
import org.opensearch.node.Node;
import org.opensearch.transport.Netty4Plugin;

/** One OpenSearch node on loopback: home directory and HTTP port are its arguments. */
public final class OpenSearchForTests extends Node {
  private OpenSearchForTests(Settings settings) {
    super(
        InternalSettingsPreparer.prepareEnvironment(settings, Map.of(), null, () -> "tests"),
        List.of(Netty4Plugin.class),
        false);
  }

  public static void main(String[] args) throws Exception {
    Settings settings =
        Settings.builder()
            .put("path.home", Path.of(args[0]).toAbsolutePath().toString())
            .put("cluster.name", "tests")
            .put("discovery.type", "single-node")
            .put("http.port", args[1])
            .put("http.host", "127.0.0.1")
            .put("transport.host", "127.0.0.1")
            .put("transport.port", "0")
            .put("transport.type", "netty4")
            .put("http.type", "netty4")
            .put("cluster.routing.allocation.disk.threshold_enabled", false)
            .build();
    OpenSearchForTests node = new OpenSearchForTests(settings);
    node.start();
    System.out.println("ready");
    Thread.currentThread().join();
  }
}
