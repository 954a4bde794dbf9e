using System.Text.Json;
using Platform.Messaging;

namespace Platform.Hosting.Http;

/// <summary>
/// The JSON object of a request. What PostgreSQL's jsonb or a double could not hold is refused here, with a pointer to it: half surrogate pairs, U+0000,
/// numbers beyond a double; so are equal names, which two readers could read differently.
/// </summary>
public sealed class RequestBody
{
    /// <summary>A daemon's 256 KiB of text, each character escaped, and inputs beside it.</summary>
    public const int MaxBytes = 2 * 1024 * 1024;

    /// <summary>What is in a request goes some levels deeper in events, which end at 64.</summary>
    public const int MaxDepth = 32;

    /// <summary>Longer than any number that a double or a decimal can hold.</summary>
    private const int MaxNumberCharacters = 64;

    private readonly Dictionary<string, JsonElement> members = new(StringComparer.Ordinal);

    private RequestBody(JsonElement root)
    {
        foreach (var member in root.EnumerateObject())
        {
            if (member.Value.ValueKind is not JsonValueKind.Null) { members.Add(member.Name, member.Value); }
        }
    }

    /// <param name="known">The members that the endpoint reads; any other is refused.</param>
    /// <exception cref="ProblemException"/>
    public static RequestBody Read(ReadOnlyMemory<byte> utf8, params ReadOnlySpan<string> known)
    {
        JsonElement root;
        try
        {
            using var document = JsonDocument.Parse(utf8, new JsonDocumentOptions { MaxDepth = MaxDepth, AllowDuplicateProperties = false });
            root = document.RootElement.Clone();
        }
        catch (JsonException e)
        {
            throw new ProblemException(new Problem("body.not-json", $"The body is no JSON that is read here: {e.Message}", 400));
        }
        // Bytes that are no UTF-8 within a name.
        catch (InvalidOperationException)
        {
            throw new ProblemException(new Problem("body.not-json", "The body is no JSON that is read here: it holds bytes that are no UTF-8.", 400));
        }

        if (root.ValueKind is not JsonValueKind.Object) { throw new ProblemException(new Problem("body.not-an-object", "The body must be a JSON object.", 400)); }
        Check(root, "");
        foreach (var member in root.EnumerateObject())
        {
            if (!known.Contains(member.Name)) { throw Refuse($"/{Short(member.Name)}", known.Length == 0 ? "is not known here, as no member is" : $"is not known here; these are: {string.Join(", ", known)}"); }
        }

        return new RequestBody(root);
    }

    /// <summary>Null where it is absent or null.</summary>
    public JsonElement? Value(string name) => members.TryGetValue(name, out var value) ? value : null;

    /// <exception cref="ProblemException"/>
    public string? Text(string name, int most)
    {
        if (Value(name) is not { } value) { return null; }
        if (value.ValueKind is not JsonValueKind.String) { throw Refuse($"/{name}", "must be a string"); }
        var text = value.GetString()!;
        return text.Length <= most ? text : throw Refuse($"/{name}", FormattableString.Invariant($"has {text.Length} characters, at most {most} are allowed"));
    }

    /// <exception cref="ProblemException"/>
    public string RequiredText(string name, int most) => Text(name, most) ?? throw Refuse($"/{name}", "is missing");

    /// <exception cref="ProblemException"/>
    public IReadOnlyList<string>? Texts(string name, int mostItems, int mostCharacters)
    {
        if (Value(name) is not { } value) { return null; }
        if (value.ValueKind is not JsonValueKind.Array || value.GetArrayLength() > mostItems || value.EnumerateArray().Any(item => item.ValueKind is not JsonValueKind.String || item.GetString()!.Length > mostCharacters))
        {
            throw Refuse($"/{name}", FormattableString.Invariant($"must be a list of at most {mostItems} strings of at most {mostCharacters} characters"));
        }

        return [.. value.EnumerateArray().Select(item => item.GetString()!)];
    }

    /// <exception cref="ProblemException"/>
    public bool Flag(string name) => Value(name) is { } value && (value.ValueKind is JsonValueKind.True or JsonValueKind.False ? value.GetBoolean() : throw Refuse($"/{name}", "must be true or false"));

    /// <summary>A whole number, 0 where it is absent.</summary>
    /// <exception cref="ProblemException"/>
    public int Count(string name) => Value(name) is not { } value ? 0
        : value.ValueKind is JsonValueKind.Number && value.TryGetInt32(out var count) && count >= 0 ? count : throw Refuse($"/{name}", "must be a whole number, 0 or more");

    /// <exception cref="ProblemException"/>
    public Guid? Id(string name) => Text(name, 64) is not { } text ? null : Guid.TryParseExact(text, "D", out var id) ? id : throw Refuse($"/{name}", "must be a UUID");

    /// <exception cref="ProblemException"/>
    public DateTimeOffset? Moment(string name) => Text(name, 64) is not { } text ? null : Moments.Read(text) ?? throw Refuse($"/{name}", "must be a moment as RFC 3339 writes it, for example 2026-01-31T12:00:00Z");

    /// <summary>Whole characters only: no half of a surrogate pair.</summary>
    internal static bool IsText(string text)
    {
        for (var i = 0; i < text.Length; i++)
        {
            if (!char.IsSurrogate(text[i])) { continue; }
            if (i + 1 == text.Length || !char.IsSurrogatePair(text[i], text[i + 1])) { return false; }
            i++;
        }

        return true;
    }

    private static void Check(JsonElement value, string pointer)
    {
        switch (value.ValueKind)
        {
            case JsonValueKind.Object:
                foreach (var member in value.EnumerateObject())
                {
                    CheckText(() => member.Name, $"{pointer}/?");
                    Check(member.Value, $"{pointer}/{Short(member.Name)}");
                }

                break;
            case JsonValueKind.Array:
                var index = 0;
                foreach (var item in value.EnumerateArray()) { Check(item, FormattableString.Invariant($"{pointer}/{index++}")); }
                break;
            case JsonValueKind.String:
                CheckText(value.GetString, pointer);
                break;
            case JsonValueKind.Number:
                var raw = value.GetRawText();
                if (raw.Length > MaxNumberCharacters || !double.IsFinite(value.GetDouble()) || IsTooSmall(raw, value.GetDouble())) { throw Refuse(pointer, "is a number that a double cannot hold"); }
                break;
        }
    }

    /// <summary>What a double rounds to nothing has an exponent that PostgreSQL may refuse.</summary>
    private static bool IsTooSmall(string raw, double value) => value == 0 && raw.AsSpan().ContainsAny('e', 'E');

    private static void CheckText(Func<string?> read, string pointer)
    {
        string text;
        try { text = read()!; }
        catch (InvalidOperationException) { throw Refuse(pointer, "holds bytes or escapes that are no Unicode text"); }
        if (text.Contains('\0') || !IsText(text)) { throw Refuse(pointer, "holds U+0000 or half a surrogate pair"); }
    }

    private static string Short(string name) => name.Length <= 60 ? name : name[..60] + "...";

    private static ProblemException Refuse(string pointer, string why) =>
        new(new Problem("body.invalid", $"{pointer} {why}.", 400, new Dictionary<string, string> { ["pointer"] = pointer }));
}
