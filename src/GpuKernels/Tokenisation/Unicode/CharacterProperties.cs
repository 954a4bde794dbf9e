using System.Collections.Frozen;
using System.IO.Compression;
using System.Reflection;
using System.Text;

namespace Platform.GpuKernels.Tokenisation.Unicode;

/// <summary>Sets of characters that POSIX brackets name, as the reference's regular expressions have them.</summary>
[Flags]
internal enum CharacterKinds
{
    None = 0,
    Alphabetic = 1,
    Uppercase = 2,
    Lowercase = 4,

    /// <summary>[[:word:]]. What `\w` matches outside of a class is six characters more.</summary>
    Word = 8,
}

/// <summary>
/// What regular expressions and UnicodeScripts know of characters beyond <see cref="Characters"/>: read when a file first asks for it.
/// bench/parity/pattern-tables.mjs asks it of the reference and writes patterns.bin.
/// </summary>
internal static class CharacterProperties
{
    private const int MostScripts = 255;
    private const int LongestName = 64;

    private static readonly FrozenDictionary<string, byte> ScriptNames;
    private static readonly CharacterMap<byte> Scripts;
    private static readonly CharacterMap<byte> Kinds;
    private static readonly CharacterMap<byte> ScriptGroups;
    private static readonly FrozenDictionary<uint, uint[]> Alike;
    private static readonly FrozenSet<string> CaseSequences;
    private static readonly FrozenSet<uint> CaseOfSequence;

#pragma warning disable CA1810 // The tables are read from one stream, in its order.
    static CharacterProperties()
#pragma warning restore CA1810
    {
        using var resource = Assembly.GetExecutingAssembly().GetManifestResourceStream("Platform.GpuKernels.Tokenisation.Unicode.patterns.bin")!;
        using var unpacked = new DeflateStream(resource, CompressionMode.Decompress);
        using var reader = new BinaryReader(unpacked);
        var names = new Dictionary<string, byte>(StringComparer.Ordinal);
        for (var count = Count(reader, MostScripts); count > 0; count--) { names.Add(Encoding.ASCII.GetString(reader.ReadBytes(Count(reader, LongestName))), (byte)(names.Count + 1)); }

        ScriptNames = names.ToFrozenDictionary(StringComparer.Ordinal);
        Scripts = ReadRuns(reader);
        Kinds = ReadRuns(reader);
        ScriptGroups = ReadRuns(reader);
        var alike = new Dictionary<uint, uint[]>();
        for (var count = Count(reader, (int)Characters.Limit); count > 0; count--)
        {
            var group = ReadCharacters(reader);
            foreach (var character in group) { alike.Add(character, group); }
        }

        Alike = alike.ToFrozenDictionary();
        var (sequences, ofSequence) = (new HashSet<string>(StringComparer.Ordinal), new HashSet<uint>());
        for (var count = Count(reader, (int)Characters.Limit); count > 0; count--)
        {
            var character = (uint)Count(reader, (int)Characters.Limit - 1);
            ofSequence.UnionWith(alike.GetValueOrDefault(character, [character]));
            sequences.Add(Sequence(ReadCharacters(reader)));
        }

        (CaseSequences, CaseOfSequence) = (sequences.ToFrozenSet(StringComparer.Ordinal), ofSequence.ToFrozenSet());
    }

    public static CharacterKinds KindsOf(uint scalar) => (CharacterKinds)Kinds[scalar];

    /// <summary>The number of a script by its Unicode name in lower case without spaces, hyphens and underscores.</summary>
    public static bool TryFindScript(string name, out byte script) => ScriptNames.TryGetValue(name, out script);

    public static byte ScriptOf(uint scalar) => Scripts[scalar];

    /// <summary>UnicodeScripts: neighbours of one group stay together, those of group 0 with all.</summary>
    public static byte ScriptGroupOf(uint scalar) => ScriptGroups[scalar];

    /// <summary>The characters that others are the same as without regard to case.</summary>
    public static ReadOnlySpan<uint> WithCase => Alike.Keys.AsSpan();

    /// <summary>Those for which <see cref="HasCaseSequence"/>.</summary>
    public static ReadOnlySpan<uint> WithCaseSequence => CaseOfSequence.Items.AsSpan();

    /// <summary>The characters that are the same without regard to case, itself among them; none where it has no others.</summary>
    public static ReadOnlySpan<uint> AlikeWithoutCase(uint scalar) => Alike.GetValueOrDefault(scalar);

    /// <summary>Whether some character is the same as this sequence without regard to case, as U+00DF is as ss.</summary>
    public static bool IsCaseSequence(ReadOnlySpan<uint> sequence) => CaseSequences.Contains(Sequence(sequence));

    /// <summary>Whether a sequence of others is the same as this character without regard to case.</summary>
    public static bool HasCaseSequence(uint scalar) => CaseOfSequence.Contains(scalar);

    private static string Sequence(ReadOnlySpan<uint> characters)
    {
        var text = new StringBuilder();
        foreach (var character in characters) { text.Append(new Rune(Alike.TryGetValue(character, out var group) ? group.Min() : character)); }

        return text.ToString();
    }

    private static uint[] ReadCharacters(BinaryReader reader)
    {
        var characters = new uint[Count(reader, byte.MaxValue)];
        foreach (ref var character in characters.AsSpan()) { character = (uint)Count(reader, (int)Characters.Limit - 1); }

        return characters;
    }

    private static CharacterMap<byte> ReadRuns(BinaryReader reader)
    {
        var all = new byte[Characters.Limit];
        var at = 0;
        for (var runs = Count(reader, all.Length); runs > 0; runs--)
        {
            var length = Count(reader, all.Length - at);
            all.AsSpan(at, length).Fill((byte)Count(reader, byte.MaxValue));
            at += length;
        }

        return at == all.Length ? new(all) : throw new InvalidDataException("patterns.bin: not every character has a value");
    }

    private static int Count(BinaryReader reader, int most) =>
        reader.Read7BitEncodedInt() is var number && number >= 0 && number <= most ? number : throw new InvalidDataException($"patterns.bin: {number} is not from 0 to {most}");
}
