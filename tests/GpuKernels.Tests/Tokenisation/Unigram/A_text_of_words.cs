using System.Text;
using System.Text.Json.Nodes;
using Platform.GpuKernels.Tokenisation;

namespace Platform.GpuKernels.Tests.Tokenisation.Unigram;

/// <summary>With offsets the text takes the stages as a whole; without, its words are looked up, or take the stages, one by one.</summary>
public class A_text_of_words
{
    /// <summary>
    /// As bench/parity/charsmap.mjs makes it: line feed, tab and carriage return become a space, U+0001 nothing, the ligature fi two letters, the euro sign U+2581; and of what may
    /// be in one cluster with a space, U+0600 before it n, and it with U+200D behind it a hyphen.
    /// </summary>
    private const string Charsmap = "AAQAAAAsAAAKCQAACRkAAAAAAIACAACABAAAgA0NAAAGAACArAACAIEJAAABNQAABwAAgIK0AgCsDQAACgAAgIB9AAAOAACA4gwCAIAwAgCNHQAAEAAAgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAgYAMAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAADYcAEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAO8AAQAAAAAAAAAAAAAAAAAAAAAA4pwBAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAgACAAIAAAZmkA4paBAG4ALQA=";

    private const string SplitAtSpaces = """{"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always"}]}""";

    private static readonly string[] Parts =
    [
        "a", "b", "A", "é", "e\u0301", "\u0301", "\u00A8", "\uFB01", "`", "``", "'", "''", "\u2581", "\u200B", "\u0001", "\u00A0", "\u3000", "\n", "\t", "\r\n", "中", "\u20AC", "\u0600",
        "\u200D", "ส", "\u0E33", "\u0E48", "が", "각", "\u1100", "\u3131", "\u1161", "\u11A8", "①", "\uFDFA", "\u0344",
        "\n \u200Da",
    ];

    private static readonly string[] Normalisers =
    [
        """{"type": "Replace", "pattern": {"String": "``"}, "content": "\""}""",
        """{"type": "Replace", "pattern": {"String": "''"}, "content": " "}""",
        """{"type": "Replace", "pattern": {"String": "a b"}, "content": "b"}""",
        """{"type": "NFKD"}""",
        """{"type": "NFC"}""",
        """{"type": "StripAccents"}""",
        """{"type": "Lowercase"}""",
        """{"type": "Nmt"}""",
        $$"""{"type": "Precompiled", "precompiled_charsmap": "{{Charsmap}}"}""",
    ];

    [Theory]
    [InlineData("""{"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always"}""")]
    [InlineData(SplitAtSpaces)]
    public void gives_the_same_ids_word_by_word(string preTokeniser)
    {
        var random = new Random(preTokeniser.Length);
        var packed = new PackedTokens();
        for (var file = 0; file < 100; file++)
        {
            var tokeniser = Tokeniser.Load(Encoding.UTF8.GetBytes(File(random, preTokeniser)));
            for (var round = 0; round < 60; round++)
            {
                // Most are of few parts, so that words come up again; some go over the 8 KiB that are taken at once.
                var text = new StringBuilder();
                var known = random.Next(1, Parts.Length + 1);
                for (var length = random.Next(round == 0 && file % 10 == 0 ? 9_000 : 12); length >= 0; length--) { text.Append(random.Next(3) == 0 ? " " : Parts[random.Next(random.Next(4) == 0 ? Parts.Length : known)]); }

                var utf8 = Encoding.UTF8.GetBytes(text.ToString());
                tokeniser.Pack([utf8, utf8], packed, threads: 1);
                var whole = tokeniser.Encode(utf8).Ids;
                Assert.Equal(whole, packed[0].ToArray());
                Assert.Equal(whole, packed[1].ToArray());
            }
        }
    }

    /// <summary>Words are taken 8 KiB at a time; only what begins the text has nothing before it.</summary>
    [Fact]
    public void has_a_mark_behind_a_space_in_one_cluster_with_it_wherever_it_stands()
    {
        var tokeniser = Tokeniser.Load(Encoding.UTF8.GetBytes(File(new Random(1), new JsonArray(JsonNode.Parse(Normalisers[^1])), SplitAtSpaces)));
        var packed = new PackedTokens();
        for (var words = 1020; words < 1030; words++)
        {
            var utf8 = Encoding.UTF8.GetBytes($"{string.Concat(Enumerable.Repeat("abababa ", words))}\u200Da b");
            tokeniser.Pack([utf8], packed, threads: 1);
            Assert.Equal(tokeniser.Encode(utf8).Ids, packed[0].ToArray());
        }
    }

    /// <summary>Normalisers in any order, most of the time with ALBERT's last, which makes several spaces one.</summary>
    private static string File(Random random, string preTokeniser)
    {
        var normalisers = new JsonArray([.. Normalisers.Where(_ => random.Next(3) > 0).OrderBy(_ => random.Next()).Select(each => JsonNode.Parse(each))]);
        if (random.Next(5) > 0) { normalisers.Add(JsonNode.Parse("""{"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}""")); }

        return File(random, normalisers, preTokeniser);
    }

    private static string File(Random random, JsonArray normalisers, string preTokeniser)
    {
        string[] pieces = ["▁", "a", "b", "e", "fi", "▁a", "▁b", "ab", "ba", "\"", "▁\"", "'", "`", "▁▁", "\u0301", "A", "ส", "か", "\u0E33", "\u0E4D\u0E32", "각", "\u1100\u1161", "1"];
        return new JsonObject
        {
            ["normalizer"] = new JsonObject { ["type"] = "Sequence", ["normalizers"] = normalisers },
            ["pre_tokenizer"] = JsonNode.Parse(preTokeniser),
            ["model"] = new JsonObject
            {
                ["type"] = "Unigram",
                ["unk_id"] = 0,
                ["vocab"] = new JsonArray([new JsonArray("<unk>", 0), .. pieces.Select(piece => new JsonArray(piece, -random.Next(1, 6)))]),
            },
        }.ToJsonString();
    }
}
