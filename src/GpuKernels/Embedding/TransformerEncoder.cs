using System.Collections.Concurrent;
using System.Runtime.ExceptionServices;
using Platform.GpuKernels.Embedding.Models;
using Platform.GpuKernels.Embedding.Numerics;

namespace Platform.GpuKernels.Embedding;

/// <summary>
/// The encoder of the BERT family (Devlin et al. 2018, with RoBERTa's positions or MPNet's relative ones where the model has them): post-norm layers of self-attention and
/// a feed-forward network. Sequences are packed one behind the other without padding. A sequence's result depends on nothing else in
/// the batch, to the bit. Safe for several threads.
/// </summary>
internal sealed unsafe class TransformerEncoder : IDisposable
{
    /// <summary>Tokens of the sequences that one thread carries through all layers together: their activations stay in its second cache, and each weight that it reads is used for all of them.</summary>
    public const int ChunkTokens = 256;

    /// <summary>Rows that go through the feed-forward network at a time.</summary>
    private const int RowBlock = 128;

    private readonly CpuKernels _kernels;
    private readonly Safetensors _file;
    private readonly string _prefix;
    private readonly List<IDisposable> _owned = [];
    private readonly ConcurrentBag<Workspace> _idle = [];
    private readonly Tensor _words;
    private readonly NativeBuffer<float> _positions;

    // MPNet's, for each head that of every distance from a query to a key, from the greatest before it to the greatest behind it.
    private readonly NativeBuffer<float>? _positionBias;
    private readonly Norm _embeddingNorm;
    private readonly Layer[] _layers;

    /// <param name="file">Stays open as long as the encoder, which reads the word embeddings in it and disposes of it.</param>
    public TransformerEncoder(EncoderConfig config, Safetensors file, WeightPrecision precision, CpuKernels? kernels = null)
    {
        (Config, _file, _kernels) = (config, file, kernels ?? CpuKernels.Widest);
        Stride = CpuKernels.Stride(config.HiddenSize);

        _prefix = EncoderTensors.PrefixOf(file);
        _words = Get(EncoderTensors.Words, config.Vocabulary, config.HiddenSize);
        _positions = new NativeBuffer<float>((long)config.Positions * Stride);
        var segment = new float[config.HiddenSize];
        if (config.TokenTypes > 0) { Get(EncoderTensors.TokenTypes, config.TokenTypes, config.HiddenSize).CopyTo(0, segment); }

        var positions = Get(EncoderTensors.Positions, config.Positions, config.HiddenSize);
        for (var position = 0; position < config.Positions; position++)
        {
            // All tokens are of segment 0, so its embedding goes into the positions'.
            var row = _positions.Span((long)position * Stride, config.HiddenSize);
            positions.CopyTo((long)position * config.HiddenSize, row);
            for (var i = 0; i < row.Length; i++) { row[i] += segment[i]; }
        }

        _embeddingNorm = ReadNorm(EncoderTensors.EmbeddingNorm);
        if (config.HasPositionBias) { _positionBias = ReadPositionBias(); }

        _layers = new Layer[config.Layers];
        try { Parallel.For(0, config.Layers, layer => _layers[layer] = ReadLayer($"{config.Tensors.Layer}{layer}.", precision)); }
        catch (AggregateException error) { ExceptionDispatchInfo.Throw(error.InnerExceptions[0]); }
    }

    public EncoderConfig Config { get; }

    /// <summary>What the weights of the linear layers take in memory.</summary>
    public long WeightBytes => _owned.OfType<PackedMatrix>().Sum(matrix => matrix.Bytes);

    /// <summary>What all weights take: those that are packed, and the word embeddings, which stay in the mapped file.</summary>
    public long Bytes => WeightBytes + (sizeof(float) * (_positions.Length + (_positionBias?.Length ?? 0) + _owned.OfType<NativeBuffer<float>>().Sum(norm => norm.Length))) + _words.SizeBytes;

    /// <summary><see cref="Bytes"/> of an encoder that is not made yet.</summary>
    public static long BytesOf(EncoderConfig config, Safetensors file, WeightPrecision precision)
    {
        var kernels = CpuKernels.Widest;
        var (hidden, middle) = (config.HiddenSize, config.IntermediateSize);
        long Linear(int outputs, int inputs) => PackedMatrix.BytesOf(kernels, outputs, inputs, precision);
        const int NormsOfLayer = 2;
        var buffers = config.Positions + (2L * ((config.Layers * NormsOfLayer) + 1));
        return (config.Layers * (Linear(3 * hidden, hidden) + Linear(hidden, hidden) + Linear(middle, hidden) + Linear(hidden, middle)))
            + (sizeof(float) * ((buffers * CpuKernels.Stride(hidden)) + (config.HasPositionBias ? PositionBiasLength(config) : 0)))
            + file.Get(EncoderTensors.PrefixOf(file) + EncoderTensors.Words, config.Vocabulary, hidden).SizeBytes;
    }

    /// <summary>Floats from token to token of what <see cref="Visit"/> is given.</summary>
    public int Stride { get; }

    /// <summary>Is given a sequence's last hidden states, [tokens, HiddenSize] of rows of <see cref="Stride"/>, on any thread.</summary>
    public delegate void Visit(int sequence, float* states, int tokens);

    /// <param name="ids">Token ids of all sequences.</param>
    /// <param name="starts">Where each sequence starts in <paramref name="ids"/>, and at the end where the last one ends.</param>
    /// <param name="threads">At most so many at a time.</param>
    /// <exception cref="ArgumentException">A sequence is empty or too long, or an id is not in the vocabulary.</exception>
    public void Encode(int[] ids, int[] starts, int threads, Visit visit, CancellationToken cancellation)
    {
        var chunks = Chunks(ids, starts);
        void Run(int chunk)
        {
            var (first, last) = chunks[chunk];
            var tokens = starts[last] - starts[first];
            var longest = 0;
            for (var sequence = first; sequence < last; sequence++) { longest = Math.Max(longest, starts[sequence + 1] - starts[sequence]); }

            var workspace = _idle.TryTake(out var idle) && idle.Tokens >= tokens && idle.Longest >= longest ? idle : Replace(idle, tokens, longest);
            try
            {
                EncodeChunk(ids, starts.AsSpan(first, last - first + 1), workspace, cancellation);
                for (var sequence = first; sequence < last; sequence++)
                {
                    visit(sequence, workspace.States + ((long)(starts[sequence] - starts[first]) * Stride), starts[sequence + 1] - starts[sequence]);
                }
            }
            finally { _idle.Add(workspace); }
        }

        if (chunks.Count <= 1 || threads == 1)
        {
            for (var chunk = 0; chunk < chunks.Count; chunk++) { Run(chunk); }
        }
        else { Parallel.For(0, chunks.Count, new ParallelOptions { MaxDegreeOfParallelism = threads, CancellationToken = cancellation }, Run); }
    }

    public void Dispose()
    {
        while (_idle.TryTake(out var workspace)) { workspace.Dispose(); }
        foreach (var owned in _owned) { owned.Dispose(); }

        _positions.Dispose();
        _positionBias?.Dispose();
        _file.Dispose();
    }

    private Workspace Replace(Workspace? old, int tokens, int longest)
    {
        old?.Dispose();
        return new Workspace(Config, Math.Max(tokens, ChunkTokens), Math.Max(longest, ChunkTokens));
    }

    /// <summary>Neighbouring sequences together, up to <see cref="ChunkTokens"/>; a longer one alone.</summary>
    private List<(int First, int Last)> Chunks(int[] ids, int[] starts)
    {
        var chunks = new List<(int First, int Last)>();
        for (var (first, sequence) = (0, 0); sequence < starts.Length - 1; sequence++)
        {
            var length = starts[sequence + 1] - starts[sequence];
            if (length < 1 || length > Config.MaxTokens) { throw new ArgumentException($"Sequence {sequence} has {length} tokens; 1 to {Config.MaxTokens} can be encoded.", nameof(starts)); }
            if (starts[sequence] < 0 || starts[sequence + 1] > ids.Length) { throw new ArgumentException($"Sequence {sequence} lies outside of the {ids.Length} tokens.", nameof(starts)); }
            foreach (var id in ids.AsSpan(starts[sequence], length))
            {
                if ((uint)id >= (uint)Config.Vocabulary) { throw new ArgumentException($"The token id {id} is outside of the model's vocabulary of {Config.Vocabulary}. Does tokenizer.json belong to the model?", nameof(ids)); }
            }

            var next = sequence + 1;
            if (next == starts.Length - 1 || starts[next + 1] - starts[first] > ChunkTokens)
            {
                chunks.Add((first, next));
                first = next;
            }
        }

        return chunks;
    }

    private void EncodeChunk(int[] ids, ReadOnlySpan<int> starts, Workspace workspace, CancellationToken cancellation)
    {
        var (origin, tokens) = (starts[0], starts[^1] - starts[0]);
        var (hidden, headSize) = (Config.HiddenSize, Config.HeadSize);
        var states = workspace.States;
        for (var sequence = 0; sequence < starts.Length - 1; sequence++) { Embed(ids.AsSpan(starts[sequence]..starts[sequence + 1]), states + ((long)(starts[sequence] - origin) * Stride)); }

        Normalise(_embeddingNorm, states, null, tokens);
        var wide = CpuKernels.Stride(3 * hidden);
        var middle = CpuKernels.Stride(Config.IntermediateSize);
        foreach (var layer in _layers)
        {
            cancellation.ThrowIfCancellationRequested();
            layer.QueriesKeysValues.Multiply(states, Stride, tokens, workspace.QueriesKeysValues, wide);
            for (var sequence = 0; sequence < starts.Length - 1; sequence++)
            {
                var first = (long)(starts[sequence] - origin);
                for (var head = 0; head < Config.Heads; head++)
                {
                    _kernels.Attend(workspace.QueriesKeysValues + (first * wide) + (head * headSize), wide, hidden, starts[sequence + 1] - starts[sequence], headSize, PositionBias(head), workspace.Context + (first * Stride) + (head * headSize), Stride, workspace.Attention);
                }
            }

            for (var row = 0; row < tokens; row += RowBlock)
            {
                var some = Math.Min(RowBlock, tokens - row);
                var rows = states + ((long)row * Stride);
                layer.AttentionOutput.Multiply(workspace.Context + ((long)row * Stride), Stride, some, workspace.Rows, Stride);
                Normalise(layer.AttentionNorm, rows, workspace.Rows, some);
                layer.Intermediate.Multiply(rows, Stride, some, workspace.Intermediate, middle);
                _kernels.Activate(Config.Activation, workspace.Intermediate, (long)some * middle);
                layer.Output.Multiply(workspace.Intermediate, middle, some, workspace.Rows, Stride);
                Normalise(layer.OutputNorm, rows, workspace.Rows, some);
            }
        }
    }

    private void Embed(ReadOnlySpan<int> ids, float* states)
    {
        // RoBERTa counts its positions over what is no padding, which takes the padding's own row.
        var position = Config.FirstPosition;
        foreach (var id in ids)
        {
            var row = new Span<float>(states, Config.HiddenSize);
            _words.CopyTo((long)id * Config.HiddenSize, row);
            var at = _positions.Span((long)(id == Config.PaddingId ? Config.PaddingId : position++) * Stride, row.Length);
            for (var i = 0; i < row.Length; i++) { row[i] += at[i]; }

            states += Stride;
        }
    }

    private void Normalise(in Norm norm, float* values, float* addend, int rows) =>
        _kernels.NormaliseLayer(values, addend, rows, Config.HiddenSize, Stride, norm.Gain.Pointer, norm.Shift.Pointer, Config.LayerNormEpsilon);

    private static long PositionBiasLength(EncoderConfig config) => (long)config.Heads * CpuKernels.Stride(2 * config.MaxTokens);

    /// <summary>A head's, at the distance 0; null: none.</summary>
    private float* PositionBias(int head) => _positionBias is null ? null : _positionBias.Pointer + ((long)head * CpuKernels.Stride(2 * Config.MaxTokens)) + Config.MaxTokens;

    private NativeBuffer<float> ReadPositionBias()
    {
        var buckets = new float[EncoderConfig.PositionBuckets * Config.Heads];
        Get(EncoderTensors.PositionBias, EncoderConfig.PositionBuckets, Config.Heads).CopyTo(0, buckets);
        var (stride, most) = (CpuKernels.Stride(2 * Config.MaxTokens), Config.MaxTokens);
        var bias = new NativeBuffer<float>(PositionBiasLength(Config));
        for (var distance = -most; distance < most; distance++)
        {
            var bucket = EncoderConfig.PositionBucket(distance);
            for (var head = 0; head < Config.Heads; head++) { bias.Pointer[((long)head * stride) + most + distance] = buckets[(bucket * Config.Heads) + head]; }
        }

        return bias;
    }

    private Layer ReadLayer(string name, WeightPrecision precision)
    {
        var (hidden, tensors) = (Config.HiddenSize, Config.Tensors);
        return new Layer(
            ReadQueriesKeysValues([.. tensors.QueryKeyValue.Select(part => name + part)], precision),
            ReadLinear(name + tensors.AttentionOutput, hidden, hidden, precision),
            ReadNorm(name + tensors.AttentionNorm),
            ReadLinear(name + tensors.Intermediate, Config.IntermediateSize, hidden, precision),
            ReadLinear(name + tensors.Output, hidden, Config.IntermediateSize, precision),
            ReadNorm(name + tensors.OutputNorm));
    }

    /// <summary>The three as one matrix. The scale of attention, 1/sqrt(size), goes into the queries' weights.</summary>
    private PackedMatrix ReadQueriesKeysValues(string[] names, WeightPrecision precision)
    {
        var hidden = Config.HiddenSize;
        var scale = 1 / MathF.Sqrt(Config.HeadSize);
        Tensor[] weights = [.. names.Select(name => Get($"{name}.weight", hidden, hidden))];
        var bias = new float[3 * hidden];
        foreach (var (at, name) in names.Index()) { Get($"{name}.bias", hidden).CopyTo(0, bias.AsSpan(at * hidden, hidden)); }

        foreach (ref var value in bias.AsSpan(0, hidden)) { value *= scale; }

        return Own(new PackedMatrix(
            _kernels,
            3 * hidden,
            hidden,
            precision,
            (row, values) =>
            {
                weights[row / hidden].CopyTo((long)(row % hidden) * hidden, values);
                if (row < hidden)
                {
                    foreach (ref var value in values) { value *= scale; }
                }
            },
            bias));
    }

    private PackedMatrix ReadLinear(string name, int outputs, int inputs, WeightPrecision precision)
    {
        var weights = Get($"{name}.weight", outputs, inputs);
        var bias = new float[outputs];
        Get($"{name}.bias", outputs).CopyTo(0, bias);
        return Own(new PackedMatrix(_kernels, outputs, inputs, precision, (row, values) => weights.CopyTo((long)row * inputs, values), bias));
    }

    private Norm ReadNorm(string name)
    {
        var (gainName, shiftName) = EncoderTensors.Norm(_file, _prefix + name);
        var (gain, shift) = (Own(new NativeBuffer<float>(Stride)), Own(new NativeBuffer<float>(Stride)));
        _file.Get(gainName, Config.HiddenSize).CopyTo(0, gain.Span(0, Config.HiddenSize));
        _file.Get(shiftName, Config.HiddenSize).CopyTo(0, shift.Span(0, Config.HiddenSize));
        return new Norm(gain, shift);
    }

    private Tensor Get(string name, params ReadOnlySpan<long> shape) => _file.Get(_prefix + name, shape);

    private T Own<T>(T owned)
        where T : IDisposable
    {
        lock (_owned) { _owned.Add(owned); }

        return owned;
    }

    private readonly record struct Norm(NativeBuffer<float> Gain, NativeBuffer<float> Shift);

    private sealed record Layer(PackedMatrix QueriesKeysValues, PackedMatrix AttentionOutput, Norm AttentionNorm, PackedMatrix Intermediate, PackedMatrix Output, Norm OutputNorm);

    /// <summary>A thread's activations.</summary>
    private sealed class Workspace(EncoderConfig config, int tokens, int longest) : IDisposable
    {
        private readonly NativeBuffer<float> _states = new((long)tokens * CpuKernels.Stride(config.HiddenSize));
        private readonly NativeBuffer<float> _queriesKeysValues = new((long)tokens * CpuKernels.Stride(3 * config.HiddenSize));
        private readonly NativeBuffer<float> _context = new((long)tokens * CpuKernels.Stride(config.HiddenSize));
        private readonly NativeBuffer<float> _rows = new((long)RowBlock * CpuKernels.Stride(config.HiddenSize));
        private readonly NativeBuffer<float> _intermediate = new((long)RowBlock * CpuKernels.Stride(config.IntermediateSize));

        public int Tokens { get; } = tokens;
        public int Longest { get; } = longest;
        public AttentionScratch Attention { get; } = new(longest, config.HeadSize);
        public float* States => _states.Pointer;
        public float* QueriesKeysValues => _queriesKeysValues.Pointer;
        public float* Context => _context.Pointer;
        public float* Rows => _rows.Pointer;
        public float* Intermediate => _intermediate.Pointer;

        public void Dispose()
        {
            _states.Dispose();
            _queriesKeysValues.Dispose();
            _context.Dispose();
            _rows.Dispose();
            _intermediate.Dispose();
            Attention.Dispose();
        }
    }
}
