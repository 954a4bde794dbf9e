namespace Platform.GpuKernels.Tokenisation.Bpe;

/// <summary>What byte-level BPE works with; one instance serves all threads.</summary>
internal sealed class BytePairVocabulary
{
    private BytePairVocabulary(int[] byteIds, MergeTable merges) => (ByteIds, Merges) = (byteIds, merges);

    /// <summary>The token of each byte, with which merging begins.</summary>
    public int[] ByteIds { get; }

    public MergeTable Merges { get; }

    /// <summary>Tokens that a piece with their bytes becomes at once, whatever the merges say; null where only the merges count.</summary>
    public PieceTable? WholePieces { get; private init; }

    /// <summary>null where pieces have to be merged.</summary>
    public TokenSplits? Splits { get; private init; }

    /// <summary>Those of <see cref="WholePieces"/> that encoding by the merges would not make; null where there are none, as in what is in use.</summary>
    public PieceTable? UnmadePieces { get; private init; }

    /// <param name="byteIds">The token of each byte, with which merging begins.</param>
    /// <param name="merges">What the tokens merge to.</param>
    /// <param name="wholePieces">See <see cref="WholePieces"/>.</param>
    public static BytePairVocabulary Make(int[] byteIds, MergeTable merges, PieceTable? wholePieces = null)
    {
        var splits = TokenSplits.Find(new(byteIds), merges);
        return new(byteIds, splits?.Merges ?? merges)
        {
            WholePieces = wholePieces,
            Splits = splits,
            UnmadePieces = splits is null || wholePieces is null ? wholePieces : Unmade(wholePieces, splits),
        };
    }

    /// <summary>
    /// The vocabulary of a tiktoken rank file: two neighbours merge where the bytes of both together are a token, the token of the lowest rank first.
    /// </summary>
    /// <exception cref="TokeniserFileException">A byte has no token.</exception>
    public static BytePairVocabulary FromRanks(PieceTable tokens)
    {
        var byteIds = new int[256];
        for (var i = 0; i < byteIds.Length; i++)
        {
            if (!tokens.TryGetId([(byte)i], out byteIds[i])) { throw new TokeniserFileException($"The rank file has no token for the byte 0x{i:X2}; every byte needs one."); }
        }

        byte[]?[] spelled = [.. Enumerable.Range(0, tokens.IdLimit).Select(id => tokens.BytesOf(id).ToArray())];
        return Make(byteIds, TokenSplits.Reached(new(byteIds), spelled, spelled.Length, (token, _, _) => token), tokens);
    }

    private static PieceTable? Unmade(PieceTable pieces, TokenSplits splits)
    {
        var unmade = new byte[]?[pieces.IdLimit];
        for (var id = 0; id < unmade.Length; id++)
        {
            var piece = pieces.BytesOf(id);
            if (!splits.IsMade(id) && pieces.TryGetId(piece, out var first) && first == id) { unmade[id] = piece.ToArray(); }
        }

        return Array.TrueForAll(unmade, piece => piece is null) ? null : new(unmade);
    }
}
