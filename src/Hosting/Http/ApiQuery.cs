using System.Globalization;
using Platform.Messaging;

namespace Platform.Hosting.Http;

/// <summary>The query of a request. A parameter that nobody reads is a mistake of the caller, and is refused.</summary>
public sealed class ApiQuery
{
    public const int MaxValueLength = 1_024;

    /// <summary>Beyond what an endpoint knows, any number is too many.</summary>
    private const int MaxParameters = 32;

    public static readonly ApiQuery Empty = new([]);

    private readonly Dictionary<string, string> values = new(StringComparer.Ordinal);

    /// <exception cref="ProblemException">A parameter stands twice, is too long or holds control characters.</exception>
    public ApiQuery(IEnumerable<KeyValuePair<string, string>> parameters)
    {
        foreach (var (name, value) in parameters)
        {
            if (values.Count == MaxParameters) { throw Refuse(name, $"has more than {MaxParameters} parameters beside it"); }
            if (value.Length > MaxValueLength) { throw Refuse(name, $"has {value.Length} characters, at most {MaxValueLength} are allowed"); }
            if (!RequestBody.IsText(value) || value.Any(char.IsControl)) { throw Refuse(name, "holds characters that are no text"); }
            if (!values.TryAdd(name, value)) { throw Refuse(name, "is given twice"); }
        }
    }

    /// <summary>As given, to make the address of the next page.</summary>
    public IReadOnlyDictionary<string, string> Values => values;

    /// <exception cref="ProblemException">There is a parameter of another name.</exception>
    public ApiQuery Only(params ReadOnlySpan<string> known)
    {
        foreach (var name in values.Keys)
        {
            if (!known.Contains(name)) { throw Refuse(name, known.Length == 0 ? "is not known here, as no parameter is" : $"is not known here; these are: {string.Join(", ", known)}"); }
        }

        return this;
    }

    public string? Text(string name) => values.TryGetValue(name, out var value) && value.Length > 0 ? value : null;

    /// <exception cref="ProblemException"/>
    public long? Number(string name, long least, long most)
    {
        if (Text(name) is not { } text) { return null; }
        return long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var number) && number >= least && number <= most
            ? number
            : throw Refuse(name, $"must be a whole number from {least} to {most}");
    }

    /// <exception cref="ProblemException"/>
    public DateTimeOffset? Moment(string name)
    {
        if (Text(name) is not { } text) { return null; }
        return Moments.Read(text) ?? throw Refuse(name, "must be a moment as RFC 3339 writes it, for example 2026-01-31T12:00:00Z");
    }

    /// <exception cref="ProblemException"/>
    public Guid? Id(string name)
    {
        if (Text(name) is not { } text) { return null; }
        return Guid.TryParseExact(text, "D", out var id) ? id : throw Refuse(name, "must be a UUID");
    }

    internal static ProblemException Refuse(string name, string why) =>
        new(new Problem("query.invalid", $"The parameter '{(name.Length <= 60 ? name : name[..60] + "...")}' {why}.", 400));
}

internal static class Moments
{
    private static readonly string[] Forms = ["yyyy-MM-dd'T'HH:mm:ssK", "yyyy-MM-dd'T'HH:mm:ss.FFFFFFFK", "yyyy-MM-dd'T'HH:mmK"];

    /// <summary>RFC 3339, its offset given. Null: it is none.</summary>
    public static DateTimeOffset? Read(string text) =>
        (text.EndsWith('Z') || text.Length > 6 && text[^6] is '+' or '-')
        && DateTimeOffset.TryParseExact(text, Forms, CultureInfo.InvariantCulture, DateTimeStyles.AdjustToUniversal, out var moment) ? moment : null;
}
