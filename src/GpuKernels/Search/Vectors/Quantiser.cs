namespace Platform.GpuKernels.Search.Vectors;

/// <summary>How far a row's codes are from the row, for the bound of <see cref="QuantisedQuery"/>; all of the vector as it is compared: under cosine that is the unit vector.</summary>
/// <param name="Scale">What a code is multiplied by.</param>
/// <param name="Error">At least the distance between the vector and its codes times the scale.</param>
/// <param name="Norm">At least the norm of the codes times the scale.</param>
internal readonly record struct RowBound(float Scale, float Error, float Norm);

/// <summary>Rounds a vector to one signed byte a component: the greatest magnitude becomes 127.</summary>
internal static class Quantiser
{
    public const int GreatestCode = 127;

    /// <summary>Codes are kept as bytes of code + 128.</summary>
    public const byte ZeroCode = 128;

    /// <summary>More than what 64-bit arithmetic loses in up to 4,096 additions, relative to the norms that go in.</summary>
    private const double Slack = 1.0 / (1L << 38);

    /// <summary>Bytes of a row of codes.</summary>
    public static int Stride(int dimensions) => (dimensions + IntegerDot.Alignment - 1) / IntegerDot.Alignment * IntegerDot.Alignment;

    /// <summary>Checks one vector that is to be indexed or asked for.</summary>
    /// <returns>The reason why it cannot be; null where it can.</returns>
    public static string? Refuse(ReadOnlySpan<float> vector, int dimensions)
    {
        if (vector.Length != dimensions) { return $"it has {vector.Length} components and the index holds vectors of {dimensions}"; }

        for (var i = 0; i < vector.Length; i++)
        {
            if (!float.IsFinite(vector[i])) { return $"its component {i} is {(float.IsNaN(vector[i]) ? "not a number" : "infinite")}"; }
        }

        return ExactScore.Norm(vector) <= SearchLimits.VectorNorm ? null : "its norm is beyond 2^120";
    }

    /// <param name="vector">Finite, of a norm within <see cref="SearchLimits.VectorNorm"/>.</param>
    /// <param name="codes">A row of <see cref="Stride"/> bytes.</param>
    public static RowBound Quantise(Similarity similarity, ReadOnlySpan<float> vector, Span<byte> codes)
    {
        var norm = ExactScore.Norm(vector);
        var length = similarity == Similarity.Cosine ? norm : 1;
        codes.Fill(ZeroCode);
        if (norm == 0) { return default; }

        var greatest = 0f;
        foreach (var component in vector) { greatest = MathF.Max(greatest, MathF.Abs(component)); }

        // The scale is what the float says from here on; a component that rounds beyond the greatest code is cut, and the error counts it.
        var scale = (float)(greatest / length / GreatestCode);
        double squaredError = 0, squaredCodes = 0;
        for (var i = 0; i < vector.Length; i++)
        {
            var exact = vector[i] / length;
            var code = scale == 0 ? 0 : Math.Clamp(Math.Round(exact / scale), -GreatestCode, GreatestCode);
            codes[i] = (byte)(code + ZeroCode);
            squaredError += (exact - (code * scale)) * (exact - (code * scale));
            squaredCodes += code * code;
        }

        var normOfCodes = Math.Sqrt(squaredCodes) * scale;
        var slack = Slack * (normOfCodes + (norm / length));
        return new RowBound(scale, RoundUp(Math.Sqrt(squaredError) + slack), RoundUp(normOfCodes + slack));
    }

    /// <returns>The least float that is not less.</returns>
    private static float RoundUp(double value)
    {
        var rounded = (float)value;
        return rounded < value ? MathF.BitIncrement(rounded) : rounded;
    }
}

/// <summary>
/// A query as the scan sees it. For a row x with codes X, scale b, x' = bX and a query q with codes Q, scale a, q' = aQ, all of q scaled by a power of two to a norm in [1, 2):
/// |q.x - ab(Q.X)| &lt;= ||q|| ||x-x'|| + ||q-q'|| ||x'||, by Cauchy-Schwarz on q.(x-x') + (q-q').x'. Q.X is an exact integer.
/// The scan computes in 32-bit floats, u = 2^-24, with E &gt;= ||x-x'|| and N &gt;= ||x'|| from the row:
///   approximation = fl(fl(Q.X) fl(ab)),  off by at most 4u ||q'|| N &lt; 2^-20 N, for ||q'|| &lt;= 3, and by 2^-122 where ab is subnormal;
///   margin = fl(OfError E + OfNorm N + Floor),  with rounding at least (1 - 4u) of its exact value, and another u of it for the last sum;
///   that last sum, approximation + margin, loses at most u of approximation too: 3u N.
/// OfError = ||q||(1 + 2^-19) takes more than 5u from its own term. OfNorm = ||q-q'||(1 + 2^-19) + 2^-17 pays 5u of its term, 2^-20 N and 3u N for the approximation,
/// and 2^-38 (N + E) with which the 64-bit score may itself be off. Floor = 2^-100 is more than every underflow. So the exact score lies strictly within
/// approximation -+ margin, and the score of a row whose upper bound is below another's lower bound is less, never equal: ties are not lost.
/// </summary>
internal sealed class QuantisedQuery
{
    /// <summary>Its codes, padded with zeros as rows are.</summary>
    public readonly sbyte[] Codes;

    /// <summary>128 times the sum of the codes: what the bytes of the rows add.</summary>
    public readonly int Bias;

    public readonly float Scale, OfError, OfNorm;

    public const float Floor = 7.888609e-31f;

    private readonly float[] vector;
    private readonly Similarity similarity;
    private readonly double norm;

    public QuantisedQuery(Similarity similarity, ReadOnlySpan<float> query)
    {
        (this.similarity, vector, norm) = (similarity, query.ToArray(), ExactScore.Norm(query));
        Codes = new sbyte[Quantiser.Stride(query.Length)];
        if (norm == 0) { return; }

        PowerOfTwo = Math.ScaleB(1, -(int)Math.Floor(Math.Log2(norm)));
        var greatest = 0.0;
        foreach (var component in query) { greatest = Math.Max(greatest, Math.Abs(component * PowerOfTwo)); }

        Scale = (float)(greatest / Quantiser.GreatestCode);
        double squaredError = 0;
        for (var i = 0; i < query.Length; i++)
        {
            var exact = query[i] * PowerOfTwo;
            var code = Math.Clamp(Math.Round(exact / Scale), -Quantiser.GreatestCode, Quantiser.GreatestCode);
            Codes[i] = (sbyte)code;
            Bias += Quantiser.ZeroCode * Codes[i];
            squaredError += (exact - (code * Scale)) * (exact - (code * Scale));
        }

        const double ratio = 1 + (1.0 / (1 << 19));
        OfError = (float)(norm * PowerOfTwo * ratio);
        OfNorm = (float)((Math.Sqrt(squaredError) * ratio) + (1.0 / (1 << 17)));
    }

    /// <summary>What the query is multiplied by so that its norm is in [1, 2).</summary>
    public double PowerOfTwo { get; } = 1;

    /// <summary>The score that a hit is ordered by.</summary>
    public unsafe double ScoreOf(float* row)
    {
        fixed (float* own = vector)
        {
            var dot = ExactScore.Dot(own, row, vector.Length);
            return ExactScore.Of(similarity, dot, similarity == Similarity.Cosine ? norm * Math.Sqrt(ExactScore.Dot(row, row, vector.Length)) : 1);
        }
    }

    /// <summary>A score in the scan's measure, where the query has a norm in [1, 2) and under cosine rows have norm 1.</summary>
    public double InScan(double score) => similarity == Similarity.Cosine ? score * norm * PowerOfTwo : score * PowerOfTwo;
}
