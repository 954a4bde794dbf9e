using Platform.GpuKernels.Tokenisation.Unicode;

namespace Platform.GpuKernels.Tokenisation.PreTokenisers;

/// <summary>Splits at each character of some sets: Punctuation, and Digits one by one.</summary>
internal sealed class CharacterPreTokeniser(CharacterSets any, SplitBehaviour behaviour) : PatternPreTokeniser(behaviour)
{
    public CharacterSets Any { get; } = any;

    /// <summary>Whether each of the characters is a piece by itself.</summary>
    public bool IsolatesEach { get; } = behaviour == SplitBehaviour.Isolated;

    protected override bool TryFind(ReadOnlySpan<byte> text, int from, out int start, out int end)
    {
        for (start = from; start < text.Length; start = end)
        {
            var found = Characters.Is(Utf8Text.ScalarAt(text, start, out var size), Any);
            end = start + size;
            if (found) { return true; }
        }

        end = start;
        return false;
    }
}

/// <summary>CharDelimiterSplit: at a character, which is dropped.</summary>
internal sealed class DelimiterPreTokeniser(uint delimiter) : PatternPreTokeniser(SplitBehaviour.Removed)
{
    protected override bool TryFind(ReadOnlySpan<byte> text, int from, out int start, out int end)
    {
        for (start = from; start < text.Length; start = end)
        {
            var found = Utf8Text.ScalarAt(text, start, out var size) == delimiter;
            end = start + size;
            if (found) { return true; }
        }

        end = start;
        return false;
    }
}

/// <summary>BertPreTokenizer: white space is dropped, each punctuation character is a piece.</summary>
internal sealed class BertPreTokeniser : IPreTokeniser
{
    public void Split(ReadOnlySpan<byte> piece, PieceSink pieces)
    {
        var start = 0;
        for (var at = 0; at < piece.Length;)
        {
            var sets = Characters.SetsOf(Utf8Text.ScalarAt(piece, at, out var size));
            if ((sets & (CharacterSets.WhiteSpace | CharacterSets.Punctuation)) != 0)
            {
                pieces.Add(start, at);
                start = at + size;
                if ((sets & CharacterSets.WhiteSpace) == 0) { pieces.Add(at, start); }
            }

            at += size;
        }

        pieces.Add(start, piece.Length);
    }
}

/// <summary>Whitespace: `\w+|[^\w\s]+`.</summary>
internal sealed class WhitespacePreTokeniser : IPreTokeniser
{
    public void Split(ReadOnlySpan<byte> piece, PieceSink pieces)
    {
        var start = 0;
        var kind = CharacterSets.WhiteSpace;
        for (var at = 0; at < piece.Length;)
        {
            var next = Characters.SetsOf(Utf8Text.ScalarAt(piece, at, out var size)) & (CharacterSets.WhiteSpace | CharacterSets.Word);
            if (next != kind)
            {
                if (kind != CharacterSets.WhiteSpace) { pieces.Add(start, at); }

                (start, kind) = (at, next);
            }

            at += size;
        }

        if (kind != CharacterSets.WhiteSpace) { pieces.Add(start, piece.Length); }
    }
}
