using System.Text.Json;
using Platform.GpuKernels.Tokenisation;

namespace Platform.GpuKernels.Tests.Tokenisation;

public class A_tokeniser_file
{
    [Theory]
    [InlineData("""{"type":"Foo"}""", "tokenizer.json: pre_tokenizer 'Foo' is not supported; supported are ")]
    [InlineData("""{"type":"Sequence","pretokenizers":[{"type":"WhitespaceSplit"},{"type":"Bar"}]}""", "tokenizer.json: pre_tokenizer.pretokenizers[1] 'Bar' is not supported; supported are ")]
    public void that_asks_for_what_is_not_there_is_refused_by_name(string json, string message)
    {
        var wrong = Assert.Throws<TokeniserFileException>(() => TokeniserStages.PreTokeniser(new StageOptions("pre_tokenizer", JsonDocument.Parse(json).RootElement)));
        Assert.StartsWith(message, wrong.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void may_cut_words_into_the_longest_tokens()
    {
        var options = new StageOptions("model", JsonDocument.Parse("""{"type":"WordPiece","vocab":{"[UNK]":0,"un":1,"##aff":2,"##able":3,"##a":4,"é":5}}""").RootElement);
        var tokens = new TokenSink();
        tokens.Clear(wantsOffsets: true);
        var tokeniser = TokeniserStages.Model(options, options).NewPieceTokeniser();

        tokeniser.Tokenise("unaffable"u8, tokens);
        tokeniser.Tokenise("unaffably"u8, tokens);
        tokeniser.Tokenise("éa"u8, tokens);

        Assert.Equal([1, 2, 3, 0, 5, 4], tokens.Ids);
        Assert.Equal([0, 2, 5, 0, 0, 2], tokens.Starts);
        Assert.Equal([2, 5, 9, 9, 2, 3], tokens.Ends);
    }

    [Fact]
    public void says_of_which_word_each_token_is()
    {
        var tokeniser = Tokeniser.Load(System.Text.Encoding.UTF8.GetBytes("""
            {"pre_tokenizer":{"type":"BertPreTokenizer"},
             "post_processor":{"type":"BertProcessing","sep":["[SEP]",6],"cls":["[CLS]",5]},
             "model":{"type":"WordPiece","vocab":{"[UNK]":0,"un":1,"##aff":2,"##able":3,"!":4,"[CLS]":5,"[SEP]":6}}}
            """));
        Assert.Equal([-1, 0, 0, 0, 1, 2, -1], tokeniser.Encode("unaffable! un"u8).WordIds);
        Assert.Equal([-1, 0, -1, 0, 1, -1], tokeniser.Encode("un"u8, "un!"u8).WordIds);
    }

    [Fact]
    public void may_have_a_template_in_which_options_of_bytes_were_left_behind()
    {
        var tokeniser = Tokeniser.Load(System.Text.Encoding.UTF8.GetBytes("""
            {"pre_tokenizer":{"type":"BertPreTokenizer"},
             "post_processor":{"add_prefix_space":true,"trim_offsets":false,"use_regex":true,"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"a","type_id":0}},{"Sequence":{"id":"A","type_id":0}}],
              "pair":[{"Sequence":{"id":"A","type_id":0}},{"Sequence":{"id":"B","type_id":1}}],"special_tokens":{"a":{"id":"a","ids":[2],"tokens":["a"]}}},
             "model":{"type":"WordPiece","vocab":{"[UNK]":0,"un":1,"a":2}}}
            """));
        Assert.Equal([2, 1], tokeniser.Encode("un"u8).Ids);
    }
}
