using System.Text;
using System.Text.Json;
using Platform.GpuKernels.Devices;
using Platform.GpuKernels.Embedding.Models;
using Platform.GpuKernels.Kernels;
using Platform.GpuKernels.Tokenisation;

namespace Platform.GpuKernels.Embedding;

/// <summary>What a text is embedded for: models have a prompt for each, and comparing a query with a document works only so.</summary>
public enum EmbeddingPurpose
{
    Query,
    Document,
}

/// <param name="Precision">Of an encoder's weights; a static embedding is always exact.</param>
/// <param name="Dimension">The first so many values of each vector are kept, before it is normalised: for models that were trained for it (Matryoshka, Kusupati et al. 2022). null: all.</param>
/// <param name="Threads">At most so many at a time; 0: one for each core.</param>
/// <param name="UnitLength">Vectors get the Euclidean length 1 also where the model leaves it open.</param>
/// <param name="Device">Runs the encoder in bfloat16, where it can; it is opened at the first batch. null, what it cannot run, or Int8, whose vectors are not the same ones: the CPU.</param>
/// <param name="SetAside">Told once if the device fails; that batch and those after it are done on the CPU.</param>
public sealed record EmbeddingModelOptions(WeightPrecision Precision = WeightPrecision.Float32, int? Dimension = null, int Threads = 0, bool UnitLength = false, DeviceInfo? Device = null, Action<DeviceSetAside>? SetAside = null)
{
    /// <summary>How <see cref="Device"/> is opened.</summary>
    internal Func<DeviceInfo, Accelerator> Open { get; init; } = DeviceSurvey.Open;
}

/// <summary>
/// Texts to vectors, by a model in a directory of sentence-transformers' layout: tokeniser, encoder or static embedding, pooling. A
/// text's vector depends on nothing else in its batch. Safe for several threads.
/// </summary>
public sealed class EmbeddingModel : IDisposable
{
    /// <summary>Texts that are tokenised before they are encoded; memory for their tokens is bounded by it.</summary>
    internal const int TextsAtATime = 512;

    /// <summary>Tokens of a batch that keep each thread busy: four of the encoder's chunks, so that one slow thread does not leave the others waiting long.</summary>
    private const int EncodedAtATime = 4 * TransformerEncoder.ChunkTokens;

    /// <summary>As many of a static embedding take a thread about a millisecond.</summary>
    private const int SummedAtATime = 16 * 1024;

    /// <summary>Tokens of a batch for a device: two of the batches that it makes at once, one of which is copied while the other runs.</summary>
    private const int OnDeviceAtATime = 32 * 1024;

    private readonly SentenceTransformer _layout;
    private readonly Tokeniser _tokeniser;
    private readonly EncodeOptions _encode;
    private readonly TransformerEncoder? _encoder;
    private readonly AcceleratedEncoder? _accelerated;
    private readonly StaticEmbedding? _static;
    private readonly DenseLayer[] _dense;
    private readonly int? _unknown;
    private readonly int _threads;
    private readonly bool _normalise;
    private readonly Lock _gate = new();
    private int _users;
    private bool _disposed;

    private EmbeddingModel(SentenceTransformer layout, Tokeniser tokeniser, TransformerEncoder? encoder, StaticEmbedding? @static, DenseLayer[] dense, int? unknown, EmbeddingModelOptions options)
    {
        (_layout, _tokeniser, _encoder, _static, _dense, _unknown) = (layout, tokeniser, encoder, @static, dense, unknown);
        _normalise = layout.Normalise || options.UnitLength;
        _threads = options.Threads > 0 ? options.Threads : Environment.ProcessorCount;

        // An encoder's texts end where it was trained to end; a static embedding has neither an end nor special tokens.
        _encode = encoder is null
            ? new EncodeOptions(AddSpecialTokens: false)
            : new EncodeOptions(Truncation: new Truncation(layout.MaxTokens!.Value, TruncationStrategy.LongestFirst, 0, tokeniser.Defaults.Truncation?.Side ?? Side.Right));
        Dimension = options.Dimension ?? (layout.Dense is [.., var last] ? last.Outputs : Width);
        if (encoder is not null && options is { Device: { } device, Precision: not WeightPrecision.Int8 } && DeviceEncoder.Pooling(layout.Pooling) is not null)
        {
            _accelerated = new AcceleratedEncoder(
                encoder,
                device,
                () => options.Open(device),
                () => Safetensors.Open(layout.Directory, layout.WeightsFile),
                options.SetAside ?? (_ => { }));
        }
    }

    /// <summary>Values of a vector.</summary>
    public int Dimension { get; }

    /// <summary>Tokens of a text that are read, special tokens included; null: all.</summary>
    public int? MaxTokens => _layout.MaxTokens;

    /// <summary>Whether it sees a text as a bag of tokens, without their order.</summary>
    public bool IsStatic => _static is not null;

    /// <summary>What the weights take of this machine's memory, mapped ones included; a device has its own beside them.</summary>
    public long Bytes => (_encoder?.Bytes ?? _static!.Bytes) + DenseBytes(_layout);

    /// <summary>What an encoder's linear layers take in memory; 0 with a static embedding.</summary>
    internal long WeightBytes => _encoder?.WeightBytes ?? 0;

    /// <summary>Whether the next batch will be tried on a device.</summary>
    public bool IsOnDevice => _accelerated is { IsOnDevice: true };

    /// <summary>Tokens of a batch that keep the device or all threads busy and not long.</summary>
    internal int BatchTokens => IsOnDevice ? OnDeviceAtATime : _threads * (IsStatic ? SummedAtATime : EncodedAtATime);

    private int Width => _encoder?.Config.HiddenSize ?? _static!.Dimension;

    /// <exception cref="UnusableModelException">A file is missing or damaged, or asks for something that is not built here.</exception>
    public static EmbeddingModel Load(string directory, EmbeddingModelOptions? options = null)
    {
        options ??= new EmbeddingModelOptions();
        var layout = SentenceTransformer.Read(directory);
        var tokeniser = ReadTokeniser(layout);
        var file = Safetensors.Open(directory, layout.WeightsFile);
        TransformerEncoder? encoder = null;
        StaticEmbedding? @static = null;
        var dense = new List<DenseLayer>();
        try
        {
            if (layout.Encoder is { } config) { encoder = new TransformerEncoder(config, file, options.Precision); }
            else
            {
                using (file) { @static = new StaticEmbedding(file); }
            }

            var (rows, width) = encoder is null ? (@static!.Tokens, @static.Dimension) : (encoder.Config.Vocabulary, encoder.Config.HiddenSize);
            if (tokeniser.IdLimit > rows) { throw new UnusableModelException(layout.TokeniserFile, $"has ids up to {tokeniser.IdLimit - 1}, and the model has vectors for {rows} tokens only. Do they belong together?"); }
            foreach (var layer in layout.Dense)
            {
                dense.Add(new DenseLayer(directory, layer));
                width = layer.Outputs;
            }

            if (options.Dimension is { } wanted && (wanted < 1 || wanted > width)) { throw new ArgumentOutOfRangeException(nameof(options), wanted, $"The model's vectors have {width} values; 1 to {width} of them can be kept."); }

            return new EmbeddingModel(layout, tokeniser, encoder, @static, [.. dense], encoder is null ? Unknown(layout, tokeniser) : null, options);
        }
        catch
        {
            encoder?.Dispose();
            @static?.Dispose();
            foreach (var layer in dense) { layer.Dispose(); }
            file.Dispose();
            throw;
        }
    }

    /// <summary><see cref="Bytes"/> of a model that is not loaded yet: its headers are read, its weights are not.</summary>
    /// <exception cref="UnusableModelException">A file is missing or damaged, or asks for something that is not built here.</exception>
    public static long BytesOf(string directory, WeightPrecision precision)
    {
        var layout = SentenceTransformer.Read(directory);
        using var file = Safetensors.Open(directory, layout.WeightsFile);
        return (layout.Encoder is { } config ? TransformerEncoder.BytesOf(config, file, precision) : StaticEmbedding.BytesOf(file)) + DenseBytes(layout);
    }

    /// <returns>As many vectors as texts, in their order. A text without tokens has a vector of zeros.</returns>
    /// <exception cref="ArgumentException">There are more than <see cref="EmbeddingLimits.Texts"/> texts, or one is longer than <see cref="TextLimits.TextBytes"/>.</exception>
    public float[][] Embed(IReadOnlyList<string> texts, EmbeddingPurpose purpose, CancellationToken cancellation)
    {
        if (texts.Count > EmbeddingLimits.Texts) { throw new ArgumentException($"{texts.Count} texts were given; {EmbeddingLimits.Texts} are embedded at a time.", nameof(texts)); }

        LengthOf(texts);
        Enter();
        try
        {
            var vectors = new float[texts.Count][];
            var packed = new PackedTokens();
            for (var first = 0; first < texts.Count; first += TextsAtATime)
            {
                cancellation.ThrowIfCancellationRequested();
                var some = Math.Min(TextsAtATime, texts.Count - first);
                Tokenise([.. Enumerable.Range(first, some).Select(text => texts[text])], purpose, packed);
                EmbedTokens(packed, vectors.AsMemory(first, some), cancellation);
            }

            return vectors;
        }
        finally { Leave(); }
    }

    /// <summary>Frees the weights, once the calls that use them have ended. Later calls are refused.</summary>
    public void Dispose()
    {
        lock (_gate)
        {
            if (_disposed) { return; }

            _disposed = true;
            if (_users > 0) { return; }
        }

        Free();
    }

    /// <summary>The texts with the purpose's prompt before them, as the tokens that are embedded.</summary>
    internal void Tokenise(IReadOnlyList<string> texts, EmbeddingPurpose purpose, PackedTokens into)
    {
        var prompt = Prompt(purpose);
        var bytes = new ReadOnlyMemory<byte>[texts.Count];
        for (var i = 0; i < bytes.Length; i++) { bytes[i] = Encoding.UTF8.GetBytes(prompt + texts[i]); }

        _tokeniser.Pack(bytes, into, _encode, _threads);
    }

    /// <summary>UTF-16 units of all together.</summary>
    /// <exception cref="ArgumentException">One is longer than <see cref="TextLimits.TextBytes"/> can be.</exception>
    internal static long LengthOf(IReadOnlyList<string> texts)
    {
        var length = 0L;
        for (var i = 0; i < texts.Count; i++)
        {
            if (texts[i].Length > TextLimits.TextBytes / 3) { throw new ArgumentException($"Text {i} has {texts[i].Length} UTF-16 units; {TextLimits.TextBytes / 3} are embedded at most.", nameof(texts)); }

            length += texts[i].Length;
        }

        return length;
    }

    internal void EmbedPacked(PackedTokens packed, Memory<float[]> vectors, CancellationToken cancellation)
    {
        Enter();
        try { EmbedTokens(packed, vectors, cancellation); }
        finally { Leave(); }
    }

    private unsafe void EmbedTokens(PackedTokens packed, Memory<float[]> vectors, CancellationToken cancellation)
    {
        for (var text = 0; text < packed.Count; text++) { vectors.Span[text] = new float[Dimension]; }

        if (_static is not null)
        {
            var ids = packed.Ids.ToArray();
            var starts = packed.Starts.ToArray();
            Parallel.For(0, packed.Count, new ParallelOptions { MaxDegreeOfParallelism = _threads, CancellationToken = cancellation }, () => new float[_static.Dimension], (text, _, whole) =>
            {
                _static.Embed(ids.AsSpan(starts[text]..starts[text + 1]), _unknown, whole);
                Finish(whole, vectors.Span[text]);
                return whole;
            }, _ => { });
            return;
        }

        // Texts without any token are left out: their vectors stay zero.
        int[] filled = [.. Enumerable.Range(0, packed.Count).Where(text => packed[text].Length > 0)];
        var begins = new int[filled.Length + 1];
        for (var i = 0; i < filled.Length; i++) { begins[i + 1] = begins[i] + packed[filled[i]].Length; }

        if (IsOnDevice)
        {
            var whole = new float[filled.Length * Width];
            _accelerated!.Encode(packed.Ids.ToArray(), begins, _layout.Pooling, normalise: false, whole, _threads, cancellation);
            for (var i = 0; i < filled.Length; i++) { Finish(whole.AsSpan(i * Width, Width), vectors.Span[filled[i]]); }
            return;
        }

        _encoder!.Encode(packed.Ids.ToArray(), begins, _threads, (sequence, states, tokens) =>
        {
            var whole = new float[Width];
            Pooling.Pool(_layout.Pooling, states, _encoder.Stride, tokens, whole);
            Finish(whole, vectors.Span[filled[sequence]]);
        }, cancellation);
    }

    private static long DenseBytes(SentenceTransformer layout) => layout.Dense.Sum(DenseLayer.BytesOf);

    private void Finish(ReadOnlySpan<float> whole, Span<float> vector)
    {
        foreach (var layer in _dense) { whole = layer.Apply(whole); }

        whole[..vector.Length].CopyTo(vector);
        if (_normalise) { Pooling.Normalise(vector); }
    }

    /// <summary>As sentence-transformers' encode_query and encode_document choose it.</summary>
    private string Prompt(EmbeddingPurpose purpose)
    {
        string[] names = purpose switch
        {
            EmbeddingPurpose.Query => ["query"],
            EmbeddingPurpose.Document => ["document", "passage", "corpus"],
        };
        var name = names.FirstOrDefault(_layout.Prompts.ContainsKey) ?? _layout.DefaultPrompt;
        return name is null ? "" : _layout.Prompts[name];
    }

    private static Tokeniser ReadTokeniser(SentenceTransformer layout)
    {
        try { return Tokeniser.Load(Path.Combine(layout.Directory, layout.TokeniserFile)); }
        catch (TokeniserFileException error) { throw new UnusableModelException(layout.TokeniserFile, error.Message); }
    }

    /// <summary>The id that model2vec leaves out of the mean: that of its tokeniser's unk_token. sentence-transformers' own static embeddings leave none out.</summary>
    private static int? Unknown(SentenceTransformer layout, Tokeniser tokeniser)
    {
        if (!layout.IsModel2Vec) { return null; }

        using var document = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(layout.Directory, layout.TokeniserFile)), new JsonDocumentOptions { MaxDepth = 32 });
        return document.RootElement.TryGetProperty("model", out var model) && model.ValueKind == JsonValueKind.Object && model.TryGetProperty("unk_token", out var unknown) && unknown.ValueKind == JsonValueKind.String
            ? tokeniser.IdOf(unknown.GetString()!) : null;
    }

    private void Enter()
    {
        lock (_gate)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            _users++;
        }
    }

    private void Leave()
    {
        lock (_gate)
        {
            if (--_users > 0 || !_disposed) { return; }
        }

        Free();
    }

    private void Free()
    {
        _accelerated?.Dispose();
        _encoder?.Dispose();
        _static?.Dispose();
        foreach (var layer in _dense) { layer.Dispose(); }
    }
}
