using Npgsql;
using Platform.Testing;

namespace Platform.EndToEnd.Tests.Functions;

/// <summary>What the instances of one function app share: a database, and the data folder.</summary>
internal sealed class Deployment : IAsyncDisposable
{
    private readonly TestDatabase database;
    private readonly DirectoryInfo root;

    private Deployment(TestDatabase database, DirectoryInfo root)
    {
        (this.database, this.root) = (database, root);
        Directory.CreateDirectory(Data);
    }

    public string ConnectionString => database.ConnectionString;

    public string Data => Path.Combine(root.FullName, "data");

    public static async Task<Deployment> Make() => new(await TestDatabase.Create(TestContext.Current.CancellationToken), Directory.CreateTempSubdirectory("platform-functions-"));

    /// <param name="postgres">Another way to the database.</param>
    public Task<FunctionsHost> Start(StorageQueue queue, string? functionTimeout = null, string? postgres = null) => FunctionsHost.Start(queue, new Dictionary<string, string?>
    {
        ["PLATFORM_POSTGRES"] = postgres ?? ConnectionString,
        ["PLATFORM_DATA"] = Data,
        ["AzureFunctionsJobHost__functionTimeout"] = functionTimeout,
    });

    /// <summary>A place beside the data folder.</summary>
    public string Beside(string name) => Path.Combine(root.FullName, name);

    public async Task<T> Value<T>(string sql)
    {
        await using var connection = new NpgsqlConnection(ConnectionString);
        await connection.OpenAsync(TestContext.Current.CancellationToken);
        await using var command = new NpgsqlCommand(sql, connection);
        return (T)(await command.ExecuteScalarAsync(TestContext.Current.CancellationToken))!;
    }

    public async ValueTask DisposeAsync()
    {
        await database.DisposeAsync();
        root.Delete(recursive: true);
    }
}
