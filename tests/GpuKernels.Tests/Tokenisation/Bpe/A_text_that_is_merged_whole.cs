using System.Text;
using System.Text.Json.Nodes;
using Platform.GpuKernels.Tokenisation;

namespace Platform.GpuKernels.Tests.Tokenisation.Bpe;

/// <summary>As SentencePiece's BPE has it: without a pre-tokeniser. With offsets the text takes the stages and is merged whole; without, it is cut first.</summary>
public class A_text_that_is_merged_whole
{
    private static readonly string[] Characters = ["a", "b", "c", "\u2581", "\n", "ä", "ж", "中", "文", "𝄞"];

    [Theory]
    [InlineData("none", false)]
    [InlineData("some", false)]
    [InlineData("some", true)]
    [InlineData("all", false)]
    [InlineData("all", true)]
    [InlineData("merged", true)]
    public void gives_the_same_ids_when_it_is_cut(string bytes, bool fusesUnknown)
    {
        var random = new Random(bytes.Length + (fusesUnknown ? 100 : 0));
        var packed = new PackedTokens();
        for (var file = 0; file < 30; file++)
        {
            var tokeniser = Tokeniser.Load(Encoding.UTF8.GetBytes(File(random, bytes, fusesUnknown)));
            for (var round = 0; round < 40; round++)
            {
                // Some go over the 8 KiB that are cut at once, some of them in the midst of a character or of a piece.
                var text = new StringBuilder();
                var withoutSpace = random.Next(1, 50);
                for (var length = random.Next(1, round == 0 && file % 3 == 0 ? 20_000 : 80); length > 0; length--) { text.Append(random.Next(withoutSpace) == 0 ? " " : random.Next(12) == 0 ? "é" : Characters[random.Next(Characters.Length)]); }

                // And some begin with a run of two characters, which may merge all along: there is no place to cut in what is taken at once.
                if (round == 1 && file % 3 == 0)
                {
                    var run = string.Concat(random.GetItems(Characters, 2));
                    text.Insert(0, run, 6_000);
                }

                var utf8 = Encoding.UTF8.GetBytes(text.ToString());
                tokeniser.Pack([utf8, utf8], packed, threads: 1);
                var whole = tokeniser.Encode(utf8).Ids;
                Assert.Equal(whole, packed[0].ToArray());
                Assert.Equal(whole, packed[1].ToArray());
            }
        }
    }

    /// <summary>Some of the characters are tokens, and of the bytes' tokens none, some, or all; or all, and merges are of them too.</summary>
    private static string File(Random random, string bytes, bool fusesUnknown)
    {
        var tokens = new List<string> { "<unk>" };
        for (var value = 0; value < 256; value++)
        {
            if (bytes is "all" or "merged" || (bytes == "some" && random.Next(4) > 0)) { tokens.Add($"<0x{value:X2}>"); }
        }

        var parts = Characters.Where(_ => random.Next(5) > 0).ToList();
        tokens.AddRange(parts);
        if (bytes == "merged") { parts.AddRange(tokens.Where(token => token.StartsWith("<0x", StringComparison.Ordinal) && token[3] is 'C' or 'D' or 'A' or '8').Where(_ => random.Next(4) == 0)); }

        var merges = new JsonArray();
        for (var count = random.Next(60); count > 0 && parts.Count > 0; count--)
        {
            var (left, right) = (parts[random.Next(parts.Count)], parts[random.Next(parts.Count)]);
            if (left.Length + right.Length > 30) { continue; }

            merges.Add(new JsonArray(left, right));
            if (tokens.Contains(left + right)) { continue; }

            tokens.Add(left + right);
            parts.Add(left + right);
        }

        var vocabulary = new JsonObject();
        foreach (var (id, token) in tokens.Index()) { vocabulary[token] = id; }

        return new JsonObject
        {
            ["normalizer"] = JsonNode.Parse(random.Next(5) switch
            {
                0 or 1 => """{"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"}, {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]}""",
                2 => """{"type": "Sequence", "normalizers": [{"type": "Replace", "pattern": {"String": " "}, "content": "▁"}, {"type": "Prepend", "prepend": "▁"}]}""",
                _ => """{"type": "Replace", "pattern": {"String": " "}, "content": "▁"}""",
            }),
            ["pre_tokenizer"] = random.Next(2) == 0 ? null : JsonNode.Parse("""{"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": false}"""),
            ["model"] = new JsonObject { ["type"] = "BPE", ["unk_token"] = "<unk>", ["fuse_unk"] = fusesUnknown, ["byte_fallback"] = bytes != "none", ["vocab"] = vocabulary, ["merges"] = merges },
        }.ToJsonString();
    }
}
