using Npgsql;
using NpgsqlTypes;

namespace Platform.EventStore.Projections;

/// <summary>The documents of one batch as the arrays of one call of <c>pl_project</c>. Its lists are kept from call to call.</summary>
internal sealed class InlineWrite
{
    private readonly NpgsqlParameter<long> revision = new() { NpgsqlDbType = NpgsqlDbType.Bigint };
    private readonly List<string> generationName = [], newName = [], newTenant = [], newId = [], newSort = [], movedName = [], movedTenant = [], movedId = [], movedSort = [], goneName = [], goneTenant = [], goneId = [];
    private readonly List<long> generation = [], newGeneration = [], movedGeneration = [], movedExpected = [], goneGeneration = [], goneExpected = [];
    private readonly List<byte[]> newData = [], movedData = [];

    public InlineWrite(string schema)
    {
        // In the order of the function's parameters.
        NpgsqlParameter[] parameters =
        [
            revision,
            Texts(generationName), Numbers(generation),
            Texts(newName), Numbers(newGeneration), Texts(newTenant), Texts(newId), Texts(newSort), Json(newData),
            Texts(movedName), Numbers(movedGeneration), Texts(movedTenant), Texts(movedId), Numbers(movedExpected), Texts(movedSort), Json(movedData),
            Texts(goneName), Numbers(goneGeneration), Texts(goneTenant), Texts(goneId), Numbers(goneExpected),
        ];
        Command = new NpgsqlBatchCommand($"select {schema}.pl_project({string.Join(", ", parameters.Select((_, i) => $"${i + 1}"))})");
        foreach (var parameter in parameters) { Command.Parameters.Add(parameter); }
    }

    public NpgsqlBatchCommand Command { get; }

    public bool IsEmpty => generation.Count == 0;

    public void Begin(long ofRevision)
    {
        revision.TypedValue = ofRevision;
        foreach (var texts in (List<string>[])[generationName, newName, newTenant, newId, newSort, movedName, movedTenant, movedId, movedSort, goneName, goneTenant, goneId]) { texts.Clear(); }
        foreach (var numbers in (List<long>[])[generation, newGeneration, movedGeneration, movedExpected, goneGeneration, goneExpected]) { numbers.Clear(); }
        newData.Clear();
        movedData.Clear();
    }

    public void Generation(string projection, long number)
    {
        generationName.Add(projection);
        generation.Add(number);
    }

    /// <param name="expected">The row's revision; null: there is none.</param>
    /// <param name="json">Null: the row goes.</param>
    public void Document(string projection, long number, DocumentKey key, long? expected, string? sortKey, byte[]? json)
    {
        switch (expected, json)
        {
            case (null, null):
                break;
            case (null, { } data):
                newName.Add(projection);
                newGeneration.Add(number);
                newTenant.Add(key.Tenant);
                newId.Add(key.Id);
                newSort.Add(sortKey!);
                newData.Add(data);
                break;
            case ({ } from, { } data):
                movedName.Add(projection);
                movedGeneration.Add(number);
                movedTenant.Add(key.Tenant);
                movedId.Add(key.Id);
                movedExpected.Add(from);
                movedSort.Add(sortKey!);
                movedData.Add(data);
                break;
            case ({ } from, null):
                goneName.Add(projection);
                goneGeneration.Add(number);
                goneTenant.Add(key.Tenant);
                goneId.Add(key.Id);
                goneExpected.Add(from);
                break;
        }
    }

    private static NpgsqlParameter<List<string>> Texts(List<string> values) => new() { TypedValue = values, NpgsqlDbType = NpgsqlDbType.Array | NpgsqlDbType.Varchar };

    private static NpgsqlParameter<List<long>> Numbers(List<long> values) => new() { TypedValue = values, NpgsqlDbType = NpgsqlDbType.Array | NpgsqlDbType.Bigint };

    private static NpgsqlParameter<List<byte[]>> Json(List<byte[]> values) => new() { TypedValue = values, NpgsqlDbType = NpgsqlDbType.Array | NpgsqlDbType.Jsonb };
}
