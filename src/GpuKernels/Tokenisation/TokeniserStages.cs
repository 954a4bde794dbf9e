using Platform.GpuKernels.Tokenisation.PreTokenisers;
using Platform.GpuKernels.Tokenisation.WordPiece;

namespace Platform.GpuKernels.Tokenisation;

/// <summary>What each `type` of a tokenizer.json becomes. Every kind that is supported stands here, and nowhere else.</summary>
internal static class TokeniserStages
{
    /// <summary>By `model.type`; the second argument is the whole file, since a model may depend on how its pieces are made.</summary>
    private static readonly Dictionary<string, Func<StageOptions, StageOptions, ITokenModel>> Models = new(StringComparer.Ordinal)
    {
        ["WordPiece"] = (model, _) => WordPieceModel.Read(model),
    };

    private static readonly Dictionary<string, Func<StageOptions, INormaliser>> Normalisers = new(StringComparer.Ordinal)
    {
    };

    private static readonly Dictionary<string, Func<StageOptions, IReadOnlyList<IPreTokeniser>>> PreTokenisers = new(StringComparer.Ordinal)
    {
        ["Sequence"] = options => [.. options.Items("pretokenizers").SelectMany(PreTokeniser)],
        ["WhitespaceSplit"] = _ => [new WhitespaceSplitPreTokeniser()],
    };

    private static readonly Dictionary<string, Func<StageOptions, IDecoder>> Decoders = new(StringComparer.Ordinal)
    {
    };

    public static ITokenModel Model(StageOptions options, StageOptions file) => Find(Models, options)(options, file);

    public static INormaliser? Normaliser(StageOptions options) => options.IsNull ? null : Find(Normalisers, options)(options);

    /// <summary>The steps in order; a Sequence is laid flat.</summary>
    public static IReadOnlyList<IPreTokeniser> PreTokeniser(StageOptions options) => options.IsNull ? [] : Find(PreTokenisers, options)(options);

    public static IDecoder? Decoder(StageOptions options) => options.IsNull ? null : Find(Decoders, options)(options);

    private static T Find<T>(Dictionary<string, T> supported, StageOptions options) =>
        supported.TryGetValue(options.Type, out var make) ? make : throw options.Unsupported(supported.Keys);
}
