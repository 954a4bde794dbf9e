using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Platform.GpuKernels.Tokenisation.Unigram;

/// <summary>
/// The best way to each character of a text (Viterbi). Pieces are looked for in a window of places at a time: those of two characters at all of them, then those of
/// three where one of two was found, and so on, so that no look waits for the one before it. Only the sums go from character to character: those of all pieces that
/// begin at a place are made at once. Used by one thread at a time.
/// </summary>
/// <seealso href="https://doi.org/10.1109/TIT.1967.1054010">Viterbi, Error bounds for convolutional codes and an asymptotically optimum decoding algorithm, 1967</seealso>
internal sealed class PieceLattice(UnigramModel model)
{
    /// <summary>What is kept of a window fits the first-level cache.</summary>
    private const int Window = 128;

    /// <summary>For each place there is a row of the pieces of 1 to 8 characters that begin there. Longer ones are rare, and listed.</summary>
    private const int Lanes = 8;

    private const int NoPiece = 0;

    /// <summary>The least byte that a character of three bytes or more begins with.</summary>
    private const byte FirstOfThree = 0xE0;

    /// <summary>A byte for each of the eight places before an end, the nearest the highest: in each the bit of the lane of the piece that reaches from there to the end.</summary>
    private const ulong LanesToEnd = 0x01_02_04_08_10_20_40_80;

    private readonly double[] scores = new double[Window * Lanes];

    // They begin with those of the last eight places of the window before.
    private readonly uint[] places = new uint[(Lanes + Window) * Lanes];

    /// <summary>By where they end, of pieces that are listed: the best way.</summary>
    private readonly LongStep[] longSteps = [.. Enumerable.Repeat(LongStep.None, Window + Vocabulary.MaximalTokenBytes + 1)];
    private readonly Begun[] begun = new Begun[Window];
    private readonly int[] longest = new int[Window];
    private readonly int[] longStarts = new int[Window + 1];
    private LongPiece[] longPieces = new LongPiece[64];
    private int longReach;

    private uint[] characters = [];
    private ulong[] codes = [];
    private int[] offsets = [];
    private Step[] steps = [];

    /// <summary>How many characters the text has.</summary>
    public int Length { get; private set; }

    public ReadOnlySpan<uint> Characters => characters.AsSpan(0, Length);

    /// <summary>The trie's codes of the characters: whoever has read a text gives them, before it is searched.</summary>
    public Span<ulong> Codes => codes.AsSpan(0, Length);

    /// <summary>The last piece of the best way to each place between characters; of the first nothing.</summary>
    public ReadOnlySpan<Step> Steps => steps;

    /// <summary>Where in the text each character begins, and the text's length.</summary>
    public ReadOnlySpan<int> Offsets => offsets;

    /// <summary>Takes a text's characters.</summary>
    /// <param name="text">Valid UTF-8.</param>
    /// <param name="most">Scratch for more bytes than these is not kept for shorter texts.</param>
    [MethodImpl(MethodImplOptions.NoInlining)]
    public void Read(ReadOnlySpan<byte> text, int most)
    {
        if (steps.Length < text.Length + 2 || (steps.Length > most && text.Length < most))
        {
            var room = Math.Max(text.Length + 2, 1024);
            (steps, characters, codes, offsets) = (new Step[room], new uint[room], new ulong[room], new int[room]);
        }

        ref var first = ref MemoryMarshal.GetReference(text);
        ref var character = ref MemoryMarshal.GetArrayDataReference(characters);
        ref var offset = ref MemoryMarshal.GetArrayDataReference(offsets);
        var (count, at) = (0, 0);
        while (at < text.Length)
        {
            if (Unsafe.Add(ref first, at) >= FirstOfThree && at + Vector128<byte>.Count <= text.Length)
            {
                // Most scripts that are written without spaces have three bytes a character: four characters at once.
                var four = Vector128.Shuffle(Vector128.LoadUnsafe(ref first, (nuint)at), Vector128.Create((byte)2, 1, 0, 255, 5, 4, 3, 255, 8, 7, 6, 255, 11, 10, 9, 255)).AsUInt32();
                if ((four & Vector128.Create(0xF0C0C0u)) == Vector128.Create(0xE08080u))
                {
                    ((four & Vector128.Create(0x3Fu)) | ((four >>> 2) & Vector128.Create(0xFC0u)) | ((four >>> 4) & Vector128.Create(0xF000u))).StoreUnsafe(ref character, (nuint)count);
                    (Vector128.Create(at) + Vector128.Create(0, 3, 6, 9)).StoreUnsafe(ref offset, (nuint)count);
                    count += 4;
                    at += 12;
                    continue;
                }
            }

            Unsafe.Add(ref offset, count) = at;
            Unsafe.Add(ref character, count++) = Utf8Text.ScalarAt(ref first, at, out var size);
            at += size;
        }

        Unsafe.Add(ref offset, count) = text.Length;
        Length = count;
    }

    /// <summary>Fills in the codes of the first characters, or of all.</summary>
    public void FindCodes(int count)
    {
        var trie = model.Trie;
        ref var character = ref MemoryMarshal.GetArrayDataReference(characters);
        ref var code = ref MemoryMarshal.GetArrayDataReference(codes);
        for (nint i = 0; i < count; i++) { Unsafe.Add(ref code, i) = trie.CodeOf(Unsafe.Add(ref character, i)); }
    }

    /// <summary>Fills in the steps of the text that was read, and whose codes are known.</summary>
    public void Search()
    {
        (codes[Length], codes[Length + 1]) = (PieceTrie.NoCode, PieceTrie.NoCode);
        longSteps.AsSpan(0, longReach).Fill(LongStep.None);
        longReach = 0;
        var ways = Ways.None;
        for (var from = 0; from < Length; from += Window)
        {
            var count = Math.Min(Window, Length - from);
            var longOnes = FindLong(from, FindShort(from, FindPairs(from, count)));
            Add(from, count, longOnes, ref ways);
            places.AsSpan(Window * Lanes, Lanes * Lanes).CopyTo(places);
            if (longReach > 0) { ForgetLong(); }
        }
    }

    /// <summary>Looks for pieces of one and of two characters, and lists the places where longer ones may begin.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private int FindPairs(int from, int count)
    {
        ref var table = ref model.Trie.Table;
        ref var code = ref Unsafe.Add(ref MemoryMarshal.GetArrayDataReference(codes), from);
        ref var score = ref MemoryMarshal.GetArrayDataReference(scores);
        ref var place = ref Unsafe.Add(ref MemoryMarshal.GetArrayDataReference(places), Lanes * Lanes);
        ref var begin = ref MemoryMarshal.GetArrayDataReference(begun);
        var none = Vector128.Create(double.NegativeInfinity);
        nuint goOn = 0;
        var one = PieceTrie.First((uint)code);
        for (nuint row = 0; row < (nuint)count * Lanes; row += Lanes)
        {
            code = ref Unsafe.Add(ref code, 1);
            ref readonly var first = ref PieceTrie.At(ref table, one);
            var two = PieceTrie.Next(ref table, first.Node, (uint)code);
            ref readonly var second = ref PieceTrie.At(ref table, two);
            Vector128.Create(first.Score, second.Score).StoreUnsafe(ref score, row);
            none.StoreUnsafe(ref score, row + 2);
            Vector256.Create(none, none).StoreUnsafe(ref score, row + 4);
            Unsafe.Add(ref place, row) = one;
            Unsafe.Add(ref place, row + 1) = two;
            var node = second.Node;
            Unsafe.Add(ref begin, goOn) = new((uint)row, node);
            goOn += OneIfAny(node);
            one = PieceTrie.First((uint)code);
        }

        return (int)goOn;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static nuint OneIfAny(uint node) => (nuint)(0 - (ulong)node) >> 63;

    /// <summary>The same for longer and longer pieces, as far as the rows go.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private int FindShort(int from, int listed)
    {
        ref var table = ref model.Trie.Table;
        ref var begin = ref MemoryMarshal.GetArrayDataReference(begun);
        for (var length = 3; listed > 0 && length <= Lanes; length++)
        {
            ref var last = ref Unsafe.Add(ref MemoryMarshal.GetArrayDataReference(codes), from + length - 1);
            ref var score = ref Unsafe.Add(ref MemoryMarshal.GetArrayDataReference(scores), length - 1);
            ref var place = ref Unsafe.Add(ref MemoryMarshal.GetArrayDataReference(places), (Lanes * Lanes) + length - 1);
            nuint goOn = 0;
            for (nuint j = 0; j < (nuint)listed; j++)
            {
                ref var each = ref Unsafe.Add(ref begin, j);
                nuint row = each.Row;
                var next = PieceTrie.Next(ref table, each.Node, (uint)Unsafe.AddByteOffset(ref last, row));
                ref readonly var step = ref PieceTrie.At(ref table, next);
                Unsafe.Add(ref score, row) = step.Score;
                Unsafe.Add(ref place, row) = next;
                var node = step.Node;
                Unsafe.Add(ref begin, goOn) = new((uint)row, node);
                goOn += OneIfAny(node);
            }

            listed = (int)goOn;
        }

        return listed;
    }

    /// <summary>The same for those that the rows have no lane for, until none is left that goes on.</summary>
    /// <returns>At how many places they may begin.</returns>
    private int FindLong(int from, int listed)
    {
        var (starts, found) = (listed, NoPiece + 1);
        for (var j = 0; j < listed; j++)
        {
            longStarts[j] = (int)begun[j].Row / Lanes;
            longest[longStarts[j]] = NoPiece;
        }

        ref var table = ref model.Trie.Table;
        ref var begin = ref MemoryMarshal.GetArrayDataReference(begun);
        for (var length = Lanes + 1; listed > 0; length++)
        {
            if (longPieces.Length <= found + listed) { Array.Resize(ref longPieces, Math.Max(longPieces.Length * 2, found + listed + 1)); }

            ref var last = ref Unsafe.Add(ref MemoryMarshal.GetArrayDataReference(codes), from + length - 1);
            ref var piece = ref MemoryMarshal.GetArrayDataReference(longPieces);
            nuint goOn = 0;
            for (nuint j = 0; j < (nuint)listed; j++)
            {
                // As above: a piece that is not there is written too, and the next one over it.
                ref var each = ref Unsafe.Add(ref begin, j);
                nuint row = each.Row;
                var next = PieceTrie.Next(ref table, each.Node, (uint)Unsafe.AddByteOffset(ref last, row));
                ref readonly var step = ref PieceTrie.At(ref table, next);
                ref var longer = ref Unsafe.Add(ref MemoryMarshal.GetArrayDataReference(longest), row / Lanes);
                var shorter = longer;
                Unsafe.Add(ref piece, found) = new(step.Score, next, length, shorter);
                var isPiece = step.Score > double.NegativeInfinity;
                longer = isPiece ? found : shorter;
                found += isPiece ? 1 : 0;
                var node = step.Node;
                Unsafe.Add(ref begin, goOn) = new((uint)row, node);
                goOn += OneIfAny(node);
            }

            listed = (int)goOn;
        }

        longStarts[starts] = Window;
        return starts;
    }

    /// <summary>Of the ways to each place takes the one with the highest sum; of those that score the same the one whose last piece begins earliest.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private void Add(int first, int count, int longOnes, ref Ways ways)
    {
        ref var score = ref MemoryMarshal.GetArrayDataReference(scores);
        ref var place = ref Unsafe.Add(ref MemoryMarshal.GetArrayDataReference(places), Lanes * Lanes);
        ref var longStep = ref Unsafe.Add(ref MemoryMarshal.GetArrayDataReference(longSteps), 1);
        ref var step = ref Unsafe.Add(ref MemoryMarshal.GetArrayDataReference(steps), first + 1);
        var (here, low, high, next, better) = (ways.Here, ways.Low, ways.High, ways.Low.ToScalar(), ways.Better);
        var last = Vector256.Create(0L, 0, 0, -1).AsDouble();
        var (at, reach) = (0, longReach);
        for (var j = 0; j <= longOnes; j++)
        {
            var start = Math.Min(longStarts[j], count);
            for (; at < start; at++)
            {
                var all = Vector256.Create(here);
                var lowSums = all + Vector256.LoadUnsafe(ref score);
                var highSums = all + Vector256.LoadUnsafe(ref score, 4);

                // The next place's sum is made apart too, for the sake of time: all others wait for it.
                here = double.MaxNative(next, here + score);
                score = ref Unsafe.Add(ref score, Lanes);
                var bits = Vector256.GreaterThan(lowSums, low).ExtractMostSignificantBits() | (Vector256.GreaterThan(highSums, high).ExtractMostSignificantBits() << 4);
                low = Vector256.MaxNative(low, lowSums);
                high = Vector256.MaxNative(high, highSums);
                next = low.GetElement(1);

                // By one place on.
                low = Vector256.Shuffle(low, Vector256.Create(1L, 2, 3, 0));
                high = Vector256.Shuffle(high, Vector256.Create(1L, 2, 3, 0));
                low = Vector256.ConditionalSelect(last, high, low);
                high = Vector256.ConditionalSelect(last, Vector256.Create(Unsafe.Add(ref longStep, Lanes).Score), high);

                // Of the pieces that reach the next place the last that was better than those before it; a listed one where no other was. Which it is is hard to foretell too.
                better = (better >> 8) | ((ulong)bits << 56);
                var zeros = (nint)BitOperations.LeadingZeroCount(better & LanesToEnd) >> 3;
                var ofRow = new Step(Unsafe.Add(ref place, zeros - (zeros * Lanes)), (int)zeros + 1).Bits;
                step = new(ofRow ^ ((ofRow ^ longStep.Last.Bits) & (0 - ((ulong)zeros / Lanes))));

                step = ref Unsafe.Add(ref step, 1);
                place = ref Unsafe.Add(ref place, Lanes);
                longStep = ref Unsafe.Add(ref longStep, 1);
            }

            if (at == count) { break; }

            // The listed pieces that begin here are offered to where they end.
            for (var each = longest[at]; each != NoPiece; each = longPieces[each].Shorter)
            {
                ref readonly var piece = ref longPieces[each];
                ref var end = ref Unsafe.Add(ref longStep, piece.Length - 1);
                if (here + piece.Score > end.Score) { end = new(here + piece.Score, new(piece.Place, piece.Length)); }

                reach = Math.Max(reach, at + piece.Length + 1);
            }
        }

        longReach = reach;
        ways = new(here, low, high, better);
    }

    /// <summary>Goes on by a window.</summary>
    private void ForgetLong()
    {
        var kept = Math.Max(longReach - Window, 0);
        longSteps.AsSpan(longReach - kept, kept).CopyTo(longSteps);
        longSteps.AsSpan(kept, longReach - kept).Fill(LongStep.None);
        longReach = kept;
    }

    /// <summary>The last piece of a way: where its step is in the trie, and above that how many characters it has.</summary>
    public readonly record struct Step(ulong Bits)
    {
        public Step(uint place, int length)
            : this(place | ((ulong)(uint)length << 32))
        {
        }

        public uint Place => (uint)Bits;

        public int Length => (int)(Bits >> 32);
    }

    /// <summary>The row of where a piece begins, and the node that its characters have come to.</summary>
    private readonly record struct Begun(uint Row, uint Node);

    /// <summary>A piece of more characters than a row has lanes, and the next shorter that begins at the same place.</summary>
    private readonly record struct LongPiece(double Score, uint Place, int Length, int Shorter);

    private readonly record struct LongStep(double Score, Step Last)
    {
        public static LongStep None => new(double.NegativeInfinity, new(PieceTrie.Nowhere, 0));
    }

    /// <summary>The best sum at a place, and of ways to the places behind it over pieces that begin before it.</summary>
    private readonly record struct Ways(double Here, Vector256<double> Low, Vector256<double> High, ulong Better)
    {
        public static Ways None => new(0, Vector256.Create(double.NegativeInfinity), Vector256.Create(double.NegativeInfinity), 0);
    }
}
