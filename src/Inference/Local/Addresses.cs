using System.Text.RegularExpressions;

namespace Platform.Inference.Local;

/// <summary>Finds e-mail addresses and web addresses.</summary>
internal static class Addresses
{
    private const RegexOptions Linear = RegexOptions.NonBacktracking | RegexOptions.CultureInvariant | RegexOptions.IgnoreCase;

    /// <summary>UTF-16 units of an address; RFC 5321 allows 254 octets.</summary>
    private const int LongestEmail = 254;

    /// <summary>UTF-16 units of a web address: what browsers and servers take.</summary>
    private const int LongestUrl = 2_000;

    // RFC 5321 allows more in quotes; nobody writes that in a text. Lengths are checked apart: counts make the automaton large.
    private static readonly Regex Email = new(@"[\p{L}0-9][\p{L}0-9._%+'-]*@(?:[\p{L}0-9-]+\.)+\p{L}\p{L}+\b", Linear);
    private static readonly Regex Url = new(@"\b(?:https?://|www\.)[^\s<>""「」（）]+", Linear);

    /// <summary>The domain in lower case; the part before the @ as written.</summary>
    public static List<string> EmailsIn(string text, int most) => Distinct(Email, text, most, LongestEmail, written =>
    {
        var at = written.IndexOf('@', StringComparison.Ordinal);
        return written[..at] + written[at..].ToLowerInvariant();
    });

    /// <summary>As written, without what the sentence puts after it.</summary>
    public static List<string> UrlsIn(string text, int most) => Distinct(Url, text, most, LongestUrl, written =>
    {
        var trimmed = written.TrimEnd('.', ',', ';', ':', '!', '?', '\'', '"', '*', '。', '、');
        return trimmed.EndsWith(')') && !trimmed.Contains('(', StringComparison.Ordinal) ? trimmed[..^1] : trimmed;
    });

    private static List<string> Distinct(Regex regex, string text, int most, int longest, Func<string, string> normalise)
    {
        var found = new List<string>();
        var seen = new HashSet<string>(StringComparer.OrdinalIgnoreCase);
        for (var match = regex.Match(text); match.Success && found.Count < most; match = match.NextMatch())
        {
            if (match.Length > longest) { continue; }

            var item = normalise(match.Value);
            if (seen.Add(item)) { found.Add(item); }
        }

        return found;
    }
}
