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
        var splits = TokenSplits.TryMake(byteIds, merges);
        if (splits is null && Spell(byteIds, merges) is { } tokens)
        {
            // Files that were made from tiktoken's (Llama 3, gpt-oss, Mistral NeMo) list of each token every pair that spells it, before tokens that such a pair is made of.
            merges = Reached(byteIds, tokens, merges.Merged.Length, (token, left, right) => merges.Rank(left, right) is var rank and not MergeTable.NoRank && merges.Becomes(rank) == token ? rank : MergeTable.NoRank);
            splits = TokenSplits.TryMake(byteIds, merges) ?? TokenSplits.TryMakeOutOfOrder(byteIds, merges, tokens);
        }

        return new(byteIds, merges)
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
        return Make(byteIds, Reached(byteIds, spelled, spelled.Length, (token, _, _) => token), tokens);
    }

    /// <summary>The merges that a text can come to.</summary>
    /// <param name="tokens">Their bytes, by id; null or empty: none.</param>
    /// <param name="ranks">One more than the highest rank.</param>
    /// <param name="rankOf">Of a token and the pair that it would be made of; <see cref="MergeTable.NoRank"/>: it is not made of this one.</param>
    /// <remarks>
    /// A token has only one pair that can ever merge to it: inside the token the order of merges does not depend on what stands around it, so that its
    /// last step is the pair that merging its own bytes alone arrives at. A token where these do not end in a pair comes of a whole piece only.
    /// </remarks>
    private static MergeTable Reached(int[] byteIds, byte[]?[] tokens, int ranks, Func<int, int, int, int> rankOf)
    {
        // Shorter ones first: merging the bytes of a token meets only tokens that are shorter.
        int[] ids = [.. Enumerable.Range(0, tokens.Length).Where(id => tokens[id] is { Length: > 1 })];
        Array.Sort(Array.ConvertAll(ids, id => tokens[id]!.Length), ids);
        var merges = new MergeTable(ranks);
        var merger = new PairMerger(merges);
        foreach (var id in ids)
        {
            var token = tokens[id]!;
            var symbols = merger.Begin(token.Length);
            for (var i = 0; i < token.Length; i++) { symbols[i] = byteIds[token[i]]; }

            if (merger.Merge(token.Length) == 2 && rankOf(id, symbols[0], symbols[1]) is var rank and not MergeTable.NoRank) { merges.Add(symbols[0], symbols[1], rank, becomes: id); }
        }

        return merges;
    }

    /// <summary>The bytes of all tokens that the merges spell, by id; null where they are too many.</summary>
    private static byte[]?[]? Spell(int[] byteIds, MergeTable merges)
    {
        var all = merges.InOrder().ToList();
        var parts = all.SelectMany(merge => (IEnumerable<(int Part, (int, int, int) Merge)>)[(merge.Left, merge), (merge.Right, merge)]).ToLookup(one => one.Part, one => one.Merge);
        var tokens = new byte[]?[Math.Max(byteIds.Max(), all.Count == 0 ? 0 : all.Max(merge => Math.Max(merge.Becomes, Math.Max(merge.Left, merge.Right)))) + 1];
        var spelled = new Queue<int>();
        for (var value = 0; value < byteIds.Length; value++)
        {
            tokens[byteIds[value]] = [(byte)value];
            spelled.Enqueue(byteIds[value]);
        }

        var bytes = 0;
        while (spelled.TryDequeue(out var part))
        {
            foreach (var (left, right, becomes) in parts[part])
            {
                if (tokens[becomes] is not null || tokens[left] is not { } first || tokens[right] is not { } second) { continue; }

                bytes += first.Length + second.Length;
                if (bytes > TokenSplits.MostBytes) { return null; }

                tokens[becomes] = [.. first, .. second];
                spelled.Enqueue(becomes);
            }
        }

        return tokens;
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
