using Platform.Inference.Local;

namespace Platform.Inference.Tests.Local;

public class Text_is_cut_into_sentences
{
    [Theory]
    [InlineData("One. Two! Three? Four", "One.|Two!|Three?|Four")]
    [InlineData("Dr. Smith met Mr. J. Doe at 3.15 p.m. He left.", "Dr. Smith met Mr. J. Doe at 3.15 p.m.|He left.")]
    [InlineData("Dhr. De Wit betaalt d.w.z. hij probeert het. Klaar.", "Dhr. De Wit betaalt d.w.z. hij probeert het.|Klaar.")]
    [InlineData("Am 3. März kommt z.B. Herr Dr. Kern. Danach nicht.", "Am 3. März kommt z.B. Herr Dr. Kern.|Danach nicht.")]
    [InlineData("M. Petit est venu. Mme Roche aussi !", "M. Petit est venu.|Mme Roche aussi !")]
    [InlineData("¿Vienes? ¡Claro! El Sr. Gil ya está.", "¿Vienes?|¡Claro!|El Sr. Gil ya está.")]
    [InlineData("今日は晴れ。明日は雨！本当？はい", "今日は晴れ。|明日は雨！|本当？|はい")]
    [InlineData("He said \"Stop.\" Then he left.", "He said \"Stop.\"|Then he left.")]
    [InlineData("Wait... what?! Yes.", "Wait... what?!|Yes.")]
    [InlineData("# Title\n\n- one\n- two\nA line that is long enough to have been wrapped by hand\nand goes on here.", "Title|- one|- two|A line that is long enough to have been wrapped by hand and goes on here.")]
    [InlineData("version 2.0 of a.b.c is here", "version 2.0 of a.b.c is here")]
    [InlineData("", "")]
    public void by_the_customs_of_its_language(string text, string expected) =>
        Assert.Equal(expected, string.Join('|', Sentences.Of(text).Select(sentence => sentence.Text)));

    [Fact]
    public void of_bounded_length()
    {
        Assert.All(Sentences.Of(string.Concat(Enumerable.Repeat("word ", 10_000))), sentence => Assert.InRange(sentence.Text.Length, 1, LocalAgentLimits.SentenceLength + 10));
        Assert.All(Sentences.Of(new string('x', 100_000)), sentence => Assert.InRange(sentence.Text.Length, 1, 2 * LocalAgentLimits.SentenceLength));
    }
}

public class Dates_are_found
{
    [Theory]
    [InlineData("2026-03-04 and 2026-03-04T10:00:00Z", "2026-03-04")]
    [InlineData("2026/3/4", "2026-03-04")]
    [InlineData("4.3.2026 04-03-2026 04/03/26", "2026-03-04")]
    [InlineData("03/25/2026 and 03/04/2026", "2026-03-25 2026-03-04")]
    [InlineData("25/03/2026 and 03/04/2026", "2026-03-25 2026-04-03")]
    [InlineData("March 4, 2026; Mar. 5th 2026; 6 March 2026; the 7th of March 2026", "2026-03-04 2026-03-05 2026-03-06 2026-03-07")]
    [InlineData("4 maart 2026, 5 mrt. 2026", "2026-03-04 2026-03-05")]
    [InlineData("am 4. März 2026", "2026-03-04")]
    [InlineData("le 1er août 2026, le 4 février 2026", "2026-08-01 2026-02-04")]
    [InlineData("4 de enero de 2026", "2026-01-04")]
    [InlineData("2026年3月4日", "2026-03-04")]
    [InlineData("1/1/70 1/1/68", "1970-01-01 2068-01-01")]
    [InlineData("29 February 2025, 31/04/2026, 2026-13-01, 99/99/9999, 10.0.0.1, 1.2.3", "")]
    [InlineData("call 0031-20-1234567 or 12 apples 2026", "")]
    public void and_written_as_ISO_8601(string text, string expected) => Assert.Equal(expected, string.Join(' ', Dates.In(text, DateOrder.Guess, 100)));

    [Fact]
    public async Task in_the_order_that_the_schema_says()
    {
        Assert.Equal("""["2026-03-04"]""", await Ask.Raw("""{"type": "array", "x-extract": "dates", "x-date-order": "mdy"}""", "03/04/2026"));
        Assert.Equal("""["2026-04-03"]""", await Ask.Raw("""{"type": "array", "x-extract": "dates", "x-date-order": "dmy"}""", "03/04/2026"));
    }
}

public class Amounts_are_found
{
    [Theory]
    [InlineData("€ 1.250,50", "1250.50 EUR")]
    [InlineData("1 250,50 €", "1250.50 EUR")]
    [InlineData("$1,250.50", "1250.50 USD")]
    [InlineData("EUR 1.250", "1250 EUR")]
    [InlineData("€ 12,-", "12 EUR")]
    [InlineData("CHF 1'234.50", "1234.50 CHF")]
    [InlineData("£99 and 100 pounds", "99 GBP|100 GBP")]
    [InlineData("25 euro, 30 dollars, 1000円", "25 EUR|30 USD|1000 JPY")]
    [InlineData("-5,00 €", "-5.00 EUR")]
    [InlineData("1.234.567,89 EUR", "1234567.89 EUR")]
    [InlineData("12 apples, 3 eurasian jays, room 100", "")]
    [InlineData("99999999999999999999999999999999999999 EUR", "")]
    public void with_their_currency(string text, string expected) => Assert.Equal(expected, string.Join('|', Amounts.In(text, 100)));
}

public class Addresses_are_found
{
    [Fact]
    public void as_written_but_for_what_follows()
    {
        Assert.Equal(["a.b+c@mail.example", "Jörg@büro.example"], Addresses.EmailsIn("Mail a.b+c@MAIL.example, <Jörg@büro.example>. Not a@b, @c.example or A.B+C@mail.example.", 10));
        Assert.Equal(["https://x.example/a?b=(c)", "www.y.example"], Addresses.UrlsIn("See https://x.example/a?b=(c), (www.y.example). Not x.example.", 10));
        Assert.Empty(Addresses.EmailsIn($"{new string('a', 300)}@mail.example", 10));
        Assert.Empty(Addresses.UrlsIn($"https://{new string('a', 2_100)}", 10));
    }
}

public class Key_phrases_are_found
{
    [Fact]
    public void that_carry_the_topic()
    {
        var found = KeyPhrases.In("Heat pumps save energy. A heat pump needs good insulation. The municipal energy fund pays for insulation of old houses.", 4);
        Assert.Contains("municipal energy fund", found);
        Assert.DoesNotContain("the", found);
        Assert.Equal(4, found.Count);
    }
}

public class Sentiment_is_weighed
{
    [Theory]
    [InlineData("good", "bad")]
    [InlineData("very good", "good")]
    [InlineData("good", "not good")]
    [InlineData("niet slecht", "slecht")]
    [InlineData("It is not. Good!", "It is not good!")]
    [InlineData("sehr zufrieden", "nicht zufrieden")]
    [InlineData("très content", "pas content")]
    [InlineData("muy bueno", "malo")]
    public void with_negation_and_emphasis(string better, string worse) => Assert.True(Sentiment.Of(better) > Sentiment.Of(worse));

    [Fact]
    public async Task on_the_scale_of_the_schema()
    {
        Assert.Equal("0.5", await Ask.Raw("""{"type": "number", "x-task": "sentiment", "minimum": 0, "maximum": 1}""", "The table is brown."));
        Assert.Equal("5", await Ask.Raw("""{"type": "integer", "x-task": "sentiment", "minimum": 1, "maximum": 5}""", "Excellent, perfect, wonderful, amazing, superb! I love it, fantastic!"));
    }
}

public class A_label_is_chosen
{
    [Fact]
    public async Task by_its_examples_where_it_has_them()
    {
        const string Schema = """
            {"enum": ["a", "b"], "x-labels": {
              "a": {"description": "", "examples": ["the turbine blade cracked", "turbine bearing noise"]},
              "b": {"description": "", "examples": ["roses need pruning", "plant the tulips in autumn"]}}}
            """;
        Assert.Equal("\"a\"", await Ask.Raw(Schema, "Noise from the bearing of turbine four"));
        Assert.Equal("\"b\"", await Ask.Raw(Schema, "When should I plant tulips?"));
    }

    [Fact]
    public async Task across_languages_by_its_name_alone()
    {
        const string Schema = """{"enum": ["invoice", "contract", "newsletter"]}""";
        Assert.Equal("\"invoice\"", await Ask.Raw(Schema, "Rechnungsnummer 12"));
        Assert.Equal("\"contract\"", await Ask.Raw(Schema, "Deze overeenkomst wordt aangegaan"));
        Assert.Equal("\"newsletter\"", await Ask.Raw(Schema, "Infolettre de mai"));
    }

    [Fact]
    public async Task by_default_where_nothing_fits()
    {
        Assert.Equal("\"rest\"", await Ask.Raw("""{"enum": ["invoice", "rest"], "x-default": "rest"}""", "zzz qqq"));
        Assert.Equal("null", await Ask.Raw("""{"enum": ["invoice", null]}""", "zzz qqq"));
        Assert.Equal("\"overig\"", await Ask.Raw("""{"enum": ["factuur", "overig"]}""", "zzz qqq"));
    }

    [Fact]
    public async Task of_any_JSON_type()
    {
        Assert.Equal("true", await Ask.Raw("""{"type": "boolean", "x-labels": {"true": "the customer wants to cancel the subscription", "false": "anything else"}, "x-default": false}""", "Please cancel my subscription."));
        Assert.Equal("2", await Ask.Raw("""{"enum": [1, 2], "x-labels": {"1": "invoice", "2": "recipe"}}""", "Preheat the oven, add butter and sugar."));
    }

    [Fact]
    public async Task together_with_others_that_fit_as_well() =>
        Assert.Equal("""["complaint","invoice"]""", await Ask.Raw("""{"type": "array", "items": {"enum": ["invoice", "complaint", "recipe"]}}""", "A complaint about an invoice"));

    [Fact]
    public async Task the_first_of_equals() => Assert.Equal("\"zebra\"", await Ask.Raw("""{"enum": ["zebra", "ZEBRA"]}""", "a zebra"));
}
