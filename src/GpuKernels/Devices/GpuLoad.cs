using System.Runtime.InteropServices;

namespace Platform.GpuKernels.Devices;

/// <summary>How busy an NVIDIA card is now, as its driver's management library (NVML) says. What a card does not tell is null.</summary>
/// <param name="Uuid">The same id as <see cref="DeviceInfo.Uuid"/>.</param>
/// <param name="Name">The driver's name for the card.</param>
/// <param name="MemoryTotalBytes">Memory of the card.</param>
/// <param name="MemoryUsedBytes">Of it, what any process has taken.</param>
/// <param name="ComputePercent">Of the last sampling period (up to a second), the part in which a kernel ran, 0 to 100.</param>
/// <param name="MemoryPercent">Of the same, the part in which memory was read or written.</param>
/// <param name="TemperatureCelsius">Of the chip.</param>
/// <param name="PowerMilliwatts">Of the card.</param>
public sealed record GpuLoad(
    string Uuid,
    string Name,
    long MemoryTotalBytes,
    long MemoryUsedBytes,
    int? ComputePercent,
    int? MemoryPercent,
    int? TemperatureCelsius,
    int? PowerMilliwatts)
{
    internal const string Library = "libnvidia-ml.so.1";

    /// <summary>More cards than a machine has.</summary>
    private const int Cards = 64;

    /// <summary>Every card that NVML shows; none where it is not there. Takes some milliseconds.</summary>
    /// <exception cref="DeviceException">NVML is there and fails, for example because the kernel's module is not loaded.</exception>
    public static IReadOnlyList<GpuLoad> Read() => NativeLibrary.TryLoad(Library, out _) ? Read(new NativeTable(Library)) : [];

    private static unsafe List<GpuLoad> Read(NativeTable nvml)
    {
        // docs.nvidia.com/deploy/nvml-api
        var errorString = (delegate* unmanaged<int, byte*>)nvml.Find("nvmlErrorString");
        void Check(int code, string call)
        {
            if (code == 0) { return; }

            // 3 is "not supported", 9 "driver not loaded", 12 "library not found", 15 "GPU is lost".
            var failure = code switch { 9 or 12 => DeviceFailure.Missing, 15 => DeviceFailure.Lost, _ => DeviceFailure.Invalid };
            throw new DeviceException(failure, call, code, "NVML_ERROR", Marshal.PtrToStringUTF8((nint)errorString(code)) ?? "");
        }

        Check(((delegate* unmanaged<int>)nvml.Find("nvmlInit_v2"))(), "nvmlInit");
        try
        {
            uint count;
            Check(((delegate* unmanaged<uint*, int>)nvml.Find("nvmlDeviceGetCount_v2"))(&count), "nvmlDeviceGetCount");
            var byIndex = (delegate* unmanaged<uint, nint*, int>)nvml.Find("nvmlDeviceGetHandleByIndex_v2");
            var uuid = (delegate* unmanaged<nint, byte*, uint, int>)nvml.Find("nvmlDeviceGetUUID");
            var name = (delegate* unmanaged<nint, byte*, uint, int>)nvml.Find("nvmlDeviceGetName");
            var memory = (delegate* unmanaged<nint, ulong*, int>)nvml.Find("nvmlDeviceGetMemoryInfo");
            var rates = (delegate* unmanaged<nint, uint*, int>)nvml.Find("nvmlDeviceGetUtilizationRates");
            var temperature = (delegate* unmanaged<nint, uint, uint*, int>)nvml.Find("nvmlDeviceGetTemperature");
            var power = (delegate* unmanaged<nint, uint*, int>)nvml.Find("nvmlDeviceGetPowerUsage");
            const int textBytes = 96;
            var text = stackalloc byte[textBytes];
            var sizes = stackalloc ulong[3];
            var percents = stackalloc uint[2];
            var cards = new List<GpuLoad>();
            for (var i = 0u; i < Math.Min(count, Cards); i++)
            {
                nint card;
                Check(byIndex(i, &card), "nvmlDeviceGetHandleByIndex");
                Check(uuid(card, text, textBytes), "nvmlDeviceGetUUID");
                var id = Marshal.PtrToStringUTF8((nint)text) ?? "";
                Check(name(card, text, textBytes), "nvmlDeviceGetName");
                var called = Marshal.PtrToStringUTF8((nint)text) ?? "";

                // total, free, used
                Check(memory(card, sizes), "nvmlDeviceGetMemoryInfo");
                var rated = rates(card, percents) == 0;
                const uint chip = 0;
                uint degrees, milliwatts;
                cards.Add(new GpuLoad(
                    id,
                    called,
                    (long)sizes[0],
                    (long)sizes[2],
                    rated ? (int)percents[0] : null,
                    rated ? (int)percents[1] : null,
                    temperature(card, chip, &degrees) == 0 ? (int)degrees : null,
                    power(card, &milliwatts) == 0 ? (int)milliwatts : null));
            }

            return cards;
        }
        finally
        {
            _ = ((delegate* unmanaged<int>)nvml.Find("nvmlShutdown"))();
        }
    }
}
