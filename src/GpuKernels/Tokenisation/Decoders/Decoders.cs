using System.Globalization;
using System.Text;
using Platform.GpuKernels.Tokenisation.RegularExpressions;

namespace Platform.GpuKernels.Tokenisation.Decoders;

/// <summary>WordPiece: a continuation joins what stands before it, anything else gets a space; with cleanup, English punctuation and contractions join too.</summary>
internal sealed class WordPieceDecoder(string prefix, bool cleanup) : IDecoder
{
    private static readonly (string From, string To)[] Joins =
    [
        (" .", "."), (" ?", "?"), (" !", "!"), (" ,", ","), (" ' ", "'"), (" n't", "n't"), (" 'm", "'m"), (" do not", " don't"), (" 's", "'s"), (" 've", "'ve"), (" 're", "'re"),
    ];

    public void Decode(List<byte[]> parts)
    {
        for (var i = 0; i < parts.Count; i++)
        {
            var part = Encoding.UTF8.GetString(parts[i]);
            if (i > 0) { part = part.StartsWith(prefix, StringComparison.Ordinal) ? part[prefix.Length..] : " " + part; }

            parts[i] = Encoding.UTF8.GetBytes(cleanup ? Joined(part) : part);
        }
    }

    /// <summary>English as it is written: no space before punctuation and contractions.</summary>
    public static string Joined(string text)
    {
        foreach (var (from, to) in Joins) { text = text.Replace(from, to, StringComparison.Ordinal); }

        return text;
    }
}

/// <summary>
/// CTC: of equal parts that stand together one is left, the padding goes, and so do parts with nothing else. With cleanup, English is joined as WordPiece does it
/// and the delimiter becomes a space.
/// </summary>
internal sealed class CtcDecoder(string padding, string delimiter, bool cleanup) : IDecoder
{
    public void Decode(List<byte[]> parts)
    {
        var made = new List<byte[]>();
        for (var i = 0; i < parts.Count; i++)
        {
            if (i > 0 && parts[i].AsSpan().SequenceEqual(parts[i - 1])) { continue; }

            var part = Without(Encoding.UTF8.GetString(parts[i]), padding, "");
            if (cleanup) { part = Without(WordPieceDecoder.Joined(part), delimiter, " "); }

            if (part.Length > 0) { made.Add(Encoding.UTF8.GetBytes(part)); }
        }

        parts.Clear();
        parts.AddRange(made);
    }

    private static string Without(string text, string what, string instead) => what.Length == 0 ? text : text.Replace(what, instead, StringComparison.Ordinal);
}

/// <summary>BPEDecoder: the suffix that ends a word becomes a space, and nothing at the end.</summary>
internal sealed class SuffixDecoder(string suffix) : IDecoder
{
    public void Decode(List<byte[]> parts)
    {
        for (var i = 0; i < parts.Count && suffix.Length > 0; i++)
        {
            parts[i] = Encoding.UTF8.GetBytes(Encoding.UTF8.GetString(parts[i]).Replace(suffix, i == parts.Count - 1 ? "" : " ", StringComparison.Ordinal));
        }
    }
}

/// <summary>Fuse: all parts become one.</summary>
internal sealed class FuseDecoder : IDecoder
{
    public void Decode(List<byte[]> parts)
    {
        byte[] all = [.. parts.SelectMany(part => part)];
        parts.Clear();
        parts.Add(all);
    }
}

/// <summary>Replace: each match of a pattern in a part becomes a text.</summary>
internal sealed class ReplaceDecoder(TextPattern pattern, string content) : IDecoder
{
    private readonly byte[] content = Encoding.UTF8.GetBytes(content);

    public void Decode(List<byte[]> parts)
    {
        var made = new List<byte>();
        for (var i = 0; i < parts.Count; i++)
        {
            var part = parts[i];
            made.Clear();
            var (at, found) = (0, false);
            using var matches = pattern.In(part);
            for (; matches.TryNext(out var start, out var end); (at, found) = (end, true))
            {
                made.AddRange(part.AsSpan(at, start - at));
                made.AddRange(content);
            }

            if (!found) { continue; }

            made.AddRange(part.AsSpan(at));
            parts[i] = [.. made];
        }
    }
}

/// <summary>Strip: up to so many of a character go from the start and from the end of each part.</summary>
internal sealed class StripDecoder(string content, int fromStart, int fromEnd) : IDecoder
{
    private readonly byte[] content = Encoding.UTF8.GetBytes(content);

    public void Decode(List<byte[]> parts)
    {
        for (var i = 0; i < parts.Count; i++)
        {
            ReadOnlySpan<byte> part = parts[i];
            for (var n = 0; n < fromStart && part.StartsWith(content); n++) { part = part[content.Length..]; }

            for (var n = 0; n < fromEnd && part.EndsWith(content); n++) { part = part[..^content.Length]; }

            if (part.Length < parts[i].Length) { parts[i] = part.ToArray(); }
        }
    }
}

/// <summary>ByteFallback: a run of tokens like &lt;0xE2&gt; becomes the text that their bytes are, or as many U+FFFD where they are none.</summary>
internal sealed class ByteFallbackDecoder : IDecoder
{
    public void Decode(List<byte[]> parts)
    {
        var made = new List<byte[]>();
        var run = new List<byte>();
        foreach (var part in parts)
        {
            if (TryByte(part, out var value))
            {
                run.Add(value);
                continue;
            }

            End(run, made);
            made.Add(part);
        }

        End(run, made);
        parts.Clear();
        parts.AddRange(made);
    }

    private static bool TryByte(byte[] part, out byte value)
    {
        value = 0;
        return part.Length == 6 && part.AsSpan().StartsWith("<0x"u8) && part[5] == '>' && byte.TryParse(part.AsSpan(3, 2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out value);
    }

    private static void End(List<byte> run, List<byte[]> made)
    {
        if (run.Count == 0) { return; }

        byte[] bytes = [.. run];
        if (System.Text.Unicode.Utf8.IsValid(bytes)) { made.Add(bytes); }
        else { made.AddRange(run.Select(_ => "\uFFFD"u8.ToArray())); }

        run.Clear();
    }
}
