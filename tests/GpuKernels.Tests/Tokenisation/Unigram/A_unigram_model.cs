using System.Text;
using System.Text.Json.Nodes;
using Platform.GpuKernels.Tokenisation;

namespace Platform.GpuKernels.Tests.Tokenisation.Unigram;

public class A_unigram_model
{
    private const int Unknown = 0;

    [Fact]
    public void takes_of_all_splits_the_one_with_the_highest_sum_and_of_those_that_score_the_same_the_one_of_early_pieces()
    {
        var random = new Random(20261127);
        for (var round = 0; round < 20; round++)
        {
            // Whole scores of few values make many splits score the same. Some pieces reach over more places than are looked at together.
            var letters = random.Next(2, 5);
            var pieces = new Dictionary<string, (int Id, double Score)>();
            for (var id = 1; id < 200; id++) { pieces[Word(random, letters, id < 190 ? random.Next(1, 9) : random.Next(9, 300))] = (id, -random.Next(1, 6)); }

            var tokeniser = Load(pieces);
            for (var text = 0; text < 8; text++)
            {
                // The last letter has no piece; long pieces come up because texts are made of pieces.
                var made = new StringBuilder();
                while (made.Length < text * 200) { made.Append(random.Next(8) == 0 ? Word(random, letters + 1, 3) : pieces.Keys.ElementAt(random.Next(pieces.Count))); }

                Assert.Equal(Split(made.ToString(), pieces), tokeniser.Encode(Encoding.UTF8.GetBytes(made.ToString())).Ids);
            }
        }
    }

    [Fact]
    public void takes_a_character_that_stands_in_pieces_but_begins_none_for_the_unknown_one()
    {
        var tokeniser = Load(new() { ["ab"] = (1, -1), ["abc"] = (2, -1), ["a"] = (3, -1) });
        Assert.Equal([Unknown, 2, Unknown, 1, 2, Unknown, 3], tokeniser.Encode("babcbababcca"u8).Ids);
    }

    [Fact]
    public void whose_pieces_begin_so_that_their_nodes_do_not_fit_into_one_another_is_refused()
    {
        // Of characters 0 to 299 and of each 300th any two are some other number apart, up to 90,000: no two nodes that go on with these share places.
        const int Close = 300;
        var characters = Enumerable.Range(0, Close * Close).Select(number => char.ConvertFromUtf32(0x10000 + number)).ToList();
        var pieces = new List<string>(characters);
        foreach (var first in characters.Take(200))
        {
            for (var i = 0; i < Close; i++) { pieces.AddRange([first + characters[i], first + characters[i * Close]]); }
        }

        var vocabulary = new JsonArray([new JsonArray("<unk>", 0), .. pieces.Select(piece => new JsonArray(piece, -1))]);
        var file = new JsonObject { ["model"] = new JsonObject { ["type"] = "Unigram", ["unk_id"] = Unknown, ["vocab"] = vocabulary } }.ToJsonString();
        var refused = Assert.Throws<TokeniserFileException>(() => Tokeniser.Load(Encoding.UTF8.GetBytes(file)));
        Assert.Contains("pieces need a table of more than 16777216 places", refused.Message);
    }

    [Theory]
    [InlineData("1e101")]
    [InlineData("-1e101")]
    public void whose_sums_might_not_be_numbers_is_refused(string score)
    {
        var refused = Assert.Throws<TokeniserFileException>(() => Tokeniser.Load(Encoding.UTF8.GetBytes($$"""{"model": {"type": "Unigram", "unk_id": 0, "vocab": [["a", {{score}}]]} }""")));
        Assert.Contains("model.vocab[0] must have a score that is a number of at most 1E+100", refused.Message);
    }

    /// <summary>The model as it is defined: every way to every place is tried, those that begin early first.</summary>
    private static List<int> Split(string text, Dictionary<string, (int Id, double Score)> pieces)
    {
        int[] lengths = [.. pieces.Keys.Select(piece => piece.Length).Append(1).Distinct().Order()];
        var unknownScore = pieces.Values.Min(piece => piece.Score) - 10;
        var best = new (double Score, int Start, int Id)?[text.Length + 1];
        best[0] = (0, 0, Unknown);
        for (var start = 0; start < text.Length; start++)
        {
            foreach (var end in lengths.Select(length => start + length).TakeWhile(end => end <= text.Length))
            {
                var known = pieces.TryGetValue(text[start..end], out var piece);
                if (!known && end > start + 1) { continue; }

                var score = best[start]!.Value.Score + (known ? piece.Score : unknownScore);
                if (best[end] is null || score > best[end]!.Value.Score) { best[end] = (score, start, known ? piece.Id : Unknown); }
            }
        }

        var ids = new List<int>();
        for (var end = text.Length; end > 0; end = best[end]!.Value.Start)
        {
            if (best[end]!.Value.Id != Unknown || ids.Count == 0 || ids[^1] != Unknown) { ids.Add(best[end]!.Value.Id); }
        }

        ids.Reverse();
        return ids;
    }

    private static string Word(Random random, int letters, int length) => string.Create(length, letters, (word, count) =>
    {
        for (var i = 0; i < word.Length; i++) { word[i] = "aéกb字"[random.Next(count)]; }
    });

    private static Tokeniser Load(Dictionary<string, (int Id, double Score)> pieces)
    {
        var vocabulary = new JsonArray(new JsonArray("<unk>", 0));
        for (var id = 1; id <= pieces.Values.Max(piece => piece.Id); id++)
        {
            // Ids whose word came again belong to no piece of the dictionary.
            var (word, piece) = pieces.FirstOrDefault(each => each.Value.Id == id);
            vocabulary.Add((JsonNode)new JsonArray(word ?? $"<{id}>", word is null ? -1 : piece.Score));
        }

        return Tokeniser.Load(Encoding.UTF8.GetBytes(new JsonObject { ["model"] = new JsonObject { ["type"] = "Unigram", ["unk_id"] = Unknown, ["vocab"] = vocabulary } }.ToJsonString()));
    }
}
