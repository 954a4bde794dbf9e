using System.Text;
using Platform.GpuKernels.Tokenisation;
using Platform.GpuKernels.Tokenisation.Bpe;

namespace Platform.GpuKernels.Tests.Tokenisation.Bpe;

public class A_boundary_encoder
{
    public enum Kind
    {
        /// <summary>Every part of a token is made before it: what training gives.</summary>
        InOrder,

        /// <summary>The same, some merges left out, so that tokens cannot be made.</summary>
        WithHoles,

        /// <summary>Two tokens of the same bytes are two ids.</summary>
        WithDoubles,

        /// <summary>In any order.</summary>
        Shuffled,
    }

    [Theory]
    [InlineData(Kind.InOrder, 40)]
    [InlineData(Kind.WithHoles, 20)]
    [InlineData(Kind.WithDoubles, 40)]
    [InlineData(Kind.Shuffled, 1)]
    public void gives_what_merging_gives(Kind kind, int leastEncoded)
    {
        var random = new Random((int)kind);
        var encoded = 0;
        for (var vocabulary = 0; vocabulary < 50; vocabulary++)
        {
            var letters = 1 + random.Next(4);
            var (byteIds, merges) = Vocabulary(random, kind, letters, 1 + random.Next(150));
            if (TokenSplits.TryMake(new(byteIds), merges) is not { } splits) { continue; }

            encoded++;
            var merger = new PairMerger(merges);
            var encoder = new BoundaryEncoder(splits);
            var tokens = new int[300];
            for (var text = 0; text < 60; text++)
            {
                var piece = Piece(random, letters, 1 + random.Next(text == 0 ? 300 : 40));
                var count = encoder.Encode(ref piece[0], piece.Length, tokens);
                Assert.Equal(Merged(merger, byteIds, piece), tokens[..count]);
            }
        }

        Assert.True(encoded >= leastEncoded, $"Of 50 vocabularies {encoded} could be encoded without merging.");
    }

    [Theory]
    [InlineData(Kind.InOrder)]
    [InlineData(Kind.WithHoles)]
    [InlineData(Kind.Shuffled)]
    public void gives_what_merging_gives_of_characters(Kind kind)
    {
        string[] characters = ["a", "ж", "中", "𝄞"];
        var random = new Random(7 + (int)kind);
        for (var vocabulary = 0; vocabulary < 50; vocabulary++)
        {
            var letters = 1 + random.Next(characters.Length);
            var (byteIds, merges) = Vocabulary(random, kind, letters, 1 + random.Next(150));
            var begin = new BaseTokens(characters.Take(letters).Index().Select(each => KeyValuePair.Create(Encoding.UTF8.GetBytes(each.Item), byteIds['a' + each.Index])));
            var splits = TokenSplits.Find(begin, merges);
            Assert.NotNull(splits);
            var merger = new PairMerger(merges);
            var encoder = new BoundaryEncoder(splits);
            var tokens = new int[1200];
            for (var round = 0; round < 60; round++)
            {
                var piece = Piece(random, letters, 1 + random.Next(round == 0 ? 300 : 40));
                var text = Encoding.UTF8.GetBytes(string.Concat(piece.Select(letter => characters[letter - 'a'])));
                var count = encoder.Encode(ref text[0], text.Length, tokens);
                Assert.Equal(Merged(merger, byteIds, piece), tokens[..count]);
                text = [.. text, .. "é"u8];
                Assert.Equal(0, encoder.Encode(ref text[0], text.Length, tokens));
            }
        }
    }

    [Theory]
    [InlineData(Kind.InOrder)]
    [InlineData(Kind.Shuffled)]
    public void is_used_where_a_file_lists_every_pair_that_spells_a_token(Kind kind)
    {
        var random = new Random(11 + (int)kind);
        var inOrder = 0;
        for (var vocabulary = 0; vocabulary < 50; vocabulary++)
        {
            var letters = 1 + random.Next(4);
            var (byteIds, few) = Vocabulary(random, kind, letters, 1 + random.Next(100));
            var spelled = Enumerable.Range(0, letters).ToDictionary(letter => ((char)('a' + letter)).ToString(), letter => byteIds['a' + letter]);
            foreach (var (left, right, becomes) in few.InOrder())
            {
                var (first, second) = (spelled.FirstOrDefault(token => token.Value == left).Key, spelled.FirstOrDefault(token => token.Value == right).Key);
                if (first is not null && second is not null) { spelled.TryAdd(first + second, becomes); }
            }

            // Tokens in the order in which they were made, and of each the pairs in the order of their ids.
            var pairs = few.InOrder().Select(merge => spelled.FirstOrDefault(token => token.Value == merge.Becomes).Key).Where(token => token is not null).Distinct()
                .SelectMany(token => Enumerable.Range(1, token.Length - 1)
                    .Where(at => spelled.ContainsKey(token[..at]) && spelled.ContainsKey(token[at..]))
                    .Select(at => (Left: spelled[token[..at]], Right: spelled[token[at..]], Becomes: spelled[token]))
                    .Order())
                .ToList();
            var all = new MergeTable(pairs.Count);
            foreach (var (rank, pair) in pairs.Index()) { all.Add(pair.Left, pair.Right, rank, pair.Becomes); }

            var made = BytePairVocabulary.Make(byteIds, all);
            Assert.NotNull(made.Splits);
            inOrder += made.Splits.IsInOrder ? 1 : 0;
            var encoder = new BytePairEncoder(made);
            var merger = new PairMerger(all);
            var sink = new TokenSink();
            for (var text = 0; text < 60; text++)
            {
                var piece = Piece(random, letters, 1 + random.Next(text == 0 ? 300 : 40));
                sink.Clear(wantsOffsets: false);
                encoder.Tokenise(piece, sink);
                Assert.Equal(Merged(merger, byteIds, piece), sink.Ids.ToArray());
            }
        }

        Assert.InRange(inOrder, 1, 49);
    }

    [Fact]
    public void gives_up_where_a_vocabulary_is_made_to_keep_it_looking_ahead()
    {
        // Tokens are the ends of one long word; the text has all of it but its last byte, so that each place looks like the beginning of a token until there.
        const int Longest = 250;
        var byteIds = Enumerable.Range(0, 256).ToArray();
        var merges = new MergeTable(Longest);
        for (var rank = 0; rank < Longest - 1; rank++) { merges.Add(Longest - 2 - rank, rank == 0 ? Longest - 1 : 255 + rank, rank, 256 + rank); }

        var splits = TokenSplits.TryMake(new(byteIds), merges);
        Assert.NotNull(splits);
        var text = Enumerable.Range(0, 100_000).Select(place => (byte)(place % (Longest - 1))).ToArray();
        var sink = new TokenSink();
        new BytePairEncoder(BytePairVocabulary.Make(byteIds, merges)).Tokenise(text, sink);
        Assert.Equal(Merged(new PairMerger(merges), byteIds, text), sink.Ids.ToArray());
        Assert.Equal(0, new BoundaryEncoder(splits).Encode(ref text[0], text.Length, new int[text.Length]));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void knows_where_each_token_ends(bool inOrder)
    {
        var merges = new MergeTable(3);
        merges.Add('a', 'b', rank: inOrder ? 0 : 1, becomes: 256);
        merges.Add(256, 'c', rank: inOrder ? 1 : 0, becomes: 257);
        var vocabulary = BytePairVocabulary.Make([.. Enumerable.Range(0, 256)], merges);
        Assert.Equal(inOrder, vocabulary.Splits!.IsInOrder);
        var sink = new TokenSink();
        sink.Clear(wantsOffsets: true);
        new BytePairEncoder(vocabulary).Tokenise("abcabx"u8, sink);
        Assert.Equal([257, 256, 'x'], sink.Ids.ToArray());
        Assert.Equal([3, 5, 6], sink.Ends.ToArray());
    }

    [Fact]
    public void leaves_a_whole_piece_to_the_table_only_where_merging_does_not_make_it()
    {
        var merges = new MergeTable(2);
        merges.Add('b', 'c', rank: 0, becomes: 256);
        merges.Add('a', 'b', rank: 1, becomes: 257);
        var whole = new byte[]?[260];
        (whole[256], whole[257], whole[258]) = ([.. "bc"u8], [.. "ab"u8], [.. "abc"u8]);
        var vocabulary = BytePairVocabulary.Make([.. Enumerable.Range(0, 256)], merges, new PieceTable(whole));
        Assert.NotNull(vocabulary.UnmadePieces);
        Assert.False(vocabulary.UnmadePieces.TryGetId("bc"u8, out _));
        var sink = new TokenSink();
        foreach (var piece in new[] { "bc", "ab", "abc", "abcabc" }) { new BytePairEncoder(vocabulary).Tokenise(Encoding.ASCII.GetBytes(piece), sink); }

        Assert.Equal([256, 257, 258, 'a', 256, 'a', 256], sink.Ids.ToArray());
    }

    private static (int[] ByteIds, MergeTable Merges) Vocabulary(Random random, Kind kind, int letters, int count)
    {
        // Ids of bytes stand behind some of the tokens, as they may in a file.
        var byteIds = Enumerable.Range(0, 256).Select(value => value + 50).ToArray();
        var spelled = Enumerable.Range(0, letters).Select(letter => (Id: byteIds['a' + letter], Text: ((char)('a' + letter)).ToString())).ToList();
        var ids = spelled.ToDictionary(token => token.Text, token => token.Id);
        var made = new List<(int Left, int Right, int Becomes)>();
        var pairs = new HashSet<(int Left, int Right)>();
        for (var next = 306; made.Count < count; next++)
        {
            var (left, right) = (spelled[random.Next(spelled.Count)], spelled[random.Next(spelled.Count)]);
            if (!pairs.Add((left.Id, right.Id))) { continue; }

            var text = left.Text + right.Text;
            if (text.Length > 60) { continue; }

            var id = made.Count < 50 ? made.Count : next;
            if (!ids.TryAdd(text, id) && kind != Kind.WithDoubles) { id = ids[text]; }

            spelled.Add((id, text));
            made.Add((left.Id, right.Id, id));
        }

        if (kind == Kind.Shuffled) { random.Shuffle(System.Runtime.InteropServices.CollectionsMarshal.AsSpan(made)); }

        var merges = new MergeTable(count);
        for (var rank = 0; rank < count; rank++)
        {
            if (kind == Kind.WithHoles && random.Next(8) == 0) { continue; }

            merges.Add(made[rank].Left, made[rank].Right, rank, made[rank].Becomes);
        }

        return (byteIds, merges);
    }

    private static byte[] Piece(Random random, int letters, int length) => [.. Enumerable.Range(0, length).Select(_ => (byte)('a' + random.Next(letters)))];

    private static int[] Merged(PairMerger merger, int[] byteIds, byte[] piece)
    {
        var symbols = merger.Begin(piece.Length);
        for (var i = 0; i < piece.Length; i++) { symbols[i] = byteIds[piece[i]]; }

        return merger.Symbols[..merger.Merge(piece.Length)].ToArray();
    }
}
