using System.Globalization;
using System.Text;
using System.Text.Json;

namespace Platform.Capabilities.Scripts;

/// <summary>Bytes that a script wrote, made harmless for a log, a terminal and a page.</summary>
internal static class HostileText
{
    /// <summary>Deeper JSON than this is taken for an attack on whoever walks it later.</summary>
    public const int JsonDepth = 64;

    /// <returns>Valid UTF-8 with every control and every direction-changing character written as \u and four digits, except line ends and tabs.</returns>
    public static string Clean(ReadOnlySpan<byte> bytes)
    {
        var text = Encoding.UTF8.GetString(bytes);
        var clean = new StringBuilder(text.Length);
        foreach (var character in text)
        {
            if (character is '\n' or '\t' || !IsHostile(character)) { clean.Append(character); }
            else { clean.Append(CultureInfo.InvariantCulture, $"\\u{(int)character:x4}"); }
        }

        return clean.ToString();
    }

    public static JsonElement AsJsonString(string text)
    {
        using var memory = new MemoryStream();
        using (var writer = new Utf8JsonWriter(memory)) { writer.WriteStringValue(text); }
        return Parse(memory.ToArray())!.Value;
    }

    /// <returns>Null where it is not JSON, or too deep.</returns>
    public static JsonElement? Parse(ReadOnlyMemory<byte> bytes)
    {
        try
        {
            using var document = JsonDocument.Parse(bytes, new JsonDocumentOptions { MaxDepth = JsonDepth });
            return document.RootElement.Clone();
        }
        catch (JsonException)
        {
            return null;
        }
    }

    // Left-to-right and right-to-left marks, embeddings, overrides and isolates make a line read as something else.
    private static bool IsHostile(char character) =>
        char.IsControl(character) || character is '\u200e' or '\u200f' or '\u061c' or (>= '\u202a' and <= '\u202e') or (>= '\u2066' and <= '\u2069') or '\u2028' or '\u2029';
}
