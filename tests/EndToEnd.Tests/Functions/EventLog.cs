using System.Text.RegularExpressions;
using Npgsql;

namespace Platform.EndToEnd.Tests.Functions;

/// <summary>
/// The stored events of a stream as text, without what differs from run to run: ids stand by the order of their first appearance, moments and the one who asked
/// are taken out.
/// </summary>
/// <remarks>
/// Items of a stage with parallelism commit in any order. So the events of each item stand together, in the order of the stream, and the items in their own
/// order, after everything else; where between the items something else was committed is not compared. Nor is which message an item's event was caused by: the end
/// of any other item may have made room for its next stage.
/// </remarks>
internal static partial class EventLog
{
    private const int Causation = 6;

    /// <param name="parallel">Paths of the stages whose items run side by side.</param>
    /// <param name="by">Who asked: a user of the machine there, the HTTP trigger here.</param>
    public static async Task<IReadOnlyList<string>> Read(string connectionString, Guid stream, string by, params string[] parallel)
    {
        await using var connection = new NpgsqlConnection(connectionString);
        await connection.OpenAsync();
        await using var command = new NpgsqlCommand(
            """
            select version, type, data::text, mt_dotnet_type, tenant_id, correlation_id, causation_id, coalesce(headers::text, '') from mt_events where stream_id = $1 order by version
            """,
            connection);
        command.Parameters.Add(new NpgsqlParameter<Guid> { TypedValue = stream });
        var events = new List<(string Lane, string Text)>();
        await using (var reader = await command.ExecuteReaderAsync())
        {
            while (await reader.ReadAsync())
            {
                Assert.Equal(events.Count + 1, reader.GetInt64(0));
                var data = reader.GetString(2);
                var item = Item().Match(data);
                var lane = item.Success && parallel.Contains(item.Groups[1].Value) ? item.Groups[2].Value.PadLeft(6, '0') : "";
                events.Add((lane, string.Join(' ', Enumerable.Range(1, 7).Where(column => column != Causation || lane.Length == 0).Select(column => reader.IsDBNull(column) ? "null" : reader.GetString(column)))));
            }
        }

        var ids = new Dictionary<string, string>();
        return [.. events.OrderBy(one => one.Lane, StringComparer.Ordinal).Select(one =>
            Moment().Replace(Id().Replace(one.Text, match => ids.TryGetValue(match.Value, out var known) ? known : ids[match.Value] = $"<id {ids.Count + 1}>"), "<moment>")
                .Replace($"\"{by}\"", "\"<who>\"", StringComparison.Ordinal))];
    }

    /// <summary>An item's path: <c>STAGE[N]</c> or below.</summary>
    [GeneratedRegex(@"""[Pp]ath"": ?""([a-z_]+)\[(\d+)\]")]
    private static partial Regex Item();

    [GeneratedRegex(@"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")]
    private static partial Regex Id();

    [GeneratedRegex(@"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")]
    private static partial Regex Moment();
}
