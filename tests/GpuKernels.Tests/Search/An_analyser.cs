using System.Text;
using Platform.GpuKernels.Search;
using Platform.GpuKernels.Search.Keywords;

namespace Platform.GpuKernels.Tests.Search;

public sealed class An_analyser
{
    [Theory]
    [InlineData("Hello, World! foo_bar x9", "hello world foo bar x9")]
    [InlineData("Straße STRASSE Café café CAFE\u0301 ŁÓDŹ Ørsted", "strasse strasse cafe cafe cafe lodz orsted")]
    [InlineData("John's don\u2019t l'avion", "john don t l avion")]
    [InlineData("v1.2.3 3.14 end.", "v1.2.3 3.14 end")]
    [InlineData("ＦＵＬＬ ﬁne ｶﾞ", "full fine ガ")]
    [InlineData("٣٤ १२", "34 12")]
    [InlineData("co\u00ADoperate Ελλάδας ΟΔΟΣ йод", "cooperate ελλαδασ οδοσ иод")]
    [InlineData("東京都", "東 京 東京 都 京都")]
    [InlineData("iPhone手机", "iphone 手 机 手机")]
    [InlineData("か\u3099 が", "が が")]
    [InlineData("한국 \u1112\u1161\u11ab", "한 국 한국 한")]
    [InlineData("ไทย", "ไ ท ไท ย ทย")]
    [InlineData("हिन्दी", "हिन्दी")]
    [InlineData("مُحَمَّد", "محمد")]
    [InlineData("ok 👍🏽 ☂\uFE0F", "ok 👍 ☂")]
    public void finds_the_words_of_a_text(string text, string terms) => Assert.Equal(terms, string.Join(' ', Terms(text, TermsFor.Index)));

    [Theory]
    [InlineData("東京都 犬", "東京 京都 犬")]
    [InlineData("word", "word")]
    public void asks_for_pairs_of_characters_where_there_are_some(string query, string terms) => Assert.Equal(terms, string.Join(' ', Terms(query, TermsFor.Query)));

    [Fact]
    public void keeps_accents_where_they_count_however_they_are_encoded()
    {
        Assert.Equal(["caf\u00e9", "caf\u00e9", "cafe", "straße"], Terms("Café cafe\u0301 cafe Straße", TermsFor.Index, fold: false));
        Assert.Equal(Terms("e\u0323\u0302", TermsFor.Index, fold: false), Terms("\u1ec7", TermsFor.Index, fold: false));
        Assert.Equal(Terms("e\u0302\u0323", TermsFor.Index, fold: false), Terms("\u1ec7", TermsFor.Index, fold: false));
    }

    [Fact]
    public void stems_english_words_only_where_it_is_asked_to()
    {
        Assert.Equal(["running", "überfällig"], Terms("Running überfällig", TermsFor.Index, fold: false));
        Assert.Equal(["run", "überfällig"], Terms("Running überfällig", TermsFor.Index, fold: false, Stemming.English));
    }

    [Fact]
    public void takes_any_text_at_all()
    {
        // Lone surrogates, every kind of character in any order, and words without end: no error, no term that is empty or too long.
        var random = new Random(1);
        for (var round = 0; round < 300; round++)
        {
            var text = new StringBuilder();
            for (var i = 0; i < 200; i++)
            {
                text.Append(random.Next(4) switch { 0 => (char)random.Next(0x10000), 1 => (char)random.Next(0x300, 0x370), 2 => (char)random.Next(0x20, 0x80), _ => (char)random.Next(0xD800, 0xE000) });
            }

            foreach (var purpose in Enum.GetValues<TermsFor>())
            {
                Assert.All(Terms(text.ToString(), purpose, fold: round % 2 == 0, Stemming.English), term => Assert.InRange(term.Length, 1, SearchLimits.TermLength));
            }
        }

        Assert.Equal(SearchLimits.TermLength, Assert.Single(Terms(new string('x', 1_000_000), TermsFor.Index)).Length);
        Assert.Empty(Terms(new string('\u0301', 100_000), TermsFor.Index));
        Assert.Single(Terms("e" + new string('\u0302', 300_000) + new string('\u0323', 300_000), TermsFor.Index, fold: false));
    }

    [Fact]
    public void gives_a_text_the_terms_of_its_normal_forms()
    {
        // .NET's own normalisation is not there without ICU; decompositions are put in by hand.
        foreach (var (composed, decomposed) in new[] { ("Ångström", "A\u030angstro\u0308m"), ("ệ", "e\u0323\u0302"), ("각", "\u1100\u1161\u11a8"), ("ば", "は\u3099"), ("й", "и\u0306") })
        {
            foreach (var fold in (bool[])[false, true]) { Assert.Equal(Terms(composed, TermsFor.Index, fold), Terms(decomposed, TermsFor.Index, fold)); }
        }
    }

    private static List<string> Terms(string text, TermsFor purpose, bool fold = true, Stemming stemming = Stemming.None)
    {
        var terms = new List<string>();
        new Analyser(stemming, fold).Analyse(text, purpose, term => terms.Add(term.ToString()));
        return terms;
    }
}
