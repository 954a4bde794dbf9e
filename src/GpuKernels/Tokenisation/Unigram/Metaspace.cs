using System.Text;

namespace Platform.GpuKernels.Tokenisation.Unigram;

/// <summary>When Metaspace puts its character before a piece that does not begin with it.</summary>
internal enum PrependScheme
{
    Never,

    /// <summary>Only before the piece with which the text begins.</summary>
    First,

    Always,
}

/// <summary>Metaspace: how SentencePiece's vocabularies spell a space (U+2581), and where a piece begins.</summary>
internal sealed record Metaspace(Rune Replacement, PrependScheme Prepend, bool Splits)
{
    /// <summary>What a file may say of it.</summary>
    public static string[] Options { get; } = ["replacement", "prepend_scheme", "split", "add_prefix_space", "str_rep"];

    public static Metaspace Read(StageOptions options)
    {
        var replacement = options.Text("replacement");
        var scheme = options.Text("prepend_scheme", "always") switch
        {
            "never" => PrependScheme.Never,
            "first" => PrependScheme.First,
            "always" => PrependScheme.Always,
            var other => throw StageOptions.Wrong($"{options.Place}.prepend_scheme", $"is '{other}'; supported are never, first and always"),
        };

        // Before there was prepend_scheme: false stands for never, and may not contradict it.
        if (!options.Flag("add_prefix_space", true))
        {
            scheme = options.Member("prepend_scheme").IsNull || scheme == PrependScheme.Never
                ? PrependScheme.Never
                : throw StageOptions.Wrong($"{options.Place}.add_prefix_space", "is false, which contradicts prepend_scheme");
        }

        return Rune.DecodeFromUtf16(replacement, out var rune, out var units) == System.Buffers.OperationStatus.Done && units == replacement.Length
            ? new(rune, scheme, options.Flag("split", true))
            : throw StageOptions.Wrong($"{options.Place}.replacement", "must be one character");
    }
}

/// <summary>Metaspace before the model.</summary>
internal sealed class MetaspacePreTokeniser(Metaspace metaspace) : IPreTokeniser
{
    public Metaspace Metaspace => metaspace;

    private readonly byte[] replacement = Encoding.UTF8.GetBytes(metaspace.Replacement.ToString());

    public INormaliser? Rewriting { get; } = new MetaspaceNormaliser(metaspace);

    public bool NeedsOriginalStart => metaspace.Prepend == PrependScheme.First;

    public void Split(ReadOnlySpan<byte> piece, PieceSink pieces)
    {
        var start = 0;
        while (metaspace.Splits && start < piece.Length)
        {
            var next = piece[(start + 1)..].IndexOf(replacement);
            if (next < 0) { break; }

            pieces.Add(start, start + 1 + next);
            start += 1 + next;
        }

        pieces.Add(start, piece.Length);
    }

    private sealed class MetaspaceNormaliser(Metaspace metaspace) : INormaliser
    {
        public void Normalise(TextRewriter text)
        {
            var source = text.Source;
            if (source.IsEmpty) { return; }

            var (prepend, first) = (metaspace.Prepend, Utf8Text.RuneAt(source, 0, out _));
            if (first != metaspace.Replacement && first.Value != ' ' && (prepend == PrependScheme.Always || (prepend == PrependScheme.First && text.OriginalStart == 0)))
            {
                text.Put(metaspace.Replacement, replaced: 0);
            }

            while (source.IndexOf((byte)' ') is var space && space >= 0)
            {
                text.Keep(space);
                text.Put(metaspace.Replacement, replaced: 1);
                source = source[(space + 1)..];
            }

            text.Keep(source.Length);
        }
    }
}

/// <summary>Metaspace after the model: its character is a space again, but for those of the first token where one may have been put there.</summary>
internal sealed class MetaspaceDecoder(Metaspace metaspace) : IDecoder
{
    public void Decode(List<byte[]> parts)
    {
        for (var i = 0; i < parts.Count; i++)
        {
            var space = i == 0 && metaspace.Prepend != PrependScheme.Never ? "" : " ";
            parts[i] = Encoding.UTF8.GetBytes(Encoding.UTF8.GetString(parts[i]).Replace(metaspace.Replacement.ToString(), space, StringComparison.Ordinal));
        }
    }
}
