using System.Buffers;
using System.Collections.Concurrent;
using System.Security.Cryptography;
using System.Text;
using System.Text.Unicode;

namespace Platform.GpuKernels.Tokenisation.Bpe;

/// <summary>
/// Counts and encodes text as tiktoken does: what OpenAI's models bill by. The vocabulary is a rank file that the user gives, for example
/// cl100k_base.tiktoken; the patterns and special tokens of the encodings are known here. One instance serves all threads.
/// </summary>
/// <remarks>
/// Text that is not valid UTF-8 (or UTF-16) is read as if U+FFFD stood in the place of each part that is not. Special tokens in a text, such as
/// &lt;|endoftext|&gt;, count as the characters that they are written with unless they are allowed.
/// </remarks>
public sealed class TiktokenEncoding
{
    private static readonly Dictionary<string, Published> Encodings = new(StringComparer.Ordinal)
    {
        ["r50k_base"] = new(SplitPattern.Gpt2, "306cd27f03c1a714eca7108e03d66b7dc042abe8c258b44c199a7ed9838dd930", ("<|endoftext|>", 50256)),
        ["p50k_base"] = new(SplitPattern.Gpt2, "94b5ca7dff4d00767bc256fdd1b27e5b17361d7b8a5f968547f9f23eb70d2069", ("<|endoftext|>", 50256)),
        ["cl100k_base"] = new(
            SplitPattern.Cl100k,
            "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
            ("<|endoftext|>", 100257), ("<|fim_prefix|>", 100258), ("<|fim_middle|>", 100259), ("<|fim_suffix|>", 100260), ("<|endofprompt|>", 100276)),
        ["o200k_base"] = new(
            SplitPattern.O200k,
            "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
            ("<|endoftext|>", 199999), ("<|endofprompt|>", 200018)),
    };

    private readonly SplitPattern pattern;
    private readonly PieceTable tokens;
    private readonly BytePairVocabulary vocabulary;
    private readonly Dictionary<string, int> specialTokens;
    private readonly Dictionary<int, byte[]> specialBytes;
    private readonly ConcurrentBag<(BytePairEncoder Encoder, TokenSink Tokens)> idle = [];

    private TiktokenEncoding(string name, SplitPattern pattern, PieceTable tokens, Dictionary<string, int> specialTokens)
    {
        Name = name;
        this.pattern = pattern;
        this.tokens = tokens;
        this.specialTokens = specialTokens;
        specialBytes = specialTokens.ToDictionary(special => special.Value, special => Encoding.UTF8.GetBytes(special.Key));
        vocabulary = BytePairVocabulary.FromRanks(tokens);
    }

    /// <summary>The encodings that <see cref="Load"/> knows.</summary>
    public static IReadOnlyCollection<string> KnownNames => Encodings.Keys;

    public string Name { get; }

    /// <summary>The special tokens and their ids.</summary>
    public IReadOnlyDictionary<string, int> SpecialTokens => specialTokens;

    /// <param name="name">One of <see cref="KnownNames"/>.</param>
    /// <param name="rankFile">The rank file as OpenAI publishes it.</param>
    /// <param name="verify">Whether the file must be the published one, by its SHA-256. Without, any vocabulary with this encoding's pattern is taken.</param>
    /// <param name="moreSpecialTokens">Special tokens besides the encoding's own.</param>
    /// <exception cref="TokeniserFileException">The name is not known, or the file is not what it should be.</exception>
    public static TiktokenEncoding Load(string name, ReadOnlySpan<byte> rankFile, bool verify = true, IReadOnlyDictionary<string, int>? moreSpecialTokens = null)
    {
        if (!Encodings.TryGetValue(name, out var published))
        {
            throw new TokeniserFileException($"There is no encoding '{name}'; known are {string.Join(", ", Encodings.Keys)}.");
        }

        if (verify && Convert.ToHexStringLower(SHA256.HashData(rankFile)) is var actual && actual != published.Sha256)
        {
            throw new TokeniserFileException($"The rank file is not the published one of {name}: its SHA-256 is {actual}, not {published.Sha256}.");
        }

        var tokens = RankFile.Read(rankFile);
        var special = published.SpecialTokens.ToDictionary(StringComparer.Ordinal);
        foreach (var (token, id) in moreSpecialTokens ?? new Dictionary<string, int>()) { special[token] = id; }

        foreach (var (token, id) in special)
        {
            if (token.Length == 0 || id < 0 || (id < tokens.IdLimit && !tokens.BytesOf(id).IsEmpty) || special.Any(other => other.Value == id && other.Key != token))
            {
                throw new TokeniserFileException($"The special token '{token}' cannot have the id {id}: a special token is not empty, and has an id of its own.");
            }
        }

        return new(name, published.Pattern, tokens, special);
    }

    /// <summary>How many tokens the text has, special tokens not allowed.</summary>
    /// <exception cref="ArgumentException">The text is longer than <see cref="TextLimits.TextBytes"/>.</exception>
    public int Count(ReadOnlySpan<byte> utf8)
    {
        if (!IsValid(utf8)) { return Count(Repaired(utf8)); }

        var (encoder, sink) = Rent();
        var count = pattern.Count(encoder, utf8);
        idle.Add((encoder, sink));
        return count;
    }

    /// <inheritdoc cref="Count(ReadOnlySpan{byte})"/>
    public int Count(ReadOnlySpan<char> text)
    {
        var buffer = ArrayPool<byte>.Shared.Rent(Encoding.UTF8.GetMaxByteCount(text.Length));
        var count = Count(buffer.AsSpan(0, Encoding.UTF8.GetBytes(text, buffer)));
        ArrayPool<byte>.Shared.Return(buffer);
        return count;
    }

    /// <summary>The ids of the text's tokens, special tokens not allowed: right for whatever others wrote.</summary>
    /// <exception cref="ArgumentException">The text is longer than <see cref="TextLimits.TextBytes"/>.</exception>
    public int[] Encode(ReadOnlySpan<byte> utf8) => Encode(utf8, [], []);

    /// <inheritdoc cref="Encode(ReadOnlySpan{byte})"/>
    public int[] Encode(string text) => Encode(Encoding.UTF8.GetBytes(text));

    /// <summary>The ids of the text's tokens.</summary>
    /// <param name="allowed">Special tokens that become the one token that they are.</param>
    /// <param name="disallowed">Special tokens that must not be in the text; those allowed are not looked for. Null: all the others.</param>
    /// <exception cref="ArgumentException">A token is not a special one of this encoding, the text has a disallowed one, or it is longer than <see cref="TextLimits.TextBytes"/>.</exception>
    public int[] Encode(ReadOnlySpan<byte> utf8, IReadOnlyCollection<string> allowed, IReadOnlyCollection<string>? disallowed)
    {
        if (!IsValid(utf8)) { return Encode(Repaired(utf8), allowed, disallowed); }

        var wanted = SpecialsOf(allowed);
        var refused = SpecialsOf([.. (disallowed ?? specialTokens.Keys).Except(allowed)]);
        if (NextSpecial(utf8, refused, out var found) >= 0)
        {
            throw new ArgumentException($"The text has the special token {Encoding.UTF8.GetString(specialBytes[found])}, which is not allowed in it.", nameof(utf8));
        }

        var (encoder, sink) = Rent();
        sink.Clear(wantsOffsets: false);
        while (NextSpecial(utf8, wanted, out var special) is var at && at >= 0)
        {
            pattern.Encode(encoder, utf8[..at], sink);
            sink.Add(special, 0, 0);
            utf8 = utf8[(at + specialBytes[special].Length)..];
        }

        pattern.Encode(encoder, utf8, sink);
        var ids = sink.Ids.ToArray();
        idle.Add((encoder, sink));
        return ids;
    }

    /// <summary>The bytes of tokens, special ones included. A single token need not be valid UTF-8.</summary>
    /// <exception cref="ArgumentException">No token has one of the ids.</exception>
    public byte[] Decode(params ReadOnlySpan<int> ids)
    {
        var bytes = new ArrayBufferWriter<byte>();
        foreach (var id in ids)
        {
            var token = specialBytes.TryGetValue(id, out var special) ? special
                : (uint)id < (uint)tokens.IdLimit ? tokens.BytesOf(id)
                : [];
            if (token.IsEmpty) { throw new ArgumentException($"{Name} has no token with the id {id}.", nameof(ids)); }

            bytes.Write(token);
        }

        return bytes.WrittenSpan.ToArray();
    }

    private static bool IsValid(ReadOnlySpan<byte> utf8) => utf8.Length <= TextLimits.TextBytes
        ? Utf8.IsValid(utf8)
        : throw new ArgumentException($"The text has {utf8.Length} bytes; the limit is {TextLimits.TextBytes}.", nameof(utf8));

    private static byte[] Repaired(ReadOnlySpan<byte> utf8) => Encoding.UTF8.GetBytes(Encoding.UTF8.GetString(utf8));

    private (BytePairEncoder Encoder, TokenSink Tokens) Rent() => idle.TryTake(out var rented) ? rented : (new BytePairEncoder(vocabulary), new TokenSink());

    /// <summary>Longest first: of two that begin at the same place the longer is meant.</summary>
    private List<KeyValuePair<int, byte[]>> SpecialsOf(IReadOnlyCollection<string> names)
    {
        var found = new List<KeyValuePair<int, byte[]>>(names.Count);
        foreach (var name in names)
        {
            if (!specialTokens.TryGetValue(name, out var id)) { throw new ArgumentException($"'{name}' is not a special token of {Name}; those are {string.Join(", ", specialTokens.Keys)}.", nameof(names)); }

            found.Add(new(id, specialBytes[id]));
        }

        found.Sort((left, right) => right.Value.Length.CompareTo(left.Value.Length));
        return found;
    }

    private static int NextSpecial(ReadOnlySpan<byte> text, List<KeyValuePair<int, byte[]>> specials, out int id)
    {
        var nearest = -1;
        id = -1;
        foreach (var (candidate, bytes) in specials)
        {
            var at = (nearest < 0 ? text : text[..Math.Min(text.Length, nearest + bytes.Length - 1)]).IndexOf(bytes);
            if (at >= 0) { (nearest, id) = (at, candidate); }
        }

        return nearest;
    }

    private sealed record Published(SplitPattern Pattern, string Sha256, params KeyValuePair<string, int>[] SpecialTokens)
    {
        public Published(SplitPattern pattern, string sha256, params (string Token, int Id)[] specialTokens)
            : this(pattern, sha256, [.. specialTokens.Select(special => KeyValuePair.Create(special.Token, special.Id))])
        {
        }
    }
}
