using Npgsql;

namespace Platform.Testing;

/// <summary>A fresh database for one test class, on the cluster named by PLATFORM_TEST_POSTGRES or on a private one that the first test starts.</summary>
public sealed class TestDatabase : IAsyncDisposable
{
    private readonly string administration;

    private TestDatabase(string administration, string name)
    {
        this.administration = administration;
        Name = name;
        ConnectionString = new NpgsqlConnectionStringBuilder(administration) { Database = name }.ConnectionString;
    }

    public string Name { get; }

    public string ConnectionString { get; }

    public static async Task<TestDatabase> Create(CancellationToken cancellation = default)
    {
        var administration = await TestCluster.ConnectionString(cancellation);
        var database = new TestDatabase(administration, $"t_{Guid.NewGuid():n}");
        await database.Administer($"create database {database.Name}", cancellation);
        return database;
    }

    public async ValueTask DisposeAsync()
    {
        NpgsqlConnection.ClearAllPools();
        await Administer($"drop database if exists {Name} with (force)", CancellationToken.None);
    }

    private async Task Administer(string sql, CancellationToken cancellation)
    {
        await using var connection = new NpgsqlConnection(new NpgsqlConnectionStringBuilder(administration) { Pooling = false }.ConnectionString);
        await connection.OpenAsync(cancellation);
#pragma warning disable CA2100 // The name is a generated hexadecimal text.
        await using var command = new NpgsqlCommand(sql, connection);
#pragma warning restore CA2100
        await command.ExecuteNonQueryAsync(cancellation);
    }
}
