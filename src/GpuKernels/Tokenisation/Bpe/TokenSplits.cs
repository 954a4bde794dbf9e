namespace Platform.GpuKernels.Tokenisation.Bpe;

/// <summary>
/// The tokens that merging can make, each with the one pair that it is made of, or where they are not made in the order of ranks with its bytes: what encoding without
/// merging works with (<see cref="BoundaryEncoder"/>).
/// </summary>
internal sealed class TokenSplits
{
    /// <summary>Of all tokens together: the largest byte-level vocabulary in use, o200k_base, has 1.4 MB.</summary>
    public const int MostBytes = 8 * 1024 * 1024;

    /// <summary>See <see cref="NeverMerge"/>: tokens of a few characters have fewer.</summary>
    private const int MostPairs = 64;

    /// <summary>See <see cref="Spell"/>: in what is in use it takes five at most.</summary>
    private const int MostPasses = 64;

    /// <summary>The rank of what merging begins with, lower than those of all merges.</summary>
    private const int Base = -1;

    // For each token the rank of the merge that makes it, above its left part in the one and its right part in the other.
    private readonly long[] lefts;
    private readonly long[] rights;
    private readonly int[] lengths;
    private readonly int[] shorter;
    private byte[]?[]? texts;

    private TokenSplits(BaseTokens begin, MergeTable merges, int tokens)
    {
        (Begin, Merges) = (begin, merges);
        lefts = new long[tokens];
        rights = new long[tokens];
        lengths = new int[tokens];
        shorter = new int[tokens];
    }

    /// <summary>What merging begins with.</summary>
    public BaseTokens Begin { get; }

    /// <summary>Those that a text can come to.</summary>
    public MergeTable Merges { get; }

    /// <summary>Of the tokens that can be made.</summary>
    public TokenTrie Trie { get; private set; } = null!;

    /// <param name="begin">What merging begins with, all different.</param>
    /// <param name="merges">What they merge to.</param>
    /// <returns>null where pieces have to be merged.</returns>
    public static TokenSplits? Find(BaseTokens begin, MergeTable merges)
    {
        // Files that were made from tiktoken's or SentencePiece's list of each token every pair that spells it, before tokens that such a pair is made of.
        var ordered = merges.InOrder();
        if (ordered.DistinctBy(merge => merge.Becomes).Count() == ordered.Count && TryMake(begin, merges) is { } splits) { return splits; }

        if (Spell(begin, ordered) is not { } tokens) { return null; }

        var reached = Reached(begin, tokens, merges.Merged.Length, (token, left, right) => merges.Rank(left, right) is var rank and not MergeTable.NoRank && merges.Becomes(rank) == token ? rank : MergeTable.NoRank);
        return TryMake(begin, reached) ?? TryMakeOutOfOrder(begin, reached, tokens);
    }

    /// <param name="begin">What merging begins with, all different.</param>
    /// <param name="merges">What they merge to.</param>
    /// <returns>null where a token is merged later than one that it is part of, which no trained vocabulary has, or the tokens are too many bytes.</returns>
    /// <remarks>
    /// Within a token the order of merges does not depend on what stands around it: a pair that is not what the merging of its own bytes arrives at never
    /// comes to be, nor does what only such pairs make. So a token has one pair at most, and no other tokens need to be looked for.
    /// </remarks>
    public static TokenSplits? TryMake(BaseTokens begin, MergeTable merges)
    {
        var ordered = merges.InOrder();
        var tokens = new byte[]?[Highest(begin, ordered) + 1];
        var splits = new TokenSplits(begin, merges, tokens.Length);
        var bytes = 0;
        foreach (var (id, text) in begin.All)
        {
            if (tokens[id] is not null) { return null; }

            tokens[id] = text;
            splits.Set(id, 0, 0, Base, text.Length);
        }

        var unmade = new List<(int Left, int Right)>();
        foreach (var (left, right, becomes) in ordered)
        {
            if (tokens[left] is not { } first || tokens[right] is not { } second)
            {
                unmade.Add((left, right));
                continue;
            }

            var rank = merges.Rank(left, right);
            if (!splits.Meet(left, right, rank, out _)) { continue; }

            bytes += first.Length + second.Length;
            if (tokens[becomes] is not null || bytes > MostBytes) { return null; }

            tokens[becomes] = [.. first, .. second];
            splits.Set(becomes, left, right, rank, first.Length + second.Length);
        }

        if (unmade.Exists(pair => tokens[pair.Left] is not null && tokens[pair.Right] is not null)) { return null; }

        return splits.TryFind(tokens) ? splits : null;
    }

    /// <summary>The same where a token may be merged later than one that it is part of, or later than its rank says.</summary>
    /// <param name="begin">What merging begins with, all different.</param>
    /// <param name="merges">Those that a text can come to, one for each token.</param>
    /// <param name="tokens">The bytes of those that they make, by id, and of those that they begin with.</param>
    /// <returns>null where they are too many bytes.</returns>
    public static TokenSplits? TryMakeOutOfOrder(BaseTokens begin, MergeTable merges, byte[]?[] tokens)
    {
        var splits = new TokenSplits(begin, merges, tokens.Length) { texts = new byte[]?[tokens.Length] };
        foreach (var (id, text) in begin.All) { splits.Set(id, 0, 0, Base, text.Length); }
        foreach (var (left, right, becomes) in merges.InOrder()) { splits.Set(becomes, left, right, merges.Rank(left, right), tokens[becomes]!.Length); }
        for (var id = 0; id < tokens.Length; id++) { splits.texts[id] = splits.IsMade(id) ? tokens[id] : null; }

        return splits.TryFind(splits.texts) ? splits : null;
    }

    /// <summary>The merges that a text can come to.</summary>
    /// <param name="tokens">Their bytes, by id; null or empty: none.</param>
    /// <param name="ranks">One more than the highest rank.</param>
    /// <param name="rankOf">Of a token and the pair that it would be made of; <see cref="MergeTable.NoRank"/>: it is not made of this one.</param>
    /// <remarks>
    /// A token has only one pair that can ever merge to it: inside the token the order of merges does not depend on what stands around it, so that its
    /// last step is the pair that merging its own bytes alone arrives at. A token where these do not end in a pair comes of a whole piece only.
    /// </remarks>
    public static MergeTable Reached(BaseTokens begin, byte[]?[] tokens, int ranks, Func<int, int, int, int> rankOf)
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
            if (merger.Merge(begin.Spell(token, symbols)) == 2 && rankOf(id, symbols[0], symbols[1]) is var rank and not MergeTable.NoRank) { merges.Add(symbols[0], symbols[1], rank, becomes: id); }
        }

        return merges;
    }

    /// <summary>The bytes of all tokens that the merges spell, by id; null where they are too many, or most merges stand before those of their parts.</summary>
    private static byte[]?[]? Spell(BaseTokens begin, IReadOnlyList<(int Left, int Right, int Becomes)> ordered)
    {
        var tokens = new byte[]?[Highest(begin, ordered) + 1];
        foreach (var (id, text) in begin.All) { tokens[id] = text; }

        // A pass finds all tokens whose parts stand before them.
        var bytes = 0;
        for (var (pass, found) = (0, true); found; pass++)
        {
            if (pass == MostPasses) { return null; }

            found = false;
            foreach (var (left, right, becomes) in ordered)
            {
                if (tokens[becomes] is not null || tokens[left] is not { } first || tokens[right] is not { } second) { continue; }

                bytes += first.Length + second.Length;
                if (bytes > MostBytes) { return null; }

                tokens[becomes] = [.. first, .. second];
                found = true;
            }
        }

        return tokens;
    }

    /// <summary>The highest id.</summary>
    private static int Highest(BaseTokens begin, IReadOnlyList<(int Left, int Right, int Becomes)> merges)
    {
        var highest = 0;
        foreach (var (id, _) in begin.All) { highest = Math.Max(highest, id); }

        foreach (var (left, right, becomes) in merges) { highest = Math.Max(highest, Math.Max(becomes, Math.Max(left, right))); }

        return highest;
    }

    /// <summary>Makes the trie, and finds each token's next shorter one.</summary>
    private bool TryFind(byte[]?[] tokens)
    {
        if (TokenTrie.TryMake(tokens) is not { } trie) { return false; }

        Trie = trie;
        for (var id = 0; id < tokens.Length; id++)
        {
            shorter[id] = tokens[id] is { Length: > 1 } token ? trie.Longest(ref token[0], 0, token.Length - 1, out _, out _) : TokenTrie.None;
        }

        return true;
    }

    /// <summary>Whether ranks say what was merged first: <see cref="Meet"/> is to be asked only then, else <see cref="Text"/> is to be merged.</summary>
    public bool IsInOrder => texts is null;

    /// <summary>A token's bytes; only where <see cref="IsInOrder"/> is false.</summary>
    public ReadOnlySpan<byte> Text(int token) => texts![token];

    /// <summary>In bytes.</summary>
    public int Length(int token) => lengths[token];

    /// <summary>The longest other token that this one begins with; <see cref="TokenTrie.None"/> where there is none.</summary>
    public int Shorter(int token) => shorter[token];

    /// <summary>Whether the token is one that merging makes.</summary>
    public bool IsMade(int token) => (uint)token < (uint)lengths.Length && lengths[token] > 0;

    /// <summary>Whether two tokens that stand side by side are both made, and stay: no pair across the place where they meet merges sooner.</summary>
    /// <param name="left">A token that can be made, like <paramref name="right"/>.</param>
    /// <param name="right">What follows it.</param>
    /// <param name="limit">Merges of this rank and higher ones come too late to count.</param>
    /// <param name="steps">How many pairs were looked at: at most as many as both tokens have bytes.</param>
    /// <remarks>
    /// Undoes the merges that made what stands at that place, the last one first, and looks at each pair that stood there on the way. Of equal ranks the left
    /// one was done first.
    /// </remarks>
    public bool Meet(int left, int right, int limit, out int steps)
    {
        for (steps = 1; ; steps++)
        {
            if (Merges.Rank(left, right) < limit) { return false; }

            var (first, second) = (rights[left], lefts[right]);
            if (first >> 32 > second >> 32) { (limit, left) = ((int)(first >> 32), (int)first); }
            else if (second >= 0) { (limit, right) = ((int)(second >> 32) + 1, (int)second); }
            else { return true; }
        }
    }

    /// <summary>
    /// Whether two tokens that stand side by side stay whatever the order of merges, since no pair that can stand across the place where they meet merges; false too where it
    /// would be more than <see cref="MostPairs"/> to look at.
    /// </summary>
    public bool NeverMerge(int left, int right, out int pairs)
    {
        pairs = 0;
        for (var first = left; ; first = (int)rights[first])
        {
            for (var second = right; ; second = (int)lefts[second])
            {
                pairs++;
                if (pairs > MostPairs || Merges.Rank(first, second) != MergeTable.NoRank) { return false; }

                if (lefts[second] < 0) { break; }
            }

            if (rights[first] < 0) { return true; }
        }
    }

    private void Set(int token, int left, int right, int rank, int length)
    {
        lefts[token] = ((long)rank << 32) | (uint)left;
        rights[token] = ((long)rank << 32) | (uint)right;
        lengths[token] = length;
    }
}
