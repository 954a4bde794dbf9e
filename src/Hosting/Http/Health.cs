using System.Text.Json.Nodes;
using Npgsql;

namespace Platform.Hosting.Http;

/// <summary>
/// Whether this process is up, and whether it can work. Probes may come often and from anybody: however many ask at once, the database is asked once.
/// </summary>
internal sealed class Health(Func<Node?> node)
{
    /// <summary>A database that takes longer than this to say "1" is away for who waits.</summary>
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(2);

    private readonly Lock gate = new();
    private Task<ApiAnswer>? asking;

    /// <summary>Asks nothing of the database: what is alive is not to be killed because that is away.</summary>
    public static ApiAnswer Live { get; } = ApiAnswer.Ok(new JsonObject { ["status"] = "live" });

    public Task<ApiAnswer> Ready(bool leaving)
    {
        if (leaving) { return Task.FromResult(Problems.Away("health.leaving", "This process is about to leave and takes no more work.")); }
        lock (gate)
        {
            if (asking is null or { IsCompleted: true }) { asking = Task.Run(Ask); }
            return asking;
        }
    }

    private async Task<ApiAnswer> Ask()
    {
        if (node() is not { } open) { return Problems.Away("health.starting", "This process is starting."); }
        using var deadline = new CancellationTokenSource(Deadline);
        try
        {
            await using var connection = await open.Store.Source.OpenConnectionAsync(deadline.Token);
            await using var command = new NpgsqlCommand("select 1", connection);
            await command.ExecuteScalarAsync(deadline.Token);
        }
        catch (Exception away) when (away is NpgsqlException or OperationCanceledException or InvalidOperationException or IOException or TimeoutException)
        {
            return Problems.Away("health.database", "The database does not answer.");
        }

        return open.Bus.Joined
            ? ApiAnswer.Ok(new JsonObject { ["status"] = "ready" })
            : Problems.Away("health.messages", "The database answers; this process has not joined those that work on messages again yet.");
    }
}
