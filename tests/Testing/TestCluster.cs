using Platform.EmbeddedPostgres;

namespace Platform.Testing;

/// <summary>
/// The PostgreSQL that tests run on: the one named by PLATFORM_TEST_POSTGRES, or a private one that the test projects of one user share
/// and that the last of them stops. It does not sync to disk: a test of durability starts a cluster of its own.
/// </summary>
public static class TestCluster
{
    private static readonly Lazy<Task<EmbeddedCluster>> Shared = new(StartShared);

    public static async Task<string> ConnectionString(CancellationToken cancellation = default) =>
        Environment.GetEnvironmentVariable("PLATFORM_TEST_POSTGRES") is { Length: > 0 } given
            ? given
            : (await Shared.Value.WaitAsync(cancellation)).ConnectionString;

    private static async Task<EmbeddedCluster> StartShared()
    {
        var folder = Path.Combine(Path.GetTempPath(), $"platform-tests-{Environment.UserName}");
        var cluster = await EmbeddedCluster.Start(
            new ClusterOptions(folder) { Settings = new Dictionary<string, string> { ["fsync"] = "off", ["max_connections"] = "400" } },
            CancellationToken.None);
        AppDomain.CurrentDomain.ProcessExit += (_, _) => cluster.DisposeAsync().AsTask().GetAwaiter().GetResult();
        return cluster;
    }
}
