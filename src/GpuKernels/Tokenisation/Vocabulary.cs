using System.Text;
using System.Text.Json;

namespace Platform.GpuKernels.Tokenisation;

/// <summary>Tokens by their spelling in UTF-8, and back.</summary>
internal sealed class Vocabulary
{
    /// <summary>The largest vocabularies in use have some 260,000 tokens; four million leaves room and keeps tables in memory.</summary>
    public const int MaximalTokens = 4_000_000;

    /// <summary>An id is an index of tables here and of a model's embedding matrix; gaps cost memory.</summary>
    public const int MaximalId = 8_000_000;

    /// <summary>Longest spelling, in bytes. What is longer is not a token of any vocabulary in use (the longest there have some 500).</summary>
    public const int MaximalTokenBytes = 4096;

    private readonly Dictionary<byte[], int> ids;
    private readonly Dictionary<byte[], int>.AlternateLookup<ReadOnlySpan<byte>> bySpan;
    private readonly byte[]?[] tokens;

    public Vocabulary(IReadOnlyCollection<KeyValuePair<byte[], int>> entries, string place)
    {
        if (entries.Count > MaximalTokens) { throw StageOptions.Wrong(place, $"has {entries.Count} tokens; the limit is {MaximalTokens}"); }

        ids = new(entries.Count, new ByteStrings());
        bySpan = ids.GetAlternateLookup<ReadOnlySpan<byte>>();
        var highest = -1;
        foreach (var (token, id) in entries)
        {
            if (id is < 0 or > MaximalId) { throw StageOptions.Wrong(place, $"gives '{Encoding.UTF8.GetString(token)}' the id {id}; the limit is {MaximalId}"); }

            if (token.Length > MaximalTokenBytes) { throw StageOptions.Wrong(place, $"has a token of {token.Length} bytes; the limit is {MaximalTokenBytes}"); }

            ids[token] = id;
            highest = Math.Max(highest, id);
            LongestToken = Math.Max(LongestToken, token.Length);
        }

        tokens = new byte[highest + 1][];
        foreach (var (token, id) in ids) { tokens[id] = token; }
    }

    public int Count => ids.Count;

    /// <summary>In bytes.</summary>
    public int LongestToken { get; }

    /// <summary>One more than the highest id.</summary>
    public int IdLimit => tokens.Length;

    public IEnumerable<KeyValuePair<byte[], int>> Entries => ids;

    /// <summary>Reads an object of spelling: id.</summary>
    public static Vocabulary Read(StageOptions vocab)
    {
        if (vocab.Element.ValueKind != JsonValueKind.Object) { throw StageOptions.Wrong(vocab.Place, "must be an object of tokens and ids"); }

        var entries = new List<KeyValuePair<byte[], int>>();
        foreach (var property in vocab.Element.EnumerateObject())
        {
            entries.Add(new(Encoding.UTF8.GetBytes(property.Name), new StageOptions($"{vocab.Place}['{property.Name}']", property.Value).AsNumber()));
        }

        return new(entries, vocab.Place);
    }

    public bool TryGetId(ReadOnlySpan<byte> token, out int id) => bySpan.TryGetValue(token, out id);

    public bool TryGetToken(int id, out ReadOnlySpan<byte> token)
    {
        var found = (uint)id < (uint)tokens.Length ? tokens[id] : null;
        token = found;
        return found is not null;
    }
}

/// <summary>Byte strings compared by their content.</summary>
internal sealed class ByteStrings : IEqualityComparer<byte[]>, IAlternateEqualityComparer<ReadOnlySpan<byte>, byte[]>
{
    public bool Equals(byte[]? x, byte[]? y) => x.AsSpan().SequenceEqual(y);

    public int GetHashCode(byte[] bytes) => GetHashCode(bytes.AsSpan());

    public bool Equals(ReadOnlySpan<byte> alternate, byte[] other) => alternate.SequenceEqual(other);

    public byte[] Create(ReadOnlySpan<byte> alternate) => alternate.ToArray();

    public int GetHashCode(ReadOnlySpan<byte> bytes)
    {
        var hash = default(HashCode);
        hash.AddBytes(bytes);
        return hash.ToHashCode();
    }
}
