using Platform.GpuKernels.Tokenisation.Bpe;

namespace Platform.GpuKernels.Tests.Tokenisation.Bpe;

public class A_pair_merger
{
    // Over 0..3, made so that longer tokens have low ranks too and overlap in every way.
    private const int Symbols = 4;

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void does_what_its_definition_says_however_long_the_piece_is(int seed)
    {
        var random = new Random(seed);
        var merges = new Dictionary<(int Left, int Right), (int Rank, int Becomes)>();
        var table = new MergeTable(200);
        for (var rank = 0; rank < 200; rank++)
        {
            var becomes = Symbols + rank;
            var pair = (random.Next(becomes), random.Next(becomes));
            if (merges.ContainsKey(pair)) { continue; }

            merges[pair] = (rank, becomes);
            table.Add(pair.Item1, pair.Item2, rank, becomes);
        }

        var merger = new PairMerger(table);
        foreach (var length in Enumerable.Range(0, 71).Concat([100, 300, 1000]))
        {
            var piece = Enumerable.Range(0, length).Select(_ => random.Next(Symbols)).ToArray();
            piece.CopyTo(merger.Begin(length));
            var count = merger.Merge(length);
            var expected = Defined(piece, merges);
            Assert.Equal(expected.Select(token => token.Symbol), merger.Symbols[..count].ToArray());
            Assert.Equal(expected.Select(token => token.Start), merger.Positions[..count].ToArray());
        }
    }

    [Fact]
    public void takes_a_piece_of_a_million_equal_symbols()
    {
        const int Length = 1_000_000;
        var table = new MergeTable(16);
        for (var i = 0; i < 16; i++) { table.Add(i, i, rank: i, becomes: i + 1); }

        var merger = new PairMerger(table);
        merger.Begin(Length)[..Length].Clear();
        var count = merger.Merge(Length);

        // 1,000,000 is 15 times 65,536 and the bits of 16,960.
        Assert.Equal([.. Enumerable.Repeat(16, 15), 14, 9, 6], merger.Symbols[..count].ToArray());
    }

    [Fact]
    public void refuses_a_piece_past_its_limit() =>
        Assert.Throws<ArgumentException>(() => new PairMerger(new MergeTable(1)).Begin(PairMerger.MaximalSymbols + 1));

    private static List<(int Symbol, int Start)> Defined(int[] piece, Dictionary<(int Left, int Right), (int Rank, int Becomes)> merges)
    {
        var tokens = piece.Select((symbol, start) => (symbol, start)).ToList();
        while (true)
        {
            var best = -1;
            for (var i = 0; i + 1 < tokens.Count; i++)
            {
                if (merges.TryGetValue((tokens[i].symbol, tokens[i + 1].symbol), out var merge) && (best < 0 || merge.Rank < merges[(tokens[best].symbol, tokens[best + 1].symbol)].Rank)) { best = i; }
            }

            if (best < 0) { return tokens; }

            tokens[best] = (merges[(tokens[best].symbol, tokens[best + 1].symbol)].Becomes, tokens[best].start);
            tokens.RemoveAt(best + 1);
        }
    }
}
