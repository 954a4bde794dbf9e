namespace Platform.GpuKernels.Tokenisation.Bpe;

/// <summary>What byte-level BPE works with; one instance serves all threads.</summary>
internal sealed class BytePairVocabulary
{
    /// <summary>The token of each byte, with which merging begins.</summary>
    public required int[] ByteIds { get; init; }

    public required MergeTable Merges { get; init; }

    /// <summary>Tokens that a piece with their bytes becomes at once, whatever the merges say; null where only the merges count.</summary>
    public PieceTable? WholePieces { get; init; }

    /// <summary>
    /// The vocabulary of a tiktoken rank file: two neighbours merge where the bytes of both together are a token, the token of the lowest rank first.
    /// </summary>
    /// <remarks>
    /// A token has only one pair that can ever merge to it: inside the token the order of merges does not depend on what stands around it, so that its
    /// last step is the pair that merging its own bytes alone arrives at. A token where these do not end in a pair comes of a whole piece only.
    /// </remarks>
    /// <exception cref="TokeniserFileException">A byte has no token.</exception>
    public static BytePairVocabulary FromRanks(PieceTable tokens)
    {
        var merges = new MergeTable(tokens.IdLimit);
        var byteIds = new int[256];
        for (var i = 0; i < byteIds.Length; i++)
        {
            if (!tokens.TryGetId([(byte)i], out byteIds[i])) { throw new TokeniserFileException($"The rank file has no token for the byte 0x{i:X2}; every byte needs one."); }
        }

        // Shorter ones first: merging the bytes of a token meets only tokens that are shorter.
        var ids = new int[tokens.IdLimit];
        var lengths = new int[ids.Length];
        for (var id = 0; id < ids.Length; id++) { (ids[id], lengths[id]) = (id, tokens.BytesOf(id).Length); }

        Array.Sort(lengths, ids);
        var merger = new PairMerger(merges);
        foreach (var id in ids)
        {
            var token = tokens.BytesOf(id);
            if (token.Length < 2) { continue; }

            var symbols = merger.Begin(token.Length);
            for (var i = 0; i < token.Length; i++) { symbols[i] = byteIds[token[i]]; }

            if (merger.Merge(token.Length) == 2) { merges.Add(symbols[0], symbols[1], rank: id, becomes: id); }
        }

        return new() { ByteIds = byteIds, Merges = merges, WholePieces = tokens };
    }
}
