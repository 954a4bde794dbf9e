using System.Runtime.CompilerServices;
using Platform.GpuKernels.Tokenisation.Normalisers;
using Platform.GpuKernels.Tokenisation.Unicode;

namespace Platform.GpuKernels.Tokenisation.WordPiece;

/// <summary>What a character becomes for the fused encoder.</summary>
internal enum FusedKind
{
    /// <summary>White space.</summary>
    Space = 0,

    /// <summary>Part of a word; or nothing, where its length is zero.</summary>
    Word = 1,

    /// <summary>A piece of its own.</summary>
    Single = 2,

    /// <summary>Part of a word, and longer than an entry holds.</summary>
    Long = 3,

    /// <summary>What it becomes depends on its neighbours, or is of several kinds: the stages see to it.</summary>
    Staged = 4,
}

/// <summary>
/// For every character what a list of normalisers and BERT's pre-tokeniser make of it, where each character can be taken by itself. It is asked of the stages
/// themselves, page by page of 256 characters when the first of them is seen.
/// </summary>
internal sealed class FusedCharacters
{
    /// <summary>Bytes that an entry holds: from the low end its text, then the length, then the kind.</summary>
    public const int InlineBytes = 6;

    /// <summary>No character becomes more than this many times its own bytes; one that would is left to the stages.</summary>
    public const int Growth = 3;

    private readonly IReadOnlyList<INormaliser> normalisers;
    private readonly bool orders;
    private readonly ulong[]?[] pages = new ulong[Characters.Limit >> 8][];
    private readonly List<byte[]> longTexts = [];
    private byte[][] published = [];

    private FusedCharacters(IReadOnlyList<INormaliser> normalisers)
    {
        this.normalisers = normalisers;
        orders = normalisers.Any(each => each is UnicodeNormaliser);
    }

    /// <summary>Whether letters become lower case.</summary>
    public bool Lowers => LengthAndText('A').Text == 'a';

    public static FusedCharacters? Of(IReadOnlyList<INormaliser> normalisers)
    {
        if (!normalisers.All(each => each is CharacterNormaliser or UnicodeNormaliser { Composed: false })) { return null; }

        var characters = new FusedCharacters(normalisers);
        return characters.AsciiIsPlain() ? characters : null;
    }

    public static int LengthOf(ulong entry) => (int)(entry >> 48) & 0xFF;

    public static FusedKind KindOf(ulong entry) => (FusedKind)(entry >> 56);

    public ulong this[uint scalar]
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => (pages[scalar >> 8] ?? MakePage(scalar >> 8))[scalar & 0xFF];
    }

    /// <summary>The text of a <see cref="FusedKind.Long"/> entry.</summary>
    public byte[] LongText(ulong entry) => Volatile.Read(ref published)[(int)(uint)entry];

    private (int Length, ulong Text) LengthAndText(uint scalar) => (LengthOf(this[scalar]), this[scalar] & 0xFFFF_FFFF_FFFF);

    /// <summary>Whether ASCII is as the encoder's vector code takes it: letters and digits words, other printable characters alone, tab, line ends and space white space.</summary>
    private bool AsciiIsPlain()
    {
        for (uint scalar = 0; scalar < 0x80; scalar++)
        {
            var kind = KindOf(this[scalar]);
            var (length, text) = LengthAndText(scalar);
            var letter = char.IsAsciiLetterOrDigit((char)scalar);
            var expected = scalar switch
            {
                '\t' or '\n' or '\r' or ' ' => kind == FusedKind.Space,
                < 0x20 or 0x7F => true,
                _ when letter => kind == FusedKind.Word && length == 1 && text == (Lowers ? scalar | 0x20 : scalar),
                _ => kind == FusedKind.Single && length == 1 && text == scalar,
            };
            if (!expected) { return false; }
        }

        return true;
    }

    private ulong[] MakePage(uint number)
    {
        lock (longTexts)
        {
            if (pages[number] is { } made) { return made; }

            var working = new WorkingText();
            var page = new ulong[256];
            for (uint i = 0; i < 256; i++) { page[i] = Make((number << 8) | i, working); }

            Volatile.Write(ref published, [.. longTexts]);
            Volatile.Write(ref pages[number], page);
            return page;
        }
    }

    private ulong Make(uint scalar, WorkingText working)
    {
        const ulong Staged = (ulong)FusedKind.Staged << 56;
        if (scalar is >= 0xD800 and <= 0xDFFF) { return Staged; }

        Span<byte> bytes = stackalloc byte[4];
        var size = new System.Text.Rune(scalar).EncodeToUtf8(bytes);
        working.Begin(bytes[..size], 0, aligned: false);
        foreach (var normaliser in normalisers) { working.Normalise(normaliser); }

        var text = working.Bytes;
        if (text.Length > Growth * size && text.Length > 3) { return Staged; }

        // A piece of its own may stand between spaces.
        var (words, singles, spaces) = (0, 0, 0);
        var single = text;
        for (var at = 0; at < text.Length;)
        {
            var part = Utf8Text.ScalarAt(text, at, out var partSize);
            if (orders && Characters.CombiningClass(part) != 0) { return Staged; }

            if (Characters.IsWhiteSpace(part)) { spaces++; }
            else if (Characters.Is(part, CharacterSets.Punctuation) || (spaces == 1 && text.Length == partSize + 2))
            {
                singles++;
                single = text.Slice(at, partSize);
            }
            else { words++; }

            at += partSize;
        }

        return (words, singles, spaces) switch
        {
            (0, 0, > 0) => Entry(FusedKind.Space, " "u8),
            (0, 1, 0 or 2) => Entry(FusedKind.Single, single),
            (_, 0, 0) when text.Length <= InlineBytes => Entry(FusedKind.Word, text),
            (_, 0, 0) => Long(text),
            _ => Staged,
        };
    }

    private ulong Long(ReadOnlySpan<byte> text)
    {
        longTexts.Add(text.ToArray());
        return (uint)(longTexts.Count - 1) | ((ulong)FusedKind.Long << 56);
    }

    private static ulong Entry(FusedKind kind, ReadOnlySpan<byte> text)
    {
        var entry = ((ulong)kind << 56) | ((ulong)text.Length << 48);
        for (var i = 0; i < text.Length; i++) { entry |= (ulong)text[i] << (8 * i); }

        return entry;
    }
}
