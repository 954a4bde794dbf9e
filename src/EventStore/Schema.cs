using System.Globalization;
using Npgsql;

namespace Platform.EventStore;

/// <summary>
/// The tables, made by numbered steps (embedded <c>NNNN_name.sql</c>, in any folder of this project), each applied once. A step never changes after a release;
/// <c>{schema}</c> in it stands for the quoted name of the schema.
/// </summary>
public static class Schema
{
    /// <summary>PostgreSQL cuts longer names.</summary>
    public const int MaxNameLength = 63;

    /// <summary>How long a start waits for another node that is migrating.</summary>
    private const int TimeoutSeconds = 120;

    private static readonly Lazy<IReadOnlyList<SchemaStep>> All = new(ReadSteps);

    public static IReadOnlyList<SchemaStep> Steps => All.Value;

    /// <summary>Brings a schema to this program's version. Nodes may do it at the same time; all but the first find nothing left to do.</summary>
    /// <exception cref="SchemaTooNewException">A newer program has been here.</exception>
    public static async Task Migrate(NpgsqlDataSource source, string schema = "public", CancellationToken cancellation = default)
    {
        var quoted = Quote(schema);
        await using var connection = await source.OpenConnectionAsync(cancellation);
        await using var transaction = await connection.BeginTransactionAsync(cancellation);

        await Execute(connection, "select pg_advisory_xact_lock(hashtextextended('platform.schema.' || $1, 0))", cancellation, schema);
        await Execute(connection, $"create schema if not exists {quoted}", cancellation);
        await Execute(connection, $"""
            create table if not exists {quoted}.pl_schema (
                version integer primary key, name varchar not null, applied_at timestamptz not null default now())
            """, cancellation);

        var applied = new HashSet<int>();
        await using (var read = new NpgsqlCommand($"select version from {quoted}.pl_schema", connection))
        await using (var reader = await read.ExecuteReaderAsync(cancellation))
        {
            while (await reader.ReadAsync(cancellation)) { applied.Add(reader.GetInt32(0)); }
        }

        foreach (var version in applied.Order())
        {
            if (Steps.All(step => step.Version != version)) { throw new SchemaTooNewException(schema, version, Steps[^1].Version); }
        }

        foreach (var step in Steps)
        {
            if (applied.Contains(step.Version)) { continue; }
            await Execute(connection, step.Sql.Replace("{schema}", quoted, StringComparison.Ordinal), cancellation);
            await Execute(connection, $"insert into {quoted}.pl_schema (version, name) values ($1, $2)", cancellation, step.Version, step.Name);
        }

        await transaction.CommitAsync(cancellation);
    }

    /// <summary>The name as it stands in SQL. Only <c>a-z 0-9 _</c>, not beginning with a digit.</summary>
    public static string Quote(string schema)
    {
        var sound = schema.Length is > 0 and <= MaxNameLength && !char.IsAsciiDigit(schema[0]);
        foreach (var c in schema) { sound &= char.IsAsciiLetterLower(c) || char.IsAsciiDigit(c) || c == '_'; }
        return sound ? $"\"{schema}\"" : throw new ArgumentException($"'{schema}' is not a schema name: a-z, 0-9 and _, at most {MaxNameLength}.", nameof(schema));
    }

    private static async Task Execute(NpgsqlConnection connection, string sql, CancellationToken cancellation, params object[] values)
    {
        await using var command = new NpgsqlCommand(sql, connection) { CommandTimeout = TimeoutSeconds };
        foreach (var value in values) { command.Parameters.Add(new NpgsqlParameter { Value = value }); }
        await command.ExecuteNonQueryAsync(cancellation);
    }

    private static List<SchemaStep> ReadSteps()
    {
        var assembly = typeof(Schema).Assembly;
        var steps = new List<SchemaStep>();
        foreach (var resource in assembly.GetManifestResourceNames())
        {
            if (!resource.EndsWith(".sql", StringComparison.Ordinal)) { continue; }
            using var reader = new StreamReader(assembly.GetManifestResourceStream(resource)!);
            steps.Add(new SchemaStep(int.Parse(resource.AsSpan(0, 4), CultureInfo.InvariantCulture), resource[5..^4], reader.ReadToEnd()));
        }

        steps.Sort((a, b) => a.Version.CompareTo(b.Version));
        for (var i = 1; i < steps.Count; i++)
        {
            if (steps[i].Version == steps[i - 1].Version) { throw new InvalidOperationException($"Two schema steps have number {steps[i].Version}: {steps[i - 1].Name}, {steps[i].Name}."); }
        }

        return steps;
    }
}

/// <summary>One numbered step.</summary>
public sealed record SchemaStep(int Version, string Name, string Sql);

/// <summary>The database was migrated by a newer program: this one would not understand what it finds there.</summary>
public sealed class SchemaTooNewException(string schema, int found, int known)
    : Exception($"Schema '{schema}' has step {found}; this program knows steps up to {known}. Start the newer program, or use another schema.")
{
    public int Found { get; } = found;

    public int Known { get; } = known;
}
