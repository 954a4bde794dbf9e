using System.Buffers;
using System.Text;
using System.Text.Json;
using Platform.Domain.Inference;

namespace Platform.Inference.Local;

/// <summary>The text of a request's data parts.</summary>
/// <param name="All">Every string in them.</param>
/// <param name="Prose">Without strings that are names, paths, hashes or the like: what a summary may quote.</param>
internal sealed record SourceText(string All, string Prose)
{
    /// <summary>Share of characters that no text has, above which a string is taken as binary.</summary>
    private const double BinaryShare = 0.05;

    private static readonly SearchValues<char> Separators = SearchValues.Create(" \t\n\u3000。、，");

    /// <param name="notes">What was left out is said there.</param>
    /// <param name="only">The part's name; null: all parts.</param>
    public static SourceText Of(IReadOnlyList<DataPart> parts, string? only, List<string> notes)
    {
        var all = new StringBuilder();
        var prose = new StringBuilder();
        foreach (var part in parts)
        {
            if (only is not null && part.Name != only) { continue; }

            var partAll = new StringBuilder();
            var partProse = new StringBuilder();
            var complete = Read(part.Value, 0, part.Value.ValueKind == JsonValueKind.String, partAll, partProse);
            var room = Math.Min(LocalAgentLimits.PartLength, LocalAgentLimits.TotalLength - all.Length);
            if (!complete || partAll.Length > room) { Note(notes, $"only the first {room} characters of '{part.Name}' were read"); }

            Append(all, partAll, room);
            Append(prose, partProse, Math.Min(LocalAgentLimits.PartLength, LocalAgentLimits.TotalLength - prose.Length));
        }

        return new SourceText(all.ToString(), prose.ToString());
    }

    /// <summary>Whether a string is bytes that somebody read as text.</summary>
    public static bool IsBinary(string text)
    {
        var odd = 0;
        foreach (var c in text)
        {
            if (c == '\0') { return true; }

            odd += (char.IsControl(c) && c is not ('\n' or '\r' or '\t' or '\f')) || c == '\ufffd' ? 1 : 0;
        }

        return odd > text.Length * BinaryShare;
    }

    private static void Note(List<string> notes, string note)
    {
        if (!notes.Contains(note)) { notes.Add(note); }
    }

    private static void Append(StringBuilder target, StringBuilder source, int room)
    {
        var length = Math.Min(source.Length, Math.Max(room, 0));
        if (length > 0 && length < source.Length && char.IsHighSurrogate(source[length - 1])) { length--; }

        target.Append(source, 0, length);
    }

    /// <returns>False when something was left out.</returns>
    private static bool Read(JsonElement value, int depth, bool isText, StringBuilder all, StringBuilder prose)
    {
        if (all.Length > LocalAgentLimits.PartLength || depth > LocalAgentLimits.Depth) { return false; }

        var complete = true;
        switch (value.ValueKind)
        {
            case JsonValueKind.String:
                var text = TextOf(value);
                if (IsBinary(text)) { break; }

                all.Append(text).Append("\n\n");
                if (isText || text.AsSpan().Trim().ContainsAny(Separators)) { prose.Append(text).Append("\n\n"); }

                break;
            case JsonValueKind.Array:
                foreach (var item in value.EnumerateArray()) { complete &= Read(item, depth + 1, isText: false, all, prose); }

                break;
            case JsonValueKind.Object:
                foreach (var member in value.EnumerateObject()) { complete &= Read(member.Value, depth + 1, isText: false, all, prose); }

                break;
            case JsonValueKind.Undefined:
            case JsonValueKind.Number:
            case JsonValueKind.True:
            case JsonValueKind.False:
            case JsonValueKind.Null:
            default:
                break;
        }

        return complete;
    }

    private static string TextOf(JsonElement value)
    {
        try
        {
            return value.GetString()!;
        }
        catch (InvalidOperationException)
        {
            // JSON may escape half a surrogate pair: such a string is bytes rather than text.
            return "";
        }
    }
}
