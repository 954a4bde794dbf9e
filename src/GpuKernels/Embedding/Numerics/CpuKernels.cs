using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Platform.GpuKernels.Embedding.Models;

namespace Platform.GpuKernels.Embedding.Numerics;

/// <summary>The encoder's operations in one register width. Which is chosen once, by what the processor has. No result depends on other rows of the same call.</summary>
internal abstract unsafe class CpuKernels
{
    private static readonly Lazy<CpuKernels> Chosen = new(() => All()[0]);

    /// <summary>The widest of this machine.</summary>
    public static CpuKernels Widest => Chosen.Value;

    /// <summary>Floats of a register.</summary>
    public abstract int Lanes { get; }

    /// <summary>All that this machine can run, the widest first.</summary>
    public static IReadOnlyList<CpuKernels> All()
    {
        var found = new List<CpuKernels>();
        if (Lanes512.IsSupported) { found.Add(new CpuKernels<Lanes512, Vector512<float>>()); }
        if (Lanes256.IsSupported) { found.Add(new CpuKernels<Lanes256, Vector256<float>>()); }

        found.Add(new CpuKernels<Lanes128, Vector128<float>>());
        return found;
    }

    /// <summary>Floats from row to row of a matrix with that many columns: what is behind them is written and read, and stays zero in activations.</summary>
    public static int Stride(int columns) => Math.Max(2 * Gemm.WidestRegister, (columns + Gemm.WidestRegister - 1) / Gemm.WidestRegister * Gemm.WidestRegister);

    /// <summary>Floats that <paramref name="columns"/> columns take when they are packed for <see cref="Multiply"/>.</summary>
    public int Packed(int columns) => Gemm.Registers(columns, Lanes) * Lanes;

    /// <summary>c = a b + bias; b is packed, see <see cref="Gemm.Multiply"/>.</summary>
    public abstract void Multiply(float* a, int aStride, int rows, int depth, float* b, int columns, float* bias, float* c, int cStride);

    /// <summary>As <see cref="Multiply"/>, b in bfloat16.</summary>
    public abstract void MultiplyHalves(float* a, int aStride, int rows, int depth, ushort* b, int columns, float* bias, float* c, int cStride);

    /// <summary>In place, <paramref name="count"/> a multiple of <see cref="Gemm.WidestRegister"/>.</summary>
    public abstract void Activate(Activation activation, float* values, long count);

    /// <summary>Row by row: values = gain * (values + addend - mean) / sqrt(variance + epsilon) + shift. What is behind the width becomes zero where gain and shift are.</summary>
    /// <param name="addend">As large as the values; null: none.</param>
    public abstract void NormaliseLayer(float* values, float* addend, int rows, int width, int stride, float* gain, float* shift, float epsilon);

    /// <summary>sum = the sum of the rows with these numbers, each times its weight.</summary>
    /// <param name="rows">Of <paramref name="stride"/> floats, a multiple of <see cref="Gemm.WidestRegister"/>; all of them are summed.</param>
    /// <param name="weights">One for each number; null: all 1.</param>
    public abstract void SumRows(float* rows, int stride, ReadOnlySpan<int> numbers, float* weights, float* sum);

    /// <summary>Scaled dot-product attention of one sequence and one head, without mask.</summary>
    /// <param name="queries">The head's first query, already divided by sqrt(size); keys and values lie <paramref name="width"/> and twice that behind it.</param>
    /// <param name="bias">Is added to the score of a query and a key: what lies as far from here as the key lies behind the query. null: nothing.</param>
    /// <param name="output">The head's first output, [tokens, size] of rows of <paramref name="outputStride"/>.</param>
    public abstract void Attend(float* queries, int stride, int width, int tokens, int size, float* bias, float* output, int outputStride, AttentionScratch scratch);
}

/// <summary>Memory for <see cref="CpuKernels.Attend"/>, for sequences up to a length.</summary>
internal sealed unsafe class AttentionScratch(int tokens, int size) : IDisposable
{
    /// <summary>Queries whose scores are held at a time: with 512 keys they fill the second cache to a few per cent.</summary>
    public const int Queries = 32;

    private readonly NativeBuffer<float> _keys = new((long)CpuKernels.Stride(tokens) * size);
    private readonly NativeBuffer<float> _values = new((long)tokens * CpuKernels.Stride(size));
    private readonly NativeBuffer<float> _scores = new((long)Queries * CpuKernels.Stride(tokens));
    private readonly NativeBuffer<float> _output = new((long)Queries * CpuKernels.Stride(size));

    public float* Keys => _keys.Pointer;
    public float* Values => _values.Pointer;
    public float* Scores => _scores.Pointer;
    public float* Output => _output.Pointer;

    public void Dispose()
    {
        _keys.Dispose();
        _values.Dispose();
        _scores.Dispose();
        _output.Dispose();
    }
}

internal sealed unsafe class CpuKernels<L, V> : CpuKernels
    where L : ILanes<V>
    where V : struct
{
    public override int Lanes => L.Count;

    public override void Multiply(float* a, int aStride, int rows, int depth, float* b, int columns, float* bias, float* c, int cStride) =>
        Gemm.Multiply<L, V, Floats<L, V>>(a, aStride, rows, depth, (byte*)b, Gemm.Registers(columns, L.Count), bias, c, cStride);

    public override void MultiplyHalves(float* a, int aStride, int rows, int depth, ushort* b, int columns, float* bias, float* c, int cStride) =>
        Gemm.Multiply<L, V, Halves<L, V>>(a, aStride, rows, depth, (byte*)b, Gemm.Registers(columns, L.Count), bias, c, cStride);

    public override void Activate(Activation activation, float* values, long count)
    {
        switch (activation)
        {
            case Activation.Gelu: Gelu(values, count); break;
            case Activation.GeluTanh: GeluTanh(values, count); break;
            case Activation.Relu: Relu(values, count); break;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public override void NormaliseLayer(float* values, float* addend, int rows, int width, int stride, float* gain, float* shift, float epsilon)
    {
        var whole = width / L.Count * L.Count;
        for (var row = 0; row < rows; row++, values += stride)
        {
            V sums = L.Create(0), more = L.Create(0);
            var at = 0;
            if (addend is not null)
            {
                for (; at < whole; at += L.Count)
                {
                    var value = L.Add(L.Load(values + at), L.Load(addend + at));
                    L.Store(value, values + at);
                    sums = L.Add(sums, value);
                }

                for (; at < width; at++) { values[at] += addend[at]; }
                addend += stride;
            }
            else
            {
                for (; at < whole; at += L.Count) { sums = L.Add(sums, L.Load(values + at)); }
            }

            var sum = L.Sum(sums);
            for (at = whole; at < width; at++) { sum += values[at]; }
            var mean = sum / width;

            var means = L.Create(mean);
            for (at = 0; at < whole; at += L.Count)
            {
                var difference = L.Subtract(L.Load(values + at), means);
                more = L.MultiplyAdd(difference, difference, more);
            }

            var squares = L.Sum(more);
            for (; at < width; at++) { squares += (values[at] - mean) * (values[at] - mean); }

            var scale = L.Create(1 / MathF.Sqrt((squares / width) + epsilon));
            for (at = 0; at < width; at += L.Count)
            {
                var normal = L.Multiply(L.Subtract(L.Load(values + at), means), scale);
                L.Store(L.MultiplyAdd(normal, L.Load(gain + at), L.Load(shift + at)), values + at);
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public override void SumRows(float* rows, int stride, ReadOnlySpan<int> numbers, float* weights, float* sum)
    {
        // Eight registers of sums at a time. The rows of a large vocabulary come from the third cache or memory, so those to come are asked for ahead.
        const int Ahead = 6;
        fixed (int* number = numbers)
        {
            var column = 0;
            for (; column + (8 * L.Count) <= stride; column += 8 * L.Count)
            {
                V s0 = L.Create(0), s1 = s0, s2 = s0, s3 = s0, s4 = s0, s5 = s0, s6 = s0, s7 = s0;
                for (var i = 0; i < numbers.Length; i++)
                {
                    Gemm.PrefetchLines((byte*)(rows + ((long)number[Math.Min(i + Ahead, numbers.Length - 1)] * stride) + column), 8 * L.Count * sizeof(float));
                    var row = rows + ((long)number[i] * stride) + column;
                    var weight = L.Create(weights is null ? 1 : weights[i]);
                    s0 = L.MultiplyAdd(L.Load(row), weight, s0);
                    s1 = L.MultiplyAdd(L.Load(row + L.Count), weight, s1);
                    s2 = L.MultiplyAdd(L.Load(row + (2 * L.Count)), weight, s2);
                    s3 = L.MultiplyAdd(L.Load(row + (3 * L.Count)), weight, s3);
                    s4 = L.MultiplyAdd(L.Load(row + (4 * L.Count)), weight, s4);
                    s5 = L.MultiplyAdd(L.Load(row + (5 * L.Count)), weight, s5);
                    s6 = L.MultiplyAdd(L.Load(row + (6 * L.Count)), weight, s6);
                    s7 = L.MultiplyAdd(L.Load(row + (7 * L.Count)), weight, s7);
                }

                L.Store(s0, sum + column);
                L.Store(s1, sum + column + L.Count);
                L.Store(s2, sum + column + (2 * L.Count));
                L.Store(s3, sum + column + (3 * L.Count));
                L.Store(s4, sum + column + (4 * L.Count));
                L.Store(s5, sum + column + (5 * L.Count));
                L.Store(s6, sum + column + (6 * L.Count));
                L.Store(s7, sum + column + (7 * L.Count));
            }

            for (; column < stride; column += L.Count)
            {
                var some = L.Create(0);
                for (var i = 0; i < numbers.Length; i++) { some = L.MultiplyAdd(L.Load(rows + ((long)number[i] * stride) + column), L.Create(weights is null ? 1 : weights[i]), some); }

                L.Store(some, sum + column);
            }
        }
    }

    public override void Attend(float* queries, int stride, int width, int tokens, int size, float* bias, float* output, int outputStride, AttentionScratch scratch)
    {
        PackColumns(queries + width, stride, tokens, size, scratch.Keys);
        PackRows(queries + (2 * width), stride, tokens, size, scratch.Values);
        var (scoreStride, resultStride) = (Packed(tokens), Packed(size));
        var scales = stackalloc float[AttentionScratch.Queries];
        for (var first = 0; first < tokens; first += AttentionScratch.Queries)
        {
            var some = Math.Min(AttentionScratch.Queries, tokens - first);
            Multiply(queries + ((long)first * stride), stride, some, size, scratch.Keys, tokens, null, scratch.Scores, scoreStride);
            for (var row = 0; row < some; row++)
            {
                var scores = scratch.Scores + ((long)row * scoreStride);
                if (bias is not null) { AddTo(scores, bias - (first + row), tokens); }

                scales[row] = Exponentials(scores, tokens);
            }


            Multiply(scratch.Scores, scoreStride, some, tokens, scratch.Values, size, null, scratch.Output, resultStride);
            for (var row = 0; row < some; row++) { Scale(scratch.Output + ((long)row * resultStride), scales[row], size, output + ((long)(first + row) * outputStride)); }
        }
    }

    /// <summary>Packs [columns, depth] rows as the panels of their transpose: what keys are to queries.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void PackColumns(float* from, int stride, int columns, int depth, float* to)
    {
        for (var left = Gemm.Registers(columns, L.Count); left > 0;)
        {
            var panel = Gemm.Panel(left);
            var width = panel * L.Count;
            for (var column = 0; column < width; column += 4, columns -= 4)
            {
                Transpose.FourRows(from, stride, Math.Clamp(columns, 0, 4), depth, to + column, width);
                from += 4L * stride;
            }

            to += (long)width * depth;
            left -= panel;
        }
    }

    /// <summary>Packs [depth, columns] rows as panels: what values are to the weights of attention.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void PackRows(float* from, int stride, int depth, int columns, float* to)
    {
        for (var (left, first) = (Gemm.Registers(columns, L.Count), 0); left > 0;)
        {
            var panel = Gemm.Panel(left);
            var width = panel * L.Count;
            var some = Math.Clamp(columns - first, 0, width);
            for (var row = 0; row < depth; row++, to += width)
            {
                var source = new ReadOnlySpan<float>(from + ((long)row * stride) + first, some);
                source.CopyTo(new Span<float>(to, some));
                new Span<float>(to + some, width - some).Clear();
            }

            first += width;
            left -= panel;
        }
    }

    private static void AddTo(float* values, float* addend, int count)
    {
        var at = 0;
        for (; at + L.Count <= count; at += L.Count) { L.Store(L.Add(L.Load(values + at), L.Load(addend + at)), values + at); }
        for (; at < count; at++) { values[at] += addend[at]; }
    }

    /// <summary>values = exp(values - greatest), in place.</summary>
    /// <returns>One divided by their sum.</returns>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static float Exponentials(float* values, int count)
    {
        // The row is filled up to whole registers, so that there is no rest to do one by one.
        var end = (count + L.Count - 1) / L.Count * L.Count;
        for (var i = count; i < end; i++) { values[i] = float.MinValue; }

        var most = L.Load(values);
        for (var i = L.Count; i < end; i += L.Count) { most = L.Max(most, L.Load(values + i)); }

        var greatest = L.Create(L.Greatest(most));
        var sums = L.Create(0);
        for (var i = 0; i < end; i += L.Count)
        {
            var value = Exp(L.Max(L.Subtract(L.Load(values + i), greatest), L.Create(LeastExponent)));
            L.Store(value, values + i);
            sums = L.Add(sums, value);
        }

        // What the filling adds is below a rounding error: exp(LeastExponent) each, and the greatest value adds one.
        return 1 / L.Sum(sums);
    }

    private static void Scale(float* values, float scale, int count, float* to)
    {
        var at = 0;
        var scales = L.Create(scale);
        for (; at + L.Count <= count; at += L.Count) { L.Store(L.Multiply(L.Load(values + at), scales), to + at); }
        for (; at < count; at++) { to[at] = values[at] * scale; }
    }

    /// <summary>exp of it is the smallest normal float.</summary>
    private const float LeastExponent = -87.3f;

    /// <summary>exp of values from <see cref="LeastExponent"/> to 88, to about one unit in the last place. Cephes' expf: 2^n e^r, e^r by a polynomial (Moshier, https://netlib.org/cephes).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static V Exp(V value)
    {
        // Adding and taking away 1.5 * 2^23 rounds to a whole number.
        var round = L.Create(12582912f);
        var n = L.Subtract(L.MultiplyAdd(value, L.Create(1.44269504f), round), round);
        var r = L.MultiplyAdd(n, L.Create(-0.693359375f), value);
        r = L.MultiplyAdd(n, L.Create(2.12194440e-4f), r);
        var p = L.MultiplyAdd(L.Create(1.9875691500e-4f), r, L.Create(1.3981999507e-3f));
        p = L.MultiplyAdd(p, r, L.Create(8.3334519073e-3f));
        p = L.MultiplyAdd(p, r, L.Create(4.1665795894e-2f));
        p = L.MultiplyAdd(p, r, L.Create(1.6666665459e-1f));
        p = L.MultiplyAdd(p, r, L.Create(5.0000001201e-1f));
        return L.Multiply(L.MultiplyAdd(L.Multiply(p, r), r, L.Add(r, L.Create(1))), L.PowerOfTwo(n));
    }

    /// <summary>x/2 (1 + erf(x/sqrt 2)) as max(x, 0) - |x|/2 erfc(|x|/sqrt 2), erfc by Abramowitz and Stegun 7.1.26, which is exact to 1.5e-7.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Gelu(float* values, long count)
    {
        for (var end = values + count; values < end; values += L.Count)
        {
            var x = L.Load(values);
            var size = L.Abs(x);
            var t = L.Divide(L.Create(1), L.MultiplyAdd(size, L.Create(0.3275911f * 0.70710678f), L.Create(1)));
            var p = L.MultiplyAdd(L.Create(1.061405429f), t, L.Create(-1.453152027f));
            p = L.MultiplyAdd(p, t, L.Create(1.421413741f));
            p = L.MultiplyAdd(p, t, L.Create(-0.284496736f));
            p = L.MultiplyAdd(p, t, L.Create(0.254829592f));
            var tail = L.Multiply(L.Multiply(p, t), Exp(L.Max(L.Multiply(L.Multiply(x, x), L.Create(-0.5f)), L.Create(LeastExponent))));
            L.Store(L.MultiplyAdd(L.Multiply(size, L.Create(-0.5f)), tail, L.Max(x, L.Create(0))), values);
        }
    }

    /// <summary>x/2 (1 + tanh u) = x - x / (1 + e^2u), u = sqrt(2/pi) (x + 0.044715 x^3).</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void GeluTanh(float* values, long count)
    {
        for (var end = values + count; values < end; values += L.Count)
        {
            var x = L.Load(values);
            var twice = L.Multiply(x, L.MultiplyAdd(L.Multiply(x, x), L.Create(2 * 0.7978845608f * 0.044715f), L.Create(2 * 0.7978845608f)));
            // From either end only e to a negative power is taken: with s = 1 / (1 + e^-|2u|) the factor is s above zero and 1 - s below.
            var size = L.Abs(twice);
            var e = Exp(L.Max(L.Subtract(L.Create(0), size), L.Create(LeastExponent)));
            var above = L.Divide(L.Create(1), L.Add(L.Create(1), e));
            // max(x, 0) - |x| e / (1 + e)
            L.Store(L.Subtract(L.Max(x, L.Create(0)), L.Multiply(L.Multiply(L.Abs(x), e), above)), values);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Relu(float* values, long count)
    {
        for (var end = values + count; values < end; values += L.Count) { L.Store(L.Max(L.Load(values), L.Create(0)), values); }
    }
}
