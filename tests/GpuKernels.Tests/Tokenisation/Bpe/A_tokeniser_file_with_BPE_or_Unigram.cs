using System.Text;
using System.Text.Json.Nodes;
using Platform.GpuKernels.Tokenisation;
using Platform.GpuKernels.Tokenisation.Unigram;

namespace Platform.GpuKernels.Tests.Tokenisation.Bpe;

public class A_tokeniser_file_with_BPE_or_Unigram
{
    [Theory]
    [InlineData("bytes")]
    [InlineData("characters")]
    [InlineData("affixes")]
    [InlineData("unigram")]
    [InlineData("fallback")]
    public void gives_the_ids_offsets_and_decoded_texts_of_the_reference(string name)
    {
        var tokeniser = Tokeniser.Load(Fixture.File(name));
        var packed = new PackedTokens();
        Assert.Equal(Fixture.ReferenceHash(name), Fixture.Hash(text =>
        {
            // Twice: what a cache gives must be what was made.
            ReadOnlyMemory<byte> utf8 = Encoding.UTF8.GetBytes(text);
            tokeniser.Pack([utf8, utf8], packed, threads: 1);
            Assert.True(packed[0].SequenceEqual(packed[1]));
            return packed[0].ToArray();
        }));
        Assert.Equal(Fixture.ReferenceHash($"{name} offsets"), Fixture.Hash(text =>
            [.. tokeniser.Encode(Encoding.UTF8.GetBytes(text)).ScalarOffsets.SelectMany(offset => new[] { offset.Start, offset.End })]));
        Assert.Equal(Fixture.ReferenceHash($"{name} decoded"), Fixture.Hash(text =>
            [.. Encoding.UTF8.GetBytes(tokeniser.Decode(tokeniser.Encode(Encoding.UTF8.GetBytes(text)).Ids)).Select(value => (int)value)]));
    }

    [Theory]
    [InlineData("unigram", "NFC", null)]
    [InlineData("unigram", "NFKC", null)]
    [InlineData("bytes", "NFC", null)]
    [InlineData("bytes", "NFKC", """{"type": "Sequence", "pretokenizers": [{"type": "Digits", "individual_digits": true}, {"type": "ByteLevel", "add_prefix_space": false, "use_regex": true}]}""")]
    public void gives_in_one_pass_what_the_stages_give(string name, string normaliser, string? preTokenizer)
    {
        var file = JsonNode.Parse(Fixture.File(name))!;
        file["normalizer"] = JsonNode.Parse($$"""{"type": "{{normaliser}}"}""");
        if (preTokenizer is not null) { file["pre_tokenizer"] = JsonNode.Parse(preTokenizer); }

        var tokeniser = Tokeniser.Load(Encoding.UTF8.GetBytes(file.ToJsonString()));
        var packed = new PackedTokens();
        for (var scalar = 0; scalar < 0x30000; scalar += 16)
        {
            var text = new StringBuilder();
            foreach (var each in Enumerable.Range(scalar, 16).Where(Rune.IsValid)) { text.Append($"{new Rune(each)} a{new Rune(each)}b 12 e\u0301{new Rune(each)}\n{new Rune(each)}\u0323 "); }

            // With offsets every text takes the stages.
            var utf8 = Encoding.UTF8.GetBytes(text.ToString());
            tokeniser.Pack([utf8], packed, threads: 1);
            Assert.Equal(tokeniser.Encode(utf8).Ids, packed[0].ToArray());
        }
    }

    /// <summary>What the reference makes of them. The last token may lie in white space that the one before it takes.</summary>
    [Theory]
    [InlineData("<a>  x", new[] { 0, 1 }, new[] { 0, 5, 3, 5 })]
    [InlineData("<a>   <b>", new[] { 0, 1, 2 }, new[] { 0, 6, 3, 5, 5, 9 })]
    [InlineData("a <a> \n <b> b", new[] { 0, 2 }, new[] { 2, 8, 8, 11 })]
    public void finds_added_tokens_that_are_normalised_where_nothing_is(string text, int[] added, int[] offsets)
    {
        var tokeniser = With(normalised: true, ("<a>", false, true), ("  ", false, false), ("<b>", true, false));
        var first = tokeniser.IdOf("<a>")!.Value;
        var utf8 = Encoding.UTF8.GetBytes(text);
        var encoding = tokeniser.Encode(utf8);
        var packed = new PackedTokens();
        tokeniser.Pack([utf8], packed, threads: 1);
        Assert.Equal(encoding.Ids, packed[0].ToArray());
        var places = Enumerable.Range(0, encoding.Ids.Length).Where(i => encoding.Ids[i] >= first).ToList();
        Assert.Equal(added, places.Select(i => encoding.Ids[i] - first));
        Assert.Equal(offsets, places.SelectMany(i => new[] { encoding.ScalarOffsets[i].Start, encoding.ScalarOffsets[i].End }));
    }

    /// <summary>What the reference makes of them: offsets are trimmed of the white space that an added token takes too.</summary>
    [Theory]
    [InlineData("x <b>", new[] { 0, 1, 2, 5 })]
    [InlineData("<b> x", new[] { 0, 3, 4, 5 })]
    [InlineData(" <a>  x", new[] { 0, 0, 1, 4, 7, 7 })]
    [InlineData("x \u00A0<b><a> \n", new[] { 0, 1, 3, 6, 6, 9 })]
    [InlineData("<a> <b>", new[] { 0, 3, 4, 7 })]
    public void trims_offsets_of_added_tokens_by_the_text(string text, int[] offsets)
    {
        var encoding = With(normalised: false, ("<a>", false, true), ("<b>", true, false)).Encode(Encoding.UTF8.GetBytes(text));
        Assert.Equal(offsets, encoding.ScalarOffsets.SelectMany(offset => new[] { offset.Start, offset.End }));
    }

    [Theory]
    [InlineData("bytes", "model.dropout", "0.1", "model.dropout is not null")]
    [InlineData("bytes", "model.merges", "[\"a b c\"]", "model.merges[0] is not two tokens")]
    [InlineData("bytes", "model.merges", "[[\"a\", \"nope\"]]", "'nope'")]
    [InlineData("bytes", "model.vocab", "{\"a\": 0, \"b\": 0}", "gives the id 0")]
    [InlineData("bytes", "model.vocab", "{\"a\": 4194303}", "the id 4194303; the limit")]
    [InlineData("bytes", "pre_tokenizer", "{\"type\": \"Split\", \"pattern\": {\"Regex\": \"(a|b*)+\"}, \"behavior\": \"Isolated\", \"invert\": false}", "'(a|b*)+'")]
    [InlineData("characters", "model.unk_token", "\"<none>\"", "'<none>' is not in the vocabulary")]
    [InlineData("affixes", "model.merges", "[[\"a\", \"##\"]]", "no longer than continuing_subword_prefix")]
    [InlineData("unigram", "model.unk_id", "null", "model.unk_id is null")]
    [InlineData("unigram", "model.unk_id", "1000000", "is not the id of a piece")]
    [InlineData("unigram", "model.vocab", "[[\"a\"]]", "model.vocab[0] must be a piece and its score")]
    [InlineData("unigram", "model.vocab", "[[\"a\", 1e309]]", "must have a score that is a number")]
    [InlineData("unigram", "pre_tokenizer", "{\"type\": \"Metaspace\", \"replacement\": \"ab\"}", "must be one character")]
    [InlineData("unigram", "pre_tokenizer", "{\"type\": \"Metaspace\", \"replacement\": \"_\", \"prepend_scheme\": \"last\"}", "supported are never, first and always")]
    public void that_asks_for_what_is_not_supported_is_refused_by_its_place(string name, string path, string value, string says)
    {
        var file = JsonNode.Parse(Fixture.File(name))!;
        var parent = path.Split('.') is [var outer, _] ? file[outer]! : file;
        parent[path.Split('.')[^1]] = JsonNode.Parse(value);
        Assert.Contains(says, Assert.Throws<TokeniserFileException>(() => Tokeniser.Load(Encoding.UTF8.GetBytes(file.ToJsonString()))).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("-12.03905225980525952", -12.039052259805262)]
    [InlineData("-16.11661726928144256", -16.116617269281445)]
    [InlineData("-9.5", -9.5)]
    [InlineData("0", 0.0)]
    [InlineData("-0.0000123e-7", -1.23e-12)]
    [InlineData("123456789012345678901234567890", 1.2345678901234568e29)]
    [InlineData("1e-320", 1e-320)]
    [InlineData("1E+3", 1000.0)]
    public void has_its_scores_read_as_the_reference_reads_them(string number, double score)
    {
        Assert.True(ScoreNumber.TryRead(Encoding.ASCII.GetBytes(number), out var read));
        Assert.Equal(score, read);
    }

    [Theory]
    [InlineData("unigram")]
    [InlineData("characters")]
    [InlineData("bytes")]
    public void takes_a_word_of_a_million_letters(string name)
    {
        var tokeniser = Tokeniser.Load(Fixture.File(name));
        var packed = new PackedTokens();
        tokeniser.Pack([Encoding.UTF8.GetBytes(new string('a', 1_000_000))], packed, threads: 1);
        Assert.InRange(packed.Ids.Length, 1, 1_000_001);
    }

    /// <summary>A byte-level file with some added tokens; with those that are normalised nothing is put around texts.</summary>
    private static Tokeniser With(bool normalised, params (string Content, bool Left, bool Right)[] tokens)
    {
        var file = JsonNode.Parse(Fixture.File("bytes"))!;
        var first = file["model"]!["vocab"]!.AsObject().Count;
        if (normalised) { file["normalizer"] = file["post_processor"] = null; }

        file["added_tokens"] = new JsonArray([.. tokens.Select((token, i) => new JsonObject
        {
            ["id"] = first + i, ["content"] = token.Content, ["single_word"] = false, ["lstrip"] = token.Left, ["rstrip"] = token.Right, ["normalized"] = normalised, ["special"] = false,
        })]);
        return Tokeniser.Load(Encoding.UTF8.GetBytes(file.ToJsonString()));
    }
}
