using System.Globalization;
using System.Text;

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

            if (cleanup)
            {
                foreach (var (from, to) in Joins) { part = part.Replace(from, to, StringComparison.Ordinal); }
            }

            parts[i] = Encoding.UTF8.GetBytes(part);
        }
    }
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
internal sealed class ReplaceDecoder(SimplePattern pattern, string content) : IDecoder
{
    private readonly byte[] content = Encoding.UTF8.GetBytes(content);

    public void Decode(List<byte[]> parts)
    {
        var made = new List<byte>();
        for (var i = 0; i < parts.Count; i++)
        {
            var part = parts[i];
            made.Clear();
            var at = 0;
            while (pattern.TryFind(part, at, out var start, out var end))
            {
                made.AddRange(part.AsSpan(at, start - at));
                made.AddRange(content);
                at = end;
            }

            if (at > 0)
            {
                made.AddRange(part.AsSpan(at));
                parts[i] = [.. made];
            }
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
