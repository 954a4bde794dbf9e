using System.Buffers;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
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
    // What is known of a character for Keeps: of two that stand side by side, the upper half of the second less the lower half of the first has these bits where nothing
    // speaks against them. In the upper half stand its combining class, or the greatest where it has none, and whether it joins no cluster; in the lower its class,
    // and whether a key of a table of replacements begins with it, and is longer.
    private const uint Kept = 1u << 31;
    private const uint InOrder = 1u << 30;
    private const uint Apart = 1u << 20;
    private const uint JoinsNone = 1u << 19;
    private const uint BeginsKey = 1u << 3;
    private const int ClassAfter = 22;
    private const int ClassBefore = 6;
    private const uint Changed = InOrder | Apart | JoinsNone | (byte.MaxValue << ClassAfter);
    private const uint AllGood = (Kept | InOrder | Apart) >> 16;

    // What is known beside that, of a character alone.
    private const uint Cluster = 1u << 16;

    private const uint ZeroWidthJoiner = 0x200D;

    private readonly IReadOnlyList<INormaliser> normalisers;
    private readonly IReadOnlyList<IPreTokeniser> preTokenisers;
    private readonly PrecompiledNormaliser? precompiled;
    private readonly byte[] separators;
    private readonly uint replacement;
    private readonly ulong[]?[] pages = new ulong[Characters.Limit >> 8][];

    private WordStages(ITokenModel model, IReadOnlyList<INormaliser> normalisers, IReadOnlyList<IPreTokeniser> preTokenisers)
    {
        (Model, this.normalisers, this.preTokenisers) = (model, normalisers, preTokenisers);
        precompiled = normalisers.OfType<PrecompiledNormaliser>().FirstOrDefault();
        SpacesAreSeen = preTokenisers is [MetaspacePreTokeniser];
        separators = FindSeparators();
        Separators = SearchValues.Create(separators);
        if (preTokenisers is [WhitespaceSplitPreTokeniser, MetaspacePreTokeniser { Metaspace: { Splits: true } }] or [MetaspacePreTokeniser])
        {
            var metaspace = ((MetaspacePreTokeniser)preTokenisers[^1]).Metaspace;
            replacement = (uint)metaspace.Replacement.Value;
            Prefix = metaspace.Prepend == PrependScheme.Always ? System.Text.Encoding.UTF8.GetBytes(metaspace.Replacement.ToString()) : [];
        }
    }

    public ITokenModel Model { get; }

    /// <summary>ASCII's white space, as far as words end there.</summary>
    public SearchValues<byte> Separators { get; }

    /// <summary>What the model sees before a word that is kept as it is; null where such a word is still changed or split.</summary>
    public byte[]? Prefix { get; }

    /// <summary>Whether the model sees a space behind the last word, as <see cref="Prefix"/>: several are made one, but nothing takes the last away.</summary>
    public bool SpacesAreSeen { get; }

    /// <summary>null where words depend on one another. Precompiled does where a grapheme cluster reaches over a space, which is told for each word.</summary>
    public static WordStages? Of(ITokenModel model, IReadOnlyList<INormaliser> normalisers, IReadOnlyList<IPreTokeniser> preTokenisers)
    {
        if (preTokenisers.Any(each => each.NeedsOriginalStart)) { return null; }

        // Without a split at white space each space is a part of a word, so that it must not matter how many there are.
        var collapses = normalisers is [.., ReplaceNormaliser { CollapsesSpaces: true }];
        if (preTokenisers is not [WhitespaceSplitPreTokeniser or WhitespacePreTokeniser or BertPreTokeniser, ..]
            && !(collapses && preTokenisers is [MetaspacePreTokeniser { Metaspace: { Splits: true, Prepend: PrependScheme.Always } }])) { return null; }

        var ofWords = collapses ? normalisers.SkipLast(1) : normalisers;
        if (!ofWords.All(IsOfWords) || normalisers.OfType<PrecompiledNormaliser>().Count() > 1) { return null; }

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

    /// <summary>Whether a word between separators that comes to Precompiled like this is normalised as if it were alone.</summary>
    /// <param name="word">The word.</param>
    /// <param name="isFirst">Whether there is nothing before it.</param>
    public bool StandsAlone(ReadOnlySpan<byte> word, bool isFirst) => (isFirst || BeginsAlone(word)) && EndsAlone(word);

    /// <summary>Whether that is so for what is before the word.</summary>
    public bool BeginsAlone(ReadOnlySpan<byte> word)
    {
        if (precompiled is null || word.IsEmpty) { return true; }

        // A cluster of a separator and what joins it is one key of the table, as is a carriage return with the line feed after it.
        return word[0] < 0x80 ? word[0] != '\n' : !Characters.Is(Utf8Text.ScalarAt(word, 0, out _), CharacterSets.Extending);
    }

    /// <summary>Whether the model sees a word of these characters as it is, after <see cref="Prefix"/>. Where that is not sure the answer is no.</summary>
    /// <param name="word">Scalar values.</param>
    /// <param name="codes">Of a Unigram model's trie: filled in, as many as there are characters.</param>
    [MethodImpl(MethodImplOptions.NoInlining)]
    public bool Keeps(ReadOnlySpan<uint> word, Span<ulong> codes)
    {
        var (last, good) = (0u, AllGood);
        codes = codes[..word.Length];
        for (var i = 0; i < word.Length; i++)
        {
            var known = Known(word[i]);
            codes[i] = known >> 32;

            // Marks that stand in the order of their classes stay where they are. Nothing branches on what differs from character to character.
            var next = (uint)known;
            good &= (next >> 16) - (ushort)last;
            last = next;
        }

        return good == AllGood;
    }

    /// <summary>Whether normalisers take the character apart from any before it that stand by themselves.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool BeginsCluster(uint scalar) => (Known(scalar) & Cluster) != 0;

    /// <summary>Whether a character by itself stays as it is.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool IsClusterThatStays(uint scalar) => (Known(scalar) & (Cluster | Kept)) == (Cluster | Kept);

    /// <summary>
    /// Normalises some characters; false where that may go otherwise beside others of which this is true, or if the model does not see what it becomes as it is.
    /// </summary>
    public bool TryNormaliseCluster(ReadOnlySpan<byte> cluster, WorkingText working)
    {
        working.Begin(cluster, 0, aligned: false);
        foreach (var normaliser in normalisers)
        {
            if (!working.Bytes.IsEmpty && !IsCluster(working.Bytes, normaliser)) { return false; }

            working.Normalise(normaliser);
        }

        for (var at = 0; at < working.Bytes.Length;)
        {
            var scalar = Utf8Text.ScalarAt(working.Bytes, at, out var size);
            if (scalar == replacement || Characters.IsWhiteSpace(scalar)) { return false; }

            at += size;
        }

        return true;
    }

    /// <summary>Takes a whole text the long way: stage by stage.</summary>
    public void Tokenise(ReadOnlySpan<byte> text, WorkingText working, IPieceTokeniser model, TokenSink tokens)
    {
        working.Begin(text, 0, aligned: false);
        foreach (var normaliser in normalisers) { working.Normalise(normaliser); }

        SplitNormalised(working, model, tokens);
    }

    /// <summary>Takes a word between separators the long way; false where it is not to be taken without its neighbours.</summary>
    /// <param name="word">The word.</param>
    /// <param name="isFirst">Whether the text begins with the word.</param>
    /// <param name="isLast">Whether the text ends with the word.</param>
    public bool TryTokeniseWord(ReadOnlySpan<byte> word, bool isFirst, bool isLast, WorkingText working, IPieceTokeniser model, TokenSink tokens)
    {
        working.Begin(word, 0, aligned: false);
        foreach (var normaliser in normalisers)
        {
            if (normaliser == precompiled && !StandsAlone(working.Bytes, isFirst)) { return false; }

            working.Normalise(normaliser);
        }

        // A word that ends with a space, or vanishes, leaves one where it is the last; one that begins with what stands for a space has another before it elsewhere.
        if (SpacesAreSeen && (working.Bytes.IsEmpty ? isLast : working.Bytes[^1] == ' ' || working.Bytes.StartsWith(Prefix))) { return false; }

        if (working.Bytes.IsEmpty) { return true; }

        SplitNormalised(working, model, tokens);
        return true;
    }

    private static bool IsOfWords(INormaliser normaliser) => normaliser is CharacterNormaliser or UnicodeNormaliser or PrecompiledNormaliser
        || (normaliser is ReplaceNormaliser { Literal: { } literal } && !System.Text.Encoding.UTF8.GetString(literal).EnumerateRunes().Any(each => Characters.IsWhiteSpace((uint)each.Value)));

    /// <summary>Whether neither what is before it nor what is behind it has a part in what becomes of it, where the same is true of both.</summary>
    private bool IsCluster(ReadOnlySpan<byte> text, INormaliser normaliser)
    {
        var first = Utf8Text.ScalarAt(text, 0, out var size);
        switch (normaliser)
        {
            case UnicodeNormaliser unicode:
                Span<uint> parts = stackalloc uint[UnicodeNormaliser.LongestDecomposition];
                _ = Characters.Decompose(first, unicode.Compatible, parts);
                return Characters.CombiningClass(parts[0]) == 0 && !(unicode.Composed && Characters.Is(parts[0], CharacterSets.Joining));
            case ReplaceNormaliser { Literal: { } literal }:
                return literal.AsSpan().IndexOf(text[..size]) < 0;
            case PrecompiledNormaliser:
                var last = Utf8Text.ScalarBefore(text, text.Length, out _);
                return StandsAlone(text, isFirst: false) && !PrecompiledNormaliser.IsHangulVowel(first) && !PrecompiledNormaliser.IsHangulTrail(first)
                    && !PrecompiledNormaliser.IsHangulLead(last) && last != ZeroWidthJoiner;
            default:
                return true;
        }
    }

    private bool EndsAlone(ReadOnlySpan<byte> word)
    {
        if (precompiled is null || word.IsEmpty) { return true; }

        return word[^1] < 0x80 ? word[^1] != '\r' : !Characters.Is(Utf8Text.ScalarBefore(word, word.Length, out _), CharacterSets.Prepended);
    }

    private void SplitNormalised(WorkingText working, IPieceTokeniser model, TokenSink tokens)
    {
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

        return SpacesAreSeen ? working.Bytes.SequenceEqual(" "u8) : working.Bytes.Length > 0;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private ulong Known(uint scalar)
    {
        var page = Volatile.Read(ref Unsafe.Add(ref MemoryMarshal.GetArrayDataReference(pages), scalar >> 8)) ?? MakePage(scalar >> 8);
        return Unsafe.Add(ref MemoryMarshal.GetArrayDataReference(page), (byte)scalar);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private ulong[] MakePage(uint number)
    {
        // Two threads that make the same page make the same.
        var working = new WorkingText();
        var trie = (Model as UnigramModel)?.Trie;
        var page = new ulong[256];
        for (uint i = 0; i < page.Length; i++) { page[i] = ((ulong)(trie?.CodeOf((number << 8) | i) ?? 0) << 32) | Make((number << 8) | i, working); }

        Volatile.Write(ref pages[number], page);
        return page;
    }

    private uint Make(uint scalar, WorkingText working)
    {
        if (scalar is >= 0xD800 and <= 0xDFFF || scalar == replacement || Characters.IsWhiteSpace(scalar)) { return Changed; }

        Span<byte> bytes = stackalloc byte[4];
        ReadOnlySpan<byte> character = bytes[..new System.Text.Rune(scalar).EncodeToUtf8(bytes)];
        return (TryNormaliseCluster(character, working) ? Cluster : 0) | Make(scalar, character, working);
    }

    private uint Make(uint scalar, ReadOnlySpan<byte> character, WorkingText working)
    {
        working.Begin(character, 0, aligned: false);
        uint combining = 0;
        foreach (var normaliser in normalisers)
        {
            working.Normalise(normaliser);
            if (!working.Bytes.SequenceEqual(character) || (normaliser is ReplaceNormaliser { Literal: { } literal } && literal.AsSpan().StartsWith(character))) { return Changed; }

            if (normaliser is UnicodeNormaliser unicode)
            {
                // Unicode's Annex 15, section 9: without characters that are joined to those before them, only the order of marks matters.
                if (unicode.Composed && Characters.Is(scalar, CharacterSets.Joining)) { return Changed; }

                combining |= Characters.CombiningClass(scalar);
            }
        }

        var made = Kept | InOrder | Apart | JoinsNone | ((combining == 0 ? byte.MaxValue : combining) << ClassAfter) | (combining << ClassBefore);
        if (precompiled is null) { return made; }

        // Clusters that begin with something rare, or go on after a joiner, are left to the stages.
        if (scalar == ZeroWidthJoiner || Characters.Is(scalar, CharacterSets.Prepended) || PrecompiledNormaliser.IsHangulLead(scalar)) { return Changed; }

        if (precompiled.HasLongerKey(character)) { made |= BeginsKey; }

        if (Characters.Is(scalar, CharacterSets.Extending) || PrecompiledNormaliser.IsHangulVowel(scalar) || PrecompiledNormaliser.IsHangulTrail(scalar)) { made &= ~JoinsNone; }

        return made;
    }
}
