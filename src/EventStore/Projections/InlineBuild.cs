using Npgsql;
using Platform.EventStore.Sealing;

namespace Platform.EventStore.Projections;

/// <summary>Before a store appends, its inline projections stand in the version that it folds.</summary>
internal static class InlineBuild
{
    private static readonly TimeSpan Look = TimeSpan.FromMilliseconds(20);

    /// <exception cref="ProjectionTooNewException"/>
    public static async Task Ensure(Store store, InlineProjections inline, CancellationToken cancellation)
    {
        if (await store.Context.Ask(inline.AreLive, cancellation)) { return; }
        await store.Context.Ask((connection, stop) => BeginEmpty(store, inline, connection, stop), cancellation);
        if (await store.Context.Ask(inline.AreLive, cancellation)) { return; }

        // There are events already: they are folded beside whatever is live, as in a rebuild.
        await using var sealer = Sealer.Start(store);
        await using var runner = ProjectionRunner.Start(store, inline.Projections);
        while (!await store.Context.Ask(inline.AreLive, cancellation)) { await Task.Delay(Look, cancellation); }
    }

    /// <summary>An empty log is folded without a look.</summary>
    private static async Task<int> BeginEmpty(Store store, InlineProjections inline, NpgsqlConnection connection, CancellationToken cancellation)
    {
        var schema = store.Context.Schema;
        await using var transaction = await connection.BeginTransactionAsync(cancellation);
        await using (var alone = store.Context.Command(connection, $"select pg_advisory_xact_lock({schema}.pl_inline_lock())")) { await alone.ExecuteNonQueryAsync(cancellation); }
        await using var begin = store.Context.Command(connection, $"""
            insert into {schema}.pl_projections (name, generation, version, position, live, inline)
            select name, 1, version, 0, true, true from unnest($1::varchar[], $2::integer[]) as p (name, version)
            where not exists (select from {schema}.mt_events) and not exists (select from {schema}.pl_projections o where o.name = p.name)
            """);
        begin.Parameters.Add(new NpgsqlParameter<string[]> { TypedValue = [.. inline.Projections.Select(one => one.Name)] });
        begin.Parameters.Add(new NpgsqlParameter<int[]> { TypedValue = [.. inline.Projections.Select(one => one.Version)] });
        var begun = await begin.ExecuteNonQueryAsync(cancellation);
        await transaction.CommitAsync(cancellation);
        return begun;
    }
}
