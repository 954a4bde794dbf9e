using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;

namespace Platform.GpuKernels.Tokenisation.Bpe;

/// <summary>
/// BPE that begins with characters, each of which may be unknown or fall back to its bytes. Without offsets a piece is cut where no merge reaches over, and what is
/// between is looked up among what was merged before. Used by one thread at a time.
/// </summary>
internal sealed class CharacterPairTokeniser : IPieceTokeniser
{
    private const int NotInVocabulary = -1;

    private readonly BpeOptions options;
    private readonly CertainCuts? cuts;
    private readonly PairMerger merger;
    private readonly BoundaryEncoder? boundaries;
    private readonly PieceCache cache = new();
    private readonly int[]? fallback;
    private readonly int unknown = NotInVocabulary;
    private readonly byte[] spelled;
    private readonly int[] alone = new int[1];
    private int[] lengths = [];

    /// <param name="options">The model.</param>
    /// <param name="cuts">See <see cref="BpeModel.Cuts"/>.</param>
    /// <param name="splits">What pieces between these are encoded by without merging; null where they have to be merged.</param>
    public CharacterPairTokeniser(BpeOptions options, CertainCuts? cuts, TokenSplits? splits)
    {
        (this.options, this.cuts) = (options, cuts);
        merger = new(options.Merges);
        boundaries = splits is null ? null : new(splits);
        spelled = new byte[options.Prefix.Length + 4 + options.Suffix.Length];
        if (options.Unknown is { } token && options.Vocabulary.TryGetId(token, out var id)) { unknown = id; }

        if (!options.ByteFallback) { return; }

        fallback = BytesOf(options.Vocabulary);
    }

    /// <summary>The token of each byte that a character without a token becomes; where there is none, -1.</summary>
    public static int[] BytesOf(Vocabulary vocabulary) =>
        [.. Enumerable.Range(0, 256).Select(value => vocabulary.TryGetId(Encoding.ASCII.GetBytes($"<0x{value:X2}>"), out var id) ? id : NotInVocabulary)];

    public void Tokenise(ReadOnlySpan<byte> piece, TokenSink tokens)
    {
        if (!tokens.WantsOffsets)
        {
            for (var from = 0; from < piece.Length;)
            {
                var to = cuts is null ? piece.Length : cuts.Next(piece, from);
                tokens.AddAll(TokensOf(piece, from, to));
                from = to;
            }

            return;
        }

        if (options.IgnoreMerges && options.Vocabulary.TryGetId(options.ByteLevel ? ByteLevel.Spelled(piece) : piece, out var whole))
        {
            tokens.Add(whole, 0, piece.Length);
            return;
        }

        var count = Begin(piece);
        var left = merger.Merge(count);

        // Lengths count from the start of the piece, as the reference has it: after a character that became nothing, offsets are too low.
        var (symbol, end) = (0, 0);
        for (var i = 0; i < left; i++)
        {
            var start = end;
            for (var next = i + 1 < left ? merger.Positions[i + 1] : count; symbol < next; symbol++) { end += lengths[symbol]; }

            tokens.Add(merger.Symbols[i], start, Math.Min(end, piece.Length));
        }
    }

    /// <summary>Of a part of the piece, to be read before the next call.</summary>
    private ReadOnlySpan<int> TokensOf(ReadOnlySpan<byte> piece, int start, int end)
    {
        ref var first = ref MemoryMarshal.GetReference(piece);
        if (cache.Find(ref first, start, end - start, piece.Length) is { Length: > 0 } known) { return known; }

        var part = piece[start..end];
        if (options.IgnoreMerges && options.Vocabulary.TryGetId(options.ByteLevel ? ByteLevel.Spelled(part) : part, out var whole))
        {
            alone[0] = whole;
            return alone;
        }

        var count = boundaries?.Encode(ref Unsafe.Add(ref first, start), part.Length, merger.Begin(part.Length)) ?? 0;
        if (count == 0) { count = merger.Merge(Begin(part)); }

        var made = merger.Symbols[..count];
        cache.Add(ref first, start, part.Length, piece.Length, made);
        return made;
    }

    /// <summary>Writes the piece's symbols and their lengths.</summary>
    /// <returns>How many.</returns>
    private int Begin(ReadOnlySpan<byte> piece)
    {
        // A character of four bytes may become as many symbols, and one more for each byte of what is put around it.
        var most = checked((piece.Length * (1 + options.Prefix.Length)) + options.Suffix.Length);
        var symbols = merger.Begin(most);
        if (lengths.Length < most) { lengths = new int[symbols.Length]; }

        var (count, waiting, waitingLength) = (0, false, 0);
        for (var at = 0; at < piece.Length;)
        {
            if (cuts is not null && !waiting && cuts.Characters.OfCharacter(Utf8Text.ScalarAt(piece, at, out var bytes)) is var symbol and not BaseTokens.None)
            {
                Put(symbol, bytes, symbols, ref count);
                at += bytes;
                continue;
            }

            var size = options.ByteLevel ? 1 : Utf8Text.SizeAt(piece, at);
            var character = Spell(piece, at, size);
            at += size;
            if (options.Vocabulary.TryGetId(character, out var id))
            {
                if (waiting) { Put(unknown, waitingLength, symbols, ref count); }

                waiting = false;
                Put(id, size, symbols, ref count);
                continue;
            }

            // An unknown character that waits to be fused stays waiting over bytes, and comes after them: so the reference has it.
            if (HasFallback(character))
            {
                foreach (var value in character) { Put(fallback![value], 1, symbols, ref count); }

                continue;
            }

            if (unknown == NotInVocabulary) { continue; }

            if (waiting && !options.FuseUnknown)
            {
                Put(unknown, waitingLength, symbols, ref count);
                waitingLength = 0;
            }

            waitingLength = waiting ? waitingLength + size : size;
            waiting = true;
        }

        if (waiting) { Put(unknown, waitingLength, symbols, ref count); }

        return count;
    }

    private ReadOnlySpan<byte> Spell(ReadOnlySpan<byte> piece, int at, int size)
    {
        var character = piece.Slice(at, size);
        var isLast = at + size == piece.Length;
        if (!options.ByteLevel && options.Prefix.Length == 0 && !(isLast && options.Suffix.Length > 0)) { return character; }

        var length = 0;
        if (at > 0)
        {
            options.Prefix.CopyTo(spelled, 0);
            length = options.Prefix.Length;
        }

        ReadOnlySpan<byte> own = options.ByteLevel ? ByteLevel.Spelled(character) : character;
        own.CopyTo(spelled.AsSpan(length));
        length += own.Length;
        if (isLast)
        {
            options.Suffix.CopyTo(spelled, length);
            length += options.Suffix.Length;
        }

        return spelled.AsSpan(0, length);
    }

    private bool HasFallback(ReadOnlySpan<byte> character)
    {
        if (fallback is null) { return false; }

        foreach (var value in character)
        {
            if (fallback[value] == NotInVocabulary) { return false; }
        }

        return true;
    }

    private void Put(int symbol, int length, Span<int> symbols, ref int count)
    {
        symbols[count] = symbol;
        lengths[count++] = length;
    }
}
