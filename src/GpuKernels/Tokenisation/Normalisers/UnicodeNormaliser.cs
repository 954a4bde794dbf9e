using Platform.GpuKernels.Tokenisation.Unicode;

namespace Platform.GpuKernels.Tokenisation.Normalisers;

/// <summary>NFD, NFC, NFKD and NFKC of Unicode's Annex 15, by the reference's tables and with its alignment.</summary>
internal sealed class UnicodeNormaliser(bool composed, bool compatible) : INormaliser
{
    /// <summary>So many characters are the most that one decomposes to.</summary>
    public const int LongestDecomposition = 18;

    /// <summary>So many marks are put in order one by one; nobody writes more on one letter.</summary>
    private const int FewMarks = 16;

    private readonly CharacterSets inert = (composed, compatible) switch
    {
        (false, false) => CharacterSets.InertNfd,
        (false, true) => CharacterSets.InertNfkd,
        (true, false) => CharacterSets.InertNfc,
        (true, true) => CharacterSets.InertNfkc,
    };

    public bool Composed => composed;

    public bool Compatible => compatible;

    /// <summary>A character on its way: its combining class, and how it changes the text (<see cref="TextRewriter.Change"/>).</summary>
    private record struct Part(uint Character, byte Class, int Change);

    public void Normalise(TextRewriter text)
    {
        List<Part>? parts = null;
        var source = text.Source;
        while (text.Cursor < source.Length)
        {
            var from = text.Cursor;
            var to = EndOfInert(source, from);
            if (to > from) { text.Keep(to - from); }

            if (to == source.Length) { break; }

            parts ??= [];
            parts.Clear();
            Decompose(source, to, parts);
            Order(parts);
            if (composed) { Compose(parts); }

            foreach (var part in parts) { text.Change(part.Character, part.Change); }
        }
    }

    /// <summary>Where the first part begins that may change: a composition may begin with an inert character.</summary>
    private int EndOfInert(ReadOnlySpan<byte> source, int from)
    {
        var last = from;
        for (var at = from; at < source.Length;)
        {
            var ascii = source[at..].IndexOfAnyInRange((byte)0x80, (byte)0xFF);
            if (ascii < 0) { return source.Length; }

            if (ascii > 0)
            {
                at += ascii;
                last = at - 1;
            }

            if (!Characters.Is(Utf8Text.ScalarAt(source, at, out var size), inert)) { return composed ? last : at; }

            last = at;
            at += size;
        }

        return source.Length;
    }

    /// <summary>Decomposes from <paramref name="at"/> to the next inert character but the first.</summary>
    private void Decompose(ReadOnlySpan<byte> source, int at, List<Part> parts)
    {
        Span<uint> room = stackalloc uint[LongestDecomposition];
        var first = true;
        while (at < source.Length)
        {
            var scalar = Utf8Text.ScalarAt(source, at, out var size);
            if (!first && Characters.Is(scalar, inert)) { return; }

            first = false;
            var count = Characters.Decompose(scalar, compatible, room);
            for (var i = 0; i < count; i++) { parts.Add(new(room[i], Characters.CombiningClass(room[i]), i == 0 ? 0 : 1)); }

            at += size;
        }
    }

    /// <summary>Puts each run of marks in the order of their classes; those of one class keep theirs.</summary>
    private static void Order(List<Part> parts)
    {
        for (var start = 0; start < parts.Count;)
        {
            if (parts[start].Class == 0)
            {
                start++;
                continue;
            }

            var end = start + 1;
            var ordered = true;
            while (end < parts.Count && parts[end].Class != 0)
            {
                ordered &= parts[end - 1].Class <= parts[end].Class;
                end++;
            }

            if (!ordered && end - start <= FewMarks)
            {
                for (var i = start + 1; i < end; i++)
                {
                    var part = parts[i];
                    var to = i;
                    for (; to > start && parts[to - 1].Class > part.Class; to--) { parts[to] = parts[to - 1]; }

                    parts[to] = part;
                }
            }
            else if (!ordered)
            {
                var run = parts[start..end].OrderBy(part => part.Class).ToList();
                for (var i = 0; i < run.Count; i++) { parts[start + i] = run[i]; }
            }

            start = end;
        }
    }

    /// <summary>Joins each mark or jamo to the starter before it that it is not blocked from.</summary>
    private static void Compose(List<Part> parts)
    {
        var starter = -1;
        var kept = 0;
        byte last = 0;
        for (var i = 0; i < parts.Count; i++)
        {
            var part = parts[i];
            var adjacent = kept == starter + 1;
            if (starter >= 0 && (adjacent || last < part.Class) && Characters.TryCompose(parts[starter].Character, part.Character, out var joined))
            {
                parts[starter] = new(joined, 0, parts[starter].Change + part.Change - 1);
                continue;
            }

            if (part.Class == 0) { starter = kept; }

            last = part.Class;
            parts[kept++] = part;
        }

        parts.RemoveRange(kept, parts.Count - kept);
    }
}
