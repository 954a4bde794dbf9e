using System.Buffers;
using System.Text.Json;
using YamlDotNet.Core;

namespace Platform.Domain.Daemons.Format;

/// <summary>A key of a mapping with its value.</summary>
public sealed record YamlMember(string Key, SourceLocation KeyLocation, YamlNode Value);

/// <summary>A value of a YAML text, as JSON means it, that knows where it stands.</summary>
public sealed class YamlNode
{
    private readonly string source;
    private readonly int start;
    private readonly int end;
    private readonly ScalarStyle style;

    private YamlNode(JsonValueKind kind, SourceLocation location, string text, IReadOnlyList<YamlNode> items, IReadOnlyList<YamlMember> members, string source, int start, int end, ScalarStyle style)
    {
        Kind = kind;
        Location = location;
        Text = text;
        Items = items;
        Members = members;
        this.source = source;
        this.start = start;
        this.end = end;
        this.style = style;
        Depth = 1;
        Count = 1;
        foreach (var child in items.Concat(members.Select(member => member.Value)))
        {
            Depth = Math.Max(Depth, child.Depth + 1);
            Count += child.Count;
        }
    }

    public JsonValueKind Kind { get; }

    public SourceLocation Location { get; }

    /// <summary>A string's characters; a number as JSON writes it; else empty.</summary>
    public string Text { get; }

    public IReadOnlyList<YamlNode> Items { get; }

    public IReadOnlyList<YamlMember> Members { get; }

    /// <summary>Levels, this one included.</summary>
    internal int Depth { get; }

    /// <summary>Nodes, this one included; an alias counts all that it stands for.</summary>
    internal long Count { get; }

    /// <returns>Null where the mapping has no such key, or this is no mapping.</returns>
    public YamlNode? this[string key] => Find(key)?.Value;

    public YamlMember? Find(string key)
    {
        foreach (var member in Members)
        {
            if (member.Key == key) { return member; }
        }

        return null;
    }

    internal static YamlNode Scalar(JsonValueKind kind, string text, SourceLocation location, string source, int start, int end, ScalarStyle style) =>
        new(kind, location, text, [], [], source, start, end, style);

    internal static YamlNode List(IReadOnlyList<YamlNode> items, SourceLocation location) =>
        new(JsonValueKind.Array, location, "", items, [], "", 0, 0, ScalarStyle.Any);

    internal static YamlNode Map(IReadOnlyList<YamlMember> members, SourceLocation location) =>
        new(JsonValueKind.Object, location, "", [], members, "", 0, 0, ScalarStyle.Any);

    public JsonElement ToJson()
    {
        var buffer = new ArrayBufferWriter<byte>();
        using (var writer = new Utf8JsonWriter(buffer)) { Write(writer); }

        using var document = JsonDocument.Parse(buffer.WrittenMemory, new JsonDocumentOptions { MaxDepth = YamlReader.MaxDepth + 1 });
        return document.RootElement.Clone();
    }

    private void Write(Utf8JsonWriter writer)
    {
        switch (Kind)
        {
            case JsonValueKind.Object:
                writer.WriteStartObject();
                foreach (var member in Members)
                {
                    writer.WritePropertyName(member.Key);
                    member.Value.Write(writer);
                }

                writer.WriteEndObject();
                break;
            case JsonValueKind.Array:
                writer.WriteStartArray();
                foreach (var item in Items) { item.Write(writer); }

                writer.WriteEndArray();
                break;
            case JsonValueKind.String:
                writer.WriteStringValue(Text);
                break;
            case JsonValueKind.Number:
                writer.WriteRawValue(Text);
                break;
            case JsonValueKind.True:
                writer.WriteBooleanValue(true);
                break;
            case JsonValueKind.False:
                writer.WriteBooleanValue(false);
                break;
            case JsonValueKind.Null:
            case JsonValueKind.Undefined:
            default:
                writer.WriteNullValue();
                break;
        }
    }

    /// <summary>Where the character at an offset of <see cref="Text"/> stands in the file, through quotes, escapes, folding and indentation.</summary>
    public SourceLocation LocationAt(int offset)
    {
        if (Kind is not JsonValueKind.String || source.Length == 0) { return Location; }

        var index = style switch
        {
            ScalarStyle.Literal or ScalarStyle.Folded => IndexInBlock(offset),
            ScalarStyle.SingleQuoted => IndexInFlow(offset, start + 1),
            ScalarStyle.DoubleQuoted => IndexInFlow(offset, start + 1),
            _ => IndexInFlow(offset, start),
        };
        return LocationOfIndex(Math.Clamp(index, start, Math.Max(start, Math.Min(end, source.Length))));
    }

    private SourceLocation LocationOfIndex(int index)
    {
        var line = Location.Line;
        var column = Location.Column;
        for (var at = start; at < index; at++)
        {
            if (source[at] == '\n' || (source[at] == '\r' && (at + 1 >= source.Length || source[at + 1] != '\n')))
            {
                line++;
                column = 1;
            }
            else
            {
                column++;
            }
        }

        return new SourceLocation(line, column);
    }

    private static bool IsBreak(char c) => c is '\n' or '\r';

    // Plain and quoted: a line break with the blanks around it stands for one space, or for the empty lines in it.
    private int IndexInFlow(int offset, int index)
    {
        var at = 0;
        while (at < offset && at < Text.Length && index < end)
        {
            var c = source[index];
            if (c is ' ' or '\t' || IsBreak(c))
            {
                var blanks = index;
                while (blanks < end && source[blanks] is ' ' or '\t') { blanks++; }

                if (blanks < end && IsBreak(source[blanks]))
                {
                    index = SkipWhite(blanks);
                    if (Text[at] == '\n')
                    {
                        while (at < Text.Length && Text[at] == '\n') { at++; }
                    }
                    else
                    {
                        at++;
                    }

                    continue;
                }
            }

            if (style is ScalarStyle.SingleQuoted && c == '\'')
            {
                index += 2;
                at++;
            }
            else if (style is ScalarStyle.DoubleQuoted && c == '\\' && index + 1 < end)
            {
                var escape = source[index + 1];
                if (IsBreak(escape))
                {
                    index = SkipWhite(index + 1);
                    continue;
                }

                index += escape switch { 'x' => 4, 'u' => 6, 'U' => 10, _ => 2 };
                at += escape is 'U' && char.IsHighSurrogate(Text[at]) ? 2 : 1;
            }
            else
            {
                index++;
                at++;
            }
        }

        // The blanks before a line break are not part of the text: what follows stands on the next line.
        return at == offset && index < end && IsBreak(source[index]) && offset < Text.Length && Text[offset] is not (' ' or '\n') ? SkipWhite(index) : index;
    }

    private int SkipWhite(int index)
    {
        while (index < end && (source[index] is ' ' or '\t' || IsBreak(source[index]))) { index++; }

        return index;
    }

    private int IndexInBlock(int offset)
    {
        var index = start;
        while (index < end && !IsBreak(source[index])) { index++; }

        index = SkipBreak(index);
        var at = 0;

        // Empty lines before the first line of text.
        while (at < Text.Length && Text[at] == '\n' && index < end)
        {
            while (index < end && source[index] == ' ') { index++; }

            index = SkipBreak(index);
            at++;
        }

        var spaces = 0;
        while (index + spaces < end && source[index + spaces] == ' ') { spaces++; }

        var own = 0;
        while (at + own < Text.Length && Text[at + own] == ' ') { own++; }

        var indent = Math.Max(0, spaces - own);
        index += indent;
        while (at < offset && at < Text.Length && index < end)
        {
            if (!IsBreak(source[index]))
            {
                index++;
                at++;
                continue;
            }

            do
            {
                index = SkipBreak(index);
                for (var skipped = 0; skipped < indent && index < end && source[index] == ' '; skipped++) { index++; }
            }
            while (index < end && IsBreak(source[index]));

            if (Text[at] == '\n')
            {
                while (at < Text.Length && Text[at] == '\n') { at++; }
            }
            else
            {
                at++;
            }
        }

        return index;
    }

    private int SkipBreak(int index)
    {
        if (index >= end) { return index; }

        return source[index] == '\r' && index + 1 < end && source[index + 1] == '\n' ? index + 2 : index + 1;
    }
}
