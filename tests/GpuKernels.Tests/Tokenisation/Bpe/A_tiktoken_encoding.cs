using System.Text;
using Platform.GpuKernels.Tokenisation;
using Platform.GpuKernels.Tokenisation.Bpe;

namespace Platform.GpuKernels.Tests.Tokenisation.Bpe;

public class A_tiktoken_encoding
{
    private const int Hello = 2000;
    private static readonly Dictionary<string, int> More = new() { ["<|hello|>"] = Hello, ["<|hello|>!"] = Hello + 1 };
    private static readonly TiktokenEncoding Small = Load("cl100k_base");

    private static TiktokenEncoding Load(string name) => TiktokenEncoding.Load(name, Fixture.Ranks, verify: false, More);

    [Theory]
    [InlineData("r50k_base")]
    [InlineData("cl100k_base")]
    [InlineData("o200k_base")]
    public void gives_the_ids_of_the_reference(string name) => Assert.Equal(Fixture.ReferenceHash(name), Fixture.Hash(Load(name).Encode));

    [Theory]
    [InlineData("r50k_base")]
    [InlineData("cl100k_base")]
    [InlineData("o200k_base")]
    public void counts_what_it_encodes_and_decodes_it_again(string name)
    {
        var encoding = Load(name);
        foreach (var text in Fixture.Texts)
        {
            var ids = encoding.Encode(text);
            Assert.Equal(ids.Length, encoding.Count(text));
            Assert.Equal(text, Encoding.UTF8.GetString(encoding.Decode(ids)));
        }
    }

    [Fact]
    public void reads_what_is_not_unicode_as_the_replacement_character()
    {
        Assert.Equal(Small.Encode("a\ufffd\ufffdb"), Small.Encode("a\ud800\udbffb"));
        Assert.Equal(Small.Encode("a\ufffd\ufffdb"u8), Small.Encode([(byte)'a', 0xFF, 0xE2, 0x82, (byte)'b']));
        Assert.Equal(Small.Count("a\ufffd"), Small.Count([(byte)'a', 0xF0, 0x9F]));
    }

    [Fact]
    public void keeps_apart_pieces_that_differ_in_zero_bytes()
    {
        Assert.Equal(2, Small.Encode("\0\0").Length);
        Assert.Single(Small.Encode("\0"));
        Assert.Equal(3, Small.Encode("\0\0\0").Length);
    }

    [Fact]
    public void takes_special_tokens_for_text_unless_they_are_allowed()
    {
        var text = "a<|hello|>b<|hello|>!"u8;
        Assert.DoesNotContain(Hello, Small.Encode(text));
        Assert.Equal([.. Small.Encode("a"), Hello, .. Small.Encode("b"), Hello, .. Small.Encode("!")], Small.Encode(text, ["<|hello|>"], []));
        Assert.Equal([.. Small.Encode("a"), Hello, .. Small.Encode("b"), Hello + 1], Small.Encode(text, ["<|hello|>", "<|hello|>!"], null));
        Assert.Equal(text.ToArray(), Small.Decode(Small.Encode(text, ["<|hello|>"], [])));
    }

    [Fact]
    public void refuses_a_text_with_a_disallowed_special_token_by_its_name()
    {
        var refused = Assert.Throws<ArgumentException>(() => Small.Encode("a<|endoftext|>"u8, [], null));
        Assert.Contains("<|endoftext|>", refused.Message, StringComparison.Ordinal);
        Assert.Contains("'<|no|>' is not a special token", Assert.Throws<ArgumentException>(() => Small.Encode("a"u8, ["<|no|>"], null)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void says_which_id_it_does_not_have() =>
        Assert.Contains("1999", Assert.Throws<ArgumentException>(() => Small.Decode(65, 1999)).Message, StringComparison.Ordinal);

    [Fact]
    public void takes_only_the_published_file_unless_told_otherwise() =>
        Assert.Contains("SHA-256", Assert.Throws<TokeniserFileException>(() => TiktokenEncoding.Load("cl100k_base", Fixture.Ranks)).Message, StringComparison.Ordinal);

    [Theory]
    [InlineData("IQ==", "line 1")]
    [InlineData("IQ== 0\nIg= 1", "line 2")]
    [InlineData("IQ== 0\nIg== 0", "rank 0")]
    [InlineData("IQ== 0\nIQ== 1", "an earlier line has")]
    [InlineData("IQ== 1048576", "rank from 0")]
    [InlineData("IQ== 1x", "rank from 0")]
    [InlineData("IQ== -1", "rank from 0")]
    [InlineData(" 1", "line 1")]
    [InlineData("IQ== 0\r\n", "no token for the byte 0x00")]
    public void says_what_is_wrong_with_a_rank_file(string file, string says) =>
        Assert.Contains(says, Assert.Throws<TokeniserFileException>(() => TiktokenEncoding.Load("r50k_base", Encoding.ASCII.GetBytes(file), verify: false)).Message, StringComparison.Ordinal);

    [Fact]
    public void says_which_special_token_has_no_id_of_its_own() => Assert.Contains(
        "'<|x|>' cannot have the id 5",
        Assert.Throws<TokeniserFileException>(() => TiktokenEncoding.Load("r50k_base", Fixture.Ranks, verify: false, new Dictionary<string, int> { ["<|x|>"] = 5 })).Message,
        StringComparison.Ordinal);

    [Fact]
    public void names_the_encodings_that_there_are() =>
        Assert.Contains("cl100k_base", Assert.Throws<TokeniserFileException>(() => TiktokenEncoding.Load("none", [])).Message, StringComparison.Ordinal);

    [Fact]
    public void refuses_a_text_that_is_too_long() =>
        Assert.Throws<ArgumentException>(() => Small.Count(new byte[TextLimits.TextBytes + 1]));

    [Fact]
    public async Task serves_many_threads_at_once()
    {
        var text = string.Concat(Fixture.Texts);
        var expected = Small.Encode(text);
        var all = await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => Task.Run(() => Small.Encode(text))));
        Assert.All(all, ids => Assert.Equal(expected, ids));
    }
}
