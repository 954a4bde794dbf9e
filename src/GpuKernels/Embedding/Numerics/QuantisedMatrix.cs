using System.Buffers;

namespace Platform.GpuKernels.Embedding.Numerics;

/// <summary>
/// The weights of a linear layer as signed bytes with a scale for each output, packed for <see cref="ByteGemm"/>; inputs are quantised row by row when they come, each by its own
/// range, so that a row's result depends on that row alone. The error of a weight is 1/254 of its row's greatest at most, that of an input about 1/510 of its row's range.
/// </summary>
internal sealed unsafe class QuantisedMatrix : IDisposable
{
    private const int Greatest = 127;

    private readonly ByteGemm _gemm;
    private readonly NativeBuffer<sbyte> _weights;
    private readonly NativeBuffer<int> _codes;
    private readonly NativeBuffer<float> _scales;
    private readonly NativeBuffer<float> _bias;
    private readonly int _groups;

    /// <param name="readRow">Row n holds the weights of output n.</param>
    public QuantisedMatrix(ByteGemm gemm, int outputs, int inputs, ReadRow readRow, ReadOnlySpan<float> bias)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(inputs, ByteGemm.GreatestDepth);
        (_gemm, Outputs, Inputs) = (gemm, outputs, inputs);
        _groups = (inputs + ByteGemm.Group - 1) / ByteGemm.Group;
        var registers = Gemm.Registers(outputs, gemm.Lanes);
        _weights = new NativeBuffer<sbyte>((long)registers * gemm.Lanes * _groups * ByteGemm.Group);
        _codes = new NativeBuffer<int>(CpuKernels.Stride(outputs));
        _scales = new NativeBuffer<float>(CpuKernels.Stride(outputs));
        _bias = new NativeBuffer<float>(CpuKernels.Stride(outputs));
        bias.CopyTo(_bias.Span(0, outputs));
        var row = new float[inputs];
        long start = 0;
        for (var (left, first) = (registers, 0); left > 0;)
        {
            var panel = Gemm.Panel(left);
            var width = panel * gemm.Lanes;
            for (var column = 0; column < width && first + column < outputs; column++)
            {
                readRow(first + column, row);
                Pack(row, first + column, _weights.Pointer + start + (column * ByteGemm.Group), width * ByteGemm.Group);
            }

            first += width;
            start += (long)width * _groups * ByteGemm.Group;
            left -= panel;
        }
    }

    public int Outputs { get; }
    public int Inputs { get; }

    /// <summary>What the weights take, their scales and biases included.</summary>
    public long Bytes => _weights.Length + (sizeof(float) * (_codes.Length + _scales.Length + _bias.Length));

    /// <summary><see cref="Bytes"/> of a layer that is not made yet.</summary>
    public static long BytesOf(ByteGemm gemm, int outputs, int inputs) =>
        ((long)Gemm.Registers(outputs, gemm.Lanes) * gemm.Lanes * ((inputs + ByteGemm.Group - 1) / ByteGemm.Group) * ByteGemm.Group) + (3L * sizeof(float) * CpuKernels.Stride(outputs));

    /// <summary>As <see cref="PackedMatrix.Multiply"/>, for as many rows as the caller's caches hold.</summary>
    public void Multiply(float* input, int inputStride, int rows, float* output, int outputStride)
    {
        var width = _groups * ByteGemm.Group;
        var bytes = ArrayPool<byte>.Shared.Rent(rows * width);
        var ranges = ArrayPool<ByteRange>.Shared.Rent(rows);
        fixed (byte* a = bytes)
        fixed (ByteRange* of = ranges)
        {
            // What is behind a row's end is multiplied by weights that are zero.
            for (var row = 0; row < rows; row++) { of[row] = ByteRange.Quantise(input + ((long)row * inputStride), Inputs, a + ((long)row * width)); }

            _gemm.Multiply(a, of, rows, _groups, _weights.Pointer, Outputs, _codes.Pointer, _scales.Pointer, _bias.Pointer, output, outputStride);
        }

        ArrayPool<byte>.Shared.Return(bytes);
        ArrayPool<ByteRange>.Shared.Return(ranges);
    }

    public void Dispose()
    {
        _weights.Dispose();
        _codes.Dispose();
        _scales.Dispose();
        _bias.Dispose();
    }

    private void Pack(ReadOnlySpan<float> row, int output, sbyte* to, int stride)
    {
        var greatest = 0f;
        foreach (var value in row) { greatest = MathF.Max(greatest, MathF.Abs(value)); }

        // A row that is not finite stays so in its scale: its outputs are no numbers, as with weights of 32 bits.
        var scale = greatest / Greatest;
        _scales.Pointer[output] = float.IsFinite(scale) ? scale : float.NaN;
        if (scale == 0 || !float.IsFinite(scale)) { return; }

        var sum = 0;
        for (var k = 0; k < row.Length; k++)
        {
            var code = (int)MathF.Round(Math.Clamp(row[k] / scale, -Greatest, Greatest));
            to[((long)(k / ByteGemm.Group) * stride) + (k % ByteGemm.Group)] = (sbyte)code;
            sum += code;
        }

        _codes.Pointer[output] = sum;
    }
}
