using System.Text;

namespace Platform.GpuKernels.Tokenisation.Bpe;

/// <summary>
/// GPT-2's spelling of bytes as characters, so that a vocabulary of bytes is a file of text: bytes that are visible Latin-1 characters stand for
/// themselves, the others for U+0100 and on. Texts here stay bytes; only the vocabulary is read in this spelling.
/// </summary>
internal static class ByteLevel
{
    private const int First = 0x100;

    private static readonly char[] Characters = Spell();
    private static readonly Dictionary<char, byte> Bytes = Characters.Select((character, value) => (character, value)).ToDictionary(pair => pair.character, pair => (byte)pair.value);

    /// <summary>Whether pieces reach the model as plain bytes, whose spelling only its vocabulary has: with BPE after ByteLevel.</summary>
    public static bool IsReadBy(StageOptions model, StageOptions file) => model.Type == "BPE" && Steps(file.Member("pre_tokenizer")).LastOrDefault() is { IsNull: false, Type: "ByteLevel" };

    /// <summary>The character that a byte is spelled as.</summary>
    public static Rune Spelled(byte value) => new(Characters[value]);

    public static byte[] Spelled(ReadOnlySpan<byte> bytes)
    {
        var text = new StringBuilder(bytes.Length);
        foreach (var value in bytes) { text.Append(Characters[value]); }

        return Encoding.UTF8.GetBytes(text.ToString());
    }

    /// <summary>The bytes that a text in this spelling stands for, or null where it has other characters.</summary>
    public static byte[]? Read(ReadOnlySpan<byte> spelled)
    {
        var bytes = new List<byte>(spelled.Length);
        for (var at = 0; at < spelled.Length;)
        {
            var scalar = Utf8Text.ScalarAt(spelled, at, out var size);
            at += size;
            if (scalar > char.MaxValue || !Bytes.TryGetValue((char)scalar, out var value)) { return null; }

            bytes.Add(value);
        }

        return [.. bytes];
    }

    private static IEnumerable<StageOptions> Steps(StageOptions step) =>
        step.IsNull ? [] : step.Type == "Sequence" ? step.Items("pretokenizers").SelectMany(Steps) : [step];

    private static char[] Spell()
    {
        var spelled = new char[256];
        var next = First;
        for (var value = 0; value < spelled.Length; value++)
        {
            spelled[value] = value is (>= '!' and <= '~') or (>= 0xA1 and <= 0xAC) or >= 0xAE ? (char)value : (char)next++;
        }

        return spelled;
    }
}

/// <summary>ByteLevel as a normaliser: each byte becomes the character that spells it, aligned as the character that it is of.</summary>
internal sealed class ByteLevelNormaliser : INormaliser
{
    public void Normalise(TextRewriter text)
    {
        var source = text.Source;
        for (var at = 0; at < source.Length;)
        {
            var size = Utf8Text.SizeAt(source, at);
            text.Put(ByteLevel.Spelled(source[at]), size);
            for (var i = 1; i < size; i++) { text.Insert(ByteLevel.Spelled(source[at + i])); }

            at += size;
        }
    }
}

/// <summary>ByteLevel before the model: GPT-2's pattern, or pieces as they are; and a space before a piece that has none, where the file asks for it.</summary>
internal sealed class ByteLevelPreTokeniser(bool addPrefixSpace, bool usesPattern) : IPreTokeniser
{
    public bool UsesPattern => usesPattern;

    public bool AddsPrefixSpace => addPrefixSpace;

    public INormaliser? Rewriting { get; } = addPrefixSpace ? new PrefixNormaliser(new Rune(' '), _ => true) : null;

    public void Split(ReadOnlySpan<byte> piece, PieceSink pieces)
    {
        if (!usesPattern)
        {
            pieces.Add(0, piece.Length);
            return;
        }

        for (var start = 0; start < piece.Length;)
        {
            var end = SplitPattern.Gpt2.End(piece, start);
            pieces.Add(start, end);
            start = end;
        }
    }
}

/// <summary>What ByteLevel does last where others come to see it: it spells the bytes of each piece.</summary>
internal sealed class SpellingPreTokeniser : IPreTokeniser
{
    public INormaliser? Rewriting { get; } = new ByteLevelNormaliser();

    public void Split(ReadOnlySpan<byte> piece, PieceSink pieces) => pieces.Add(0, piece.Length);
}

/// <summary>Puts a character before a piece that does not begin with it, where <paramref name="isWanted"/> says so of the piece's place in the original text.</summary>
internal sealed class PrefixNormaliser(Rune prefix, Func<int, bool> isWanted) : INormaliser
{
    public void Normalise(TextRewriter text)
    {
        var source = text.Source;
        if (source.Length > 0 && Utf8Text.RuneAt(source, 0, out _) != prefix && isWanted(text.OriginalStart)) { text.Put(prefix, replaced: 0); }

        text.Keep(source.Length);
    }
}

/// <summary>ByteLevel after the model: tokens in GPT-2's spelling become the text that their bytes are.</summary>
internal sealed class ByteLevelDecoder : IDecoder
{
    public void Decode(List<byte[]> parts)
    {
        byte[] all = [.. parts.SelectMany(part => ByteLevel.Read(part) ?? part)];
        parts.Clear();
        parts.Add(Encoding.UTF8.GetBytes(Encoding.UTF8.GetString(all)));
    }
}
