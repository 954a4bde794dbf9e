using System.Collections.Frozen;
using System.Security.Cryptography;
using System.Text;
using System.Text.RegularExpressions;
using Platform.GpuKernels.Devices.Cpu;

namespace Platform.GpuKernels.Devices;

/// <summary>
/// Kernels that are built together: one OpenCL C file (its text goes to an OpenCL driver), the PTX that clang made of the same file
/// (for NVIDIA's driver), and beside each kernel its reference in C#, which is also what the CPU runs.
/// </summary>
/// <param name="name">The file's name without its ending: <c>gemm</c> for <c>gemm.cl</c> and <c>gemm.ptx</c>.</param>
/// <param name="references">By the kernel's name: the same work on the CPU.</param>
internal sealed partial class KernelModule(string name, params ReadOnlySpan<(string Kernel, Action<CpuLaunch> Run)> references)
{
    private string? _source;
    private string? _ptx;

    public string Name { get; } = name;

    /// <summary>
    /// Whether NVIDIA's driver compiles it by itself rather than through its linker, which makes slower code of some kernels (of the layers for Hopper on
    /// an H200, driver 580: 130 microseconds for 102). What the driver makes is kept in the driver's own cache, not in ours.
    /// </summary>
    public bool IsCompiledByItself { get; init; }

    public FrozenDictionary<string, Action<CpuLaunch>> References { get; } = references.ToArray().ToFrozenDictionary(one => one.Kernel, one => one.Run, StringComparer.Ordinal);

    /// <summary>The shim, then the kernels; headers stand in the place of the lines that include them, since a driver has no folder to look in.</summary>
    public string OpenClSource => _source ??= Resource("shim.h") + "\n" + Include().Replace(Resource(Name + ".cl"), line => Resource(line.Groups[1].Value));

    public string Ptx => _ptx ??= Resource(Name + ".ptx");

    /// <summary>SHA-256 of the PTX, in hexadecimal: what a cached binary was made of.</summary>
    public string PtxHash => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(Ptx)));

    [GeneratedRegex("^#include \"([a-z]+\\.h)\"$", RegexOptions.Multiline)]
    private static partial Regex Include();

    internal static string Resource(string name)
    {
        using var stream = typeof(KernelModule).Assembly.GetManifestResourceStream("kernels/" + name)
            ?? throw new InvalidOperationException($"This build carries no kernels/{name}.");
        using var reader = new StreamReader(stream, Encoding.UTF8);
        return reader.ReadToEnd();
    }
}
