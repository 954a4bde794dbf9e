namespace Platform.GpuKernels.Embedding;

/// <summary>What a model's files may ask for. They come from strangers: what is larger is refused before memory is taken for it.</summary>
public static class EmbeddingLimits
{
    /// <summary>A JSON file of a model (config.json, modules.json ...): the largest seen, with 10,000 labels, has 500 KB.</summary>
    public const int JsonBytes = 2 * 1024 * 1024;

    /// <summary>Levels of such a file; those seen have four.</summary>
    public const int JsonDepth = 16;

    /// <summary>The header of a safetensors file: about 100 bytes a tensor, so 100 times what the largest encoder needs.</summary>
    public const int HeaderBytes = 8 * 1024 * 1024;

    /// <summary>Tensors of one file; an encoder of 64 layers has about 1,000.</summary>
    public const int Tensors = 65_536;

    /// <summary>Dimensions of one tensor.</summary>
    public const int Rank = 8;

    /// <summary>A file of weights: seven times XLM-R large in 32 bits.</summary>
    public const long WeightBytes = 16L * 1024 * 1024 * 1024;

    public const int Layers = 96;
    public const int HiddenSize = 8_192;
    public const int IntermediateSize = 65_536;
    public const int Heads = 256;

    /// <summary>Rows of a word embedding; the largest multilingual vocabularies have 260,000.</summary>
    public const int Vocabulary = 4_000_000;

    /// <summary>Tokens of one text: attention is quadratic in it.</summary>
    public const int SequenceTokens = 8_192;

    public const int Modules = 16;

    /// <summary>Prompts of a model, and the length of one in UTF-16 units: a prompt is paid for with every text.</summary>
    public const int Prompts = 256;
    public const int PromptLength = 4_096;

    /// <summary>Texts of one call; more are to be asked for in several, so that a caller can be cancelled and memory stays bounded.</summary>
    public const int Texts = 65_536;
}
