using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using Platform.GpuKernels.Tokenisation.Unigram;

namespace Platform.GpuKernels.Tokenisation;

/// <summary>
/// All stages in one pass, where words that stand between spaces do not depend on one another: a word, as the text has it, is looked up in a cache of words met
/// before. One that is not there goes to the model at once where the stages would leave it as it is, else through the stages by itself; and is remembered.
/// </summary>
internal sealed class FusedWords : IPieceTokeniser, INewWords
{
    /// <summary>A part of the text stays in the first-level cache between finding its words and looking them up.</summary>
    private const int PartBytes = 8 * 1024;

    /// <summary>Before the part is room for what the model wants before a word; behind it for reads by vectors.</summary>
    private const int Slack = 64;

    /// <summary>Room for longer parts, texts without a space, is not kept.</summary>
    private const int KeptRoom = 1024 * 1024;

    private readonly WordStages stages;
    private readonly IPieceTokeniser model;
    private readonly UnigramTokeniser? unigram;
    private readonly KnownWords known;
    private readonly WorkingText working = new();
    private ClusterNormaliser? clusters;
    private byte[] text = [];
    private int[] starts = [];
    private int[] ends = [];
    private int endOfText;

    private FusedWords(WordStages stages)
    {
        this.stages = stages;
        model = stages.Model.NewPieceTokeniser();
        unigram = model as UnigramTokeniser;
        known = new(this);
    }

    /// <summary>null where words depend on one another.</summary>
    public static Func<IPieceTokeniser>? For(ITokenModel model, IReadOnlyList<INormaliser> normalisers, IReadOnlyList<IPreTokeniser> preTokenisers) =>
        WordStages.Of(model, normalisers, preTokenisers) is { } stages ? () => new FusedWords(stages) : null;

    public void Tokenise(ReadOnlySpan<byte> piece, TokenSink tokens)
    {
        var before = tokens.Count;
        if (!TryParts(piece, tokens))
        {
            tokens.TakeBackTo(before);
            stages.Tokenise(piece, working, model, tokens);
        }

        if (text.Length > KeptRoom) { (text, starts, ends) = ([], [], []); }
    }

    private bool TryParts(ReadOnlySpan<byte> piece, TokenSink tokens)
    {
        for (var rest = piece; !rest.IsEmpty;)
        {
            var part = rest[..EndOfPart(rest)];
            rest = rest[part.Length..];
            if (!TryPart(part, part.Length + rest.Length == piece.Length, rest.IsEmpty, tokens)) { return false; }
        }

        if (stages is { SpacesAreSeen: true, Prefix: { } space } && !piece.IsEmpty && stages.Separators.Contains(piece[^1])) { model.Tokenise(space, tokens); }

        return true;
    }

    /// <summary>A part ends after a separator; a text without one is one part.</summary>
    private int EndOfPart(ReadOnlySpan<byte> rest)
    {
        if (rest.Length <= PartBytes) { return rest.Length; }

        var last = rest[..PartBytes].LastIndexOfAny(stages.Separators);
        if (last >= 0) { return last + 1; }

        var next = rest[PartBytes..].IndexOfAny(stages.Separators);
        return next < 0 ? rest.Length : PartBytes + next + 1;
    }

    /// <summary>false where a word is not to be taken without its neighbours.</summary>
    private bool TryPart(ReadOnlySpan<byte> part, bool isFirst, bool isLast, TokenSink tokens)
    {
        var room = checked(part.Length + (2 * Slack));
        if (text.Length < room) { (text, starts, ends) = (new byte[room], new int[room], new int[room]); }

        part.CopyTo(text.AsSpan(Slack));
        text.AsSpan(Slack + part.Length, Slack).Fill((byte)' ');
        var words = Words(part.Length);
        endOfText = isLast ? Slack + part.Length : -1;

        // Texts that were cut anywhere begin with a mark often. Behind a space it would be in one cluster with that, so that what becomes of it here is not remembered.
        var apart = isFirst && words > 0 && starts[0] == Slack && !stages.BeginsAlone(part) ? 1 : 0;
        return (apart == 0 || TryTokenise(starts[0], ends[0] - starts[0], isFirst: true, tokens))
            && known.TryTokenise(ref text[0], starts.AsSpan(apart, words - apart), ends.AsSpan(apart), tokens);
    }

    /// <summary>Lists where each word of the part begins and ends; the spaces behind the part end the last.</summary>
    private int Words(int length)
    {
        ref var first = ref Unsafe.Add(ref MemoryMarshal.GetArrayDataReference(text), Slack);
        var (begun, ended, goesOn) = (0, 0, 0UL);
        for (var block = 0; block <= length; block += 64)
        {
            // The last block may reach behind the spaces: what is found there has no beginning before them.
            var words = ~(stages.SeparatorsIn(Vector256.LoadUnsafe(ref first, (nuint)block)) | ((ulong)stages.SeparatorsIn(Vector256.LoadUnsafe(ref first, (nuint)block + 32)) << 32));
            if (length - block < 64) { words &= (1UL << (length - block)) - 1; }

            var before = (words << 1) | goesOn;
            begun = BitPlaces.List(starts, begun, Slack + block, words & ~before);
            ended = BitPlaces.List(ends, ended, Slack + block, before & ~words);
            goesOn = words >> 63;
        }

        return ended;
    }

    bool INewWords.TryTokenise(int start, int length, TokenSink tokens) => TryTokenise(start, length, isFirst: false, tokens);

    private bool TryTokenise(int start, int length, bool isFirst, TokenSink tokens)
    {
        var word = text.AsSpan(start, length);
        return TrySplit(word, start, isFirst, tokens) || stages.TryTokeniseWord(word, isFirst, start + length == endOfText, working, model, tokens);
    }

    /// <summary>false where the word is neither left as it is nor normalised cluster by cluster.</summary>
    private bool TrySplit(ReadOnlySpan<byte> word, int start, bool isFirst, TokenSink tokens)
    {
        if (unigram is null || stages.Prefix is not { } prefix) { return false; }

        // What is written over belongs to words that are done.
        prefix.CopyTo(text, start - prefix.Length);
        var piece = text.AsSpan(start - prefix.Length, prefix.Length + word.Length);
        var read = unigram.Read(piece);
        var before = prefix.Length > 0 ? 1 : 0;
        read.FindCodes(before);
        if (!stages.Keeps(read.Characters[before..], read.Codes[before..]) || !stages.StandsAlone(word, isFirst))
        {
            clusters ??= new(stages, working);
            if (!clusters.TryNormalise(piece, read, before, out var normalised)) { return false; }

            unigram.Split(normalised, tokens);
            return true;
        }

        unigram.SplitRead(piece, tokens);
        return true;
    }
}

/// <summary>Places of bits.</summary>
internal static class BitPlaces
{
    /// <summary>Appends the places of the bits, some more than there are each time: how many is hard to foretell, and a wrong guess costs more than the writes.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int List(int[] places, int count, int block, ulong bits)
    {
        var after = count + BitOperations.PopCount(bits);
        ref var place = ref Unsafe.Add(ref MemoryMarshal.GetArrayDataReference(places), count);
        while (bits != 0)
        {
            for (var i = 0; i < 8; i++)
            {
                Unsafe.Add(ref place, i) = block + BitOperations.TrailingZeroCount(bits);
                bits &= bits - 1;
            }

            place = ref Unsafe.Add(ref place, 8);
        }

        return after;
    }
}
