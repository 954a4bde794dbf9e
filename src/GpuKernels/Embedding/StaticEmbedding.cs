using Platform.GpuKernels.Embedding.Models;
using Platform.GpuKernels.Embedding.Numerics;

namespace Platform.GpuKernels.Embedding;

/// <summary>
/// A static embedding: the vector of a text is the mean of its tokens' vectors, which are rows of one matrix (model2vec, https://github.com/MinishLab/model2vec;
/// sentence-transformers' StaticEmbedding). Safe for several threads.
/// </summary>
internal sealed unsafe class StaticEmbedding : IDisposable
{
    /// <summary>Tokens that are summed at a time: numbers and weights of them lie on the stack.</summary>
    private const int Block = 512;

    private readonly CpuKernels _kernels;
    private readonly NativeBuffer<float> _rows;
    private readonly float[]? _weights;
    private readonly int[]? _mapping;
    private readonly int _stride;

    /// <param name="file">With the tensor "embeddings" or "embedding.weight" [rows, dimension]; if need be "mapping" [tokens], the row of each token, and "weights" [tokens], what its row is multiplied with. It is read to the end here.</param>
    public StaticEmbedding(Safetensors file, CpuKernels? kernels = null)
    {
        _kernels = kernels ?? CpuKernels.Widest;
        var (matrix, rows, dimension) = MatrixOf(file);
        (Tokens, Dimension) = (rows, dimension);
        if (file.Find("mapping") is { } mapping)
        {
            _mapping = new int[Length(file, mapping)];
            for (var token = 0; token < _mapping.Length; token++)
            {
                var row = mapping.Integer(token);
                _mapping[token] = row >= 0 && row < rows ? (int)row : throw new UnusableModelException(file.Name, $"tensor 'mapping' gives token {token} the row {row} of {rows}.");
            }

            Tokens = _mapping.Length;
        }

        _stride = Stride(Dimension);
        _rows = new NativeBuffer<float>((long)rows * _stride);
        for (var row = 0L; row < rows; row++) { matrix.CopyTo(row * Dimension, _rows.Span(row * _stride, Dimension)); }

        if (file.Find("weights") is { } weights)
        {
            if (Length(file, weights) != Tokens) { throw new UnusableModelException(file.Name, $"tensor 'weights' has {weights.Elements} values for {Tokens} tokens."); }

            _weights = new float[Tokens];
            weights.CopyTo(0, _weights);
        }
    }

    public int Dimension { get; }

    /// <summary>Ids from 0 up to it have a vector.</summary>
    public int Tokens { get; }

    /// <summary>What the rows take in memory, with their numbers and weights.</summary>
    public long Bytes => (sizeof(float) * (_rows.Length + (_weights?.Length ?? 0))) + (sizeof(int) * (long)(_mapping?.Length ?? 0));

    /// <summary><see cref="Bytes"/> of an embedding that is not made yet.</summary>
    public static long BytesOf(Safetensors file)
    {
        var (_, rows, dimension) = MatrixOf(file);
        return (sizeof(float) * (((long)rows * Stride(dimension)) + (file.Find("weights")?.Elements ?? 0))) + (sizeof(int) * (file.Find("mapping")?.Elements ?? 0));
    }

    /// <summary>The mean of the tokens' vectors; zeros where there are no tokens. Depends on nothing but the ids.</summary>
    /// <param name="left">An id that is left out, as model2vec leaves out the unknown token; null: none.</param>
    /// <param name="result">[Dimension]</param>
    /// <exception cref="ArgumentException">An id has no vector.</exception>
    public void Embed(ReadOnlySpan<int> ids, int? left, Span<float> result)
    {
        var sum = stackalloc float[EmbeddingLimits.HiddenSize];
        var at = 0;
        var block = stackalloc int[Block];
        var weights = stackalloc float[Block];
        var total = 0;
        result[..Dimension].Clear();
        while (at < ids.Length)
        {
            var some = 0;
            for (; at < ids.Length && some < Block; at++)
            {
                var id = ids[at];
                if ((uint)id >= (uint)Tokens) { throw new ArgumentException($"The token id {id} is outside of the model's {Tokens} tokens. Does tokenizer.json belong to the model?", nameof(ids)); }
                if (id == left) { continue; }

                block[some] = _mapping is null ? id : _mapping[id];
                weights[some++] = _weights is null ? 1 : _weights[id];
            }

            _kernels.SumRows(_rows.Pointer, _stride, new ReadOnlySpan<int>(block, some), _weights is null ? null : weights, sum);
            for (var i = 0; i < Dimension; i++) { result[i] += sum[i]; }

            total += some;
        }

        if (total == 0) { return; }

        foreach (ref var value in result[..Dimension]) { value /= total; }
    }

    public void Dispose() => _rows.Dispose();

    private static int Stride(int dimension) => (dimension + Gemm.WidestRegister - 1) / Gemm.WidestRegister * Gemm.WidestRegister;

    private static (Tensor Matrix, int Rows, int Dimension) MatrixOf(Safetensors file)
    {
        var matrix = file.Find("embeddings") ?? file.Find("embedding.weight") ?? throw new UnusableModelException(file.Name, "lacks the tensor 'embeddings' (or 'embedding.weight'): it is no static embedding.");
        return matrix.Shape is [>= 1 and <= EmbeddingLimits.Vocabulary and var rows, >= 1 and <= EmbeddingLimits.HiddenSize and var dimension]
            ? (matrix, (int)rows, (int)dimension)
            : throw new UnusableModelException(file.Name, $"tensor '{matrix.Name}' has the shape [{string.Join(", ", matrix.Shape)}]; up to {EmbeddingLimits.Vocabulary} rows of up to {EmbeddingLimits.HiddenSize} can be used.");
    }

    private static int Length(Safetensors file, Tensor tensor) => tensor.Shape is [>= 1 and <= EmbeddingLimits.Vocabulary and var length] ? (int)length
        : throw new UnusableModelException(file.Name, $"tensor '{tensor.Name}' has the shape [{string.Join(", ", tensor.Shape)}] where one value for each token is expected.");
}
