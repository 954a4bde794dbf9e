using Platform.GpuKernels.Embedding.Models;

namespace Platform.GpuKernels.Embedding;

/// <summary>From the vectors of a text's tokens to the vector of the text, as sentence-transformers' Pooling and Normalize do it.</summary>
internal static unsafe class Pooling
{
    /// <param name="states">[tokens, result's length] of rows of <paramref name="stride"/>; at least one token.</param>
    public static void Pool(PoolingMode mode, float* states, int stride, int tokens, Span<float> result)
    {
        switch (mode)
        {
            case PoolingMode.Cls: Row(states, 0, stride, result.Length).CopyTo(result); break;
            case PoolingMode.LastToken: Row(states, tokens - 1, stride, result.Length).CopyTo(result); break;
            case PoolingMode.Max:
                Row(states, 0, stride, result.Length).CopyTo(result);
                for (var token = 1; token < tokens; token++)
                {
                    var row = Row(states, token, stride, result.Length);
                    for (var i = 0; i < row.Length; i++) { result[i] = MathF.Max(result[i], row[i]); }
                }

                break;
            case PoolingMode.Mean: Sum(states, stride, tokens, weighted: false, 1f / tokens, result); break;
            case PoolingMode.MeanSqrtLength: Sum(states, stride, tokens, weighted: false, 1 / MathF.Sqrt(tokens), result); break;
            case PoolingMode.WeightedMean: Sum(states, stride, tokens, weighted: true, 2f / ((float)tokens * (tokens + 1)), result); break;
        }
    }

    /// <summary>Scales to Euclidean length 1; a vector of zeros stays so.</summary>
    public static void Normalise(Span<float> vector)
    {
        var squares = 0.0;
        foreach (var value in vector) { squares += (double)value * value; }

        if (!(squares > 0)) { return; }

        var scale = (float)(1 / Math.Sqrt(squares));
        foreach (ref var value in vector) { value *= scale; }
    }

    private static void Sum(float* states, int stride, int tokens, bool weighted, float scale, Span<float> result)
    {
        result.Clear();
        for (var token = 0; token < tokens; token++)
        {
            var row = Row(states, token, stride, result.Length);
            var weight = weighted ? token + 1f : 1f;
            for (var i = 0; i < row.Length; i++) { result[i] += weight * row[i]; }
        }

        foreach (ref var value in result) { value *= scale; }
    }

    private static ReadOnlySpan<float> Row(float* states, int token, int stride, int width) => new(states + ((long)token * stride), width);
}
