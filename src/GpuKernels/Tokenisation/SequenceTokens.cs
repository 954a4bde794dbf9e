using Platform.GpuKernels.Tokenisation.Unicode;

namespace Platform.GpuKernels.Tokenisation;

/// <summary>The tokens of one text, or of several joined, while they are cut, put in a template and padded; with what was cut off.</summary>
internal sealed record SequenceTokens(int[] Ids, int[] TypeIds, (int Start, int End)[] Bytes, (int Start, int End)[] Scalars, int[] Words, byte[] Special, byte[] Attention)
{
    private const int NoWord = -1;

    public List<SequenceTokens> Overflow { get; private set; } = [];

    public int Count => Ids.Length;

    public static SequenceTokens Empty { get; } = new([], [], [], [], [], [], []);

    public static SequenceTokens OfSpecial(TemplatePart part) => new(
        part.Ids,
        Filled(part.Ids.Length, part.TypeId),
        new (int, int)[part.Ids.Length],
        new (int, int)[part.Ids.Length],
        Filled(part.Ids.Length, NoWord),
        Filled(part.Ids.Length, (byte)1),
        Filled(part.Ids.Length, (byte)1));

    public static T[] Filled<T>(int count, T value)
    {
        var all = new T[count];
        Array.Fill(all, value);
        return all;
    }

    /// <summary>Keeps <paramref name="count"/> tokens; the rest becomes overflow, in parts of that many that overlap by <paramref name="stride"/>.</summary>
    public SequenceTokens Truncated(int count, int stride, Side side)
    {
        if (count >= Count) { return this; }

        if (count == 0) { return Empty with { Overflow = [this] }; }

        if (stride >= count) { throw new ArgumentException($"A stride of {stride} tokens does not go on in parts of {count}.", nameof(stride)); }

        var parts = new List<SequenceTokens>();
        if (side == Side.Right)
        {
            for (var start = 0; ; start += count - stride)
            {
                var end = Math.Min(start + count, Count);
                parts.Add(Slice(start, end));
                if (end == Count) { break; }
            }
        }
        else
        {
            for (var end = Count; ; end -= count - stride)
            {
                var start = Math.Max(end - count, 0);
                parts.Add(Slice(start, end));
                if (start == 0) { break; }
            }
        }

        return parts[0] with { Overflow = parts[1..] };
    }

    /// <summary>This, then <paramref name="next"/>; every overflow of either is joined with the other and with the other's.</summary>
    public SequenceTokens Joined(SequenceTokens next)
    {
        var overflow = new List<SequenceTokens>();
        foreach (var own in Overflow)
        {
            overflow.Add(own.Plain(next));
            overflow.AddRange(next.Overflow.Select(own.Plain));
        }

        overflow.AddRange(next.Overflow.Select(Plain));
        return Plain(next) with { Overflow = overflow };
    }

    public SequenceTokens Padded(int length, Padding padding)
    {
        var overflow = Overflow.Select(part => part.Padded(length, padding)).ToList();
        var missing = length - Count;
        if (missing <= 0) { return this with { Overflow = overflow }; }

        var filler = new SequenceTokens(
            Filled(missing, padding.Id),
            Filled(missing, padding.TypeId),
            new (int, int)[missing],
            new (int, int)[missing],
            Filled(missing, NoWord),
            Filled(missing, (byte)1),
            new byte[missing]);
        return (padding.Side == Side.Left ? filler.Plain(this) : Plain(filler)) with { Overflow = overflow };
    }

    public TokenisedText Result() => new(Ids, TypeIds, Bytes, Scalars, Words, Special, Attention, [.. Overflow.Select(part => part.Result())]);

    /// <summary>
    /// Takes white space out of the offsets at both ends of a token, as it is spelled: a byte-level model spells a space as U+0120. A space that was put before the
    /// first token is not in the text and so stays uncounted.
    /// </summary>
    /// <param name="spelling">How the model spells a token; empty for an added one, which takes white space before and after it out of the text, and so is looked up there.</param>
    /// <param name="keepsFirstSpace">Whether one space at the beginning stays.</param>
    /// <param name="text">The text.</param>
    public void TrimOffsets(Func<int, ReadOnlySpan<byte>> spelling, bool keepsFirstSpace, ReadOnlySpan<byte> text)
    {
        for (var i = 0; i < Count; i++)
        {
            var (start, end) = Scalars[i];
            var (firstByte, lastByte) = Bytes[i];
            var token = spelling(Ids[i]) is { IsEmpty: false } spelled ? spelled : text[firstByte..lastByte];
            var leading = Spaces(token, fromStart: true);
            var trailing = Spaces(token, fromStart: false);
            if (leading == 1 && (i == 0 || start == 0) && keepsFirstSpace) { leading = 0; }

            for (; leading > 0 && start < end; leading--, start++) { firstByte += Utf8Text.SizeAt(text, firstByte); }

            if (end >= trailing)
            {
                for (; trailing > 0 && end > start; trailing--, end--)
                {
                    Utf8Text.ScalarBefore(text, lastByte, out var size);
                    lastByte -= size;
                }
            }

            Scalars[i] = (start, end);
            Bytes[i] = (firstByte, lastByte);
        }
    }

    private static int Spaces(ReadOnlySpan<byte> token, bool fromStart)
    {
        const uint SpelledSpace = 0x120;
        var count = 0;
        while (!token.IsEmpty)
        {
            var scalar = fromStart ? Utf8Text.ScalarAt(token, 0, out var size) : Utf8Text.ScalarBefore(token, token.Length, out size);
            if (scalar != SpelledSpace && !Characters.IsWhiteSpace(scalar)) { break; }

            token = fromStart ? token[size..] : token[..^size];
            count++;
        }

        return count;
    }

    private SequenceTokens Slice(int start, int end) =>
        new(Ids[start..end], TypeIds[start..end], Bytes[start..end], Scalars[start..end], Words[start..end], Special[start..end], Attention[start..end]);

    private SequenceTokens Plain(SequenceTokens next) => new(
        [.. Ids, .. next.Ids],
        [.. TypeIds, .. next.TypeIds],
        [.. Bytes, .. next.Bytes],
        [.. Scalars, .. next.Scalars],
        [.. Words, .. next.Words],
        [.. Special, .. next.Special],
        [.. Attention, .. next.Attention]);
}
