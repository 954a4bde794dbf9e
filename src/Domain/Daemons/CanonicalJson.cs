using System.Buffers;
using System.Globalization;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace Platform.Domain.Daemons;

/// <summary>
/// JSON as PostgreSQL's jsonb gives it back, but for blanks: keys by length, then by bytes, the last of equal keys, plain numbers, no U+0000.
/// What enters a run is brought into this form, so that a decision from memory and one after a restart see the same.
/// </summary>
public static class CanonicalJson
{
    private static readonly JsonWriterOptions Options = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping, SkipValidation = true };

    public static readonly JsonElement Null = JsonElement.Parse("null"u8);

    public static JsonElement Of(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.Null or JsonValueKind.True or JsonValueKind.False => value,
        JsonValueKind.Undefined => Null,
        JsonValueKind.Object or JsonValueKind.Array or JsonValueKind.String or JsonValueKind.Number => JsonElement.Parse(Bytes(value)),
        _ => throw new ArgumentOutOfRangeException(nameof(value), value.ValueKind, "No kind of JSON."),
    };

    public static byte[] Bytes(JsonElement value)
    {
        var buffer = new ArrayBufferWriter<byte>(256);
        using (var writer = new Utf8JsonWriter(buffer, Options)) { Write(writer, value); }
        return buffer.WrittenSpan.ToArray();
    }

    public static JsonElement Text(string text) => Build(writer => writer.WriteStringValue(Clean(text)));

    public static JsonElement Number(long value) => Build(writer => writer.WriteNumberValue(value));

    public static JsonElement List(IEnumerable<JsonElement> items) => Build(writer =>
    {
        writer.WriteStartArray();
        foreach (var item in items) { item.WriteTo(writer); }
        writer.WriteEndArray();
    });

    /// <summary>An object of these members, its keys in canonical order.</summary>
    public static JsonElement Object(IEnumerable<KeyValuePair<string, JsonElement>> members) => Build(writer =>
    {
        writer.WriteStartObject();
        foreach (var (name, value) in members.Select(m => (Name: Clean(m.Key), m.Value)).OrderBy(m => Encoding.UTF8.GetByteCount(m.Name)).ThenBy(m => m.Name, Utf8Order.Instance))
        {
            writer.WritePropertyName(name);
            value.WriteTo(writer);
        }

        writer.WriteEndObject();
    });

    /// <summary>jsonb takes neither U+0000 nor half a surrogate pair: each becomes U+FFFD.</summary>
    public static string Clean(string text)
    {
        for (var i = 0; i < text.Length; i++)
        {
            if (text[i] == '\0' || char.IsSurrogate(text[i])) { return Replace(text); }
        }

        return text;

        static string Replace(string text)
        {
            var clean = new StringBuilder(text.Length);
            foreach (var rune in text.EnumerateRunes()) { clean.Append((rune.Value == 0 ? Rune.ReplacementChar : rune).ToString()); }
            return clean.ToString();
        }
    }

    private static JsonElement Build(Action<Utf8JsonWriter> write)
    {
        var buffer = new ArrayBufferWriter<byte>(256);
        using (var writer = new Utf8JsonWriter(buffer, Options)) { write(writer); }
        return JsonElement.Parse(buffer.WrittenSpan);
    }

    private static void Write(Utf8JsonWriter writer, JsonElement value)
    {
        switch (value.ValueKind)
        {
            case JsonValueKind.Object:
                writer.WriteStartObject();
                foreach (var (name, member) in Members(value))
                {
                    writer.WritePropertyName(name);
                    Write(writer, member);
                }

                writer.WriteEndObject();
                break;
            case JsonValueKind.Array:
                writer.WriteStartArray();
                foreach (var item in value.EnumerateArray()) { Write(writer, item); }
                writer.WriteEndArray();
                break;
            case JsonValueKind.String:
                writer.WriteStringValue(Clean(StringOf(value)));
                break;
            case JsonValueKind.Number:
                writer.WriteRawValue(Plain(value.GetRawText()), skipInputValidation: true);
                break;
            default:
                value.WriteTo(writer);
                break;
        }
    }

    private static IEnumerable<(string Name, JsonElement Value)> Members(JsonElement value)
    {
        var members = new Dictionary<string, JsonElement>(StringComparer.Ordinal);
        foreach (var member in value.EnumerateObject()) { members[Clean(NameOf(member))] = member.Value; }
        return members.Select(m => (m.Key, m.Value)).OrderBy(m => Encoding.UTF8.GetByteCount(m.Key)).ThenBy(m => m.Key, Utf8Order.Instance);
    }

    private static string NameOf(JsonProperty member)
    {
        try { return member.Name; }
        catch (InvalidOperationException) { return "\uFFFD"; }
    }

    // A lone surrogate written as an escape parses, but is no text; GetString refuses it.
    private static string StringOf(JsonElement value)
    {
        try { return value.GetString()!; }
        catch (InvalidOperationException) { return Unescape(value.GetRawText()); }
    }

    private static string Unescape(string raw)
    {
        var text = new StringBuilder(raw.Length);
        for (var i = 1; i < raw.Length - 1; i++)
        {
            if (raw[i] != '\\') { text.Append(raw[i]); continue; }
            i++;
            if (raw[i] == 'u')
            {
                text.Append((char)int.Parse(raw.AsSpan(i + 1, 4), NumberStyles.HexNumber, CultureInfo.InvariantCulture));
                i += 4;
            }
            else
            {
                text.Append(raw[i] switch { 'n' => '\n', 'r' => '\r', 't' => '\t', 'b' => '\b', 'f' => '\f', _ => raw[i] });
            }
        }

        return text.ToString();
    }

    // numeric has no exponent and no negative zero.
    private static string Plain(string number)
    {
        if (number.AsSpan().ContainsAny('e', 'E') && decimal.TryParse(number, NumberStyles.Float, CultureInfo.InvariantCulture, out var value))
        {
            number = value.ToString(CultureInfo.InvariantCulture);
        }

        return number[0] == '-' && number.AsSpan(1).IndexOfAnyExcept('0', '.') < 0 ? number[1..] : number;
    }

    private sealed class Utf8Order : IComparer<string>
    {
        public static readonly Utf8Order Instance = new();

        public int Compare(string? x, string? y) => Encoding.UTF8.GetBytes(x!).AsSpan().SequenceCompareTo(Encoding.UTF8.GetBytes(y!));
    }
}
