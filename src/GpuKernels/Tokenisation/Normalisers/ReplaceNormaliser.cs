using System.Text;

namespace Platform.GpuKernels.Tokenisation.Normalisers;

/// <summary>Replace: each match of a pattern becomes a text, which is aligned as the match's last character.</summary>
internal sealed class ReplaceNormaliser(SimplePattern pattern, string content) : INormaliser
{
    private readonly Rune[] content = [.. content.EnumerateRunes()];

    public void Normalise(TextRewriter text)
    {
        var source = text.Source;
        while (pattern.TryFind(source, text.Cursor, out var start, out var end))
        {
            text.Keep(start - text.Cursor);
            text.Skip(end - start);
            foreach (var character in content) { text.Insert(character); }
        }

        text.Keep(source.Length - text.Cursor);
    }
}
