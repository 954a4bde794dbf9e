namespace Platform.GpuKernels.Embedding.Models;

/// <summary>What transformers calls the tensors of one architecture of the BERT family. A linear layer's name has .weight and .bias behind it.</summary>
/// <param name="Layer">Before a layer's number, a dot and the name of what is in it.</param>
internal sealed record EncoderTensors(
    string Layer,
    string Query,
    string Key,
    string Value,
    string AttentionOutput,
    string AttentionNorm,
    string Intermediate,
    string Output,
    string OutputNorm)
{
    public const string Words = "embeddings.word_embeddings.weight";
    public const string Positions = "embeddings.position_embeddings.weight";
    public const string TokenTypes = "embeddings.token_type_embeddings.weight";
    public const string EmbeddingNorm = "embeddings.LayerNorm";

    /// <summary>MPNet's, of all layers: [buckets, heads].</summary>
    public const string PositionBias = "encoder.relative_attention_bias.weight";

    public static readonly EncoderTensors Bert = new(
        "encoder.layer.", "attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense", "attention.output.LayerNorm", "intermediate.dense", "output.dense", "output.LayerNorm");

    public static readonly EncoderTensors DistilBert = new(
        "transformer.layer.", "attention.q_lin", "attention.k_lin", "attention.v_lin", "attention.out_lin", "sa_layer_norm", "ffn.lin1", "ffn.lin2", "output_layer_norm");

    public static readonly EncoderTensors MpNet = new(
        "encoder.layer.", "attention.attn.q", "attention.attn.k", "attention.attn.v", "attention.attn.o", "attention.LayerNorm", "intermediate.dense", "output.dense", "output.LayerNorm");

    /// <summary>In the order in which they are packed.</summary>
    public IReadOnlyList<string> QueryKeyValue => [Query, Key, Value];

    /// <summary>What stands before all names: a model saved with a head (BertForMaskedLM) has its encoder under its own.</summary>
    /// <exception cref="UnusableModelException">There is no encoder in the file.</exception>
    public static string PrefixOf(Safetensors file) =>
        ((string[])["", "bert.", "roberta.", "distilbert.", "mpnet."]).FirstOrDefault(prefix => file.Find(prefix + Words) is not null)
            ?? throw new UnusableModelException(file.Name, $"lacks the tensor '{Words}': it is no encoder of the BERT family.");

    /// <summary>Gain and shift of a LayerNorm. Before 2018 ended they were called gamma and beta, and some files still have that.</summary>
    public static (string Gain, string Shift) Norm(Safetensors file, string name) =>
        file.Find($"{name}.weight") is null && file.Find($"{name}.gamma") is not null ? ($"{name}.gamma", $"{name}.beta") : ($"{name}.weight", $"{name}.bias");
}
