using System.Security.Cryptography;
using Platform.GpuKernels.Embedding.Lexical;

namespace Platform.GpuKernels.Tests.Embedding;

public sealed class A_lexical_embedding
{
    private static readonly LexicalEmbedding Plain = new();

    [Fact]
    public void puts_texts_with_the_same_words_near_each_other()
    {
        Assert.Equal(1, Similarity("Invoice for the roof", "invoice for the ROOF"), 1e-6);
        Assert.True(Similarity("invoice for the roof", "the roof's invoices") > Similarity("invoice for the roof", "minutes of the board") + 0.2);
        Assert.Equal(0, Similarity("", "words"));
        Assert.Equal(0, Similarity("...", "words"));
    }

    [Theory]
    [InlineData("vergadering", "vergaderingen", "factuur")]
    [InlineData("Rechnung", "Rechnungen", "Garten")]
    [InlineData("résiliation", "résilier", "toiture")]
    [InlineData("договор", "договора", "письмо")]
    [InlineData("washing machine", "washnig machine", "garden post")]
    [InlineData("東京都庁", "東京", "大阪")]
    [InlineData("กรุงเทพ", "กรุง", "เชียงใหม่")]
    public void finds_other_forms_slips_and_parts_of_words(string text, string near, string far) =>
        Assert.True(Similarity(text, near) > Similarity(text, far) + 0.1, $"{Similarity(text, near):F3} against {Similarity(text, far):F3}");

    [Theory]
    [InlineData("caf\u00e9 na\u00efve", "cafe\u0301 nai\u0308ve")]
    [InlineData("\ud55c\uad6d\uc5b4", "\u1112\u1161\u11ab\u1100\u116e\u11a8\u110b\u1165")]
    [InlineData("Größe", "GRÖSSE")]
    [InlineData("ﬁle № ½", "file No 1⁄2")]
    [InlineData("\u3071\u3093", "\u306f\u309a\u3093")]
    public void does_not_see_how_characters_are_encoded(string one, string other) => Assert.Equal(1, Similarity(one, other), 1e-6);

    [Fact]
    public void gives_the_same_bits_everywhere_for_this_version()
    {
        var hash = SHA256.HashData((byte[])[.. ((string[])["The quick brown fox, naïve in Zürich.", "Счёт № 7 от 3 марта", "東京都庁の会議"]).SelectMany(text => Vector(Plain, text)).Select(value => (byte)(sbyte)MathF.Round(value * 127))]);
        Assert.Equal("lexical-v1-1024", Plain.Id);

        // A change here changes every stored vector: it needs another name, lexical-v2.
        Assert.Equal("2a37d9f5663e114c", Convert.ToHexStringLower(hash)[..16]);
    }

    [Fact]
    public void weighs_words_by_how_rare_the_corpus_says_they_are()
    {
        var statistics = new LexicalStatistics();
        for (var i = 0; i < 50; i++) { statistics.Add($"the company sends letter number {i}"); }

        statistics.Add("the turbine");
        var weighted = new LexicalEmbedding(statistics: statistics);
        Assert.NotEqual(Plain.Id, weighted.Id);
        var (common, rare) = (Similarity(weighted, "the company turbine", "the company"), Similarity(weighted, "the company turbine", "turbine"));
        Assert.True(rare > common + 0.3, $"{rare:F3} against {common:F3}");
        Assert.True(Similarity("the company turbine", "the company") > Similarity("the company turbine", "turbine"));
    }

    [Fact]
    public void keeps_the_statistics_that_it_was_made_with()
    {
        var statistics = new LexicalStatistics();
        statistics.Add("a letter");
        var embedding = new LexicalEmbedding(statistics: statistics);
        var before = Vector(embedding, "a letter to you");
        statistics.Add("a letter");
        Assert.Equal(before, Vector(embedding, "a letter to you"));
    }

    [Theory]
    [InlineData(32)]
    [InlineData(100)]
    [InlineData(16_384)]
    public void has_a_dimension_that_is_a_power_of_two(int dimension) => Assert.Throws<ArgumentOutOfRangeException>(() => new LexicalEmbedding(dimension));

    [Fact]
    public void takes_any_text_up_to_the_limit()
    {
        Assert.Equal(1_024, Vector(Plain, new string('x', 100_000)).Length);
        Assert.Equal(1_024, Vector(Plain, "\ud800 lone \udfff \0").Length);
        Assert.Throws<ArgumentException>(() => Vector(Plain, new string('x', TextLimits.TextBytes + 1)));
    }

    [Fact]
    public void has_statistics_that_can_be_written_read_and_taken_back()
    {
        var statistics = new LexicalStatistics();
        statistics.Add("one two three");
        statistics.Add("two three four");
        var before = statistics.Fingerprint();
        statistics.Add("three four five");
        Assert.NotEqual(before, statistics.Fingerprint());
        statistics.Remove("three four five");
        Assert.Equal((before, 2u), (statistics.Fingerprint(), statistics.Documents));
        Assert.Throws<InvalidOperationException>(() => statistics.Remove("never seen anything like it"));
        Assert.Equal(before, statistics.Fingerprint());

        using var stream = new MemoryStream();
        statistics.Write(stream);
        stream.Position = 0;
        Assert.Equal(before, LexicalStatistics.Read(stream).Fingerprint());
    }

    [Fact]
    public void has_statistics_that_are_read_or_refused_whatever_was_done_to_them()
    {
        var statistics = new LexicalStatistics();
        statistics.Add("one two three");
        using var stream = new MemoryStream();
        statistics.Write(stream);
        var good = stream.ToArray();
        for (var length = 0; length < good.Length; length++) { Assert.Throws<InvalidDataException>(() => LexicalStatistics.Read(new MemoryStream(good, 0, length))); }

        var random = new Random(5);
        for (var round = 0; round < 300; round++)
        {
            var bytes = (byte[])good.Clone();
            bytes[random.Next(bytes.Length)] = (byte)random.Next(256);
            try { Assert.Equal(8, LexicalStatistics.Read(new MemoryStream(bytes)).Fingerprint().Length); }
            catch (InvalidDataException) { /* Refused, as it may be. */ }
        }
    }

    private static float[] Vector(LexicalEmbedding embedding, string text)
    {
        var vector = new float[embedding.Dimension];
        embedding.Embed(text, vector);
        return vector;
    }

    private static double Similarity(string one, string other) => Similarity(Plain, one, other);

    private static double Similarity(LexicalEmbedding embedding, string one, string other) => Vector(embedding, one).Zip(Vector(embedding, other), (a, b) => (double)a * b).Sum();
}
