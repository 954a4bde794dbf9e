using System.Diagnostics.Metrics;
using System.Globalization;
using Platform.EventStore.Projections;
using Platform.EventStore.Subscriptions;

namespace Platform.EventStore;

/// <summary>A transaction that has been open for long. What it might still see cannot be vacuumed: dead rows of pl_pending and of other tables stay, and slow their readers down.</summary>
/// <param name="Pid">Of its backend; null: it is prepared (two-phase), and no backend has it.</param>
/// <param name="Application">What the session calls itself, or the name of the prepared transaction.</param>
public sealed record LongTransaction(int? Pid, string Application, TimeSpan Age);

/// <summary>
/// Measures what readers of the log are behind, and what holds up the database's cleaning: while somebody collects <c>Platform.EventStore.Reading</c>, a query every few seconds.
/// </summary>
public sealed class ReadingMonitor : IAsyncDisposable
{
    public const string MeterName = "Platform.EventStore.Reading";

    /// <summary>Ours end within seconds; what is older than this is worth a look.</summary>
    public static readonly TimeSpan LongTransactionAge = TimeSpan.FromMinutes(1);

    private readonly Store store;
    private readonly ProjectionRunner projections;
    private readonly SubscriptionControl subscriptions;
    private readonly Meter meter = new(MeterName);
    private readonly CancellationTokenSource stop = new();
    private readonly Task run;
    private volatile Measured measured = new([], [], []);

    private ReadingMonitor(Store store, ProjectionRunner projections, TimeSpan every)
    {
        (this.store, this.projections, subscriptions) = (store, projections, new SubscriptionControl(store));
        Instrument[] instruments =
        [
            meter.CreateObservableGauge("platform.projection.lag", () => measured.Projections.Select(one => Of(one.Behind.TotalSeconds, "projection", one.Name)), "s", "How long the first event that a projection has not folded has been sealed."),
            meter.CreateObservableGauge("platform.projection.parked", () => measured.Projections.Select(one => Of(one.Parked, "projection", one.Name)), "{event}", "Events that a projection could not fold, with those behind them."),
            meter.CreateObservableGauge("platform.subscription.lag", () => measured.Subscriptions.Select(one => Of(one.Behind.TotalSeconds, "subscription", one.Name)), "s", "How long the first event that was not handed over has been sealed."),
            meter.CreateObservableGauge("platform.subscription.parked", () => measured.Subscriptions.Select(one => Of(one.Parked, "subscription", one.Name)), "{event}", "Events that a reaction failed for, with those behind them."),
            meter.CreateObservableGauge(
                "platform.postgres.long_transaction",
                () => measured.Transactions.Select(one => new Measurement<double>(
                    one.Age.TotalSeconds,
                    new KeyValuePair<string, object?>("pid", one.Pid?.ToString(CultureInfo.InvariantCulture) ?? "prepared"),
                    new KeyValuePair<string, object?>("application", one.Application))),
                "s",
                "The age of each transaction that has been open for more than a minute; none: there is no such."),
        ];
        run = Task.Run(() => Measure(instruments, every));
    }

    public static ReadingMonitor Start(Store store, ProjectionRunner projections, TimeSpan? every = null) => new(store, projections, every ?? TimeSpan.FromSeconds(5));

    /// <summary>Transactions of this database that have been open for longer, the oldest first, at most ten.</summary>
    public static Task<IReadOnlyList<LongTransaction>> LongTransactions(Store store, TimeSpan olderThan, CancellationToken cancellation) => store.Context.Ask(async (connection, token) =>
    {
        await using var command = store.Context.Command(
            connection,
            """
            select pid, coalesce(nullif(application_name, ''), usename, backend_type), extract(epoch from clock_timestamp() - xact_start)::float8 as age
            from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() and backend_type <> 'autovacuum worker' and (backend_xmin is not null or backend_xid is not null) and xact_start < clock_timestamp() - $1
            union all
            select null, gid, extract(epoch from clock_timestamp() - prepared)::float8 from pg_prepared_xacts where database = current_database() and prepared < clock_timestamp() - $1
            order by age desc limit 10
            """,
            olderThan);
        var found = new List<LongTransaction>();
        await using var reader = await command.ExecuteReaderAsync(token);
        while (await reader.ReadAsync(token)) { found.Add(new LongTransaction(reader.IsDBNull(0) ? null : reader.GetInt32(0), reader.GetString(1), TimeSpan.FromSeconds(reader.GetDouble(2)))); }
        return (IReadOnlyList<LongTransaction>)found;
    }, cancellation);

    public async ValueTask DisposeAsync()
    {
        await stop.CancelAsync();
        await run.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        meter.Dispose();
        stop.Dispose();
    }

    /// <summary>SQL for the seconds since the first position beyond another was given.</summary>
    internal static string Behind(string schema, string position) =>
        $"coalesce((select extract(epoch from clock_timestamp() - b.sealed_at)::float8 from {schema}.pl_seals b where b.last_position > {position} order by b.last_position limit 1), 0)";

    private static Measurement<double> Of(double value, string kind, string name) => new(value, new KeyValuePair<string, object?>(kind, name));

    private async Task Measure(Instrument[] instruments, TimeSpan every)
    {
        while (!stop.IsCancellationRequested)
        {
            try
            {
                if (instruments.Any(one => one.Enabled))
                {
                    measured = new Measured(
                        [.. (await projections.Status(stop.Token)).Where(one => one.Live)],
                        await subscriptions.Status(stop.Token),
                        await LongTransactions(store, LongTransactionAge, stop.Token));
                }
            }
            // What cannot be measured now is measured next time; until then the last figures stand.
            catch (Exception) when (!stop.IsCancellationRequested) { }
            await Task.Delay(every, stop.Token);
        }
    }

    private sealed record Measured(IReadOnlyList<ProjectionStatus> Projections, IReadOnlyList<SubscriptionStatus> Subscriptions, IReadOnlyList<LongTransaction> Transactions);
}
