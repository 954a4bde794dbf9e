namespace Platform.GpuKernels.Tokenisation.Normalisers;

/// <summary>Prepend and Replace of plain texts one after the other, on bytes and without alignment: SentencePiece's spelling of spaces. Used by one thread at a time.</summary>
internal sealed class LiteralNormaliser(IReadOnlyList<INormaliser> steps)
{
    /// <summary>Room for longer texts is not kept.</summary>
    private const int KeptRoom = 4 * 1024 * 1024;

    private byte[] current = [];
    private byte[] next = [];

    /// <summary>Whether all steps are such.</summary>
    public static bool Takes(IReadOnlyList<INormaliser> steps) => steps.Count > 0 && steps.All(step => step is PrependNormaliser or ReplaceNormaliser { Literal: not null });

    /// <summary>The text after all steps, to be read before the next call.</summary>
    public ReadOnlySpan<byte> Apply(ReadOnlySpan<byte> text)
    {
        if (current.Length > KeptRoom) { (current, next) = ([], []); }

        foreach (var step in steps)
        {
            var length = step is PrependNormaliser prepend ? Prepend(text, prepend.Prefix) : Replace(text, (ReplaceNormaliser)step);
            (current, next) = (next, current);
            text = current.AsSpan(0, length);
        }

        return text;
    }

    private int Prepend(ReadOnlySpan<byte> text, ReadOnlySpan<byte> prefix)
    {
        if (text.IsEmpty) { return 0; }

        Grow(prefix.Length + text.Length, 0);
        prefix.CopyTo(next);
        text.CopyTo(next.AsSpan(prefix.Length));
        return prefix.Length + text.Length;
    }

    private int Replace(ReadOnlySpan<byte> text, ReplaceNormaliser step)
    {
        ReadOnlySpan<byte> literal = step.Literal, content = step.Content;
        var length = 0;
        while (true)
        {
            var found = text.IndexOf(literal);
            var kept = found < 0 ? text.Length : found;
            Grow(length + kept + content.Length, length);
            text[..kept].CopyTo(next.AsSpan(length));
            length += kept;
            if (found < 0) { return length; }

            content.CopyTo(next.AsSpan(length));
            length += content.Length;
            text = text[(found + literal.Length)..];
        }
    }

    private void Grow(int wanted, int kept)
    {
        if (next.Length >= wanted) { return; }

        var larger = new byte[Math.Max(wanted, next.Length * 2)];
        next.AsSpan(0, kept).CopyTo(larger);
        next = larger;
    }
}
