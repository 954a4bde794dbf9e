using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Platform.GpuKernels.Tests.Tokenisation.Bpe;
using Platform.GpuKernels.Tokenisation;

namespace Platform.GpuKernels.Tests.Tokenisation.WordPiece;

/// <summary>Against hashes of what Hugging Face's tokenizers makes of the same texts (bench/parity/wordpiece-fixtures.mjs).</summary>
public class A_wordpiece_tokeniser
{
    private static readonly string Folder = Path.Combine(AppContext.BaseDirectory, "Tokenisation", "WordPiece", "Fixtures");

    private static readonly JsonNode Hashes = JsonNode.Parse(File.ReadAllBytes(Path.Combine(Folder, "hashes.json")))!;

    internal static Tokeniser Load(Action<JsonObject>? change = null)
    {
        var file = JsonNode.Parse(File.ReadAllBytes(Path.Combine(Folder, "tokenizer.json")))!.AsObject();
        change?.Invoke(file);
        return Tokeniser.Load(JsonSerializer.SerializeToUtf8Bytes(file));
    }

    [Theory]
    [InlineData("bert")]
    [InlineData("cased")]
    [InlineData("nfc")]
    [InlineData("nfkd")]
    [InlineData("nfkc")]
    [InlineData("wordlevel")]
    [InlineData("bytes")]
    public void gives_the_ids_and_offsets_of_the_reference(string name)
    {
        var tokeniser = Load(file => Change(file, Hashes[name]!["change"]!));
        var packed = new PackedTokens();

        var ids = Fixture.Hash(text =>
        {
            tokeniser.Pack([Encoding.UTF8.GetBytes(text)], packed, threads: 1);
            return packed.Ids.ToArray();
        });
        var offsets = Fixture.Hash(text =>
        {
            var encoded = tokeniser.Encode(Encoding.UTF8.GetBytes(text));
            return [.. encoded.Ids, .. encoded.ScalarOffsets.SelectMany(offset => new[] { offset.Start, offset.End })];
        });

        Assert.Equal((string?)Hashes[name]!["ids"], ids);
        Assert.Equal((string?)Hashes[name]!["offsets"], offsets);
    }

    [Fact]
    public void packs_on_many_threads_what_it_packs_on_one()
    {
        var tokeniser = Load();
        var texts = Enumerable.Range(0, 4).SelectMany(_ => Fixture.Texts).Select(text => (ReadOnlyMemory<byte>)Encoding.UTF8.GetBytes(text)).ToList();
        var (one, many) = (new PackedTokens(), new PackedTokens());

        tokeniser.Pack(texts, one, threads: 1);
        tokeniser.Pack(texts, many, threads: 3);

        Assert.Equal(texts.Count, many.Count);
        Assert.True(one.Ids.SequenceEqual(many.Ids));
        Assert.True(one.Starts.SequenceEqual(many.Starts));
        Assert.True(many[7].SequenceEqual(tokeniser.Encode(texts[7].Span).Ids));
    }

    [Fact]
    public void takes_invalid_bytes_for_replacement_characters_and_keeps_their_place()
    {
        var tokeniser = Load(file => file["normalizer"] = null);

        var encoded = tokeniser.Encode([.. "é "u8, 0xE4, 0xB8, 0xFF, .. " b"u8], new EncodeOptions(AddSpecialTokens: false));

        Assert.Equal([(0, 2), (3, 6), (7, 8)], encoded.ByteOffsets);
        Assert.Equal([(0, 1), (2, 4), (5, 6)], encoded.ScalarOffsets);
        Assert.Equal(tokeniser.Encode("é \uFFFD\uFFFD b"u8, new EncodeOptions(AddSpecialTokens: false)).Ids, encoded.Ids);
    }

    [Fact]
    public void gives_text_back()
    {
        var tokeniser = Load();
        Assert.Equal("the man, and the hand - don ' t", tokeniser.Decode(tokeniser.Encode("The man, and the HAND - don't"u8).Ids));
    }

    /// <summary>The vocabulary stays.</summary>
    private static void Change(JsonObject file, JsonNode change)
    {
        var vocabulary = file["model"]!["vocab"]!.DeepClone();
        foreach (var (name, value) in change.AsObject()) { file[name] = value?.DeepClone(); }

        file["model"]!["vocab"] = vocabulary;
    }
}
