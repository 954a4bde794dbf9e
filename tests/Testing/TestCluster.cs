namespace Platform.Testing;

/// <summary>The PostgreSQL that tests run on.</summary>
public static class TestCluster
{
    public static Task<string> ConnectionString(CancellationToken cancellation = default) =>
        Environment.GetEnvironmentVariable("PLATFORM_TEST_POSTGRES") is { Length: > 0 } given
            ? Task.FromResult(given)
            : throw new InvalidOperationException("Set PLATFORM_TEST_POSTGRES to the connection string of a cluster.");
}
