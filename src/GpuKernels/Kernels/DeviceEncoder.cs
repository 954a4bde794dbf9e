using Platform.GpuKernels.Devices;
using Platform.GpuKernels.Embedding.Models;

namespace Platform.GpuKernels.Kernels;

/// <summary>
/// The encoder of the BERT family on an accelerator: weights and activations in bf16, sums in float, sequences packed without padding.
/// The same model as <see cref="Embedding.TransformerEncoder"/> reads, and the same vectors but for rounding. One thread at a time.
/// </summary>
internal sealed class DeviceEncoder : IDisposable
{
    /// <summary>Tokens that go through all layers together: at a width of 384 their widest activations, 25 MB, stay in a large card's second cache.</summary>
    public const int BatchTokens = 8192;

    /// <summary>A batch of less than a third of the device's groups is done sooner by kernels that share its rows among all of them.</summary>
    private const int PackedFrom = 3;

    /// <summary>Graphs that are kept; with their buckets' sizes rounded to powers of two there are rarely so many.</summary>
    private const int Graphs = 64;

    private readonly Accelerator _accelerator;
    private readonly List<MemoryBuffer> _owned = [];
    private readonly Tables _tables;
    private readonly Norm _embeddingNorm;
    private readonly Layer[] _layers;
    private readonly PackedLayer[] _packed = [];
    private readonly int _batchTokens = BatchTokens;
    private readonly Lane[] _lanes;

    /// <param name="file">Read here and not kept.</param>
    /// <param name="warpgroups">Whether large batches go by the kernels of <see cref="Hopper"/>; null: where the device is made for them.</param>
    /// <exception cref="DeviceException">The device has not the memory, or refuses a kernel.</exception>
    public DeviceEncoder(Accelerator accelerator, EncoderConfig config, Safetensors file, bool? warpgroups = null)
    {
        if (Refuse(config) is { } reason) { throw new ArgumentException($"The model cannot run on a device: {reason}", nameof(config)); }

        (_accelerator, Config) = (accelerator, config);

        // While the device works on one batch, the next is uploaded and launched, and the last one's vectors are copied back.
        _lanes = [new Lane(this), new Lane(this)];
        try
        {
            var prefix = EncoderTensors.PrefixOf(file);
            var width = config.HiddenSize;
            _tables = new Tables(
                Halves(file.Get(prefix + EncoderTensors.Words, config.Vocabulary, width)),
                Halves(file.Get(prefix + EncoderTensors.Positions, config.Positions, width)),
                config.TokenTypes > 0 ? Halves(file.Get(prefix + EncoderTensors.TokenTypes, config.TokenTypes, width)) : Up(new ushort[width]),
                config.HasPositionBias ? ReadPositionBias(file, prefix + EncoderTensors.PositionBias) : null);
            _embeddingNorm = ReadNorm(file, prefix + EncoderTensors.EmbeddingNorm);
            _layers = [.. Enumerable.Range(0, config.Layers).Select(layer => ReadLayer(file, $"{prefix}{config.Tensors.Layer}{layer}."))];
            if ((warpgroups ?? accelerator.HasWarpgroups) && Hopper.Takes(width, config.IntermediateSize))
            {
                _packed = [.. Enumerable.Range(0, config.Layers).Select(layer => PackLayer(file, $"{prefix}{config.Tensors.Layer}{layer}."))];

                // Every group of the device has its rows, once.
                _batchTokens = Math.Max(1, accelerator.Info.ComputeUnits) * Hopper.GroupRows;
            }
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    public EncoderConfig Config { get; }

    /// <summary>From so many tokens on a batch goes by other kernels; null where there are none.</summary>
    public int? OtherKernelsFrom => _packed.Length == 0 ? null : (_batchTokens + PackedFrom - 1) / PackedFrom;

    /// <summary>Bytes of the weights on the device.</summary>
    public long WeightBytes => _owned.Sum(buffer => buffer.Bytes);

    /// <summary>Why a model cannot run on a device; null where it can.</summary>
    public static string? Refuse(EncoderConfig config) => config switch
    {
        { HiddenSize: > Rows.MaxWidth } => $"it is {config.HiddenSize} wide, and at most {Rows.MaxWidth} are built here.",
        { HiddenSize: var hidden, IntermediateSize: var middle } when hidden % Gemm.Deep != 0 || middle % Gemm.Deep != 0 => $"its widths {hidden} and {middle} are not both multiples of {Gemm.Deep}.",
        { HeadSize: var head } when !Attention.Takes(head) => $"its heads are {head} wide, and 32 and 64 are built here.",
        { Activation: not Activation.Gelu } => $"its activation is {config.Activation}, and Gelu is built here.",
        _ => null,
    };

    /// <summary>Whether a pooling is built for devices.</summary>
    public static RowPooling? Pooling(PoolingMode mode) => mode switch
    {
        PoolingMode.Mean => RowPooling.Mean,
        PoolingMode.Cls => RowPooling.First,
        PoolingMode.LastToken => RowPooling.Last,
        PoolingMode.Max or PoolingMode.MeanSqrtLength or PoolingMode.WeightedMean => null,
    };

    /// <summary>One vector for each sequence.</summary>
    /// <param name="ids">Token ids of all sequences.</param>
    /// <param name="starts">[sequences + 1]: where each sequence starts in <paramref name="ids"/>, and at the end where the last one ends.</param>
    /// <param name="vectors">[sequences, HiddenSize].</param>
    /// <exception cref="ArgumentException">A sequence is empty or too long, or an id is not in the vocabulary.</exception>
    /// <exception cref="DeviceException">The device failed; what is in <paramref name="vectors"/> is of no use.</exception>
    public void Encode(ReadOnlySpan<int> ids, ReadOnlySpan<int> starts, RowPooling pooling, bool normalise, Span<float> vectors)
    {
        Check(ids, starts);
        if (vectors.Length < (long)(starts.Length - 1) * Config.HiddenSize) { throw new ArgumentException($"{starts.Length - 1} vectors of {Config.HiddenSize} do not fit in {vectors.Length} floats.", nameof(vectors)); }

        var running = new Queue<(Lane Lane, int First, int Last)>();
        var turn = 0;
        for (int first = 0, last; first < starts.Length - 1; first = last)
        {
            last = first + 1;
            while (last < starts.Length - 1 && starts[last + 1] - starts[first] <= _batchTokens) { last++; }
            if (running.Count == _lanes.Length) { Finish(running.Dequeue(), vectors); }

            var lane = _lanes[turn++ % _lanes.Length];
            lane.Start(ids, starts[first..(last + 1)], pooling, normalise);
            running.Enqueue((lane, first, last));
        }

        while (running.TryDequeue(out var one)) { Finish(one, vectors); }
    }

    public void Dispose()
    {
        foreach (var lane in _lanes) { lane.Dispose(); }
        foreach (var buffer in _owned) { buffer.Dispose(); }
    }

    private void Finish((Lane Lane, int First, int Last) batch, Span<float> vectors) =>
        batch.Lane.Finish(vectors[(batch.First * Config.HiddenSize)..(batch.Last * Config.HiddenSize)]);

    private void Check(ReadOnlySpan<int> ids, ReadOnlySpan<int> starts)
    {
        if (starts.Length == 0 || starts[0] < 0 || starts[^1] > ids.Length) { throw new ArgumentException($"The sequences lie outside of the {ids.Length} tokens.", nameof(starts)); }

        for (var sequence = 0; sequence + 1 < starts.Length; sequence++)
        {
            var length = (long)starts[sequence + 1] - starts[sequence];
            if (length < 1 || length > Config.MaxTokens) { throw new ArgumentException($"Sequence {sequence} has {length} tokens; 1 to {Config.MaxTokens} can be encoded.", nameof(starts)); }
        }

        // An id outside of the table would be a read outside of a buffer on the device.
        foreach (var id in ids[starts[0]..starts[^1]])
        {
            if ((uint)id >= (uint)Config.Vocabulary) { throw new ArgumentException($"The token id {id} is outside of the model's vocabulary of {Config.Vocabulary}. Does tokenizer.json belong to the model?", nameof(ids)); }
        }
    }

    private void Launch(AcceleratorStream stream, Activations a, int tokens, int tiles, int sequences, RowPooling pooling, bool normalise)
    {
        int width = Config.HiddenSize, middle = Config.IntermediateSize;
        Rows.Embed(stream, a.Ids, a.Positions, a.Types, _tables.Words, _tables.Positions, _tables.Types, _embeddingNorm.Gain, _embeddingNorm.Shift, a.States, tokens, width, Config.LayerNormEpsilon);
        for (var i = 0; i < _layers.Length; i++)
        {
            var layer = _layers[i];
            if (tokens >= OtherKernelsFrom)
            {
                Hopper.Project(stream, a.States, _packed[i].QueriesKeysValues, a.Wide, tokens, 3 * width);
                Attend();
                Hopper.AfterAttention(stream, a.Context, a.States, _packed[i].AfterAttention, layer.Intermediate.Bias, a.States, tokens, middle, Config.LayerNormEpsilon);
                continue;
            }

            Gemm.Launch(stream, Epilogue.Plain, a.States, layer.QueriesKeysValues.Weight, layer.QueriesKeysValues.Bias, a.States, a.Wide, tokens, 3 * width, width);
            Attend();
            Gemm.Launch(stream, Epilogue.Residual, a.Context, layer.AttentionOutput.Weight, layer.AttentionOutput.Bias, a.States, a.Sum, tokens, width, width);
            Rows.LayerNorm(stream, a.Sum, layer.AttentionNorm.Gain, layer.AttentionNorm.Shift, a.States, tokens, width, Config.LayerNormEpsilon);
            Gemm.Launch(stream, Epilogue.Gelu, a.States, layer.Intermediate.Weight, layer.Intermediate.Bias, a.States, a.Wide, tokens, middle, width);
            Gemm.Launch(stream, Epilogue.Residual, a.Wide, layer.Output.Weight, layer.Output.Bias, a.States, a.Sum, tokens, width, middle);
            Rows.LayerNorm(stream, a.Sum, layer.OutputNorm.Gain, layer.OutputNorm.Shift, a.States, tokens, width, Config.LayerNormEpsilon);
        }

        Rows.Pool(stream, a.States, a.Offsets, a.Vectors, sequences, width, pooling, normalise);

        void Attend() => Attention.Launch(stream, a.Wide, a.Context, a.TileList, tiles, tokens, Config.Heads, Config.HeadSize, _tables.PositionBias, Attention.Reach(Config.MaxTokens));
    }

    /// <summary>BERT counts from 0; RoBERTa counts over what is no padding, which takes the padding's own row.</summary>
    private void Positions(ReadOnlySpan<int> ids, ReadOnlySpan<int> starts, Span<int> positions)
    {
        for (var sequence = 0; sequence + 1 < starts.Length; sequence++)
        {
            var position = Config.FirstPosition;
            for (var at = starts[sequence]; at < starts[sequence + 1]; at++)
            {
                positions[at - starts[0]] = ids[at] == Config.PaddingId ? Config.PaddingId : position++;
            }
        }
    }

    /// <summary>The next power of two, at least <paramref name="least"/>; from 1024 on in eight steps between, so that at most an eighth is wasted.</summary>
    private static int Bucket(int count, int least)
    {
        var power = Math.Max(least, (int)System.Numerics.BitOperations.RoundUpToPowerOf2((uint)count));
        if (power <= 1024) { return power; }

        var step = power / 16;
        return (count + step - 1) / step * step;
    }

    private Layer ReadLayer(Safetensors file, string name)
    {
        var (width, middle, tensors) = (Config.HiddenSize, Config.IntermediateSize, Config.Tensors);
        Tensor[] weights = [.. tensors.QueryKeyValue.Select(part => file.Get($"{name}{part}.weight", width, width))];
        Tensor[] biases = [.. tensors.QueryKeyValue.Select(part => file.Get($"{name}{part}.bias", width))];
        return new Layer(
            new Linear(Halves(weights), Floats(biases)),
            ReadLinear(file, name + tensors.AttentionOutput, width, width),
            ReadNorm(file, name + tensors.AttentionNorm),
            ReadLinear(file, name + tensors.Intermediate, middle, width),
            ReadLinear(file, name + tensors.Output, width, middle),
            ReadNorm(file, name + tensors.OutputNorm));
    }

    private PackedLayer PackLayer(Safetensors file, string name)
    {
        var (width, middle, tensors) = (Config.HiddenSize, Config.IntermediateSize, Config.Tensors);
        string[] parts = [.. tensors.QueryKeyValue.Select(part => name + part)];
        float[] Vector(string tensor, int length) => Values(file.Get(tensor, length));
        ushort[] Matrix(string tensor, int rows, int columns) => Bf16.From(Values(file.Get(tensor, rows, columns)));
        var (outputGain, outputShift) = EncoderTensors.Norm(file, name + tensors.AttentionNorm);
        var (downGain, downShift) = EncoderTensors.Norm(file, name + tensors.OutputNorm);
        return new PackedLayer(
            Up(Hopper.PackProjection([.. parts.SelectMany(part => Matrix($"{part}.weight", width, width))], [.. parts.SelectMany(part => Vector($"{part}.bias", width))])),
            Up(Hopper.PackAfterAttention(new AfterAttentionWeights
            {
                Output = Matrix($"{name}{tensors.AttentionOutput}.weight", width, width),
                OutputBias = Vector($"{name}{tensors.AttentionOutput}.bias", width),
                OutputGain = Vector(outputGain, width),
                OutputShift = Vector(outputShift, width),
                Up = Matrix($"{name}{tensors.Intermediate}.weight", middle, width),
                Down = Matrix($"{name}{tensors.Output}.weight", width, middle),
                DownBias = Vector($"{name}{tensors.Output}.bias", width),
                DownGain = Vector(downGain, width),
                DownShift = Vector(downShift, width),
            })));

        static float[] Values(Tensor tensor)
        {
            var values = new float[tensor.Elements];
            tensor.CopyTo(0, values);
            return values;
        }
    }

    private MemoryBuffer ReadPositionBias(Safetensors file, string name)
    {
        var buckets = new float[EncoderConfig.PositionBuckets * Config.Heads];
        file.Get(name, EncoderConfig.PositionBuckets, Config.Heads).CopyTo(0, buckets);
        var reach = Attention.Reach(Config.MaxTokens);
        return Up<float>([.. Enumerable.Range(0, Config.Heads).SelectMany(head =>
            Enumerable.Range(-reach, 2 * reach).Select(distance => buckets[(EncoderConfig.PositionBucket(distance) * Config.Heads) + head]))]);
    }

    private MemoryBuffer Up<T>(T[] values)
        where T : unmanaged
    {
        var buffer = _accelerator.Allocate<T>(values, _lanes[0].Stream);
        _owned.Add(buffer);
        return buffer;
    }

    private Linear ReadLinear(Safetensors file, string name, int outputs, int inputs) =>
        new(Halves(file.Get($"{name}.weight", outputs, inputs)), Floats(file.Get($"{name}.bias", outputs)));

    private Norm ReadNorm(Safetensors file, string name)
    {
        var (gain, shift) = EncoderTensors.Norm(file, name);
        return new Norm(Floats(file.Get(gain, Config.HiddenSize)), Floats(file.Get(shift, Config.HiddenSize)));
    }

    /// <summary>Tensors one behind the other, in bf16; a part at a time, since a table of words may have gigabytes.</summary>
    private MemoryBuffer Halves(params ReadOnlySpan<Tensor> tensors)
    {
        const int part = 1 << 20;
        var buffer = Own(tensors, sizeof(ushort));
        var floats = new float[part];
        var at = 0L;
        foreach (var tensor in tensors)
        {
            for (var from = 0L; from < tensor.Elements; from += part)
            {
                var some = floats.AsSpan(0, (int)Math.Min(part, tensor.Elements - from));
                tensor.CopyTo(from, some);
                _lanes[0].Stream.Upload<ushort>(Bf16.From(some), buffer, at);
                at += some.Length * (long)sizeof(ushort);
            }
        }

        return buffer;
    }

    private MemoryBuffer Floats(params ReadOnlySpan<Tensor> tensors)
    {
        var buffer = Own(tensors, sizeof(float));
        var at = 0L;
        foreach (var tensor in tensors)
        {
            var floats = new float[tensor.Elements];
            tensor.CopyTo(0, floats);
            _lanes[0].Stream.Upload<float>(floats, buffer, at);
            at += floats.Length * (long)sizeof(float);
        }

        return buffer;
    }

    private MemoryBuffer Own(ReadOnlySpan<Tensor> tensors, int bytes)
    {
        var elements = 0L;
        foreach (var tensor in tensors) { elements += tensor.Elements; }

        var buffer = _accelerator.Allocate(elements * bytes);
        _owned.Add(buffer);
        return buffer;
    }

    /// <summary>A stream, the activations of one batch, and the graphs that work on them.</summary>
    private sealed class Lane(DeviceEncoder encoder) : IDisposable
    {
        private readonly Dictionary<(int Tokens, int Tiles, int Sequences, RowPooling Pooling, bool Normalise), LaunchGraph?> _graphs = [];
        private Activations? _activations;

        public AcceleratorStream Stream { get; } = encoder._accelerator.CreateStream();

        public void Start(ReadOnlySpan<int> ids, ReadOnlySpan<int> starts, RowPooling pooling, bool normalise)
        {
            var sequences = starts.Length - 1;
            var tokens = starts[^1] - starts[0];
            var offsets = new int[sequences + 1];
            for (var i = 0; i < offsets.Length; i++) { offsets[i] = starts[i] - starts[0]; }
            var tiles = Attention.Tiles(offsets, encoder.Config.HeadSize);

            // A graph's sizes are fixed, so they are rounded up: rows beyond the tokens are computed and never read, tiles and sequences beyond are empty.
            var bucket = (Tokens: Math.Max(tokens, Math.Min(Bucket(tokens, 64), encoder._batchTokens)), Tiles: Bucket(tiles.Length / 3, 8), Sequences: Bucket(sequences, 8));
            var a = Room(bucket.Tokens, bucket.Tiles, bucket.Sequences);
            var padded = new int[2 * bucket.Tokens];
            ids[starts[0]..starts[^1]].CopyTo(padded);
            encoder.Positions(ids, starts, padded.AsSpan(bucket.Tokens, tokens));
            Stream.Upload<int>(padded.AsSpan(0, bucket.Tokens), a.Ids);
            Stream.Upload<int>(padded.AsSpan(bucket.Tokens), a.Positions);
            Array.Resize(ref tiles, bucket.Tiles * 3);
            Stream.Upload<int>(tiles, a.TileList);
            Array.Resize(ref offsets, bucket.Sequences + 1);
            offsets.AsSpan(sequences + 1).Fill(tokens);
            Stream.Upload<int>(offsets, a.Offsets);

            void Launch() => encoder.Launch(Stream, a, bucket.Tokens, bucket.Tiles, bucket.Sequences, pooling, normalise);
            var key = (bucket.Tokens, bucket.Tiles, bucket.Sequences, pooling, normalise);
            if (!_graphs.TryGetValue(key, out var graph))
            {
                // A size that comes once is not worth a graph; and what is loaded at the first launch is there before anything is captured.
                if (_graphs.Count >= Graphs) { Forget(); }
                _graphs.Add(key, null);
                Launch();
                return;
            }

            if (graph is null) { _graphs[key] = graph = Stream.Capture(Launch); }
            Stream.Run(graph);
        }

        public void Finish(Span<float> vectors) => Stream.Download(_activations!.Vectors, vectors);

        public void Dispose()
        {
            foreach (var graph in _graphs.Values) { graph?.Dispose(); }
            _graphs.Clear();
            _activations?.Dispose();
            Stream.Dispose();
        }

        private Activations Room(int tokens, int tiles, int sequences)
        {
            var a = _activations;
            if (a is not null && a.Tokens >= tokens && a.Tiles >= tiles && a.Sequences >= sequences) { return a; }

            Forget();
            _activations = null;
            a?.Dispose();
            a = new Activations(encoder._accelerator, encoder.Config, Math.Max(tokens, a?.Tokens ?? 0), Math.Max(tiles, a?.Tiles ?? 0), Math.Max(sequences, a?.Sequences ?? 0));

            // Every token is of segment 0.
            Stream.Fill(a.Types, 0, 0, a.Types.Bytes);
            return _activations = a;
        }

        private void Forget()
        {
            Stream.Synchronize();
            foreach (var graph in _graphs.Values) { graph?.Dispose(); }
            _graphs.Clear();
        }
    }

    private readonly record struct Tables(MemoryBuffer Words, MemoryBuffer Positions, MemoryBuffer Types, MemoryBuffer? PositionBias);

    private readonly record struct Linear(MemoryBuffer Weight, MemoryBuffer Bias);

    private readonly record struct Norm(MemoryBuffer Gain, MemoryBuffer Shift);

    private sealed record Layer(Linear QueriesKeysValues, Linear AttentionOutput, Norm AttentionNorm, Linear Intermediate, Linear Output, Norm OutputNorm);

    /// <summary>A layer's weights once more, as <see cref="Hopper"/> takes them.</summary>
    private sealed record PackedLayer(MemoryBuffer QueriesKeysValues, MemoryBuffer AfterAttention);

    /// <summary>What one batch needs beside the weights, for up to so many tokens, attention tiles and sequences.</summary>
    private sealed class Activations : IDisposable
    {
        private readonly List<MemoryBuffer> _buffers = [];

        public Activations(Accelerator accelerator, EncoderConfig config, int tokens, int tiles, int sequences)
        {
            (Tokens, Tiles, Sequences) = (tokens, tiles, sequences);
            MemoryBuffer New(long bytes)
            {
                var buffer = accelerator.Allocate(bytes);
                _buffers.Add(buffer);
                return buffer;
            }

            try
            {
                Ids = New(4L * tokens);
                Positions = New(4L * tokens);
                Types = New(4L * tokens);
                TileList = New(12L * tiles);
                Offsets = New(4L * (sequences + 1));
                States = New(2L * tokens * config.HiddenSize);
                Sum = New(2L * tokens * config.HiddenSize);
                Context = New(2L * tokens * config.HiddenSize);
                Wide = New(2L * tokens * Math.Max(3 * config.HiddenSize, config.IntermediateSize));
                Vectors = New(4L * sequences * config.HiddenSize);
            }
            catch
            {
                Dispose();
                throw;
            }
        }

        public int Tokens { get; }

        public int Tiles { get; }

        public int Sequences { get; }

        public MemoryBuffer Ids { get; }

        public MemoryBuffer Positions { get; }

        public MemoryBuffer Types { get; }

        public MemoryBuffer TileList { get; }

        public MemoryBuffer Offsets { get; }

        public MemoryBuffer States { get; }

        public MemoryBuffer Sum { get; }

        public MemoryBuffer Context { get; }

        /// <summary>Queries, keys and values, then the feed-forward network's middle.</summary>
        public MemoryBuffer Wide { get; }

        public MemoryBuffer Vectors { get; }

        public void Dispose()
        {
            foreach (var buffer in _buffers) { buffer.Dispose(); }
        }
    }
}
