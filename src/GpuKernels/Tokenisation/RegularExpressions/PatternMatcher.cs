using System.Numerics;
using System.Runtime.CompilerServices;

namespace Platform.GpuKernels.Tokenisation.RegularExpressions;

/// <summary>
/// Finds all matches of a pattern in a text, as a backtracking engine that tries the choices in their order would, in time that is linear in the text: from the text's end to
/// its beginning it notes from which steps a match can still be reached at each place; then it goes forward, and at each choice takes the first way of which that is known, so
/// that it never goes back (Frisch and Cardelli 2004, "Greedy regular expression matching"). What is known at a place depends on the place after it and one character, and
/// is made once for each such pair. A text is taken in blocks: beyond one block, the knowledge at each block's beginning is noted on a way back over the text without the rest.
/// </summary>
/// <remarks>Used by one thread at a time.</remarks>
internal sealed class PatternMatcher
{
    /// <summary>Bytes. A block's places and what is known of them stay in the caches; and so much can come new before it can be forgotten.</summary>
    private const int BlockBytes = 2048;

    /// <summary>Beyond this, in bytes, what is known is forgotten: some patterns and texts bring something new with each character.</summary>
    private const int KeptBytes = 4 * 1024 * 1024;

    private const int TextEnd = 0;
    private const int NotMade = 0;
    private const int Matched = -1;

    private readonly PatternProgram program;
    private readonly PatternContexts contexts;
    private readonly int width;
    private readonly int entries;
    private readonly Dictionary<ulong[], int> rows = new(new Bits());
    private readonly List<ulong[]> blockStarts = [];
    private readonly int[] known = new int[BlockBytes + Utf8Text.LongestCharacter];

    /// <summary>The contexts of a block's places, and of the blocks' first; only where a class does not say them.</summary>
    private readonly byte[] befores = new byte[BlockBytes + Utf8Text.LongestCharacter];
    private readonly List<byte> blockContexts = [];

    /// <summary>By place: the steps that take the character there and then lead to a match.</summary>
    private readonly List<ulong[]> takes = [];

    /// <summary>By knowledge: the steps that lead to a match.</summary>
    private readonly List<ulong[]> leads = [];

    /// <summary>A row for each place, in it by the context, which is what stands before: what is known there, twice, and one more where a match may begin; and the row of the place before.</summary>
    private (int Known, int Before)[] steps = [];

    /// <summary>By knowledge and entry: the entry after the next character on the first way that leads to a match, counted from 1; or Matched.</summary>
    private int[] ways = [];

    private int block;
    private int blockStart;
    private int blockEnd;
    private bool isLast;
    private int at;
    private int lastEnd;
    private int start;
    private int entry;

    public PatternMatcher(PatternProgram program)
    {
        (this.program, contexts, width, entries) = (program, program.Contexts, program.Contexts.Count, program.Entries.Length);
        Forget();
    }

    /// <summary>Begins with a text: valid UTF-8.</summary>
    public void Begin(ReadOnlySpan<byte> text)
    {
        blockStarts.Clear();
        blockContexts.Clear();
        (block, lastEnd, entry) = (0, -1, -1);
        var after = TextEnd;
        var blocks = text.Length / BlockBytes;
        if (!contexts.AreClasses)
        {
            blockContexts.Add(PatternContexts.TextStart);
            for (var i = 0; i < blocks; i++) { blockContexts.Add(ReadContexts(text, i)); }
        }

        for (var i = blocks; i > 0; i--)
        {
            after = Read(text, i, after);
            blockStarts.Add(takes[after / width]);
        }

        Load(text, PatternContexts.TextStart);
    }

    /// <summary>The next match; an empty one does not stand where the last one ended.</summary>
    public bool TryNext(ReadOnlySpan<byte> text, out int from, out int to)
    {
        while (true)
        {
            // The place at a block's end is the next one's first.
            while (at < blockEnd || (isLast && at == blockEnd))
            {
                var here = known[at - blockStart];
                if (entry < 0)
                {
                    if ((here & 1) == 0)
                    {
                        at = Next(text, After(text, at));
                        continue;
                    }

                    (start, entry) = (at, program.StartEntry);
                }

                ref var way = ref ways[((here >> 1) * entries) + entry];
                if (way == NotMade) { way = Walk(here >> 1, entry); }

                if (way != Matched)
                {
                    entry = way - 1;
                    at = After(text, at);
                    continue;
                }

                (from, to, entry) = (start, at, -1);
                if (from == to) { at = After(text, at); }

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

            block++;
            Load(text, contexts.AreClasses ? program.Classes[Utf8Text.ScalarBefore(text, blockEnd, out _)] : blockContexts[block]);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static int After(ReadOnlySpan<byte> text, int at) => at < text.Length ? at + Utf8Text.SizeAt(text, at) : at + 1;

    /// <summary>The first place of a block, from one on, where a match may begin; its end where there is none.</summary>
    private int Next(ReadOnlySpan<byte> text, int from)
    {
        if (program.FirstBytes is not { } first || from >= blockEnd) { return from; }

        var found = text[from..blockEnd].IndexOfAny(first);
        return found < 0 ? blockEnd : from + found;
    }

    /// <param name="before">The context of the block's first place.</param>
    private void Load(ReadOnlySpan<byte> text, byte before)
    {
        var left = blockStarts.Count - block;
        isLast = left == 0;
        (blockStart, blockEnd) = (BlockStart(text, block), BlockStart(text, block + 1));
        at = blockStart;
        if (entry < 0 && program.FirstBytes is not null && Next(text, at) == blockEnd)
        {
            // Nothing begins here, so that it does not matter what could be reached.
            at = blockEnd;
            known[blockEnd - blockStart] = 0;
            return;
        }

        var first = Read(text, block, isLast ? TextEnd : RowOf(blockStarts[left - 1]));
        known[0] = Step(first, before).Known;
    }

    /// <summary>Notes what is known at each place of a block but its first.</summary>
    /// <param name="after">The row of the place at the block's end.</param>
    /// <returns>The row of the place at its beginning.</returns>
    private int Read(ReadOnlySpan<byte> text, int number, int after)
    {
        if (((steps.Length * sizeof(long)) + (ways.Length * sizeof(int))) > KeptBytes)
        {
            var bits = takes[after / width];
            Forget();
            after = after == TextEnd ? TextEnd : RowOf(bits);
        }

        (blockStart, blockEnd) = (BlockStart(text, number), BlockStart(text, number + 1));
        if (!contexts.AreClasses)
        {
            ReadContexts(text, number);
            for (var place = blockEnd; place > blockStart;)
            {
                var step = Step(after, befores[place - blockStart]);
                known[place - blockStart] = step.Known;
                after = step.Before;
                do { place--; } while ((text[place] & 0xC0) == 0x80);
            }

            return after;
        }

        var ascii = program.AsciiClasses;
        for (var place = blockEnd; place > blockStart;)
        {
            byte before = text[place - 1];
            var size = 1;
            before = before < 0x80 ? ascii[before] : program.Classes[Utf8Text.ScalarBefore(text, place, out size)];
            var step = Step(after, before);
            known[place - blockStart] = step.Known;
            after = step.Before;
            place -= size;
        }

        return after;
    }

    /// <summary>The contexts of a block's places.</summary>
    /// <returns>That of its end.</returns>
    private byte ReadContexts(ReadOnlySpan<byte> text, int number)
    {
        var (first, end) = (BlockStart(text, number), BlockStart(text, number + 1));
        var context = blockContexts[number];
        for (var place = first; place < end;)
        {
            context = contexts.After(context, program.Classes[Utf8Text.ScalarAt(text, place, out var size)]);
            place += size;
            befores[place - first] = context;
        }

        return context;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private (int Known, int Before) Step(int row, byte before)
    {
        var step = steps[row + before];
        return step.Known != NotMade ? step : Make(row, before);
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

    private void Forget()
    {
        rows.Clear();
        takes.Clear();
        leads.Clear();
        (steps, ways) = ([], []);

        // Place 0 is the text's end, where no step takes a character; knowledge 0 is none.
        leads.Add([]);
        AddRow(new ulong[program.Words]);
    }

    /// <summary>The row of a place within the text.</summary>
    private int RowOf(ulong[] bits)
    {
        if (!rows.TryGetValue(bits, out var row))
        {
            row = AddRow(bits);
            rows.Add(bits, row);
        }

        return row;
    }

    private int AddRow(ulong[] bits)
    {
        takes.Add(bits);
        Reserve(ref steps, takes.Count * width);
        return (takes.Count - 1) * width;
    }

    private static void Reserve<T>(ref T[] array, int length)
    {
        if (array.Length < length) { Array.Resize(ref array, Math.Max(length, array.Length * 2)); }
    }

    private (int Known, int Before) Make(int row, byte before)
    {
        var place = row / width;
        var here = new ulong[program.Words];
        foreach (var number in program.Order)
        {
            if (Leads(program.Steps[number], number, place, before, here)) { here[number >> 6] |= 1UL << number; }
        }

        var taken = new ulong[program.Words];
        for (var word = 0; word < taken.Length; word++)
        {
            for (var rest = program.TakenBy[contexts.ClassOf(before)][word]; rest != 0; rest &= rest - 1)
            {
                var number = (word << 6) | BitOperations.TrailingZeroCount(rest);
                if (Has(here, program.Steps[number].Next)) { taken[word] |= 1UL << number; }
            }
        }

        leads.Add(here);
        Reserve(ref ways, leads.Count * entries);
        var step = (((leads.Count - 1) << 1) | (Has(here, program.Start) ? 1 : 0), RowOf(taken));
        steps[row + before] = step;
        return step;
    }

    private bool Leads(Step step, int number, int place, byte before, ulong[] here) => step.Kind switch
    {
        StepKind.Match => true,
        StepKind.Take => Has(takes[place], number),
        StepKind.Either => Has(here, step.Next) || Has(here, step.Other),
        StepKind.Behind => contexts.Holds(step.Set, before) != step.Negative && Has(here, step.Next),
        StepKind.TextStart => (before == PatternContexts.TextStart) != step.Negative && Has(here, step.Next),
        StepKind.TextEnd => (place == TextEnd) != step.Negative && Has(here, step.Next),
        StepKind.Ahead => Has(here, step.Other) != step.Negative && Has(here, step.Next),
    };

    private int Walk(int knowledge, int from)
    {
        var here = leads[knowledge];
        var number = program.Entries[from];
        while (true)
        {
            var step = program.Steps[number];
            switch (step.Kind)
            {
                case StepKind.Match: return Matched;
                case StepKind.Take: return program.EntryAfter[number] + 1;
                case StepKind.Either: number = Has(here, step.Next) ? step.Next : step.Other; break;
                case StepKind.Behind or StepKind.TextStart or StepKind.TextEnd or StepKind.Ahead: number = step.Next; break;
            }
        }
    }

    private static bool Has(ulong[] bits, int number) => (bits[number >> 6] >> number & 1) != 0;

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
