using System.Text;
using Platform.GpuKernels.Tokenisation.RegularExpressions;

namespace Platform.GpuKernels.Tokenisation.Normalisers;

/// <summary>Replace: each match of a pattern becomes a text, which is aligned as the match's last character.</summary>
internal sealed class ReplaceNormaliser(TextPattern pattern, string content) : INormaliser
{
    private readonly Rune[] characters = [.. content.EnumerateRunes()];

    /// <summary>What is sought, where it is a plain text.</summary>
    public byte[]? Literal => pattern.Literal;

    /// <summary>Whether it makes several spaces one.</summary>
    public bool CollapsesSpaces => pattern.Expression == " {2,}" && content == " ";

    public byte[] Content { get; } = Encoding.UTF8.GetBytes(content);

    public void Normalise(TextRewriter text)
    {
        var source = text.Source;
        if (CollapsesSpaces && source.IndexOf("  "u8) < 0)
        {
            text.Keep(source.Length);
            return;
        }

        using var matches = pattern.In(source);
        while (matches.TryNext(out var start, out var end))
        {
            text.Keep(start - text.Cursor);
            text.Skip(end - start);
            foreach (var character in characters) { text.Insert(character); }
        }

        text.Keep(source.Length - text.Cursor);
    }
}
