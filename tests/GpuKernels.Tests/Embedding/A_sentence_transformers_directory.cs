using Platform.GpuKernels.Embedding;
using Platform.GpuKernels.Embedding.Models;

namespace Platform.GpuKernels.Tests.Embedding;

public sealed class A_sentence_transformers_directory
{
    private const string Modules = """
        [{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
         {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
         {"idx": 2, "name": "2", "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"}]
        """;

    [Fact]
    public void says_how_a_text_becomes_a_vector()
    {
        using var directory = Whole();
        var model = SentenceTransformer.Read(directory.Path);
        Assert.NotNull(model.Encoder);
        Assert.Equal((PoolingMode.Cls, true, 48, "model.safetensors", "tokenizer.json"), (model.Pooling, model.Normalise, model.MaxTokens, model.WeightsFile, model.TokeniserFile));
        Assert.Equal("query: ", model.Prompts["query"]);
        Assert.Null(model.DefaultPrompt);
    }

    [Fact]
    public void is_an_encoder_with_mean_pooling_where_it_has_no_modules()
    {
        using var directory = RandomModel.WriteRoberta().Write("tokenizer.json", "{}").Write("tokenizer_config.json", """{"model_max_length": 1000000000000000019884624838656}""");
        var model = SentenceTransformer.Read(directory.Path);
        Assert.Equal((PoolingMode.Mean, false, 80), (model.Pooling, model.Normalise, model.MaxTokens));
        Assert.Equal((2, 1), (model.Encoder!.FirstPosition, model.Encoder.PaddingId));
        directory.Write("tokenizer_config.json", """{"model_max_length": 64}""");
        Assert.Equal(64, SentenceTransformer.Read(directory.Path).MaxTokens);
    }

    [Theory]
    [InlineData("""{"model_type": "model2vec", "normalize": true}""", null, true)]
    [InlineData("""{"model_type": "model2vec"}""", null, false)]
    [InlineData("{}", """[{"path": ".", "type": "sentence_transformers.models.StaticEmbedding"}, {"path": "1_Normalize", "type": "sentence_transformers.models.Normalize"}]""", true)]
    public void is_a_static_embedding_where_it_says_so(string config, string? modules, bool normalises)
    {
        using var directory = new TemporaryModel().Write("config.json", config).Write("tokenizer.json", "{}").WriteWeights(("embeddings", "F32", [1, 1], [0, 0, 0, 0]));
        if (modules is not null) { directory.Write("modules.json", modules); }

        var model = SentenceTransformer.Read(directory.Path);
        Assert.Null(model.Encoder);
        Assert.Equal(normalises, model.Normalise);
        Assert.Null(model.MaxTokens);
    }

    [Theory]
    [InlineData("mean_tokens", "Mean")]
    [InlineData("max_tokens", "Max")]
    [InlineData("lasttoken", "LastToken")]
    [InlineData("mean_sqrt_len_tokens", "MeanSqrtLength")]
    [InlineData("weightedmean_tokens", "WeightedMean")]
    public void names_its_pooling(string written, string mode)
    {
        using var directory = Whole().Write("1_Pooling/config.json", $$"""{"word_embedding_dimension": 64, "pooling_mode_cls_token": false, "pooling_mode_{{written}}": true}""");
        Assert.Equal(mode, SentenceTransformer.Read(directory.Path).Pooling.ToString());
    }

    [Theory]
    [InlineData("config.json", "model_type\": \"bert", "model_type\": \"t5", "'t5'")]
    [InlineData("config.json", "{\"model_type", "{\"auto_map\": {}, \"model_type", "code of its own")]
    [InlineData("config.json", "{\"model_type", "{\"position_embedding_type\": \"alibi\", \"model_type", "'alibi'")]
    [InlineData("config.json", "{\"model_type", "{\"is_decoder\": true, \"model_type", "decoder")]
    [InlineData("config.json", "{\"model_type", "{\"hidden_act\": \"swish\", \"model_type", "'swish'")]
    [InlineData("config.json", "{\"model_type", "{\"quantization_config\": {}, \"model_type", "quantised")]
    [InlineData("config.json", "{\"model_type", "{\"pruned_heads\": {\"0\": [1]}, \"model_type", "pruned")]
    [InlineData("config.json", "\"num_attention_heads\": 4", "\"num_attention_heads\": 5", "no multiple")]
    [InlineData("config.json", "\"hidden_size\": 64", "\"hidden_size\": 1000000000", "1 to 8192")]
    [InlineData("config.json", "\"hidden_size\": 64", "\"hidden_size\": \"64\"", "whole number")]
    [InlineData("config.json", "\"hidden_size\": 64,", "", "lacks 'hidden_size'")]
    [InlineData("config.json", "1e-12", "-1", "layer_norm_eps")]
    [InlineData("config.json", "}", "", "no JSON")]
    [InlineData("config.json", "{\"model_type", "{\"model_type\": \"bert\", \"model_type", "no JSON")]
    [InlineData("modules.json", "models.Normalize", "models.LayerNorm", "'LayerNorm'")]
    [InlineData("modules.json", "models.Normalize", "models.Dense", "2_Normalize/config.json")]
    [InlineData("modules.json", "models.Pooling", "models.Dense", "'Dense'")]
    [InlineData("config.json", "bert\", \"num_hidden_layers", "mpnet\", \"relative_attention_num_buckets\": 64, \"num_hidden_layers", "64 buckets")]
    [InlineData("config.json", "\"bert\"", "\"distilbert\"", "lacks 'dim'")]
    [InlineData("modules.json", "1_Pooling", "../1_Pooling", "no folder of the model")]
    [InlineData("modules.json", "1_Pooling", "/etc", "no folder of the model")]
    [InlineData("modules.json", "1_Pooling", "2_Other", "is missing")]
    [InlineData("modules.json", "models.Pooling", "models.Transformer", "'Transformer'")]
    [InlineData("1_Pooling/config.json", "false", "true", "several poolings")]
    [InlineData("1_Pooling/config.json", "cls_token\": true", "cls_token\": false", "names no pooling")]
    [InlineData("1_Pooling/config.json", "cls_token", "attention", "'attention'")]
    [InlineData("1_Pooling/config.json", "{", "{\"include_prompt\": false, ", "include_prompt")]
    [InlineData("sentence_bert_config.json", "false", "true", "do_lower_case")]
    [InlineData("config_sentence_transformers.json", "null", "\"other\"", "none of its prompts")]
    public void is_refused_with_what_it_asks_for_and_is_not_there(string file, string written, string instead, string says)
    {
        using var directory = Whole();
        var before = File.ReadAllText(Path.Combine(directory.Path, file));
        Assert.Contains(written, before, StringComparison.Ordinal);
        directory.Write(file, before.Replace(written, instead, StringComparison.Ordinal));
        var error = Assert.Throws<UnusableModelException>(() => SentenceTransformer.Read(directory.Path));
        Assert.Contains(says, error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("\"in_features\": 64", "\"in_features\": 63", "has 64 values")]
    [InlineData("\"out_features\": 8", "\"out_features\": 0", "1 to 8192")]
    [InlineData("{", "{\"module_input_name\": \"token_embeddings\", ", "token_embeddings")]
    [InlineData("Tanh", "GELU", "torch.nn.modules.activation.GELU")]
    public void is_refused_with_what_its_dense_layer_asks_for(string written, string instead, string says)
    {
        const string dense = """{"in_features": 64, "out_features": 8, "activation_function": "torch.nn.modules.activation.Tanh"}""";
        using var directory = RandomModel.WriteWhole(normalises: true, dense);
        directory.Write("2_Dense/config.json", dense.Replace(written, instead, StringComparison.Ordinal));
        Assert.Contains(says, Assert.Throws<UnusableModelException>(() => SentenceTransformer.Read(directory.Path)).Message, StringComparison.Ordinal);
        directory.Write("2_Dense/config.json", dense);
        File.Delete(Path.Combine(directory.Path, "2_Dense/model.safetensors"));
        Assert.Contains("2_Dense/model.safetensors", Assert.Throws<UnusableModelException>(() => SentenceTransformer.Read(directory.Path)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void is_refused_with_the_file_that_is_missing()
    {
        using var directory = Whole();
        File.Move(Path.Combine(directory.Path, "model.safetensors"), Path.Combine(directory.Path, "pytorch_model.bin"));
        Assert.Contains("pytorch_model.bin is not read", Assert.Throws<UnusableModelException>(() => SentenceTransformer.Read(directory.Path)).Message, StringComparison.Ordinal);
        Assert.Contains("does not exist", Assert.Throws<UnusableModelException>(() => SentenceTransformer.Read(directory.Path + "-not")).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void is_refused_when_a_file_is_too_large()
    {
        using var directory = Whole().Write("config.json", new string(' ', EmbeddingLimits.JsonBytes + 1));
        Assert.Contains($"{EmbeddingLimits.JsonBytes}", Assert.Throws<UnusableModelException>(() => SentenceTransformer.Read(directory.Path)).Message, StringComparison.Ordinal);
        directory.Write("config.json", string.Concat(Enumerable.Repeat("[", 100)));
        Assert.Throws<UnusableModelException>(() => SentenceTransformer.Read(directory.Path));
    }

    private static TemporaryModel Whole() => RandomModel.WriteBert()
        .Write("tokenizer.json", "{}")
        .Write("modules.json", Modules)
        .Write("1_Pooling/config.json", """{"word_embedding_dimension": 64, "pooling_mode_cls_token": true, "pooling_mode_mean_tokens": false}""")
        .Write("sentence_bert_config.json", """{"max_seq_length": 48, "do_lower_case": false}""")
        .Write("config_sentence_transformers.json", """{"prompts": {"query": "query: ", "document": "passage: "}, "default_prompt_name": null}""");
}
