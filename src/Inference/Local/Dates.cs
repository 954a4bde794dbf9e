using System.Collections.Frozen;
using System.Globalization;
using System.Text.RegularExpressions;

namespace Platform.Inference.Local;

/// <summary>Which of 03/04/2026 is the day.</summary>
internal enum DateOrder { Guess, DayFirst, MonthFirst }

/// <summary>Finds written dates with a year, as ISO 8601 calendar dates.</summary>
internal static class Dates
{
    private const RegexOptions Linear = RegexOptions.NonBacktracking | RegexOptions.CultureInvariant | RegexOptions.IgnoreCase;

    /// <summary>Two digits of a year up to this one are of this century.</summary>
    private const int TwoDigitPivot = 68;

    private static readonly FrozenDictionary<string, int> Months = Data.Lines("months.txt")
        .Select(line => line.Split(": ", 2))
        .SelectMany(parts => parts[1].Split(' ').Select(name => (Name: name, Month: int.Parse(parts[0], CultureInfo.InvariantCulture))))
        .ToFrozenDictionary(entry => entry.Name, entry => entry.Month, StringComparer.Ordinal);

    // Each alternative starts with a digit or a letter at a word's start; the groups say which it was.
    private static readonly Regex Written = new(
        @"\b(?:(?<y1>[0-9]{4})(?:-(?<m1>[0-9]{1,2})-|/(?<m1b>[0-9]{1,2})/|\.(?<m1c>[0-9]{1,2})\.)(?<d1>[0-9]{1,2})(?:T[0-9:.]+Z?)?"
        + @"|(?<y2>[0-9]{4})\s?年\s?(?<m2>[0-9]{1,2})\s?月\s?(?<d2>[0-9]{1,2})\s?日"
        + @"|(?<a>[0-9]{1,2})(?<s>[./-])\s?(?<b>[0-9]{1,2})[./-]\s?(?<y3>[0-9]{4}|[0-9]{2})"
        + @"|(?<d4>[0-9]{1,2})(?:st|nd|rd|th|er|ère|\.|º|ª|e)?[\s-](?:of\s|de\s|del\s)?(?<m4>\p{L}{3,10})\.?,?[\s-](?:de\s|del\s)?(?<y4>[0-9]{4})"
        + @"|(?<m5>\p{L}{3,10})\.?\s(?<d5>[0-9]{1,2})(?:st|nd|rd|th)?,?\s(?<y5>[0-9]{4}))\b",
        Linear);

    public static bool StartsWithMonth(ReadOnlySpan<char> text)
    {
        var end = 0;
        while (end < text.Length && char.IsLetter(text[end])) { end++; }

        return end is >= 3 and <= 10 && Months.ContainsKey(Words.Fold(text[..end]));
    }

    /// <returns>Distinct, in the order of the text.</returns>
    public static List<string> In(string text, DateOrder order, int most)
    {
        var monthFirst = order == DateOrder.MonthFirst || (order == DateOrder.Guess && WritesMonthFirst(text));
        var found = new List<string>();
        var seen = new HashSet<string>(StringComparer.Ordinal);
        for (var match = Written.Match(text); match.Success && found.Count < most; match = match.NextMatch())
        {
            if (TryRead(match, monthFirst, out var date) && seen.Add(date)) { found.Add(date); }
        }

        return found;
    }

    /// <summary>Month first is only believed where some date of the text can be read in no other way, and none the other way round.</summary>
    private static bool WritesMonthFirst(string text)
    {
        var (monthFirst, dayFirst) = (false, false);
        for (var match = Written.Match(text); match.Success; match = match.NextMatch())
        {
            if (!match.Groups["a"].Success) { continue; }

            var (a, b) = (Number(match, "a"), Number(match, "b"));
            monthFirst |= a <= 12 && b > 12;
            dayFirst |= a > 12 && b <= 12;
        }

        return monthFirst && !dayFirst;
    }

    private static bool TryRead(Match match, bool monthFirst, out string date)
    {
        var (year, month, day) = (0, 0, 0);
        if (match.Groups["y1"].Success)
        {
            var name = match.Groups["m1"].Success ? "m1" : match.Groups["m1b"].Success ? "m1b" : "m1c";
            (year, month, day) = (Number(match, "y1"), Number(match, name), Number(match, "d1"));
        }
        else if (match.Groups["y2"].Success)
        {
            (year, month, day) = (Number(match, "y2"), Number(match, "m2"), Number(match, "d2"));
        }
        else if (match.Groups["a"].Success)
        {
            (year, var a, var b) = (Number(match, "y3"), Number(match, "a"), Number(match, "b"));
            if (year < 100) { year += year <= TwoDigitPivot ? 2000 : 1900; }

            // A day cannot be a month: 12/25 is read by what is possible, whatever the order.
            (month, day) = (monthFirst && a <= 12) || b > 12 ? (a, b) : (b, a);
        }
        else if (match.Groups["y4"].Success)
        {
            (year, month, day) = (Number(match, "y4"), MonthOf(match, "m4"), Number(match, "d4"));
        }
        else
        {
            (year, month, day) = (Number(match, "y5"), MonthOf(match, "m5"), Number(match, "d5"));
        }

        var exists = year is >= 1000 and <= 9999 && month is >= 1 and <= 12 && day >= 1 && day <= DateTime.DaysInMonth(year, month);
        date = exists ? string.Create(CultureInfo.InvariantCulture, $"{year:0000}-{month:00}-{day:00}") : "";
        return exists;
    }

    private static int MonthOf(Match match, string group) => Months.GetValueOrDefault(Words.Fold(match.Groups[group].ValueSpan));

    private static int Number(Match match, string group) => int.Parse(match.Groups[group].ValueSpan, NumberStyles.None, CultureInfo.InvariantCulture);
}
