namespace Platform.GpuKernels.Tokenisation.Bpe;

/// <summary>Pattern and byte-level BPE in one pass over the text.</summary>
internal sealed class FusedBytePairTokeniser(BytePairVocabulary vocabulary, SplitPattern pattern, bool addPrefixSpace) : IPieceTokeniser
{
    private readonly BytePairEncoder encoder = new(vocabulary);
    private byte[] prefixed = [];

    /// <summary>null where the stages are others than a pattern and byte-level BPE.</summary>
    public static Func<IPieceTokeniser>? TryMake(BytePairVocabulary vocabulary, IReadOnlyList<IPreTokeniser> preTokenisers) =>
        Recognise(preTokenisers) is var (pattern, addPrefixSpace) ? () => new FusedBytePairTokeniser(vocabulary, pattern, addPrefixSpace) : null;

    /// <summary>The pattern that the stages split by, and whether a text gets a space before it; null where they are others.</summary>
    public static (SplitPattern Pattern, bool AddPrefixSpace)? Recognise(IReadOnlyList<IPreTokeniser> preTokenisers) => preTokenisers switch
    {
        [ByteLevelPreTokeniser { UsesPattern: true } bytes] => (SplitPattern.Gpt2, bytes.AddsPrefixSpace),
        [ScannedPreTokeniser { KeepsMatches: true } split, ByteLevelPreTokeniser { UsesPattern: false, AddsPrefixSpace: false }] => (split.Pattern, false),
        _ => null,
    };

    public void Tokenise(ReadOnlySpan<byte> piece, TokenSink tokens)
    {
        if (addPrefixSpace && piece[0] != ' ')
        {
            if (prefixed.Length <= piece.Length) { prefixed = new byte[piece.Length + 1]; }

            prefixed[0] = (byte)' ';
            piece.CopyTo(prefixed.AsSpan(1));
            piece = prefixed.AsSpan(0, piece.Length + 1);
        }

        pattern.Encode(encoder, piece, tokens);
    }
}
