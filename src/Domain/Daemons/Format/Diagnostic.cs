namespace Platform.Domain.Daemons.Format;

/// <summary>Error: the daemon is not run. Warning: it runs, and probably not as meant.</summary>
public enum Severity { Error, Warning }

/// <summary>One thing to say about a daemon's file, where it stands in it.</summary>
/// <param name="Code">Stable, <c>DMN</c> and three digits; docs/daemon-format.md says what each means.</param>
/// <param name="Message">One sentence for the daemon's author.</param>
/// <param name="Fix">What to write instead, where that is known.</param>
public sealed record Diagnostic(Severity Severity, string Code, string Message, SourceLocation Location, string? Fix = null)
{
    public override string ToString() =>
        $"{Location}: {(Severity is Severity.Error ? "error" : "warning")} {Code}: {Message}{(Fix is null ? "" : $" ({Fix})")}";
}

/// <summary>Finds what a mistyped word was probably meant to be.</summary>
internal static class Nearest
{
    // A longer word is no mistyped key; the comparison costs the product of both lengths.
    private const int LongestWord = 64;

    // A file with thousands of names in scope gets no suggestion rather than a slow check.
    private const int MostCandidates = 2_000;

    /// <returns>Null where nothing is close enough: at most a third of the word may differ.</returns>
    public static string? To(string word, IEnumerable<string> candidates)
    {
        if (word.Length is 0 or > LongestWord) { return null; }

        var allowed = Math.Max(1, word.Length / 3);
        string? best = null;
        var bestDistance = allowed + 1;
        foreach (var candidate in candidates.Take(MostCandidates))
        {
            if (candidate.Length > LongestWord || Math.Abs(candidate.Length - word.Length) > allowed) { continue; }

            var distance = Distance(word, candidate);
            if (distance < bestDistance || (distance == bestDistance && string.CompareOrdinal(candidate, best) < 0))
            {
                best = candidate;
                bestDistance = distance;
            }
        }

        return bestDistance <= allowed && best != word ? best : null;
    }

    // Optimal string alignment: insertion, deletion, replacement, and two neighbours swapped count one each; case counts nothing.
    private static int Distance(string left, string right)
    {
        Span<int> beforePrevious = stackalloc int[LongestWord + 1];
        Span<int> previous = stackalloc int[LongestWord + 1];
        Span<int> current = stackalloc int[LongestWord + 1];
        for (var column = 0; column <= right.Length; column++) { previous[column] = column; }

        for (var row = 1; row <= left.Length; row++)
        {
            current[0] = row;
            for (var column = 1; column <= right.Length; column++)
            {
                var a = char.ToLowerInvariant(left[row - 1]);
                var b = char.ToLowerInvariant(right[column - 1]);
                var value = Math.Min(Math.Min(previous[column] + 1, current[column - 1] + 1), previous[column - 1] + (a == b ? 0 : 1));
                if (row > 1 && column > 1 && a == char.ToLowerInvariant(right[column - 2]) && char.ToLowerInvariant(left[row - 2]) == b)
                {
                    value = Math.Min(value, beforePrevious[column - 2] + 1);
                }

                current[column] = value;
            }

            previous[..(right.Length + 1)].CopyTo(beforePrevious);
            current[..(right.Length + 1)].CopyTo(previous);
        }

        return previous[right.Length];
    }
}
