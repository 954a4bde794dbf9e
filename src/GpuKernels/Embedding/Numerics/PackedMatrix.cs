namespace Platform.GpuKernels.Embedding.Numerics;

/// <summary>Fills one row of a matrix.</summary>
internal delegate void ReadRow(int row, Span<float> values);

/// <summary>The weights and bias of a linear layer, y = W x + b, packed once for the kernels that will use them.</summary>
internal sealed unsafe class PackedMatrix : IDisposable
{
    /// <summary>Rows of the input that are multiplied at a time: with 1,536 columns they take less than half of a second cache of 2 MB.</summary>
    private const int RowBlock = 128;

    private readonly CpuKernels _kernels;
    private readonly NativeBuffer<float>? _floats;
    private readonly NativeBuffer<ushort>? _halves;
    private readonly QuantisedMatrix? _quantised;
    private readonly NativeBuffer<float> _bias;

    /// <param name="readRow">Row n holds the weights of output n.</param>
    public PackedMatrix(CpuKernels kernels, int outputs, int inputs, WeightPrecision precision, ReadRow readRow, ReadOnlySpan<float> bias)
    {
        (_kernels, Outputs, Inputs) = (kernels, outputs, inputs);
        if (precision == WeightPrecision.Int8)
        {
            _quantised = new QuantisedMatrix(ByteGemm.For(kernels.Lanes), outputs, inputs, readRow, bias);
            _bias = new NativeBuffer<float>(0);
            return;
        }

        var columns = kernels.Packed(outputs);
        _bias = new NativeBuffer<float>(CpuKernels.Stride(outputs));
        bias.CopyTo(_bias.Span(0, outputs));
        switch (precision)
        {
            case WeightPrecision.Float32: _floats = new NativeBuffer<float>((long)columns * inputs); break;
            case WeightPrecision.BFloat16: _halves = new NativeBuffer<ushort>((long)columns * inputs); break;
        }

        var lanes = kernels.Lanes;
        var row = new float[inputs];
        long start = 0;
        for (var (left, first) = (columns / lanes, 0); left > 0;)
        {
            var panel = Gemm.Panel(left);
            var width = panel * lanes;
            for (var column = 0; column < width && first + column < outputs; column++)
            {
                readRow(first + column, row);
                if (_floats is not null)
                {
                    var to = _floats.Pointer + start + column;
                    for (var k = 0; k < inputs; k++, to += width) { *to = row[k]; }
                }
                else
                {
                    var to = _halves!.Pointer + start + column;
                    for (var k = 0; k < inputs; k++, to += width) { *to = Half(row[k]); }
                }
            }

            first += width;
            start += (long)width * inputs;
            left -= panel;
        }
    }

    public int Outputs { get; }
    public int Inputs { get; }

    /// <summary>What the weights take, with what belongs to them.</summary>
    public long Bytes => (sizeof(float) * ((_floats?.Length ?? 0) + _bias.Length)) + (sizeof(ushort) * (_halves?.Length ?? 0)) + (_quantised?.Bytes ?? 0);

    /// <summary><see cref="Bytes"/> of a layer that is not made yet.</summary>
    public static long BytesOf(CpuKernels kernels, int outputs, int inputs, WeightPrecision precision) => precision switch
    {
        WeightPrecision.Float32 => sizeof(float) * (((long)kernels.Packed(outputs) * inputs) + CpuKernels.Stride(outputs)),
        WeightPrecision.BFloat16 => (sizeof(ushort) * (long)kernels.Packed(outputs) * inputs) + (sizeof(float) * CpuKernels.Stride(outputs)),
        WeightPrecision.Int8 => QuantisedMatrix.BytesOf(ByteGemm.For(kernels.Lanes), outputs, inputs),
    };

    /// <param name="input">[rows, Inputs] of rows of <paramref name="inputStride"/>.</param>
    /// <param name="output">[rows, Outputs] of rows of <paramref name="outputStride"/>, at least <see cref="CpuKernels.Stride"/> of the outputs.</param>
    public void Multiply(float* input, int inputStride, int rows, float* output, int outputStride)
    {
        for (var row = 0; row < rows; row += RowBlock)
        {
            var some = Math.Min(RowBlock, rows - row);
            var from = input + ((long)row * inputStride);
            var to = output + ((long)row * outputStride);
            if (_quantised is not null) { _quantised.Multiply(from, inputStride, some, to, outputStride); }
            else if (_floats is not null) { _kernels.Multiply(from, inputStride, some, Inputs, _floats.Pointer, Outputs, _bias.Pointer, to, outputStride); }
            else { _kernels.MultiplyHalves(from, inputStride, some, Inputs, _halves!.Pointer, Outputs, _bias.Pointer, to, outputStride); }
        }
    }

    public void Dispose()
    {
        _floats?.Dispose();
        _halves?.Dispose();
        _quantised?.Dispose();
        _bias.Dispose();
    }

    /// <summary>The nearest bfloat16, ties to even; what is not a number stays so.</summary>
    private static ushort Half(float value)
    {
        var bits = BitConverter.SingleToUInt32Bits(value);
        return float.IsNaN(value) ? (ushort)((bits >> 16) | 0x40) : (ushort)((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
    }
}
