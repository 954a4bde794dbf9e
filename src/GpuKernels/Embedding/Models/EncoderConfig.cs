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

/// <summary>What config.json says of an encoder of the BERT family, checked. Names as in Hugging Face's transformers (BertConfig, XLMRobertaConfig).</summary>
/// <param name="FirstPosition">Row of the position embedding that the first token takes: 0 for BERT, padding_idx + 1 for RoBERTa.</param>
/// <param name="PaddingId">For RoBERTa: tokens with this id take the row <c>FirstPosition - 1</c> and are not counted. -1: there is none.</param>
/// <param name="TokenTypes">Rows of the segment embedding; row 0 is used.</param>
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
    Activation Activation)
{
    public const string FileName = "config.json";

    public int HeadSize => HiddenSize / Heads;

    /// <summary>The longest sequence that the position embedding reaches.</summary>
    public int MaxTokens => Math.Min(Positions - FirstPosition, EmbeddingLimits.SequenceTokens);

    public static EncoderConfig Read(ModelJson json)
    {
        var type = json.Text("model_type");
        var roberta = type switch
        {
            "bert" => false,
            "roberta" or "xlm-roberta" or "camembert" => true,
            null => throw new UnusableModelException(json.File, "lacks 'model_type'."),
            _ => throw Lacking(json, $"the model type '{type}'", "bert, roberta, xlm-roberta and camembert are"),
        };
        if (json.Has("auto_map")) { throw Lacking(json, "code of its own ('auto_map')", "the models of the BERT family as transformers has them are"); }
        if (json.Text("position_embedding_type") is { } positions and not "absolute") { throw Lacking(json, $"position embeddings of the type '{positions}'", "absolute ones are"); }
        if (json.Bool("is_decoder", absent: false)) { throw Lacking(json, "a decoder ('is_decoder')", "encoders are"); }
        if (json.Has("quantization_config")) { throw Lacking(json, "weights that are quantised already ('quantization_config')", "F32, F16 and BF16 are"); }
        if (json.Value("pruned_heads") is { ValueKind: JsonValueKind.Object } pruned && pruned.EnumerateObject().Any()) { throw Lacking(json, "pruned heads", "whole layers are"); }

        var hidden = json.Int("hidden_size", 1, EmbeddingLimits.HiddenSize);
        var heads = json.Int("num_attention_heads", 1, EmbeddingLimits.Heads);
        if (hidden % heads != 0) { throw new UnusableModelException(json.File, $"'hidden_size' {hidden} is no multiple of 'num_attention_heads' {heads}."); }

        var epsilon = json.Double("layer_norm_eps", 1e-12);
        if (!(epsilon >= 0 && epsilon < 1)) { throw new UnusableModelException(json.File, $"'layer_norm_eps' is {epsilon}; 0 up to 1 can be used."); }

        var vocabulary = json.Int("vocab_size", 1, EmbeddingLimits.Vocabulary);
        var padding = roberta ? json.Int("pad_token_id", 0, vocabulary - 1, absent: 1) : -1;
        var rows = json.Int("max_position_embeddings", 1, EmbeddingLimits.SequenceTokens + EmbeddingLimits.Prompts, absent: 512);
        return padding + 1 < rows
            ? new EncoderConfig(
                json.Int("num_hidden_layers", 1, EmbeddingLimits.Layers),
                hidden,
                heads,
                json.Int("intermediate_size", 1, EmbeddingLimits.IntermediateSize),
                vocabulary,
                rows,
                padding + 1,
                padding,
                json.Int("type_vocab_size", 1, 1_024, absent: roberta ? 1 : 2),
                (float)epsilon,
                Function(json))
            : throw new UnusableModelException(json.File, $"'max_position_embeddings' {rows} leaves no position after 'pad_token_id' {padding}.");
    }

    private static Activation Function(ModelJson json) => json.Text("hidden_act") switch
    {
        null or "gelu" => Activation.Gelu,
        "gelu_new" or "gelu_pytorch_tanh" or "gelu_fast" => Activation.GeluTanh,
        "relu" => Activation.Relu,
        var other => throw Lacking(json, $"the activation '{other}'", "gelu, gelu_new, gelu_fast, gelu_pytorch_tanh and relu are"),
    };

    private static UnusableModelException Lacking(ModelJson json, string what, string instead) => new(json.File, $"asks for {what}, which is not built here; {instead}.");
}
