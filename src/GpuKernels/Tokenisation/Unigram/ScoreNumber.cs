namespace Platform.GpuKernels.Tokenisation.Unigram;

/// <summary>
/// Reads a number of JSON as the Rust package of Hugging Face does (serde_json without its feature float_roundtrip): the digits as an integer, then one
/// multiplication or division by a power of ten. In about one score of eight the last bit differs from the nearest double, and with it where two ways to
/// split a piece are equal.
/// </summary>
internal static class ScoreNumber
{
    private const int LargestPower = 308;

    /// <summary>The powers that Rust's table has: the doubles nearest to them.</summary>
    private static readonly double[] Powers = [.. Enumerable.Range(0, LargestPower + 1).Select(power => double.Parse($"1e{power}", System.Globalization.CultureInfo.InvariantCulture))];

    /// <param name="number">A number in JSON's grammar.</param>
    /// <returns>false where it is too large for a double.</returns>
    public static bool TryRead(ReadOnlySpan<byte> number, out double value)
    {
        var negative = number[0] == '-';
        var at = negative ? 1 : 0;
        var (significand, exponent, full) = (0ul, 0L, false);
        for (var fraction = false; at < number.Length && number[at] is not ((byte)'e' or (byte)'E'); at++)
        {
            if (number[at] == '.')
            {
                fraction = true;
                full = false;
                continue;
            }

            var digit = (ulong)(number[at] - '0');

            // Digits that do not fit 64 bits are passed over.
            full = full || significand > ulong.MaxValue / 10 || (significand == ulong.MaxValue / 10 && digit > ulong.MaxValue % 10);
            if (!full) { significand = (significand * 10) + digit; }

            exponent += (fraction, full) switch { (true, false) => -1, (false, true) => 1, _ => 0 };
        }

        if (at < number.Length)
        {
            var digits = number[(at + 1)..];
            var written = 0L;
            foreach (var digit in digits.TrimStart("+-"u8)) { written = Math.Min((written * 10) + (digit - '0'), int.MaxValue); }

            exponent += digits[0] == '-' ? -written : written;
        }

        value = significand;
        while (value != 0 && exponent < -LargestPower)
        {
            value /= Powers[LargestPower];
            exponent += LargestPower;
        }

        if (value != 0) { value = exponent < 0 ? value / Powers[-exponent] : exponent <= LargestPower ? value * Powers[exponent] : double.PositiveInfinity; }

        value = negative ? -value : value;
        return double.IsFinite(value);
    }
}
