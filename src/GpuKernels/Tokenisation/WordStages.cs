using System.Buffers;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Platform.GpuKernels.Tokenisation.Normalisers;
using Platform.GpuKernels.Tokenisation.PreTokenisers;
using Platform.GpuKernels.Tokenisation.Unicode;
using Platform.GpuKernels.Tokenisation.Unigram;

namespace Platform.GpuKernels.Tokenisation;

/// <summary>
/// Stages that make of a text what they make of its words one after another, and what of a word they leave as it is. It is asked of the stages themselves, characters
/// in pages of 256 when the first of a page is met. One instance serves all threads.
/// </summary>
internal sealed class WordStages
{
    /// <summary>What of a character is kept for <see cref="Keeps"/>, above its combining class.</summary>
    private const ushort Kept = 1 << 8;

    /// <summary>A key of a table of replacements begins with it, and is longer.</summary>
    private const ushort Begins = 1 << 9;

    /// <summary>It may belong to the grapheme cluster of the character before it.</summary>
    private const ushort Joins = 1 << 10;

    private const uint ZeroWidthJoiner = 0x200D;
    private const byte FirstPrintable = (byte)'!';
    private const byte LastPrintable = (byte)'~';

    private readonly IReadOnlyList<INormaliser> normalisers;
    private readonly IReadOnlyList<IPreTokeniser> preTokenisers;
    private readonly PrecompiledNormaliser? precompiled;
    private readonly byte[] separators;
    private readonly uint replacement;
    private readonly bool keepsPrintable;
    private readonly ushort[]?[] pages = new ushort[Characters.Limit >> 8][];

    private WordStages(ITokenModel model, IReadOnlyList<INormaliser> normalisers, IReadOnlyList<IPreTokeniser> preTokenisers)
    {
        (Model, this.normalisers, this.preTokenisers) = (model, normalisers, preTokenisers);
        precompiled = normalisers.Count > 0 ? normalisers[0] as PrecompiledNormaliser : null;
        separators = FindSeparators();
        Separators = SearchValues.Create(separators);
        if (preTokenisers is [WhitespaceSplitPreTokeniser, MetaspacePreTokeniser { Metaspace: { Splits: true } metaspace }])
        {
            replacement = (uint)metaspace.Replacement.Value;
            Prefix = metaspace.Prepend == PrependScheme.Always ? System.Text.Encoding.UTF8.GetBytes(metaspace.Replacement.ToString()) : [];
        }

        keepsPrintable = true;
        for (uint scalar = FirstPrintable; scalar <= LastPrintable; scalar++) { keepsPrintable &= (Of(scalar) & Kept) != 0; }
    }

    public ITokenModel Model { get; }

    /// <summary>ASCII's white space, as far as words end there.</summary>
    public SearchValues<byte> Separators { get; }

    /// <summary>What the model sees before a word that is kept as it is; null where such a word is still changed or split.</summary>
    public byte[]? Prefix { get; }

    /// <summary>null where words depend on one another. Precompiled does where a grapheme cluster reaches over a space, which <see cref="StandsAlone"/> tells.</summary>
    public static WordStages? Of(ITokenModel model, IReadOnlyList<INormaliser> normalisers, IReadOnlyList<IPreTokeniser> preTokenisers)
    {
        if (preTokenisers is not [WhitespaceSplitPreTokeniser or WhitespacePreTokeniser or BertPreTokeniser, ..] || preTokenisers.Any(each => each.NeedsOriginalStart)) { return null; }

        for (var i = 0; i < normalisers.Count; i++)
        {
            if (normalisers[i] is not (CharacterNormaliser or UnicodeNormaliser) && !(i == 0 && normalisers[i] is PrecompiledNormaliser)) { return null; }
        }

        var stages = new WordStages(model, normalisers, preTokenisers);
        return stages.separators.Length > 0 ? stages : null;
    }

    /// <summary>A bit for each byte that is a separator.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public uint SeparatorsIn(Vector256<byte> bytes)
    {
        var all = separators;
        var found = Vector256.Equals(bytes, Vector256.Create(all[0]));
        for (var i = 1; i < all.Length; i++) { found |= Vector256.Equals(bytes, Vector256.Create(all[i])); }

        return found.ExtractMostSignificantBits();
    }

    /// <summary>Whether a word between separators is normalised as if it were alone.</summary>
    public bool StandsAlone(ReadOnlySpan<byte> word)
    {
        if (precompiled is null) { return true; }

        // A cluster of a separator and what joins it is one key of the table, as is a carriage return with the line feed after it.
        if (word[0] == '\n' || word[^1] == '\r') { return false; }

        return (word[0] < 0x80 || !Characters.Is(Utf8Text.ScalarAt(word, 0, out _), CharacterSets.Extending))
            && (word[^1] < 0x80 || !Characters.Is(Utf8Text.ScalarBefore(word, word.Length, out _), CharacterSets.Prepended));
    }

    /// <summary>Whether a word is of characters that are kept whatever stands beside them.</summary>
    public bool KeepsAll(ReadOnlySpan<byte> word) => keepsPrintable && !word.ContainsAnyExceptInRange(FirstPrintable, LastPrintable);

    /// <summary>Whether the model sees a word of these characters as it is, after <see cref="Prefix"/>. Where that is not sure the answer is no.</summary>
    public bool Keeps(ReadOnlySpan<uint> word)
    {
        var (last, wrong) = (0, 0);
        foreach (var character in word)
        {
            int next = Of(character);

            // Marks that stand in the order of their classes stay where they are. Nothing branches on what differs from character to character.
            var (mark, before) = ((int)(byte)next, (int)(byte)last);
            wrong |= (~next & Kept) | (((mark - before) >> 31) & (byte.MaxValue + mark) & (byte.MaxValue + 1)) | (next & Joins & ((last & Begins) << 1));
            last = next;
        }

        return wrong == 0;
    }

    /// <summary>Takes the long way: stage by stage.</summary>
    public void Tokenise(ReadOnlySpan<byte> text, WorkingText working, IPieceTokeniser model, TokenSink tokens)
    {
        working.Begin(text, 0, aligned: false);
        foreach (var normaliser in normalisers) { working.Normalise(normaliser); }

        foreach (var preTokeniser in preTokenisers) { working.Split(preTokeniser); }

        foreach (var piece in working.Pieces) { model.Tokenise(working.Bytes[piece.Start..piece.End], tokens); }
    }

    /// <summary>Those that are white space at every step, alone and beside one another.</summary>
    private byte[] FindSeparators()
    {
        var working = new WorkingText();
        var found = new List<byte>();
        foreach (var candidate in " \n\t\r"u8)
        {
            var separates = StaysSpace([candidate], working) && StaysSpace([candidate, candidate], working);
            foreach (var other in found) { separates &= StaysSpace([candidate, other], working) && StaysSpace([other, candidate], working); }

            if (separates) { found.Add(candidate); }
        }

        return [.. found];
    }

    private bool StaysSpace(ReadOnlySpan<byte> text, WorkingText working)
    {
        working.Begin(text, 0, aligned: false);
        foreach (var normaliser in normalisers)
        {
            working.Normalise(normaliser);
            for (var at = 0; at < working.Bytes.Length;)
            {
                if (!Characters.IsWhiteSpace(Utf8Text.ScalarAt(working.Bytes, at, out var size))) { return false; }

                at += size;
            }
        }

        return working.Bytes.Length > 0;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private ushort Of(uint scalar) => (Volatile.Read(ref pages[scalar >> 8]) ?? MakePage(scalar >> 8))[scalar & 0xFF];

    private ushort[] MakePage(uint number)
    {
        // Two threads that make the same page make the same.
        var working = new WorkingText();
        var page = new ushort[256];
        for (uint i = 0; i < page.Length; i++) { page[i] = Make((number << 8) | i, working); }

        Volatile.Write(ref pages[number], page);
        return page;
    }

    private ushort Make(uint scalar, WorkingText working)
    {
        if (scalar is >= 0xD800 and <= 0xDFFF || scalar == replacement || Characters.IsWhiteSpace(scalar)) { return 0; }

        Span<byte> bytes = stackalloc byte[4];
        ReadOnlySpan<byte> character = bytes[..new System.Text.Rune(scalar).EncodeToUtf8(bytes)];
        working.Begin(character, 0, aligned: false);
        var made = Kept;
        foreach (var normaliser in normalisers)
        {
            working.Normalise(normaliser);
            if (!working.Bytes.SequenceEqual(character)) { return 0; }

            if (normaliser is UnicodeNormaliser unicode)
            {
                // Unicode's Annex 15, section 9: without characters that are joined to those before them, only the order of marks matters.
                if (unicode.Composed && Characters.Is(scalar, CharacterSets.Joining)) { return 0; }

                made |= Characters.CombiningClass(scalar);
            }
        }

        if (precompiled is null) { return made; }

        // Clusters that begin with something rare, or go on after a joiner, are left to the stages.
        if (scalar == ZeroWidthJoiner || Characters.Is(scalar, CharacterSets.Prepended) || PrecompiledNormaliser.IsHangulLead(scalar)) { return 0; }

        if (precompiled.HasLongerKey(character)) { made |= Begins; }

        if (Characters.Is(scalar, CharacterSets.Extending) || PrecompiledNormaliser.IsHangulVowel(scalar) || PrecompiledNormaliser.IsHangulTrail(scalar)) { made |= Joins; }

        return made;
    }
}
