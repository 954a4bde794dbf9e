using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Platform.GpuKernels.Tokenisation.Normalisers;
using Platform.GpuKernels.Tokenisation.WordPiece;

namespace Platform.GpuKernels.Tokenisation.Bpe;

/// <summary>
/// SentencePiece's spelling of spaces and BPE over characters in one pass. The text is cut before spaces and, where none is near, between other characters, wherever no
/// merge reaches over; a piece between two cuts, as the text has it, is looked up in a cache of those met before. Only one that is not there is spelled and merged.
/// Ids only: with offsets a text takes the stages.
/// </summary>
internal sealed class FusedCharacterPairs : IPieceTokeniser, INewWords
{
    /// <summary>A part of the text stays in the first-level cache between finding its pieces and looking them up.</summary>
    private const int PartBytes = 8 * 1024;

    /// <summary>Before the part is room for a space; behind it for reads by vectors.</summary>
    private const int Slack = 64;

    /// <summary>Room for the spelling of longer pieces is not kept.</summary>
    private const int KeptRoom = 1024 * 1024;

    private readonly CertainCuts cuts;
    private readonly byte[] space;
    private readonly uint spaceScalar;
    private readonly bool spaceFirst;
    private readonly IPieceTokeniser model;
    private readonly KnownWords known;
    private readonly byte[] text = new byte[Slack + PartBytes + Slack];

    // A list by vectors writes some places more than it has.
    private readonly int[] spaces = new int[PartBytes + Slack];
    private readonly int[] starts = new int[PartBytes + Slack];

    // Whether a cut is certain between a character of ASCII and a space behind it.
    private readonly bool[] endsBeforeSpace = new bool[0x80];
    private byte[] spelled = [];

    private FusedCharacterPairs(ITokenModel model, CertainCuts cuts, byte[] space, bool spaceFirst)
    {
        (this.cuts, this.space, this.spaceFirst) = (cuts, space, spaceFirst);
        this.model = model.NewPieceTokeniser();
        known = new(this);
        spaceScalar = Utf8Text.ScalarAt(space, 0, out _);
        for (uint scalar = 0; scalar < endsBeforeSpace.Length; scalar++) { endsBeforeSpace[scalar] = scalar != ' ' && cuts.AreApart(scalar, spaceScalar); }
    }

    /// <summary>null where the normalisers do not make another character of each space, and perhaps put it before the text.</summary>
    public static Func<IPieceTokeniser>? TryMake(ITokenModel model, CertainCuts cuts, IReadOnlyList<INormaliser> normalisers)
    {
        if (normalisers is not [.., ReplaceNormaliser { Literal: [(byte)' '], Content: { Length: > 0 } space }] || Utf8Text.SizeAt(space, 0) != space.Length) { return null; }

        return normalisers.Count == 1 ? () => new FusedCharacterPairs(model, cuts, space, spaceFirst: false)
            : normalisers is [PrependNormaliser { Prefix: var prefix }, _] && prefix.AsSpan().SequenceEqual(space) ? () => new FusedCharacterPairs(model, cuts, space, spaceFirst: true)
            : null;
    }

    public void Tokenise(ReadOnlySpan<byte> piece, TokenSink tokens)
    {
        // A space before the text is spelled as what is put there.
        var before = spaceFirst ? 1 : 0;
        text[Slack - 1] = (byte)' ';
        for (var from = 0; from < piece.Length; before = 0)
        {
            var rest = piece[from..];
            var part = rest[..EndOfPart(rest)];
            part.CopyTo(text.AsSpan(Slack));
            var count = Cut(Slack - before, Slack + part.Length, isLast: part.Length == rest.Length);
            if (count > 0)
            {
                known.TryTokenise(ref text[0], starts.AsSpan(0, count), starts.AsSpan(1), tokens);
                from += starts[count] - Slack;
                continue;
            }

            var end = cuts.Next(piece, from, spaceScalar);
            Merge(piece[from..end], before > 0, tokens);
            from = end;
        }
    }

    bool INewWords.TryTokenise(int start, int length, TokenSink tokens)
    {
        Merge(text.AsSpan(start, length), spaceBefore: false, tokens);
        return true;
    }

    /// <summary>A part ends between two characters.</summary>
    private static int EndOfPart(ReadOnlySpan<byte> rest)
    {
        if (rest.Length <= PartBytes) { return rest.Length; }

        var end = PartBytes;
        while ((rest[end] & 0xC0) == 0x80) { end--; }

        return end;
    }

    /// <summary>Lists where the pieces of a part begin, and behind them where the last one ends.</summary>
    /// <returns>How many there are, without one that may go on behind the part.</returns>
    private int Cut(int start, int end, bool isLast)
    {
        var found = Spaces(end - Slack);
        spaces[found] = end;
        var (count, last) = (0, start);
        for (var i = 0; i <= found; i++)
        {
            var at = spaces[i];
            if (at < end && !IsCertain(at)) { continue; }

            starts[count++] = last;
            if (at - last > WordCache.MaximalBytes && (at < end || isLast || count == 1)) { count = cuts.List(text.AsSpan(0, at), last, spaceScalar, starts, count); }

            last = at;
        }

        if (!isLast) { return count - 1; }

        starts[count] = end;
        return count;
    }

    /// <summary>Lists the spaces that follow something else.</summary>
    private int Spaces(int length)
    {
        ref var first = ref text[Slack];
        var space = Vector256.Create((byte)' ');
        var (count, before) = (0, 1UL);
        for (var block = 0; block < length; block += 64)
        {
            ulong found = Vector256.Equals(Vector256.LoadUnsafe(ref first, (nuint)block), space).ExtractMostSignificantBits();
            found |= (ulong)Vector256.Equals(Vector256.LoadUnsafe(ref first, (nuint)block + 32), space).ExtractMostSignificantBits() << 32;
            if (length - block < 64) { found &= (1UL << (length - block)) - 1; }

            count = BitPlaces.List(spaces, count, Slack + block, found & ~((found << 1) | before));
            before = found >> 63;
        }

        return count;
    }

    /// <summary>Whether a cut before the space at a place is certain.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private bool IsCertain(int at)
    {
        var last = text[at - 1];
        return last < 0x80 ? endsBeforeSpace[last] : cuts.AreApart(Utf8Text.ScalarBefore(text, at, out _), spaceScalar);
    }

    private void Merge(ReadOnlySpan<byte> piece, bool spaceBefore, TokenSink tokens)
    {
        var most = checked((piece.Length + 1) * space.Length);
        if (spelled.Length < most || (spelled.Length > KeptRoom && most <= KeptRoom)) { spelled = new byte[most]; }

        var length = 0;
        if (spaceBefore) { Put(space, ref length); }

        foreach (ref readonly var value in piece)
        {
            if (value == ' ') { Put(space, ref length); }
            else { spelled[length++] = value; }
        }

        model.Tokenise(spelled.AsSpan(0, length), tokens);
    }

    private void Put(ReadOnlySpan<byte> bytes, ref int length)
    {
        bytes.CopyTo(spelled.AsSpan(length));
        length += bytes.Length;
    }
}
