using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Platform.GpuKernels.Tokenisation.Unigram;

/// <summary>
/// The best way to each character of a text (Viterbi). Pieces are looked for in a window of places at a time: those of two characters at all of them, then those of
/// three where one of two was found, and so on, so that no look waits for the one before it. Only the sums go from character to character. Used by one thread at a time.
/// </summary>
/// <seealso href="https://doi.org/10.1109/TIT.1967.1054010">Viterbi, Error bounds for convolutional codes and an asymptotically optimum decoding algorithm, 1967</seealso>
internal sealed class PieceLattice(UnigramModel model)
{
    /// <summary>What is kept of a window fits the first-level cache.</summary>
    private const int Window = 512;

    /// <summary>Stands behind the text: a character that no piece has.</summary>
    private const uint End = (1 << 21) - 1;

    private const int NoPiece = 0;

    private static readonly Piece NoPair = new(double.NegativeInfinity, PieceTrie.None);

    private readonly Piece[] ones = new Piece[Window];

    // By where its second character stands; the first is of the window before.
    private readonly Piece[] pairs = new Piece[Window + 1];
    private readonly int[] longest = new int[Window];
    private readonly Begun[] begun = new Begun[Window];
    private LongPiece[] longPieces = new LongPiece[1024];

    private uint[] characters = [];
    private int[] offsets = [];
    private Step[] steps = [];

    /// <summary>How many characters the text has.</summary>
    public int Length { get; private set; }

    public ReadOnlySpan<uint> Characters => characters.AsSpan(0, Length);

    /// <summary>The last piece of the best way to each place between characters.</summary>
    public ReadOnlySpan<Step> Steps => steps;

    /// <summary>Where in the text each character begins, and the text's length.</summary>
    public ReadOnlySpan<int> Offsets => offsets;

    /// <summary>Takes a text's characters.</summary>
    /// <param name="text">Valid UTF-8.</param>
    /// <param name="most">Scratch for more bytes than these is not kept for shorter texts.</param>
    public void Read(ReadOnlySpan<byte> text, int most)
    {
        if (steps.Length < text.Length + 2 || (steps.Length > most && text.Length < most))
        {
            var room = Math.Max(text.Length + 2, 1024);
            (steps, characters, offsets) = (new Step[room], new uint[room], new int[room]);
        }

        ref var first = ref MemoryMarshal.GetReference(text);
        ref var character = ref MemoryMarshal.GetArrayDataReference(characters);
        ref var offset = ref MemoryMarshal.GetArrayDataReference(offsets);
        var count = 0;
        for (var at = 0; at < text.Length; count++)
        {
            Unsafe.Add(ref offset, count) = at;
            Unsafe.Add(ref character, count) = Utf8Text.ScalarAt(ref first, at, out var size);
            at += size;
        }

        Unsafe.Add(ref offset, count) = text.Length;
        Unsafe.Add(ref character, count) = End;
        Unsafe.Add(ref character, count + 1) = End;
        Length = count;
    }

    /// <summary>Fills in the steps of the text that was read.</summary>
    public void Search()
    {
        steps.AsSpan(0, Length + 1).Fill(new() { Score = double.NegativeInfinity });
        steps[0].Score = 0;
        pairs[0] = NoPair;
        for (var from = 0; from < Length; from += Window)
        {
            var count = Math.Min(Window, Length - from);
            FindLonger(from, FindPairs(from, FindFirsts(from, count)));
            Add(from, count);
            pairs[0] = pairs[count];
        }
    }

    /// <summary>Looks up each character, and lists the places where a pair may begin.</summary>
    private int FindFirsts(int from, int count)
    {
        var trie = model.Trie;
        ref var character = ref Unsafe.Add(ref MemoryMarshal.GetArrayDataReference(characters), from);
        ref var one = ref MemoryMarshal.GetArrayDataReference(ones);
        ref var begin = ref MemoryMarshal.GetArrayDataReference(begun);
        pairs.AsSpan(1, count).Fill(NoPair);
        longest.AsSpan(0, count).Clear();
        var listed = 0;
        for (var i = 0; i < count; i++)
        {
            ref readonly var first = ref trie.First(Unsafe.Add(ref character, i));
            Unsafe.Add(ref one, i) = new(first.Score, first.Id);
            Unsafe.Add(ref begin, listed) = new(i, first.Node);
            listed += first.MayGoOn(Unsafe.Add(ref character, i + 1));
        }

        return listed;
    }

    /// <summary>Looks for pieces of two characters at the listed places, and lists those where longer ones may begin.</summary>
    private int FindPairs(int from, int listed)
    {
        var trie = model.Trie;
        ref var second = ref Unsafe.Add(ref MemoryMarshal.GetArrayDataReference(characters), from + 1);
        ref var pair = ref MemoryMarshal.GetArrayDataReference(pairs);
        ref var begin = ref MemoryMarshal.GetArrayDataReference(begun);
        var goOn = 0;
        for (var j = 0; j < listed; j++)
        {
            var (i, node) = Unsafe.Add(ref begin, j);
            ref readonly var next = ref trie.Next(node, Unsafe.Add(ref second, i));
            Unsafe.Add(ref pair, i + 1) = new(next.Score, next.Id);
            Unsafe.Add(ref begin, goOn) = new(i, next.Node);
            goOn += next.MayGoOn(Unsafe.Add(ref second, i + 1));
        }

        return goOn;
    }

    /// <summary>The same for longer and longer pieces, until none is left that goes on.</summary>
    private void FindLonger(int from, int listed)
    {
        var trie = model.Trie;
        ref var longer = ref MemoryMarshal.GetArrayDataReference(longest);
        ref var begin = ref MemoryMarshal.GetArrayDataReference(begun);
        var found = NoPiece + 1;
        for (var length = 3; listed > 0; length++)
        {
            if (longPieces.Length <= found + listed) { Array.Resize(ref longPieces, Math.Max(longPieces.Length * 2, found + listed + 1)); }

            ref var piece = ref MemoryMarshal.GetArrayDataReference(longPieces);
            ref var last = ref Unsafe.Add(ref MemoryMarshal.GetArrayDataReference(characters), from + length - 1);
            var goOn = 0;
            for (var j = 0; j < listed; j++)
            {
                var (i, node) = Unsafe.Add(ref begin, j);
                ref readonly var next = ref trie.Next(node, Unsafe.Add(ref last, i));

                // Whether there is a piece is hard to foretell: it is written in any case, and counted if there is.
                var isPiece = 1 + (next.Id >> 31);
                var shorter = Unsafe.Add(ref longer, i);
                Unsafe.Add(ref piece, found) = new(next.Score, next.Id, length, shorter);
                Unsafe.Add(ref longer, i) = shorter ^ ((shorter ^ found) & -isPiece);
                found += isPiece;
                Unsafe.Add(ref begin, goOn) = new(i, next.Node);
                goOn += next.MayGoOn(Unsafe.Add(ref last, i + 1));
            }

            listed = goOn;
        }
    }

    /// <summary>Of the ways to each place takes the one with the highest sum; of those that score the same the one whose last piece begins earliest.</summary>
    private void Add(int from, int count)
    {
        ref var one = ref MemoryMarshal.GetArrayDataReference(ones);
        ref var pair = ref MemoryMarshal.GetArrayDataReference(pairs);
        ref var longer = ref MemoryMarshal.GetArrayDataReference(longest);
        ref var step = ref Unsafe.Add(ref MemoryMarshal.GetArrayDataReference(steps), from);
        var here = step.Score;
        var before = from == 0 ? 0 : Unsafe.Subtract(ref step, 1).Score;
        for (var i = 0; i < count; i++)
        {
            if (Unsafe.Add(ref longer, i) != NoPiece) { Offer(Unsafe.Add(ref longer, i), here, from + i, ref step); }

            ref readonly var single = ref Unsafe.Add(ref one, i);
            ref readonly var two = ref Unsafe.Add(ref pair, i);
            step = ref Unsafe.Add(ref step, 1);
            var (byOne, byTwo) = (single.Score + here, two.Score + before);

            // Which of the two is hard to foretell: nothing branches on it.
            var takesTwo = Unsafe.BitCast<bool, byte>(byOne > byTwo) - 1;
            var sum = double.MaxNative(byOne, byTwo);
            if (sum > step.Score)
            {
                step.Score = sum;
                step.Start = from + i + takesTwo;
                step.Id = single.Id ^ ((single.Id ^ two.Id) & takesTwo);
            }
            else { sum = step.Score; }

            before = here;
            here = sum;
        }
    }

    private void Offer(int piece, double here, int start, ref Step step)
    {
        do
        {
            ref readonly var each = ref longPieces[piece];
            ref var end = ref Unsafe.Add(ref step, each.Length);
            if (each.Score + here > end.Score)
            {
                end.Score = each.Score + here;
                end.Start = start;
                end.Id = each.Id;
            }

            piece = each.Shorter;
        }
        while (piece != NoPiece);
    }

    /// <summary>The sum of a way's scores, and its last piece.</summary>
    public struct Step
    {
        public double Score;
        public int Start;
        public int Id;
    }

    /// <summary>Where a piece begins, and the node that its characters have come to.</summary>
    private readonly record struct Begun(int Place, int Node);

    private readonly record struct Piece(double Score, int Id);

    /// <summary>A piece of three characters or more, and the next shorter that begins at the same place.</summary>
    private readonly record struct LongPiece(double Score, int Id, int Length, int Shorter);
}
