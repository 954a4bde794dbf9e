using System.Text;
using Platform.GpuKernels.Tokenisation.RegularExpressions;

namespace Platform.GpuKernels.Tokenisation.Normalisers;

/// <summary>Replace: each match of a pattern becomes a text, which is aligned as the match's last character.</summary>
internal sealed class ReplaceNormaliser(TextPattern pattern, string content) : INormaliser
{
    private readonly Rune[] content = [.. content.EnumerateRunes()];

    public void Normalise(TextRewriter text)
    {
        var source = text.Source;
        using var matches = pattern.In(source);
        while (matches.TryNext(out var start, out var end))
        {
            text.Keep(start - text.Cursor);
            text.Skip(end - start);
            foreach (var character in content) { text.Insert(character); }
        }

        text.Keep(source.Length - text.Cursor);
    }
}
