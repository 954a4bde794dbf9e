using Npgsql;

namespace Platform.EventStore.Sealing;

/// <summary>Reads events by their numbers, most of which follow one another. Without their streams' types: a join costs as much again as the events.</summary>
internal static class EventRange
{
    public static NpgsqlCommand Command(StoreContext context, NpgsqlConnection connection, long[] sorted)
    {
        var select = $"select {EventRow.OwnColumns} from {context.Schema}.mt_events e";
        if (Dense(sorted))
        {
            var range = context.Command(connection, $"{select} where e.seq_id between $1 and $2 order by e.seq_id");
            range.Parameters.Add(new NpgsqlParameter<long> { TypedValue = sorted[0] });
            range.Parameters.Add(new NpgsqlParameter<long> { TypedValue = sorted[^1] });
            return range;
        }

        var picked = context.Command(connection, $"{select} where e.seq_id = any($1) order by e.seq_id");
        picked.Parameters.Add(new NpgsqlParameter<long[]> { TypedValue = sorted });
        return picked;
    }

    /// <summary>The rows of these numbers, in order; others of the range (not sealed yet) are left out.</summary>
    /// <exception cref="InvalidOperationException">An event that was counted is not there: somebody deleted it.</exception>
    public static List<EventRow> Pick(List<EventRow> rows, long[] sorted)
    {
        if (rows.Count != sorted.Length)
        {
            var wanted = sorted.ToHashSet();
            rows.RemoveAll(row => !wanted.Contains(row.Sequence));
        }

        return rows;
    }

    private static bool Dense(long[] sorted) => sorted[^1] - sorted[0] < 2L * sorted.Length;
}
