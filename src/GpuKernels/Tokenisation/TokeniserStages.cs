using Platform.GpuKernels.Tokenisation.Bpe;
using Platform.GpuKernels.Tokenisation.Decoders;
using Platform.GpuKernels.Tokenisation.Normalisers;
using Platform.GpuKernels.Tokenisation.PreTokenisers;
using Platform.GpuKernels.Tokenisation.RegularExpressions;
using Platform.GpuKernels.Tokenisation.Unicode;
using Platform.GpuKernels.Tokenisation.Unigram;
using Platform.GpuKernels.Tokenisation.WordPiece;

namespace Platform.GpuKernels.Tokenisation;

/// <summary>What each `type` of a tokenizer.json becomes. Every kind that is supported stands here (post-processors: <see cref="PostProcessor"/>).</summary>
internal static class TokeniserStages
{
    /// <summary>How a stage is made, and the options that it may have: another would change the ids unseen, and is refused.</summary>
    private sealed record Kind<T>(Func<StageOptions, T> Make, params string[] Options);

    /// <summary>By `model.type`; the second argument is the whole file, since a model may depend on how its pieces are made.</summary>
    private static readonly Dictionary<string, Func<StageOptions, StageOptions, ITokenModel>> Models = new(StringComparer.Ordinal)
    {
        ["WordPiece"] = (model, _) => WordPieceModel.Read(model),
        ["BPE"] = BpeModel.Read,
        ["Unigram"] = (model, _) => UnigramModel.Read(model),
        ["WordLevel"] = (model, _) => WordLevelModel.Read(model),
    };

    private static readonly Dictionary<string, Kind<IReadOnlyList<INormaliser>>> Normalisers = new(StringComparer.Ordinal)
    {
        ["Sequence"] = new(options => [.. options.Items("normalizers").SelectMany(Normaliser)], "normalizers"),
        ["BertNormalizer"] = new(Bert, "clean_text", "handle_chinese_chars", "strip_accents", "lowercase"),
        ["NFC"] = new(_ => [new UnicodeNormaliser(composed: true, compatible: false)]),
        ["NFD"] = new(_ => [new UnicodeNormaliser(composed: false, compatible: false)]),
        ["NFKC"] = new(_ => [new UnicodeNormaliser(composed: true, compatible: true)]),
        ["NFKD"] = new(_ => [new UnicodeNormaliser(composed: false, compatible: true)]),
        ["Lowercase"] = new(_ => [new LowercaseNormaliser()]),
        ["StripAccents"] = new(_ => [new RemovingNormaliser(CharacterSets.Mark)]),
        ["Strip"] = new(options => [new StripNormaliser(options.Flag("strip_left"), options.Flag("strip_right"))], "strip_left", "strip_right"),
        ["Replace"] = new(options => [new ReplaceNormaliser(TextPattern.Read(options.Member("pattern")), options.Text("content"))], "pattern", "content"),
        ["Prepend"] = new(options => [new PrependNormaliser(options.Text("prepend"))], "prepend"),
        ["Nmt"] = new(_ => [new NmtNormaliser()]),
        ["Precompiled"] = new(options => [PrecompiledNormaliser.Read(options)], "precompiled_charsmap"),
        ["ByteLevel"] = new(_ => [new ByteLevelNormaliser()]),
    };

    private static readonly Dictionary<string, Kind<IReadOnlyList<IPreTokeniser>>> PreTokenisers = new(StringComparer.Ordinal)
    {
        ["Sequence"] = new(options => ScannedPreTokeniser.Joined([.. options.Items("pretokenizers").SelectMany(PreTokeniser)]), "pretokenizers"),
        ["BertPreTokenizer"] = new(_ => [new BertPreTokeniser()]),
        ["Whitespace"] = new(_ => [new WhitespacePreTokeniser()]),
        ["WhitespaceSplit"] = new(_ => [new WhitespaceSplitPreTokeniser()]),
        ["Punctuation"] = new(options => [new CharacterPreTokeniser(CharacterSets.Punctuation, PatternPreTokeniser.Behaviour(options, "behavior", "Isolated"))], "behavior"),
        ["Digits"] = new(options => [new CharacterPreTokeniser(CharacterSets.Numeric, options.Flag("individual_digits", false) ? SplitBehaviour.Isolated : SplitBehaviour.Contiguous)], "individual_digits"),
        ["CharDelimiterSplit"] = new(options => [new DelimiterPreTokeniser((uint)options.Text("delimiter").EnumerateRunes().First().Value)], "delimiter"),
        ["Split"] = new(options => [ScannedPreTokeniser.TryRead(options) ?? (IPreTokeniser)SplitPreTokeniser.Read(options)], "pattern", "behavior", "invert"),
        ["ByteLevel"] = new(options => [new ByteLevelPreTokeniser(options.Flag("add_prefix_space"), options.Flag("use_regex", true))], "add_prefix_space", "trim_offsets", "use_regex"),
        ["Metaspace"] = new(options => [new MetaspacePreTokeniser(Metaspace.Read(options))], Metaspace.Options),
        ["FixedLength"] = new(options => [FixedLengthPreTokeniser.Read(options)], "length"),
        ["UnicodeScripts"] = new(_ => [new ScriptPreTokeniser()]),
    };

    private static readonly Dictionary<string, Kind<IReadOnlyList<IDecoder>>> Decoders = new(StringComparer.Ordinal)
    {
        ["Sequence"] = new(options => [.. options.Items("decoders").SelectMany(each => Decoder(each) ?? [])], "decoders"),
        ["WordPiece"] = new(options => [new WordPieceDecoder(options.Text("prefix", "##"), options.Flag("cleanup", true))], "prefix", "cleanup"),
        ["BPEDecoder"] = new(options => [new SuffixDecoder(options.Text("suffix", "</w>"))], "suffix"),
        ["CTC"] = new(options => [new CtcDecoder(options.Text("pad_token"), options.Text("word_delimiter_token"), options.Flag("cleanup"))], "pad_token", "word_delimiter_token", "cleanup"),
        ["Fuse"] = new(_ => [new FuseDecoder()]),
        ["Replace"] = new(options => [new ReplaceDecoder(TextPattern.Read(options.Member("pattern")), options.Text("content"))], "pattern", "content"),
        ["Strip"] = new(options => [new StripDecoder(options.Text("content"), options.Number("start"), options.Number("stop"))], "content", "start", "stop"),
        ["ByteFallback"] = new(_ => [new ByteFallbackDecoder()]),
        ["ByteLevel"] = new(_ => [new ByteLevelDecoder()], "add_prefix_space", "trim_offsets", "use_regex"),
        ["Metaspace"] = new(options => [new MetaspaceDecoder(Metaspace.Read(options))], Metaspace.Options),
    };

    public static ITokenModel Model(StageOptions options, StageOptions file)
    {
        if (options.IsNull) { throw StageOptions.Wrong("model", "is missing"); }

        return Models.TryGetValue(options.Type, out var make) ? make(options, file) : throw options.Unsupported(Models.Keys);
    }

    /// <summary>The steps in order; a Sequence is laid flat.</summary>
    public static IReadOnlyList<INormaliser> Normaliser(StageOptions options) => Find(Normalisers, options) ?? [];

    /// <summary>The steps in order; a Sequence is laid flat.</summary>
    public static IReadOnlyList<IPreTokeniser> PreTokeniser(StageOptions options) => Find(PreTokenisers, options) ?? [];

    /// <summary>The steps of a file: where others see the spelling of ByteLevel, it is a step by itself.</summary>
    public static IReadOnlyList<IPreTokeniser> PreTokenisersOf(StageOptions file)
    {
        var steps = PreTokeniser(file.Member("pre_tokenizer"));
        var made = new List<IPreTokeniser>(steps.Count + 1);
        for (var i = 0; i < steps.Count; i++)
        {
            made.Add(steps[i]);
            if (steps[i] is ByteLevelPreTokeniser && !(i == steps.Count - 1 && ByteLevel.IsReadBy(file.Member("model"), file))) { made.Add(new SpellingPreTokeniser()); }
        }

        return made;
    }

    /// <summary>The steps in order; a Sequence is laid flat. null: there is none.</summary>
    public static IReadOnlyList<IDecoder>? Decoder(StageOptions options) => Find(Decoders, options);

    /// <summary>What does the same as all the stages at once, and faster, where there is such a thing.</summary>
    public static Func<IPieceTokeniser>? Fused(ITokenModel model, IReadOnlyList<INormaliser> normalisers, IReadOnlyList<IPreTokeniser> preTokenisers) =>
        model is BpeModel { Bytes: { } bytes } ? FusedBytePairTokeniser.TryMake(bytes, preTokenisers) is { } fused ? NormalisedFirst.For(normalisers, fused) : null
        : model is BpeModel { Cuts: { } cuts } && NormalisedFirst.LeaveWhole(normalisers, preTokenisers)
            ? FusedCharacterPairs.TryMake(model, cuts, normalisers) ?? NormalisedFirst.For(normalisers, model.NewPieceTokeniser)
        : FusedWordPiece.For(model, normalisers, preTokenisers) ?? FusedWords.For(model, normalisers, preTokenisers);

    private static T? Find<T>(Dictionary<string, Kind<T>> supported, StageOptions options)
        where T : class
    {
        if (options.IsNull) { return null; }

        if (!supported.TryGetValue(options.Type, out var kind)) { throw options.Unsupported(supported.Keys); }

        options.Knows(kind.Options);
        return kind.Make(options);
    }

    private static List<INormaliser> Bert(StageOptions options)
    {
        var steps = new List<INormaliser>();
        var lowercase = options.Flag("lowercase", true);
        var strip = options.Member("strip_accents");
        if (options.Flag("clean_text", true)) { steps.Add(new CleaningNormaliser()); }

        if (options.Flag("handle_chinese_chars", true)) { steps.Add(new ChineseNormaliser()); }

        if (strip.IsNull ? lowercase : options.Flag("strip_accents"))
        {
            steps.Add(new UnicodeNormaliser(composed: false, compatible: false));
            steps.Add(new RemovingNormaliser(CharacterSets.Nonspacing));
        }

        if (lowercase) { steps.Add(new LowercaseNormaliser()); }

        return steps;
    }
}
