namespace Platform.GpuKernels.Kernels;

/// <summary>Functions of the references, in double precision.</summary>
internal static class Mathematics
{
    public static double Gelu(double x) => 0.5 * x * (1 + Erf(x / Math.Sqrt(2)));

    /// <summary>The error function to about 1e-15: its Maclaurin series near zero, its continued fraction beyond (Abramowitz and Stegun 7.1.5, 7.1.14).</summary>
    public static double Erf(double x)
    {
        var a = Math.Abs(x);
        if (a > 6) { return Math.CopySign(1, x); }

        if (a < 2.5)
        {
            double term = a, sum = a;
            for (var n = 1; n < 100 && Math.Abs(term) > 1e-17 * Math.Abs(sum); n++)
            {
                term *= -a * a / n;
                sum += term / ((2 * n) + 1);
            }

            return Math.CopySign(1, x) * 2 / Math.Sqrt(Math.PI) * sum;
        }

        var fraction = 0.0;
        for (var n = 60; n > 0; n--) { fraction = n / 2.0 / (a + fraction); }

        return Math.CopySign(1, x) * (1 - (Math.Exp(-a * a) / Math.Sqrt(Math.PI) / (a + fraction)));
    }
}
