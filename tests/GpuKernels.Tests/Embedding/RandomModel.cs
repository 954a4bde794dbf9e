using System.Text;
using System.Text.Json.Nodes;

namespace Platform.GpuKernels.Tests.Embedding;

/// <summary>Small encoders with random weights: the same as those that bench/embedding/peer.mjs gives to ONNX Runtime.</summary>
internal static class RandomModel
{
    public const string Bert = """{"model_type": "bert", "num_hidden_layers": 2, "hidden_size": 64, "num_attention_heads": 4, "intermediate_size": 256, "vocab_size": 512, "max_position_embeddings": 80, "type_vocab_size": 2, "layer_norm_eps": 1e-12}""";
    public const string Roberta = """{"model_type": "xlm-roberta", "num_hidden_layers": 2, "hidden_size": 72, "num_attention_heads": 3, "intermediate_size": 132, "vocab_size": 512, "max_position_embeddings": 82, "type_vocab_size": 1, "layer_norm_eps": 1e-5, "pad_token_id": 1, "hidden_act": "gelu_new"}""";

    public const string DistilBert = """{"model_type": "distilbert", "n_layers": 2, "dim": 64, "n_heads": 4, "hidden_dim": 256, "vocab_size": 512, "max_position_embeddings": 80}""";

    public static TemporaryModel WriteBert(string prefix = "") => new TemporaryModel().Write("config.json", Bert).WriteWeights(Tensors(64, 256, 80, 2, prefix));

    public static TemporaryModel WriteDistilBert() => new TemporaryModel().Write("config.json", DistilBert).WriteWeights(Tensors(64, 256, 80, 0, names: name => name
        .Replace("encoder.layer", "transformer.layer", StringComparison.Ordinal)
        .Replace("attention.self.query", "attention.q_lin", StringComparison.Ordinal)
        .Replace("attention.self.key", "attention.k_lin", StringComparison.Ordinal)
        .Replace("attention.self.value", "attention.v_lin", StringComparison.Ordinal)
        .Replace("attention.output.dense", "attention.out_lin", StringComparison.Ordinal)
        .Replace("attention.output.LayerNorm", "sa_layer_norm", StringComparison.Ordinal)
        .Replace("intermediate.dense", "ffn.lin1", StringComparison.Ordinal)
        .Replace("output.dense", "ffn.lin2", StringComparison.Ordinal)
        .Replace(".output.LayerNorm", ".output_layer_norm", StringComparison.Ordinal)));

    public static TemporaryModel WriteMpNet(int hidden = 72, int heads = 3, int intermediate = 132) => new TemporaryModel().Write("config.json", MpNet(hidden, heads, intermediate)).WriteWeights([
        .. Tensors(hidden, intermediate, 182, 0, names: name => name
            .Replace("attention.self.query", "attention.attn.q", StringComparison.Ordinal)
            .Replace("attention.self.key", "attention.attn.k", StringComparison.Ordinal)
            .Replace("attention.self.value", "attention.attn.v", StringComparison.Ordinal)
            .Replace("attention.output.dense", "attention.attn.o", StringComparison.Ordinal)
            .Replace("attention.output.LayerNorm", "attention.LayerNorm", StringComparison.Ordinal)),
        ("encoder.relative_attention_bias.weight", "F32", [32, heads], TemporaryModel.Floats(Values("encoder.relative_attention_bias.weight", 32 * heads, 2)))]);

    public static TemporaryModel WriteRoberta() => new TemporaryModel().Write("config.json", Roberta).WriteWeights(Tensors(72, 132, 82, 1));

    /// <summary>As wide as the layers for Hopper are.</summary>
    public static TemporaryModel WriteWide() => new TemporaryModel()
        .Write("config.json", Bert.Replace("\"hidden_size\": 64", "\"hidden_size\": 384", StringComparison.Ordinal).Replace("\"num_attention_heads\": 4", "\"num_attention_heads\": 12", StringComparison.Ordinal).Replace("256", "64", StringComparison.Ordinal))
        .WriteWeights(Tensors(384, 64, 80, 2));

    /// <summary>A BERT tokeniser of the tokens [PAD], [UNK], [CLS], [SEP], w4 ... up to so many.</summary>
    public static string Tokenizer(int tokens = 512)
    {
        var vocabulary = new JsonObject { ["[PAD]"] = 0, ["[UNK]"] = 1, ["[CLS]"] = 2, ["[SEP]"] = 3 };
        for (var id = 4; id < tokens; id++) { vocabulary[$"w{id}"] = id; }

        return new JsonObject
        {
            ["version"] = "1.0",
            ["truncation"] = null,
            ["padding"] = JsonNode.Parse("""{"strategy": "BatchLongest", "direction": "Right", "pad_to_multiple_of": null, "pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]"}"""),
            ["added_tokens"] = new JsonArray(),
            ["normalizer"] = JsonNode.Parse("""{"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "strip_accents": null, "lowercase": true}"""),
            ["pre_tokenizer"] = JsonNode.Parse("""{"type": "BertPreTokenizer"}"""),
            ["post_processor"] = JsonNode.Parse("""{"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2]}"""),
            ["decoder"] = JsonNode.Parse("""{"type": "WordPiece", "prefix": "##", "cleanup": true}"""),
            ["model"] = new JsonObject { ["type"] = "WordPiece", ["unk_token"] = "[UNK]", ["continuing_subword_prefix"] = "##", ["max_input_chars_per_word"] = 100, ["vocab"] = vocabulary },
        }.ToJsonString();
    }

    /// <summary>With all files of the layout: mean pooling, 16 tokens.</summary>
    /// <param name="dense">What the config.json of each Dense between pooling and normalising says.</param>
    public static TemporaryModel WriteWhole(bool normalises = true, params string[] dense)
    {
        string[] types = ["Transformer", "Pooling", .. dense.Select(_ => "Dense"), .. normalises ? (string[])["Normalize"] : []];
        var modules = new JsonArray([.. types.Select((type, at) => new JsonObject { ["idx"] = at, ["path"] = at == 0 ? "" : $"{at}_{type}", ["type"] = $"sentence_transformers.models.{type}" })]);
        var model = WriteBert()
            .Write("tokenizer.json", Tokenizer())
            .Write("modules.json", modules.ToJsonString())
            .Write("1_Pooling/config.json", """{"pooling_mode_mean_tokens": true}""")
            .Write("sentence_bert_config.json", """{"max_seq_length": 16}""");
        foreach (var (at, config) in dense.Index())
        {
            var sizes = JsonNode.Parse(config)!;
            var (inputs, outputs) = ((int)sizes["in_features"]!, (int)sizes["out_features"]!);
            model.Write($"{at + 2}_Dense/config.json", config).Write($"{at + 2}_Dense/model.safetensors", TemporaryModel.Safetensors([
                ("linear.weight", "F32", [outputs, inputs], TemporaryModel.Floats(Values($"dense {at}", outputs * inputs, 0.5f))),
                ("linear.bias", "F32", [outputs], TemporaryModel.Floats(Values($"dense bias {at}", outputs, 0.5f)))]));
        }

        return model;
    }

    /// <summary>mulberry32 from the FNV-1a hash of the name, uniform around the centre.</summary>
    public static float[] Values(string name, int count, float spread, float centre = 0)
    {
        var state = Encoding.UTF8.GetBytes(name).Aggregate(0x811c9dc5u, (hash, value) => (hash ^ value) * 0x01000193);
        var values = new float[count];
        foreach (ref var value in values.AsSpan())
        {
            state += 0x6d2b79f5;
            var mixed = (state ^ (state >> 15)) * (state | 1);
            mixed = (mixed + ((mixed ^ (mixed >> 7)) * (mixed | 61))) ^ mixed;
            value = (float)(((((mixed ^ (mixed >> 14)) >> 8) / 16777216.0) - 0.5) * spread) + centre;
        }

        return values;
    }

    private static string MpNet(int hidden, int heads, int intermediate) => $$"""{"model_type": "mpnet", "num_hidden_layers": 2, "hidden_size": {{hidden}}, "num_attention_heads": {{heads}}, "intermediate_size": {{intermediate}}, "vocab_size": 512, "max_position_embeddings": 182, "layer_norm_eps": 1e-5, "relative_attention_num_buckets": 32}""";

    private static IEnumerable<(string Name, string Type, long[] Shape, byte[] Data)> Tensors(int hidden, int intermediate, int positions, int types, string prefix = "", Func<string, string>? names = null)
    {
        // Values are by the names that BERT has.
        names ??= name => name;
        (string, string, long[], byte[]) Matrix(string name, int rows, int columns, float spread) => (prefix + names(name), "F32", [rows, columns], TemporaryModel.Floats(Values(name, rows * columns, spread)));
        (string, string, long[], byte[]) Vector(string name, int size, float centre = 0) => (prefix + names(name), "F32", [size], TemporaryModel.Floats(Values(name, size, 0.25f, centre)));

        yield return Matrix("embeddings.word_embeddings.weight", 512, hidden, 2);
        yield return Matrix("embeddings.position_embeddings.weight", positions, hidden, 1);
        if (types > 0) { yield return Matrix("embeddings.token_type_embeddings.weight", types, hidden, 1); }

        yield return Vector("embeddings.LayerNorm.weight", hidden, 1);
        yield return Vector("embeddings.LayerNorm.bias", hidden);
        for (var layer = 0; layer < 2; layer++)
        {
            foreach (var (part, outputs, inputs) in ((string, int, int)[])[("attention.self.query", hidden, hidden), ("attention.self.key", hidden, hidden), ("attention.self.value", hidden, hidden), ("attention.output.dense", hidden, hidden), ("intermediate.dense", intermediate, hidden), ("output.dense", hidden, intermediate)])
            {
                yield return Matrix($"encoder.layer.{layer}.{part}.weight", outputs, inputs, 0.5f);
                yield return Vector($"encoder.layer.{layer}.{part}.bias", outputs);
            }

            foreach (var part in (string[])["attention.output", "output"])
            {
                yield return Vector($"encoder.layer.{layer}.{part}.LayerNorm.weight", hidden, 1);
                yield return Vector($"encoder.layer.{layer}.{part}.LayerNorm.bias", hidden);
            }
        }
    }
}
