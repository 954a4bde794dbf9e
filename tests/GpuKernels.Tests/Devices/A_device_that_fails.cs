using Platform.GpuKernels.Devices;
using Platform.GpuKernels.Kernels;

namespace Platform.GpuKernels.Tests.Devices;

[Collection("devices")]
public class A_device_that_fails
{
    private static readonly int[] Numbers = [3, 1, 4, 1, 5, 9, 2, 6];

    [Theory, MemberData(nameof(Kernels.Same.Devices), MemberType = typeof(Kernels.Same))]
    public void at_any_call_is_set_aside_once_and_its_batch_done_on_the_cpu(DeviceKind kind)
    {
        var device = Each.Of(kind);
        var failures = 0;
        for (var failing = 0; ; failing++)
        {
            var told = new List<DeviceSetAside>();
            var faulty = new FaultyAccelerator(device, failing, DeviceFailure.Lost);
            using var work = new DeviceWork<Sum>(device.Info, () => faulty, accelerator => new Sum(accelerator), told.Add);
            for (var batch = 0; batch < 2; batch++) { Assert.Equal(31f, work.Run(sum => sum.Of(Numbers), () => Numbers.Sum(number => (float)number))); }

            if (!faulty.HasFailed)
            {
                Assert.Empty(told);
                break;
            }

            failures++;
            Assert.True(work.IsSetAside);
            var one = Assert.Single(told);
            Assert.Equal((device.Info, DeviceFailure.Lost), (one.Device, one.Failure));
            Assert.Contains("INJECTED", one.Reason, StringComparison.Ordinal);
        }

        // A stream, four buffers, uploads, a kernel, a launch, a download.
        Assert.InRange(failures, 9, 40);
    }

    [Fact]
    public void to_open_is_not_opened_again()
    {
        var opened = 0;
        var told = new List<DeviceSetAside>();
        using var work = new DeviceWork<Sum>(
            Each.Of(DeviceKind.Cpu).Info,
            () =>
            {
                opened++;
                throw new DeviceException(DeviceFailure.OutOfMemory, "cuMemAlloc", 2, "CUDA_ERROR_OUT_OF_MEMORY", "out of memory.");
            },
            accelerator => new Sum(accelerator),
            told.Add);
        Assert.Equal((1, 1), (work.Run(_ => 2, () => 1), work.Run(_ => 2, () => 1)));
        Assert.Equal(1, opened);
        Assert.Equal(DeviceFailure.OutOfMemory, Assert.Single(told).Failure);
    }

    [Fact]
    public void to_answer_is_left_alone()
    {
        var told = new List<DeviceSetAside>();
        using var work = new DeviceWork<Hanging>(Each.Of(DeviceKind.Cpu).Info, () => new Platform.GpuKernels.Devices.Cpu.CpuAccelerator(), _ => new Hanging(), told.Add);
        Assert.Equal(1, work.Run<int>(_ => throw new DeviceException(DeviceFailure.Silent, "a first batch", 0, "NO_ANSWER", "it hangs."), () => 1));
        Assert.Equal(DeviceFailure.Silent, Assert.Single(told).Failure);
        Assert.True(work.IsSetAside);
    }

    [Fact]
    public void by_a_mistake_of_the_callers_is_not_blamed()
    {
        using var work = new DeviceWork<Sum>(Each.Of(DeviceKind.Cpu).Info, () => new Platform.GpuKernels.Devices.Cpu.CpuAccelerator(), accelerator => new Sum(accelerator), _ => Assert.Fail("It is not the device's failure."));
        Assert.Throws<ArgumentException>(() => work.Run<int>(_ => throw new ArgumentException("wrong"), () => 0));
        Assert.False(work.IsSetAside);
    }

    /// <summary>Whose freeing would wait for the device.</summary>
    private sealed class Hanging : IDisposable
    {
        public void Dispose() => throw new InvalidOperationException("It waits for ever.");
    }

    /// <summary>Adds numbers by a static model of width 2 with one row a number.</summary>
    private sealed class Sum : IDisposable
    {
        private readonly AcceleratorStream _stream;
        private readonly MemoryBuffer _table;

        public Sum(Accelerator accelerator)
        {
            _stream = accelerator.CreateStream();
            _table = accelerator.Allocate<ushort>(Bf16.From([.. Enumerable.Range(0, 20).Select(i => (float)(i / 2))]), _stream);
        }

        public float Of(int[] numbers)
        {
            using var ids = _stream.Accelerator.Allocate<int>(numbers, _stream);
            using var offsets = _stream.Accelerator.Allocate<int>([0, numbers.Length], _stream);
            using var to = _stream.Accelerator.Allocate(8);
            Rows.GatherMean(_stream, ids, offsets, _table, null, to, 1, 2, normalise: false);
            var mean = new float[2];
            _stream.Download(to, mean.AsSpan());
            return mean[0] * numbers.Length;
        }

        public void Dispose()
        {
            _table.Dispose();
            _stream.Dispose();
        }
    }
}
