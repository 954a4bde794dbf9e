using Platform.GpuKernels.Devices;
using Platform.GpuKernels.Kernels;

namespace Platform.GpuKernels.Tests.Devices;

/// <summary>What every backend does alike. Run by the CPU always, by OpenCL where a loader and a driver are (PoCL in CI), by CUDA where a card is.</summary>
[Collection("devices")]
public class An_accelerator
{
    [Theory, MemberData(nameof(Each.Kind), MemberType = typeof(Each))]
    public void describes_itself(DeviceKind kind)
    {
        var info = Each.Of(kind).Info;
        Assert.Equal(kind, info.Kind);
        Assert.NotEmpty(info.Name);
        Assert.NotEmpty(info.Driver);
        Assert.True(info.MemoryBytes > 0);
        Assert.True(info.ComputeUnits > 0);
        Assert.Equal($"{kind.ToString().ToLowerInvariant()}:0", info.Id);
    }

    [Theory, MemberData(nameof(Each.Kind), MemberType = typeof(Each))]
    public void computes_what_the_cpu_computes(DeviceKind kind) => Probe.Run(Each.Of(kind));

    [Theory, MemberData(nameof(Each.Kind), MemberType = typeof(Each))]
    public void gives_back_what_was_copied_to_it_though_it_is_larger_than_the_pinned_ring(DeviceKind kind)
    {
        var accelerator = Each.Of(kind);
        using var stream = accelerator.CreateStream();
        var sent = new byte[(PinnedRing.SlotBytes * (PinnedRing.Slots + 1)) + 12_345];
        new Random(7).NextBytes(sent);
        using var buffer = accelerator.Allocate(sent.Length);
        stream.Upload<byte>(sent, buffer);
        var back = new byte[sent.Length];
        stream.Download(buffer, back.AsSpan());
        Assert.True(sent.AsSpan().SequenceEqual(back));
    }

    [Theory, MemberData(nameof(Each.Kind), MemberType = typeof(Each))]
    public void copies_and_fills_parts_of_buffers(DeviceKind kind)
    {
        var accelerator = Each.Of(kind);
        using var stream = accelerator.CreateStream();
        using var from = accelerator.Allocate<byte>([1, 2, 3, 4, 5, 6, 7, 8], stream);
        using var to = accelerator.Allocate(8);
        stream.Fill(to, 0xEE, 0, 8);
        stream.Copy(from, 2, to, 4, 3);
        stream.Fill(to, 9, 7, 1);
        var back = new byte[8];
        stream.Download(to, back.AsSpan());
        Assert.Equal([0xEE, 0xEE, 0xEE, 0xEE, 3, 4, 5, 9], back);
        var middle = new byte[2];
        stream.Download(to, middle.AsSpan(), 5);
        Assert.Equal([4, 5], middle);
    }

    [Theory, MemberData(nameof(Each.Kind), MemberType = typeof(Each))]
    public void refuses_to_leave_a_buffer(DeviceKind kind)
    {
        var accelerator = Each.Of(kind);
        using var stream = accelerator.CreateStream();
        using var buffer = accelerator.Allocate(8);
        Assert.Throws<ArgumentOutOfRangeException>(() => stream.Upload<byte>(new byte[4], buffer, 5));
        Assert.Throws<ArgumentOutOfRangeException>(() => stream.Download(buffer, new byte[9].AsSpan()));
        Assert.Throws<ArgumentOutOfRangeException>(() => stream.Fill(buffer, 0, -1, 2));
        Assert.Throws<ArgumentOutOfRangeException>(() => stream.Copy(buffer, long.MaxValue, buffer, 0, 1));
        Assert.Throws<ArgumentOutOfRangeException>(() => accelerator.Allocate(0));
        Assert.Throws<ArgumentOutOfRangeException>(() => accelerator.Allocate(Accelerator.BufferBytes + 1));
        buffer.Dispose();
        Assert.Throws<ObjectDisposedException>(() => stream.Fill(buffer, 0, 0, 1));
    }

    [Theory, MemberData(nameof(Each.Kind), MemberType = typeof(Each))]
    public void says_that_it_has_not_the_memory(DeviceKind kind)
    {
        var accelerator = Each.Of(kind);
        var refused = Assert.Throws<DeviceException>(() => accelerator.Allocate(Accelerator.BufferBytes));
        Assert.Equal(DeviceFailure.OutOfMemory, refused.Failure);
        Assert.NotEmpty(refused.Name);
    }

    [Theory, MemberData(nameof(Each.Kind), MemberType = typeof(Each))]
    public void says_which_kernel_is_not_there(DeviceKind kind)
    {
        var accelerator = Each.Of(kind);
        var refused = Assert.Throws<DeviceException>(() => accelerator.Load(Probe.Module, "nothing"));
        Assert.Contains("nothing", refused.Message, StringComparison.Ordinal);
    }

    [Theory, MemberData(nameof(Each.Kind), MemberType = typeof(Each))]
    public void makes_one_stream_wait_for_another_and_tells_the_time_between(DeviceKind kind)
    {
        var accelerator = Each.Of(kind);
        using var first = accelerator.CreateStream();
        using var second = accelerator.CreateStream();
        const int bytes = 1 << 20;
        using var a = accelerator.Allocate(bytes);
        using var b = accelerator.Allocate(bytes);
        using var before = first.Record();
        for (var i = 0; i < 20; i++) { first.Fill(a, (byte)i, 0, bytes); }
        using var filled = first.Record();
        second.Wait(filled);
        second.Copy(a, 0, b, 0, bytes);
        var back = new byte[bytes];
        second.Download(b, back.AsSpan());
        Assert.DoesNotContain(back, value => value != 19);
        Assert.True(filled.Since(before) >= TimeSpan.Zero);
    }

    [Theory, MemberData(nameof(Each.Kind), MemberType = typeof(Each))]
    public void does_a_captured_graph_as_often_as_it_is_asked_and_not_before(DeviceKind kind)
    {
        var accelerator = Each.Of(kind);
        using var stream = accelerator.CreateStream();
        var ones = Enumerable.Repeat(1f, 300).ToArray();
        using var input = accelerator.Allocate<float>(ones, stream);
        using var output = accelerator.Allocate(300 * sizeof(float));
        using var totals = accelerator.Allocate<uint>([0], stream);
        using var graph = stream.Capture(() =>
        {
            Probe.Launch(stream, input, output, totals, 300, 2f, 0);
            stream.Copy(output, 0, input, 0, 100 * sizeof(float));
        });
        var counted = new uint[1];
        stream.Download(totals, counted.AsSpan());
        Assert.Equal(0u, counted[0]);
        stream.Run(graph);
        stream.Run(graph);
        stream.Download(totals, counted.AsSpan());
        Assert.Equal(600u, counted[0]);
        var now = new float[300];
        stream.Download(input, now.AsSpan());
        // The second run read what the first had copied: item 0 has its mirror outside the hundred that were copied, item 50 inside.
        Assert.Equal((7f, 9f), (now[0], now[50]));
    }

    [Theory, MemberData(nameof(Each.Kind), MemberType = typeof(Each))]
    public void refuses_a_copy_from_the_host_inside_a_graph(DeviceKind kind)
    {
        var accelerator = Each.Of(kind);
        using var stream = accelerator.CreateStream();
        using var buffer = accelerator.Allocate(4);
        Assert.Throws<InvalidOperationException>(() => stream.Capture(() => stream.Upload<byte>([1], buffer)));
        stream.Fill(buffer, 3, 0, 4);
        var back = new byte[4];
        stream.Download(buffer, back.AsSpan());
        Assert.Equal([3, 3, 3, 3], back);
    }

    [Theory, MemberData(nameof(Each.Kind), MemberType = typeof(Each))]
    public void reuses_memory_that_was_given_back_and_frees_it_when_told(DeviceKind kind)
    {
        using var stream = Each.Of(kind).CreateStream();
        var first = stream.Rent(1000);
        stream.Return(first);
        Assert.Equal(1024, stream.PooledBytes);
        Assert.Same(first, stream.Rent(900));
        Assert.NotSame(first, stream.Rent(900));
        stream.Return(first);
        stream.Trim();
        Assert.True(first.IsClosed);
        Assert.Equal(0, stream.PooledBytes);
    }

    [Fact]
    public void rounds_rented_memory_up_by_a_quarter_at_most()
    {
        foreach (var bytes in new long[] { 1, 256, 257, 1000, 1024, 1025, 5_000_000, (1L << 32) + 1, Accelerator.BufferBytes })
        {
            var rounded = AcceleratorStream.SizeClass(bytes);
            Assert.InRange(rounded, bytes, Math.Max(256, bytes * 5 / 4));
            Assert.Equal(rounded, AcceleratorStream.SizeClass(rounded));
        }
    }
}
