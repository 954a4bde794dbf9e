using System.Globalization;
using Platform.Messaging;

namespace Platform.SelfHost.Cli;

/// <summary>A moment as people write it: <c>2026-01-31T12:00Z</c>, or back from now: <c>30s</c>, <c>15m</c>, <c>2h</c>, <c>1d</c>. Without a zone it is UTC.</summary>
internal static class Moment
{
    public const string Form = "2026-01-31T12:00Z, or back from now: 30s, 15m, 2h, 1d";

    /// <exception cref="ProblemException">It is none.</exception>
    public static DateTimeOffset Parse(string text, DateTimeOffset now)
    {
        if (text.Length > 1 && int.TryParse(text.AsSpan(0, text.Length - 1), NumberStyles.None, CultureInfo.InvariantCulture, out var count))
        {
            TimeSpan? unit = text[^1] switch { 's' => TimeSpan.FromSeconds(1), 'm' => TimeSpan.FromMinutes(1), 'h' => TimeSpan.FromHours(1), 'd' => TimeSpan.FromDays(1), _ => null };
            if (unit is { } one && count <= (now - DateTimeOffset.UnixEpoch) / one) { return now - (one * count); }
        }

        return DateTimeOffset.TryParse(text, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out var moment)
            ? moment
            : throw new ProblemException(new Problem("time.form", $"'{text}' is no moment: write {Form}."));
    }
}
