using Platform.GpuKernels.Embedding;

namespace Platform.GpuKernels.Tests.Embedding;

public sealed class An_embedding_model
{
    [Fact]
    public void tokenises_encodes_pools_and_normalises()
    {
        using var directory = RandomModel.WriteWhole();
        using var model = EmbeddingModel.Load(directory.Path);
        Assert.Equal((64, 16, false), (model.Dimension, model.MaxTokens, model.IsStatic));
        var vector = Embed(model, "w10 w11").Single();

        using var encoder = A_transformer_encoder.Open(directory);
        var states = A_transformer_encoder.Encode(encoder, [2, 10, 11, 3]).Single();
        Assert.Equal(1, A_transformer_encoder.Cosine(A_transformer_encoder.Mean(states), vector), 1e-6);
        Assert.Equal(1, vector.Sum(value => (double)value * value), 1e-5);
    }

    [Theory]
    [InlineData("torch.nn.modules.activation.Tanh", true)]
    [InlineData("torch.nn.modules.linear.Identity", false)]
    public void takes_the_pooled_vector_through_dense_layers(string activation, bool hasBias)
    {
        using var plain = RandomModel.WriteWhole(normalises: false);
        using var bare = EmbeddingModel.Load(plain.Path);
        using var directory = RandomModel.WriteWhole(normalises: false, $$"""{"in_features": 64, "out_features": 21, "bias": {{(hasBias ? "true" : "false")}}, "activation_function": "{{activation}}"}""", """{"in_features": 21, "out_features": 5, "activation_function": "torch.nn.modules.activation.Tanh"}""");
        using var model = EmbeddingModel.Load(directory.Path);
        Assert.Equal(5, model.Dimension);
        Assert.Equal(model.Bytes, EmbeddingModel.BytesOf(directory.Path, WeightPrecision.Float32));

        double[] Dense(int layer, double[] vector, int outputs, bool biased, bool tanh)
        {
            var (weights, bias) = (RandomModel.Values($"dense {layer}", outputs * vector.Length, 0.5f), RandomModel.Values($"dense bias {layer}", outputs, 0.5f));
            return [.. Enumerable.Range(0, outputs).Select(output => vector.Select((value, input) => value * weights[(output * vector.Length) + input]).Sum() + (biased ? bias[output] : 0)).Select(value => tanh ? Math.Tanh(value) : value)];
        }

        var expected = Dense(1, Dense(0, [.. Embed(bare, "w10 w11").Single().Select(value => (double)value)], 21, hasBias, activation.EndsWith("Tanh", StringComparison.Ordinal)), 5, biased: true, tanh: true);
        foreach (var (at, value) in Embed(model, "w10 w11").Single().Index()) { Assert.Equal(expected[at], value, 1e-5); }

        using var cut = EmbeddingModel.Load(directory.Path, new EmbeddingModelOptions(Dimension: 3, UnitLength: true));
        Assert.Equal(1, Embed(cut, "w10 w11").Single().Sum(value => (double)value * value), 1e-5);
        Assert.Throws<ArgumentOutOfRangeException>(() => EmbeddingModel.Load(directory.Path, new EmbeddingModelOptions(Dimension: 6)));
    }

    [Fact]
    public void puts_the_prompt_of_the_purpose_before_the_text()
    {
        using var directory = RandomModel.WriteWhole().Write("config_sentence_transformers.json", """{"prompts": {"query": "w5 ", "passage": "w6 "}}""");
        using var model = EmbeddingModel.Load(directory.Path);
        using var plain = RandomModel.WriteWhole();
        using var bare = EmbeddingModel.Load(plain.Path);
        Assert.Equal(Embed(bare, "w5 w9").Single(), model.Embed(["w9"], EmbeddingPurpose.Query, TestContext.Current.CancellationToken).Single());
        Assert.Equal(Embed(bare, "w6 w9").Single(), Embed(model, "w9").Single());
        directory.Write("config_sentence_transformers.json", """{"prompts": {"other": "w7 "}, "default_prompt_name": "other"}""");
        using var fallen = EmbeddingModel.Load(directory.Path);
        Assert.Equal(Embed(bare, "w7 w9").Single(), Embed(fallen, "w9").Single());
    }

    [Fact]
    public void reads_a_text_up_to_its_length_and_not_further()
    {
        using var directory = RandomModel.WriteWhole();
        using var model = EmbeddingModel.Load(directory.Path);
        var long_ = string.Join(' ', Enumerable.Range(0, 40).Select(i => $"w{20 + i}"));
        Assert.Equal(Embed(model, string.Join(' ', long_.Split(' ')[..14])).Single(), Embed(model, long_).Single());
    }

    [Fact]
    public void gives_as_many_vectors_as_texts_and_each_as_if_it_were_alone()
    {
        using var directory = RandomModel.WriteWhole();
        using var model = EmbeddingModel.Load(directory.Path);
        Assert.Empty(Embed(model));
        var texts = Enumerable.Range(0, 1_100).Select(i => i % 7 == 0 ? "" : $"w{i % 500} w{i % 13}").ToArray();
        var together = Embed(model, texts);
        Assert.Equal(texts.Length, together.Length);
        foreach (var at in (int[])[0, 1, 511, 512, 1_099]) { Assert.Equal(Embed(model, texts[at]).Single(), together[at]); }
    }

    [Fact]
    public void keeps_the_first_values_only_where_it_is_told_to()
    {
        using var directory = RandomModel.WriteWhole();
        using var whole = EmbeddingModel.Load(directory.Path);
        using var short_ = EmbeddingModel.Load(directory.Path, new EmbeddingModelOptions(Dimension: 16));
        var (long_, cut) = (Embed(whole, "w9 w8").Single(), Embed(short_, "w9 w8").Single());
        Assert.Equal(16, cut.Length);
        Assert.Equal(1, A_transformer_encoder.Cosine(long_[..16], cut), 1e-6);
        Assert.Equal(1, cut.Sum(value => (double)value * value), 1e-5);
        Assert.Throws<ArgumentOutOfRangeException>(() => EmbeddingModel.Load(directory.Path, new EmbeddingModelOptions(Dimension: 65)));
    }

    [Fact]
    public void is_static_where_its_directory_is_and_leaves_unknown_tokens_out()
    {
        using var directory = new TemporaryModel().Write("config.json", """{"model_type": "model2vec"}""").Write("tokenizer.json", RandomModel.Tokenizer())
            .WriteWeights(("embeddings", "F32", [512, 4], TemporaryModel.Floats(RandomModel.Values("rows", 512 * 4, 2))));
        using var model = EmbeddingModel.Load(directory.Path);
        Assert.Equal((4, null, true), (model.Dimension, model.MaxTokens, model.IsStatic));
        var rows = RandomModel.Values("rows", 512 * 4, 2);
        var expected = Enumerable.Range(0, 4).Select(i => (rows[(9 * 4) + i] + rows[(8 * 4) + i]) / 2).ToArray();
        var (known, mixed) = (Embed(model, "w9 w8").Single(), Embed(model, "w9 ??? w8").Single());
        for (var i = 0; i < 4; i++) { Assert.Equal(expected[i], known[i], 1e-6f); }

        Assert.Equal(known, mixed);
        Assert.Equal(new float[4], Embed(model, "").Single());
    }

    [Fact]
    public void is_refused_where_tokeniser_and_weights_do_not_belong_together()
    {
        using var directory = RandomModel.WriteWhole().Write("tokenizer.json", RandomModel.Tokenizer(tokens: 513));
        Assert.Contains("ids up to 512", Assert.Throws<UnusableModelException>(() => EmbeddingModel.Load(directory.Path)).Message, StringComparison.Ordinal);
        directory.Write("tokenizer.json", """{"model": {"type": "Other"}}""");
        Assert.Contains("Other", Assert.Throws<UnusableModelException>(() => EmbeddingModel.Load(directory.Path)).Message, StringComparison.Ordinal);
        directory.Write("tokenizer.json", RandomModel.Tokenizer()).Write("config.json", RandomModel.Bert.Replace("\"num_hidden_layers\": 2", "\"num_hidden_layers\": 3", StringComparison.Ordinal));
        Assert.Contains("encoder.layer.2", Assert.Throws<UnusableModelException>(() => EmbeddingModel.Load(directory.Path)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void says_what_it_will_take_before_it_is_loaded()
    {
        using var bert = RandomModel.WriteWhole();
        using var roberta = RandomModel.WriteRoberta().Write("tokenizer.json", RandomModel.Tokenizer());
        using var @static = new TemporaryModel()
            .Write("config.json", """{"model_type": "model2vec"}""")
            .Write("tokenizer.json", RandomModel.Tokenizer(8))
            .WriteWeights(
                ("embeddings", "F16", [5, 20], new byte[5 * 20 * 2]),
                ("mapping", "I64", [8], [.. ((long[])[4, 0, 0, 1, 2, 3, 4, 4]).SelectMany(BitConverter.GetBytes)]),
                ("weights", "F32", [8], TemporaryModel.Floats(new float[8])));
        using var relative = RandomModel.WriteMpNet().Write("tokenizer.json", RandomModel.Tokenizer());
        foreach (var directory in (TemporaryModel[])[bert, roberta, relative, @static])
        {
            foreach (var precision in Enum.GetValues<WeightPrecision>())
            {
                using var model = EmbeddingModel.Load(directory.Path, new EmbeddingModelOptions(precision));
                Assert.Equal(model.Bytes, EmbeddingModel.BytesOf(directory.Path, precision));
            }
        }

        // In 32 bits at least what the file has, with its rows and columns padded to registers.
        var file = new FileInfo(Path.Combine(bert.Path, "model.safetensors")).Length;
        Assert.InRange((double)EmbeddingModel.BytesOf(bert.Path, WeightPrecision.Float32) / file, 0.95, 1.5);
        Assert.True(EmbeddingModel.BytesOf(bert.Path, WeightPrecision.Int8) < EmbeddingModel.BytesOf(bert.Path, WeightPrecision.BFloat16));
    }

    [Fact]
    public void refuses_calls_once_it_is_disposed_of_and_stops_when_it_is_cancelled()
    {
        using var directory = RandomModel.WriteWhole();
        var model = EmbeddingModel.Load(directory.Path);
        Assert.ThrowsAny<OperationCanceledException>(() => model.Embed(["w9"], EmbeddingPurpose.Document, new CancellationToken(canceled: true)));
        Assert.Throws<ArgumentException>(() => Embed(model, new string[EmbeddingLimits.Texts + 1]));
        model.Dispose();
        model.Dispose();
        Assert.Throws<ObjectDisposedException>(() => Embed(model, "w9"));
    }

    private static float[][] Embed(EmbeddingModel model, params string[] texts) => model.Embed(texts, EmbeddingPurpose.Document, TestContext.Current.CancellationToken);
}
