using Platform.GpuKernels.Devices;
using Platform.GpuKernels.Devices.Cpu;

namespace Platform.GpuKernels.Kernels;

/// <summary>What a linear layer does to its sums before they are rounded.</summary>
internal enum Epilogue
{
    /// <summary>Adds the bias.</summary>
    Plain,

    /// <summary>Adds the bias, then GELU by the error function.</summary>
    Gelu,

    /// <summary>Adds the bias and the residual.</summary>
    Residual,
}

/// <summary>A linear layer over packed rows in bf16 with float sums, on the tensor cores where there are any (gemm.cl).</summary>
internal static class Gemm
{
    /// <summary>A tile's depth: the inner dimension is a multiple of it.</summary>
    public const int Deep = 32;

    private const int TileRows = 128;
    private const int Group = 256;

    /// <summary>From this many columns on a tile is 128 of them wide; below, narrow tiles make enough groups to fill a card.</summary>
    private const int WideFrom = 1024;

    public static readonly KernelModule Module = new(
        "gemm",
        ("gemm64", launch => OnCpu(launch, Epilogue.Plain)),
        ("gemm64_gelu", launch => OnCpu(launch, Epilogue.Gelu)),
        ("gemm64_residual", launch => OnCpu(launch, Epilogue.Residual)),
        ("gemm128", launch => OnCpu(launch, Epilogue.Plain)),
        ("gemm128_gelu", launch => OnCpu(launch, Epilogue.Gelu)),
        ("gemm128_residual", launch => OnCpu(launch, Epilogue.Residual)));

    /// <summary>c = epilogue(a w^T + bias).</summary>
    /// <param name="a">[m, k] in bf16.</param>
    /// <param name="w">[n, k] in bf16: a layer's weight as torch keeps it.</param>
    /// <param name="bias">[n] in float.</param>
    /// <param name="residual">[m, n] in bf16; any buffer where the epilogue adds none.</param>
    /// <param name="c">[m, n] in bf16; must not be <paramref name="a"/> or <paramref name="residual"/>.</param>
    /// <param name="n">A multiple of 8.</param>
    /// <param name="k">A multiple of 32.</param>
    /// <param name="wide">Columns of a tile, 64 or 128; 0 chooses.</param>
    public static void Launch(AcceleratorStream stream, Epilogue epilogue, MemoryBuffer a, MemoryBuffer w, MemoryBuffer bias, MemoryBuffer residual, MemoryBuffer c, int m, int n, int k, int wide = 0)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(m);
        if (n < 8 || n % 8 != 0) { throw new ArgumentOutOfRangeException(nameof(n), n, "The columns are a multiple of 8."); }
        if (k < Deep || k % Deep != 0) { throw new ArgumentOutOfRangeException(nameof(k), k, $"The inner dimension is a multiple of {Deep}."); }

        a.Check(0, 2L * m * k);
        w.Check(0, 2L * n * k);
        bias.Check(0, 4L * n);
        c.Check(0, 2L * m * n);
        if (epilogue == Epilogue.Residual) { residual.Check(0, 2L * m * n); }

        var columns = wide != 0 ? wide : n >= WideFrom ? 128 : 64;
        var name = epilogue switch
        {
            Epilogue.Plain => $"gemm{columns}",
            Epilogue.Gelu => $"gemm{columns}_gelu",
            Epilogue.Residual => $"gemm{columns}_residual",
        };
        stream.Launch(
            stream.Accelerator.Load(Module, name),
            new LaunchGrid((n + columns - 1) / columns, Group, (m + TileRows - 1) / TileRows),
            a, w, bias, residual, c, m, n, k);
    }

    private static void OnCpu(CpuLaunch launch, Epilogue epilogue)
    {
        int m = launch.Int(5), n = launch.Int(6), k = launch.Int(7);
        var a = Bf16.ToSingles(launch.Buffer<ushort>(0)[..(m * k)]);
        var w = Bf16.ToSingles(launch.Buffer<ushort>(1)[..(n * k)]);
        var bias = launch.Buffer<float>(2);
        var residual = launch.Buffer<ushort>(3);
        var c = launch.Buffer<ushort>(4);
        for (var row = 0; row < m; row++)
        {
            for (var column = 0; column < n; column++)
            {
                var sum = 0.0;
                for (var i = 0; i < k; i++) { sum += (double)a[(row * k) + i] * w[(column * k) + i]; }

                sum += bias[column];
                c[(row * n) + column] = Bf16.FromSingle((float)(epilogue switch
                {
                    Epilogue.Plain => sum,
                    Epilogue.Gelu => Mathematics.Gelu(sum),
                    Epilogue.Residual => sum + Bf16.ToSingle(residual[(row * n) + column]),
                }));
            }
        }
    }
}
