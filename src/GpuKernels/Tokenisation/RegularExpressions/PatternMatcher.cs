using System.Numerics;

namespace Platform.GpuKernels.Tokenisation.RegularExpressions;

/// <summary>
/// Finds all matches of a pattern in a text, as a backtracking engine that tries the choices in their order would, in time that is linear in the text: from the text's end to
/// its beginning it notes from which steps a match can still be reached at each place; then it goes forward, and at each choice takes the first way of which that is known, so
/// that it never goes back (Frisch and Cardelli 2004, "Greedy regular expression matching"). What is known at a place depends on the place after it and one character, and
/// is made once for each such pair. A text is taken in blocks: beyond one block, the knowledge at each block's beginning is noted on a way back over the text without the rest.
/// </summary>
/// <remarks>Used by one thread at a time.</remarks>
internal sealed class PatternMatcher(PatternProgram program)
{
    /// <summary>Bytes. A block's places and knowledge stay in the second-level cache.</summary>
    private const int BlockBytes = 4096;

    /// <summary>What is known is forgotten beyond this, in bytes: some texts bring something new with each character.</summary>
    private const int KeptBytes = 4 * 1024 * 1024;

    private const int BeforeFirst = 0;
    private const int Unknown = -2;
    private const int Matched = -1;

    private readonly Dictionary<ulong[], Place> places = new(new Bits());
    private readonly List<ulong[]> blockStarts = [];
    private readonly Knowledge[] known = new Knowledge[BlockBytes + 1];
    private readonly int[] offsets = new int[BlockBytes + 1];
    private readonly byte[] classes = new byte[BlockBytes];
    private Place textEnd = new([], true, program.ClassCount);
    private int kept;

    private int block;
    private int count;
    private bool isLast;
    private int at;
    private int lastEnd;
    private int start;
    private int entry;

    /// <summary>Begins with a text: valid UTF-8.</summary>
    public void Begin(ReadOnlySpan<byte> text)
    {
        blockStarts.Clear();
        (block, at, lastEnd, entry) = (0, 0, -1, -1);
        var blocks = (text.Length / BlockBytes) + 1;
        var after = textEnd;
        for (var i = blocks - 1; i > 0; i--)
        {
            after = Read(text, i, after);
            blockStarts.Add(after.Takes);
        }

        Load(text, BeforeFirst);
    }

    /// <summary>The next match; an empty one does not stand where the last one ended.</summary>
    public bool TryNext(ReadOnlySpan<byte> text, out int from, out int to)
    {
        while (true)
        {
            // The place at a block's end is the next one's first.
            var places = isLast ? count + 1 : count;
            while (at < places)
            {
                var here = known[at];
                if (entry < 0)
                {
                    if (!here.CanBegin)
                    {
                        at++;
                        continue;
                    }

                    (start, entry) = (offsets[at], program.StartEntry);
                }

                var step = here.Ways[entry];
                if (step == Unknown) { step = Walk(here, entry); }

                if (step != Matched)
                {
                    entry = program.EntryAfter[step];
                    at++;
                    continue;
                }

                (from, to, entry) = (start, offsets[at], -1);
                if (from == to) { at++; }

                if (from < to || to != lastEnd)
                {
                    lastEnd = to;
                    return true;
                }
            }

            if (isLast)
            {
                (from, to) = (0, 0);
                return false;
            }

            var before = classes[count - 1];
            block++;
            at = 0;
            Load(text, before);
        }
    }

    /// <param name="before">The class of the character before the block.</param>
    private void Load(ReadOnlySpan<byte> text, byte before)
    {
        var left = blockStarts.Count - block;
        isLast = left == 0;
        var first = Read(text, block, isLast ? textEnd : PlaceOf(blockStarts[left - 1]));
        known[0] = KnownAt(first, before);
    }

    /// <summary>Reads a block: where its characters are, and what is known at each place after one.</summary>
    /// <returns>What is known at its beginning.</returns>
    private Place Read(ReadOnlySpan<byte> text, int number, Place after)
    {
        if (kept > KeptBytes)
        {
            places.Clear();
            kept = 0;
            textEnd = new([], true, program.ClassCount);
            after = after.IsTextEnd ? textEnd : PlaceOf(after.Takes);
        }

        var place = BlockStart(text, number);
        var end = BlockStart(text, number + 1);
        count = 0;
        while (place < end)
        {
            offsets[count] = place;
            classes[count++] = program.Classes[Utf8Text.ScalarAt(text, place, out var size)];
            place += size;
        }

        offsets[count] = end;
        for (var i = count; i > 0; i--)
        {
            var knowledge = KnownAt(after, classes[i - 1]);
            known[i] = knowledge;
            after = knowledge.Before;
        }

        return after;
    }

    /// <summary>The first character's place that is not before the block's bytes.</summary>
    private static int BlockStart(ReadOnlySpan<byte> text, int number)
    {
        var start = (long)number * BlockBytes;
        if (start >= text.Length) { return text.Length; }

        var place = (int)start;
        while (place < text.Length && (text[place] & 0xC0) == 0x80) { place++; }

        return place;
    }

    private Place PlaceOf(ulong[] takes)
    {
        if (places.TryGetValue(takes, out var known)) { return known; }

        known = new(takes, false, program.ClassCount);
        places.Add(takes, known);
        kept += (takes.Length * sizeof(ulong)) + (program.ClassCount * IntPtr.Size);
        return known;
    }

    private Knowledge KnownAt(Place place, byte before) => place.Known[before] ?? Make(place, before);

    private Knowledge Make(Place place, byte before)
    {
        var leads = new ulong[program.Words];
        foreach (var number in program.Order)
        {
            if (Leads(program.Steps[number], number, place, before, leads)) { leads[number >> 6] |= 1UL << number; }
        }

        var takes = new ulong[program.Words];
        for (var word = 0; word < takes.Length; word++)
        {
            for (var rest = program.TakenBy[before][word]; rest != 0; rest &= rest - 1)
            {
                var number = (word << 6) | BitOperations.TrailingZeroCount(rest);
                if (Has(leads, program.Steps[number].Next)) { takes[word] |= 1UL << number; }
            }
        }

        var ways = new int[program.Entries.Length];
        Array.Fill(ways, Unknown);
        kept += (leads.Length * sizeof(ulong)) + (ways.Length * sizeof(int));
        return place.Known[before] = new(leads, ways, Has(leads, program.Start), PlaceOf(takes));
    }

    private bool Leads(Step step, int number, Place place, byte before, ulong[] leads) => step.Kind switch
    {
        StepKind.Match => true,
        StepKind.Take => place.Takes.Length > 0 && Has(place.Takes, number),
        StepKind.Either => Has(leads, step.Next) || Has(leads, step.Other),
        StepKind.Behind => program.IsInClass[step.Set][before] != step.Negative && Has(leads, step.Next),
        StepKind.TextStart => (before == BeforeFirst) != step.Negative && Has(leads, step.Next),
        StepKind.TextEnd => place.IsTextEnd != step.Negative && Has(leads, step.Next),
        StepKind.Ahead => Has(leads, step.Other) != step.Negative && Has(leads, step.Next),
    };

    /// <summary>The step that takes the next character, on the first way that leads to a match.</summary>
    private int Walk(Knowledge here, int from)
    {
        var number = program.Entries[from];
        while (true)
        {
            var step = program.Steps[number];
            switch (step.Kind)
            {
                case StepKind.Match: return here.Ways[from] = Matched;
                case StepKind.Take: return here.Ways[from] = number;
                case StepKind.Either: number = Has(here.Leads, step.Next) ? step.Next : step.Other; break;
                case StepKind.Behind or StepKind.TextStart or StepKind.TextEnd or StepKind.Ahead: number = step.Next; break;
            }
        }
    }

    private static bool Has(ulong[] bits, int number) => (bits[number >> 6] >> number & 1) != 0;

    /// <param name="takes">The steps that take the character here and then lead to a match; none at the text's end.</param>
    private sealed class Place(ulong[] takes, bool isTextEnd, int classes)
    {
        public ulong[] Takes => takes;

        public bool IsTextEnd => isTextEnd;

        /// <summary>By the class of the character before.</summary>
        public Knowledge?[] Known { get; } = new Knowledge?[classes];
    }

    /// <param name="Leads">The steps that lead to a match from here.</param>
    /// <param name="Ways">By entry: the step that takes the next character on the first way that leads to a match.</param>
    /// <param name="CanBegin">Whether a match begins here.</param>
    /// <param name="Before">The place before the character.</param>
    private sealed record Knowledge(ulong[] Leads, int[] Ways, bool CanBegin, Place Before);

    private sealed class Bits : IEqualityComparer<ulong[]>
    {
        public bool Equals(ulong[]? x, ulong[]? y) => x.AsSpan().SequenceEqual(y);

        public int GetHashCode(ulong[] bits)
        {
            var hash = default(HashCode);
            foreach (var word in bits) { hash.Add(word); }

            return hash.ToHashCode();
        }
    }
}
