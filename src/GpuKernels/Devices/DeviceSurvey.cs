using System.Globalization;
using Platform.GpuKernels.Devices.Cpu;
using Platform.GpuKernels.Devices.Cuda;
using Platform.GpuKernels.Devices.OpenCl;
using Platform.GpuKernels.Kernels;

namespace Platform.GpuKernels.Devices;

/// <summary>What devices this machine has, which one is used, and why.</summary>
/// <param name="Devices">All that were found, by interface and ordinal; the CPU is always there, and last.</param>
/// <param name="Notes">Of each interface that gave nothing: why.</param>
/// <param name="Chosen">One of <paramref name="Devices"/>.</param>
/// <param name="Reason">Why that one, as a sentence.</param>
public sealed record DeviceSurvey(IReadOnlyList<DeviceInfo> Devices, IReadOnlyList<string> Notes, DeviceInfo Chosen, string Reason)
{
    /// <summary>Names the device to use: <c>cpu</c>, <c>cuda:0</c>, <c>opencl:1</c>. Unset: the choice is made here.</summary>
    public const string Variable = "PLATFORM_DEVICE";

    /// <summary>Looks at this machine. No device is used or reserved by it.</summary>
    public static DeviceSurvey Take() => Take(CudaLibrary.DefaultName, OpenClLibrary.DefaultName, Environment.GetEnvironmentVariable(Variable));

    internal static DeviceSurvey Take(string cudaLibrary, string openClLibrary, string? wanted)
    {
        var notes = new List<string>();
        DeviceInfo[] found =
        [
            .. Ask("CUDA", notes, () => CudaAccelerator.Enumerate(new CudaLibrary(cudaLibrary))),
            .. Ask("OpenCL", notes, () => OpenClAccelerator.Enumerate(new OpenClLibrary(openClLibrary))),
            CpuAccelerator.Describe(),
        ];
        var (chosen, reason) = Choose(found, wanted);
        return new DeviceSurvey(found, notes, chosen, reason);
    }

    /// <summary>The rule, apart from the machine.</summary>
    internal static (DeviceInfo Chosen, string Reason) Choose(IReadOnlyList<DeviceInfo> found, string? wanted)
    {
        var cpu = found[^1];
        if (!string.IsNullOrEmpty(wanted))
        {
            var id = wanted.Contains(':', StringComparison.Ordinal) ? wanted : wanted + ":0";
            return found.FirstOrDefault(device => device.Id.Equals(id, StringComparison.OrdinalIgnoreCase)) is { } asked
                ? (asked, $"{Variable} asks for it.")
                : (cpu, $"{Variable} asks for {wanted}, which is not there; there are {string.Join(", ", found.Select(device => device.Id))}.");
        }

        var cards = found.Where(device => device.Kind == DeviceKind.Cuda).ToList();
        if (cards.Where(card => card.ComputeCapability >= CudaAccelerator.OldestArchitecture).MaxBy(card => card.ComputeUnits) is { } card)
        {
            return (card, cards.Count > 1 ? "Of the NVIDIA cards it has the most multiprocessors." : "It is an NVIDIA card with tensor cores for bf16.");
        }

        if (cards.Count > 0) { return (cpu, $"{cards[0].Name} has compute capability {cards[0].ComputeCapability}; {CudaAccelerator.OldestArchitecture} (Ampere) or newer is needed."); }

        // On other GPUs the warp's instructions are emulated, which is exact and slow; our vector code on the CPU is faster than any CPU driver.
        return found.FirstOrDefault(device => device is { Kind: DeviceKind.OpenCl, IsGpu: true }) is { } other
            ? (cpu, $"{other.Name} is reached by OpenCL only, where matrix work is emulated; {Variable}={other.Id} uses it all the same.")
            : (cpu, "There is no GPU.");
    }

    /// <summary>Opens a device and lets it prove itself.</summary>
    /// <exception cref="DeviceException">It is not there, not usable, or computes something wrong.</exception>
    internal static Accelerator Open(DeviceInfo device)
    {
        Accelerator accelerator = device.Kind switch
        {
            DeviceKind.Cpu => new CpuAccelerator(),
            DeviceKind.OpenCl => new OpenClAccelerator(new OpenClLibrary(), device.Ordinal),
            DeviceKind.Cuda => new CudaAccelerator(new CudaLibrary(), device.Ordinal),
        };
        try
        {
            Probe.Run(accelerator);
            return accelerator;
        }
        catch
        {
            accelerator.Dispose();
            throw;
        }
    }

    /// <summary>The survey in one line: what is used and why, what else there is, and what is missing.</summary>
    public string Sentence()
    {
        var others = Devices.Where(device => device != Chosen).Select(Describe).ToList();
        return $"{Describe(Chosen)} is used: {Reason}"
            + (others.Count > 0 ? $" Also there: {string.Join("; ", others)}." : "")
            + (Notes.Count > 0 ? $" {string.Join(" ", Notes)}" : "");
    }

    private static string Describe(DeviceInfo device) => string.Create(
        CultureInfo.InvariantCulture,
        $"{device.Id} ({device.Name}, {device.MemoryBytes / (1024.0 * 1024 * 1024):0.#} GiB, {device.Driver})");

    private static IReadOnlyList<DeviceInfo> Ask(string name, List<string> notes, Func<IReadOnlyList<DeviceInfo>> enumerate)
    {
        try
        {
            var found = enumerate();
            if (found.Count == 0) { notes.Add($"{name}: no device."); }
            return found;
        }
        catch (DeviceException e)
        {
            notes.Add($"{name}: {(e.Failure == DeviceFailure.Missing && e.Code == 0 ? "no driver on this machine." : e.Message)}");
            return [];
        }
    }
}
