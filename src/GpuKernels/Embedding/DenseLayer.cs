using Platform.GpuKernels.Embedding.Models;
using Platform.GpuKernels.Embedding.Numerics;

namespace Platform.GpuKernels.Embedding;

/// <summary>A linear layer over a text's vector, in 32 bits whatever the encoder's precision. Safe for several threads.</summary>
internal sealed unsafe class DenseLayer : IDisposable
{
    private readonly DenseConfig _config;
    private readonly PackedMatrix _matrix;

    /// <exception cref="UnusableModelException">The file is damaged or has not the layer's tensors.</exception>
    public DenseLayer(string directory, DenseConfig config)
    {
        _config = config;
        using var file = Safetensors.Open(directory, config.WeightsFile);
        var weights = file.Get("linear.weight", config.Outputs, config.Inputs);
        var bias = new float[config.Outputs];
        if (config.HasBias) { file.Get("linear.bias", config.Outputs).CopyTo(0, bias); }

        _matrix = new PackedMatrix(CpuKernels.Widest, config.Outputs, config.Inputs, WeightPrecision.Float32, (row, values) => weights.CopyTo((long)row * config.Inputs, values), bias);
    }

    public static long BytesOf(DenseConfig config) => PackedMatrix.BytesOf(CpuKernels.Widest, config.Outputs, config.Inputs, WeightPrecision.Float32);

    public float[] Apply(ReadOnlySpan<float> vector)
    {
        var rows = new float[CpuKernels.Stride(_config.Outputs)];
        fixed (float* input = vector, output = rows) { _matrix.Multiply(input, vector.Length, 1, output, rows.Length); }

        var result = rows[.._config.Outputs];
        if (_config.HasTanh)
        {
            foreach (ref var value in result.AsSpan()) { value = MathF.Tanh(value); }
        }

        return result;
    }

    public void Dispose() => _matrix.Dispose();
}
