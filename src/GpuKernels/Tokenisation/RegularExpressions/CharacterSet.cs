using System.Collections.Concurrent;
using Platform.GpuKernels.Tokenisation.Unicode;

namespace Platform.GpuKernels.Tokenisation.RegularExpressions;

/// <summary>A set of characters: ranges in order that neither overlap nor touch.</summary>
internal sealed class CharacterSet
{
    public static readonly CharacterSet Empty = new([]);
    public static readonly CharacterSet All = new([new(0, Characters.Limit - 1)]);

    private static readonly ConcurrentDictionary<string, CharacterSet> Properties = new(StringComparer.Ordinal);

    private readonly CharacterRange[] ranges;

    private CharacterSet(CharacterRange[] ranges) => this.ranges = ranges;

    public ReadOnlySpan<CharacterRange> Ranges => ranges;

    public bool IsEmpty => ranges.Length == 0;

    public static CharacterSet Of(uint first, uint last) => new([new(first, last)]);

    public static CharacterSet Of(params ReadOnlySpan<uint> characters)
    {
        var made = new List<CharacterRange>(characters.Length);
        foreach (var character in characters) { made.Add(new(character, character)); }

        return OfAny(made);
    }

    /// <summary>Of ranges in any order, which may overlap.</summary>
    public static CharacterSet OfAny(List<CharacterRange> any)
    {
        any.Sort((left, right) => left.First.CompareTo(right.First));
        var made = new List<CharacterRange>(any.Count);
        foreach (var range in any)
        {
            if (made.Count > 0 && range.First <= made[^1].Last + 1) { made[^1] = new(made[^1].First, Math.Max(made[^1].Last, range.Last)); }
            else { made.Add(range); }
        }

        return new([.. made]);
    }

    /// <summary>The characters that have a property. It is asked of all 1,114,112 once for each name.</summary>
    public static CharacterSet OfProperty(string name, Func<uint, bool> has) => Properties.GetOrAdd(name, _ =>
    {
        var made = new List<CharacterRange>();
        var start = Characters.Limit;
        for (uint scalar = 0; scalar <= Characters.Limit; scalar++)
        {
            var isIn = scalar < Characters.Limit && has(scalar);
            if (isIn && start == Characters.Limit) { start = scalar; }
            else if (!isIn && start < Characters.Limit)
            {
                made.Add(new(start, scalar - 1));
                start = Characters.Limit;
            }
        }

        return new([.. made]);
    });

    public bool Contains(uint scalar)
    {
        var (from, to) = (0, ranges.Length);
        while (from < to)
        {
            var middle = (from + to) / 2;
            if (ranges[middle].Last < scalar) { from = middle + 1; }
            else { to = middle; }
        }

        return from < ranges.Length && ranges[from].First <= scalar;
    }

    public CharacterSet Or(CharacterSet other) => OfAny([.. ranges, .. other.ranges]);

    public CharacterSet And(CharacterSet other) => Not().Or(other.Not()).Not();

    public CharacterSet Not()
    {
        var made = new List<CharacterRange>(ranges.Length + 1);
        uint from = 0;
        foreach (var range in ranges)
        {
            if (range.First > from) { made.Add(new(from, range.First - 1)); }

            from = range.Last + 1;
        }

        if (from < Characters.Limit) { made.Add(new(from, Characters.Limit - 1)); }

        return new([.. made]);
    }

    /// <summary>With all that are the same without regard to case.</summary>
    public CharacterSet WithAllCases()
    {
        var made = new List<CharacterRange>(ranges);
        foreach (var character in CharacterProperties.WithCase)
        {
            if (!Contains(character)) { continue; }

            foreach (var other in CharacterProperties.AlikeWithoutCase(character)) { made.Add(new(other, other)); }
        }

        return OfAny(made);
    }
}

/// <summary>The characters from <paramref name="First"/> to <paramref name="Last"/>.</summary>
internal readonly record struct CharacterRange(uint First, uint Last);
