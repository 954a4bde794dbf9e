using System.Text.Json;

namespace Platform.GpuKernels.Embedding.Models;

/// <summary>How the vectors of a text's tokens become the vector of the text. Names as in sentence-transformers' Pooling.</summary>
internal enum PoolingMode { Mean, Cls, Max, LastToken, MeanSqrtLength, WeightedMean }

/// <summary>
/// A model's directory in the layout of sentence-transformers: modules.json says which parts follow each other, and each part has a
/// folder with its config.json (https://sbert.net/docs/package_reference). Without modules.json it is an encoder with mean pooling, as
/// there; a config.json with the model type "model2vec" is a static embedding.
/// </summary>
/// <param name="WeightsFile">Of the encoder or the static embedding, relative to the directory; config.json and tokenizer.json lie beside it.</param>
/// <param name="Encoder">null: a static embedding.</param>
/// <param name="Dense">What the pooled vector goes through, one after the other.</param>
/// <param name="MaxTokens">Special tokens included; null: the model itself sets no limit.</param>
/// <param name="Prompts">Put before a text, by the name of what the text is for.</param>
/// <param name="IsModel2Vec">A static embedding whose mean leaves unknown tokens out.</param>
internal sealed record SentenceTransformer(
    string Directory,
    string WeightsFile,
    string TokeniserFile,
    EncoderConfig? Encoder,
    PoolingMode Pooling,
    IReadOnlyList<DenseConfig> Dense,
    bool Normalise,
    int? MaxTokens,
    IReadOnlyDictionary<string, string> Prompts,
    string? DefaultPrompt,
    bool IsModel2Vec)
{
    private const string ModulesFile = "modules.json";
    private const string PoolingPrefix = "pooling_mode_";

    public static SentenceTransformer Read(string directory)
    {
        if (!System.IO.Directory.Exists(directory)) { throw new UnusableModelException(".", $"the directory {directory} does not exist."); }

        var (prompts, defaultPrompt) = ReadPrompts(directory);
        var folder = "";
        bool? isStatic = null;
        PoolingMode? pooling = null;
        var dense = new List<string>();
        var normalise = false;
        var written = ModelJson.Read(directory, ModulesFile);
        foreach (var (path, type) in written is { } list ? Modules(list) : [])
        {
            switch (type)
            {
                case "Transformer" when isStatic is null: (isStatic, folder) = (false, path); break;
                case "StaticEmbedding" when isStatic is null: (isStatic, folder) = (true, path); break;
                case "Pooling" when isStatic == false && pooling is null && !normalise: pooling = ReadPooling(directory, path); break;
                case "Dense" when pooling is not null && !normalise: dense.Add(path); break;
                case "Normalize" when isStatic is not null: normalise = true; break;
                default: throw new UnusableModelException(ModulesFile, $"asks for the module '{type}' in a place where it is not built here; Transformer, Pooling, Dense, Normalize and StaticEmbedding, Normalize are.");
            }
        }

        var config = ModelJson.ReadObject(directory, Path.Combine(folder, EncoderConfig.FileName));
        var isModel2Vec = config?.Text("model_type") == "model2vec";
        isStatic ??= isModel2Vec;
        if (written is not null && isStatic == false && pooling is null) { throw new UnusableModelException(ModulesFile, "has a Transformer and no Pooling, so it gives no vector for a text."); }

        var weights = Path.Combine(folder, "model.safetensors");
        var tokeniser = Path.Combine(folder, "tokenizer.json");
        foreach (var needed in (string[])[weights, tokeniser])
        {
            if (!File.Exists(Path.Combine(directory, needed))) { throw new UnusableModelException(needed, $"is missing. {Advice(directory, folder, needed)}"); }
        }

        if (isStatic.Value)
        {
            normalise |= config?.Bool("normalize", absent: false) ?? false;
            return new SentenceTransformer(directory, weights, tokeniser, null, PoolingMode.Mean, [], normalise, null, prompts, defaultPrompt, isModel2Vec);
        }

        var encoder = EncoderConfig.Read(config ?? throw new UnusableModelException(EncoderConfig.FileName, "is missing."));
        var layers = new List<DenseConfig>();
        foreach (var path in dense) { layers.Add(DenseConfig.Read(directory, path, layers.Count == 0 ? encoder.HiddenSize : layers[^1].Outputs)); }

        return new SentenceTransformer(directory, weights, tokeniser, encoder, pooling ?? PoolingMode.Mean, layers, normalise, Length(directory, folder, encoder), prompts, defaultPrompt, IsModel2Vec: false);
    }

    /// <summary>As sentence-transformers has it: sentence_bert_config.json, else what tokenizer_config.json and the positions allow.</summary>
    private static int Length(string directory, string folder, EncoderConfig encoder)
    {
        var most = encoder.MaxTokens;
        if (ModelJson.ReadObject(directory, Path.Combine(folder, "sentence_bert_config.json")) is { } sentence)
        {
            if (sentence.Bool("do_lower_case", absent: false)) { throw new UnusableModelException(sentence.File, "asks for 'do_lower_case' outside of the tokeniser, which is not built here."); }
            if (sentence.Has("max_seq_length")) { return Math.Min(most, sentence.Int("max_seq_length", 1, int.MaxValue)); }
        }

        // Tokenisers without a limit write a number of 30 digits there.
        return ModelJson.ReadObject(directory, Path.Combine(folder, "tokenizer_config.json")) is { } tokeniser && tokeniser.Double("model_max_length", absent: most) is >= 1 and var length
            ? (int)Math.Min(most, length) : most;
    }

    private static List<(string Path, string Type)> Modules(JsonElement list)
    {
        if (list.ValueKind != JsonValueKind.Array) { throw new UnusableModelException(ModulesFile, $"holds {ModelJson.Kind(list)} where a list of modules is expected."); }
        if (list.GetArrayLength() > EmbeddingLimits.Modules) { throw new UnusableModelException(ModulesFile, $"has {list.GetArrayLength()} modules; {EmbeddingLimits.Modules} are read at most."); }

        var modules = new List<(string Path, string Type)>();
        foreach (var element in list.EnumerateArray())
        {
            var module = new ModelJson(ModulesFile, element);
            var path = module.Text("path") ?? "";
            if (path.Length > 0 && (path is ".." || path.AsSpan().IndexOfAny('/', '\\', '\0') >= 0)) { throw new UnusableModelException(ModulesFile, $"the path '{path}' is no folder of the model."); }

            // The module's class: the last part, since its package has moved between versions (sentence_transformers.models.Pooling).
            var type = module.Text("type") ?? throw new UnusableModelException(ModulesFile, "has a module without a 'type'.");
            modules.Add((path is "." ? "" : path, type[(type.LastIndexOf('.') + 1)..]));
        }

        return modules;
    }

    private static PoolingMode ReadPooling(string directory, string folder)
    {
        var json = ModelJson.ReadObject(directory, Path.Combine(folder, EncoderConfig.FileName)) ?? throw new UnusableModelException(Path.Combine(folder, EncoderConfig.FileName), "is missing.");
        if (!json.Bool("include_prompt", absent: true)) { throw new UnusableModelException(json.File, "asks for pooling without the prompt's tokens ('include_prompt'), which is not built here."); }

        var modes = new List<PoolingMode>();
        if (json.Text("pooling_mode") is { } named) { modes.Add(Mode(json, named)); }
        foreach (var member in json.Members)
        {
            if (member.Name.StartsWith(PoolingPrefix, StringComparison.Ordinal) && json.Bool(member.Name, absent: false)) { modes.Add(Mode(json, member.Name[PoolingPrefix.Length..])); }
        }

        return modes.Distinct().ToArray() switch
        {
            [var mode] => mode,
            [] => throw new UnusableModelException(json.File, "names no pooling."),
            _ => throw new UnusableModelException(json.File, "asks for several poolings side by side, which is not built here."),
        };
    }

    private static PoolingMode Mode(ModelJson json, string name) => name switch
    {
        "mean" or "mean_tokens" => PoolingMode.Mean,
        "cls" or "cls_token" => PoolingMode.Cls,
        "max" or "max_tokens" => PoolingMode.Max,
        "lasttoken" => PoolingMode.LastToken,
        "mean_sqrt_len_tokens" => PoolingMode.MeanSqrtLength,
        "weightedmean" or "weightedmean_tokens" => PoolingMode.WeightedMean,
        _ => throw new UnusableModelException(json.File, $"asks for the pooling '{name}', which is not built here."),
    };

    private static (IReadOnlyDictionary<string, string> Prompts, string? Default) ReadPrompts(string directory)
    {
        var prompts = new Dictionary<string, string>(StringComparer.Ordinal);
        if (ModelJson.ReadObject(directory, "config_sentence_transformers.json") is not { } json) { return (prompts, null); }
        if (json.Value("prompts") is { } written)
        {
            var members = new ModelJson(json.File, written);
            foreach (var member in members.Members)
            {
                var prompt = members.Text(member.Name) ?? "";
                if (prompts.Count == EmbeddingLimits.Prompts || prompt.Length > EmbeddingLimits.PromptLength) { throw new UnusableModelException(json.File, $"has more than {EmbeddingLimits.Prompts} prompts, or one of more than {EmbeddingLimits.PromptLength} characters."); }

                prompts.Add(member.Name, prompt);
            }
        }

        var chosen = json.Text("default_prompt_name");
        return chosen is null || prompts.ContainsKey(chosen) ? (prompts, chosen) : throw new UnusableModelException(json.File, $"its 'default_prompt_name' {chosen} is none of its prompts.");
    }

    private static string Advice(string directory, string folder, string needed)
    {
        var found = (string[])["pytorch_model.bin", "model.safetensors.index.json", "vocab.txt", "sentencepiece.bpe.model"];
        var here = found.Where(name => File.Exists(Path.Combine(directory, folder, name))).ToArray();
        return needed.EndsWith(".safetensors", StringComparison.Ordinal)
            ? here.Contains("pytorch_model.bin") ? "pytorch_model.bin is not read, since loading it can run code; save the model as safetensors."
            : here.Contains("model.safetensors.index.json") ? "Weights in several files are not read; save the model as one safetensors file." : "Weights are read from it."
            : here.Length > 0 ? $"The tokeniser is not read from {string.Join(", ", here)}; save it as a fast tokeniser." : "The tokeniser is read from it.";
    }
}
