using System.Globalization;
using System.Text.RegularExpressions;

namespace Platform.Domain.Daemons.Format;

/// <summary>Durations and sizes as daemon files write them.</summary>
internal static partial class Durations
{
    // A run waits at most this long for anything; a longer figure is a mistake in its unit.
    public static readonly TimeSpan Longest = TimeSpan.FromDays(366);

    /// <summary><c>250ms 90s 5m 2h 3d</c>, with a fraction, or ISO 8601 in days, hours, minutes and seconds.</summary>
    /// <returns>Null where it is none, or longer than <see cref="Longest"/>.</returns>
    public static TimeSpan? Parse(string text)
    {
        decimal seconds;
        try
        {
            if (Short.Match(text) is { Success: true } match)
            {
                seconds = Number(match.Groups[1]) * match.Groups[3].Value switch { "ms" => 0.001m, "s" => 1m, "m" => 60m, "h" => 3600m, _ => 86400m };
            }
            else if (Iso.Match(text) is { Success: true } iso)
            {
                seconds = (Number(iso.Groups[1]) * 86400m) + (Number(iso.Groups[2]) * 3600m) + (Number(iso.Groups[3]) * 60m) + Number(iso.Groups[4]);
            }
            else
            {
                return null;
            }
        }
        catch (OverflowException)
        {
            return null;
        }

        return seconds > (decimal)Longest.TotalSeconds ? null : new TimeSpan((long)(seconds * TimeSpan.TicksPerSecond));
    }

    /// <summary><c>65536</c>, <c>512k</c>, <c>512M</c>, <c>1.5Gi</c>, <c>1GB</c>: powers of 1024 in every spelling, as container tools read them.</summary>
    public static long? Bytes(string text)
    {
        if (Size.Match(text) is not { Success: true } match) { return null; }

        var unit = match.Groups[3].Value.ToUpperInvariant() switch { "K" => 1L << 10, "M" => 1L << 20, "G" => 1L << 30, _ => 1L };
        return decimal.TryParse(match.Groups[1].ValueSpan, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var number) && number * unit is >= 1 and < 1L << 50 and var bytes ? (long)bytes : null;
    }

    private static decimal Number(Group group) => group.Success ? decimal.Parse(group.ValueSpan, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture) : 0m;

    [GeneratedRegex(@"^([0-9]{1,12}(\.[0-9]{1,9})?)(ms|s|m|h|d)\z", RegexOptions.CultureInvariant)]
    private static partial Regex Short { get; }

    [GeneratedRegex(@"^P(?!\z)(?:([0-9]{1,9})D)?(?:T(?!\z)(?:([0-9]{1,9})H)?(?:([0-9]{1,9})M)?(?:([0-9]{1,9}(?:\.[0-9]{1,9})?)S)?)?\z", RegexOptions.CultureInvariant)]
    private static partial Regex Iso { get; }

    [GeneratedRegex(@"^([0-9]{1,15}(\.[0-9]{1,6})?) ?([kKmMgG]?)(i?[bB])?\z", RegexOptions.CultureInvariant)]
    private static partial Regex Size { get; }
}
