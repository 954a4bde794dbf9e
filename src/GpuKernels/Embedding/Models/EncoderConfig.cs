using System.Text.Json;

namespace Platform.GpuKernels.Embedding.Models;

internal enum Activation
{
    /// <summary>x/2 (1 + erf(x/sqrt 2)).</summary>
    Gelu,

    /// <summary>x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))).</summary>
    GeluTanh,

    Relu,
}

/// <summary>What config.json says of an encoder of the BERT family, checked. Names as in Hugging Face's transformers (BertConfig, XLMRobertaConfig, DistilBertConfig, MPNetConfig).</summary>
/// <param name="FirstPosition">Row of the position embedding that the first token takes: 0 for BERT, padding_idx + 1 for RoBERTa.</param>
/// <param name="PaddingId">For RoBERTa: tokens with this id take the row <c>FirstPosition - 1</c> and are not counted. -1: there is none.</param>
/// <param name="TokenTypes">Rows of the segment embedding, of which row 0 is used; 0: there is none.</param>
/// <param name="HasPositionBias">Whether attention gets a bias by how far apart two tokens are (<see cref="PositionBuckets"/>).</param>
internal sealed record EncoderConfig(
    int Layers,
    int HiddenSize,
    int Heads,
    int IntermediateSize,
    int Vocabulary,
    int Positions,
    int FirstPosition,
    int PaddingId,
    int TokenTypes,
    float LayerNormEpsilon,
    Activation Activation,
    EncoderTensors Tensors,
    bool HasPositionBias)
{
    public const string FileName = "config.json";

    /// <summary>Of relative positions, in MPNet.</summary>
    public const int PositionBuckets = 32;

    private const double DefaultEpsilon = 1e-12;

    public int HeadSize => HiddenSize / Heads;

    /// <summary>The longest sequence that the position embedding reaches.</summary>
    public int MaxTokens => Math.Min(Positions - FirstPosition, EmbeddingLimits.SequenceTokens);

    public static EncoderConfig Read(ModelJson json)
    {
        var type = json.Text("model_type");
        var tensors = type switch
        {
            "bert" or "roberta" or "xlm-roberta" or "camembert" => EncoderTensors.Bert,
            "distilbert" => EncoderTensors.DistilBert,
            "mpnet" => EncoderTensors.MpNet,
            null => throw new UnusableModelException(json.File, "lacks 'model_type'."),
            _ => throw Lacking(json, $"the model type '{type}'", "bert, roberta, xlm-roberta, camembert, distilbert and mpnet are"),
        };
        var (isDistilBert, isMpNet) = (tensors == EncoderTensors.DistilBert, tensors == EncoderTensors.MpNet);
        var countsPadding = type is "bert" or "distilbert";
        if (json.Has("auto_map")) { throw Lacking(json, "code of its own ('auto_map')", "the models of the BERT family as transformers has them are"); }
        if (json.Text("position_embedding_type") is { } positions and not "absolute") { throw Lacking(json, $"position embeddings of the type '{positions}'", "absolute ones are"); }
        if (json.Bool("is_decoder", absent: false)) { throw Lacking(json, "a decoder ('is_decoder')", "encoders are"); }
        if (json.Has("quantization_config")) { throw Lacking(json, "weights that are quantised already ('quantization_config')", "F32, F16 and BF16 are"); }
        if (json.Value("pruned_heads") is { ValueKind: JsonValueKind.Object } pruned && pruned.EnumerateObject().Any()) { throw Lacking(json, "pruned heads", "whole layers are"); }

        if (isMpNet && json.Int("relative_attention_num_buckets", 1, int.MaxValue, absent: PositionBuckets) is var buckets and not PositionBuckets) { throw Lacking(json, $"{buckets} buckets of relative positions", $"{PositionBuckets} are"); }

        var (layers, width, heads, middle, activation) = isDistilBert
            ? ("n_layers", "dim", "n_heads", "hidden_dim", "activation")
            : ("num_hidden_layers", "hidden_size", "num_attention_heads", "intermediate_size", "hidden_act");
        var hidden = json.Int(width, 1, EmbeddingLimits.HiddenSize);
        var headCount = json.Int(heads, 1, EmbeddingLimits.Heads);
        if (hidden % headCount != 0) { throw new UnusableModelException(json.File, $"'{width}' {hidden} is no multiple of '{heads}' {headCount}."); }

        // DistilBERT has no member for it.
        var epsilon = isDistilBert ? DefaultEpsilon : json.Double("layer_norm_eps", DefaultEpsilon);
        if (!(epsilon >= 0 && epsilon < 1)) { throw new UnusableModelException(json.File, $"'layer_norm_eps' is {epsilon}; 0 up to 1 can be used."); }

        var vocabulary = json.Int("vocab_size", 1, EmbeddingLimits.Vocabulary);

        // MPNet's padding is 1 whatever the file says.
        var padding = countsPadding ? -1 : isMpNet ? 1 : json.Int("pad_token_id", 0, vocabulary - 1, absent: 1);
        var rows = json.Int("max_position_embeddings", 1, EmbeddingLimits.SequenceTokens + EmbeddingLimits.Prompts, absent: 512);
        return padding + 1 < rows
            ? new EncoderConfig(
                json.Int(layers, 1, EmbeddingLimits.Layers),
                hidden,
                headCount,
                json.Int(middle, 1, EmbeddingLimits.IntermediateSize),
                vocabulary,
                rows,
                padding + 1,
                padding,
                isDistilBert || isMpNet ? 0 : json.Int("type_vocab_size", 1, 1_024, absent: countsPadding ? 2 : 1),
                (float)epsilon,
                Function(json, activation),
                tensors,
                isMpNet)
            : throw new UnusableModelException(json.File, $"'max_position_embeddings' {rows} leaves no position after 'pad_token_id' {padding}.");
    }

    /// <summary>
    /// T5's buckets of relative positions (Raffel et al. 2019), of which MPNet has 32 up to a distance of 128: one half for keys before the query, one for those behind;
    /// of each half the first 8 have a distance each, the others are wider from one to the next. In 32 bits, as transformers computes it.
    /// </summary>
    /// <param name="distance">From the query to the key.</param>
    public static int PositionBucket(int distance)
    {
        const int half = PositionBuckets / 2, exact = half / 2, farthest = 128;
        var (first, size) = (distance > 0 ? half : 0, Math.Abs(distance));
        return first + (size < exact ? size : Math.Min(half - 1, exact + (int)(MathF.Log((float)size / exact) / (float)Math.Log((double)farthest / exact) * (half - exact))));
    }

    private static Activation Function(ModelJson json, string member) => json.Text(member) switch
    {
        null or "gelu" => Activation.Gelu,
        "gelu_new" or "gelu_pytorch_tanh" or "gelu_fast" => Activation.GeluTanh,
        "relu" => Activation.Relu,
        var other => throw Lacking(json, $"the activation '{other}'", "gelu, gelu_new, gelu_fast, gelu_pytorch_tanh and relu are"),
    };

    private static UnusableModelException Lacking(ModelJson json, string what, string instead) => new(json.File, $"asks for {what}, which is not built here; {instead}.");
}
