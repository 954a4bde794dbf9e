using Platform.GpuKernels.Devices;
using Platform.GpuKernels.Devices.Cpu;

namespace Platform.GpuKernels.Kernels;

/// <summary>What a device must get right before it is used (probe.cl).</summary>
internal static class Probe
{
    public const int Group = 128;

    private const int Values = 1000;
    private const float Factor = 3f;
    private const int Shift = 5;

    public static readonly KernelModule Module = new("probe", ("probe", OnCpu));

    /// <summary>Runs the probe and compares with what the CPU makes of it, bit for bit.</summary>
    /// <exception cref="DeviceException">A call failed, or the device's answer is wrong.</exception>
    public static void Run(Accelerator accelerator)
    {
        using var cpu = new CpuAccelerator();
        var expected = Run(cpu, out var expectedCount);
        var found = Run(accelerator, out var count);
        if (count != expectedCount || !expected.AsSpan().SequenceEqual(found))
        {
            throw new DeviceException(DeviceFailure.Wrong, "the probe kernel", 0, "WRONG_RESULT", $"{accelerator.Info.Name} computes something else than the CPU: {count} of {expectedCount} work items wrote, {expected.Zip(found).Count(pair => pair.First != pair.Second)} values differ.");
        }
    }

    public static void Launch(AcceleratorStream stream, MemoryBuffer input, MemoryBuffer output, MemoryBuffer totals, long count, float factor, int shift) =>
        stream.Launch(stream.Accelerator.Load(Module, "probe"), LaunchGrid.Cover(count, Group), input, output, totals, count, factor, shift);

    private static float[] Run(Accelerator accelerator, out uint count)
    {
        using var stream = accelerator.CreateStream();
        var values = new float[Values];
        for (var i = 0; i < Values; i++) { values[i] = (i * 37 % 101) - 50; }

        using var input = accelerator.Allocate<float>(values, stream);
        using var output = accelerator.Allocate(Values * sizeof(float));
        using var totals = accelerator.Allocate(sizeof(uint));
        stream.Fill(totals, 0, 0, sizeof(uint));
        Launch(stream, input, output, totals, Values, Factor, Shift);
        var result = new float[Values];
        var counted = new uint[1];
        stream.Download(output, result.AsSpan());
        stream.Download(totals, counted.AsSpan());
        count = counted[0];
        return result;
    }

    private static void OnCpu(CpuLaunch launch)
    {
        var input = launch.Buffer<float>(0);
        var output = launch.Buffer<float>(1);
        var count = launch.Long(3);
        for (var at = 0; at < count; at++)
        {
            var mirror = (at / Group * Group) + ((Group - 1 - ((at % Group) ^ 1) + launch.Int(5)) % Group);
            output[at] = (launch.Float(4) * input[at]) + (mirror < count ? input[mirror] : 0);
        }

        launch.Buffer<uint>(2)[0] += (uint)count;
    }
}
