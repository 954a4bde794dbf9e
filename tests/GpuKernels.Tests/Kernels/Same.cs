using System.Runtime.InteropServices;
using System.Text;
using Platform.GpuKernels.Devices;
using Platform.GpuKernels.Kernels;
using Platform.GpuKernels.Tests.Devices;
using Platform.GpuKernels.Tokenisation;

namespace Platform.GpuKernels.Tests.Kernels;

/// <summary>The same work on a device and by its reference on the CPU.</summary>
internal static class Same
{
    /// <summary>The kinds of device that are not the reference itself.</summary>
    public static TheoryData<DeviceKind> Devices => [DeviceKind.OpenCl, DeviceKind.Cuda];

    /// <summary>Runs <paramref name="work"/> on both; it is given the stream, a way to upload, and the buffer that is compared, which is filled with 0xFF before.</summary>
    public static (T[] Reference, T[] Found) Run<T>(DeviceKind kind, int results, Action<On, MemoryBuffer> work)
        where T : unmanaged
    {
        var device = Each.Of(kind);
        return (One(Each.Of(DeviceKind.Cpu)), One(device));

        T[] One(Accelerator accelerator)
        {
            using var on = new On(accelerator);
            var bytes = (long)results * Marshal.SizeOf<T>();
            using var to = accelerator.Allocate(bytes);
            on.Stream.Fill(to, 0xFF, 0, bytes);
            work(on, to);
            var found = new T[results];
            on.Stream.Download(to, found.AsSpan());
            return found;
        }
    }

    /// <summary>The ids of texts on a device and on the CPU; the device leaves none of them.</summary>
    public static void Ids(DeviceTokeniser device, Tokeniser cpu, IReadOnlyList<byte[]> texts)
    {
        ReadOnlyMemory<byte>[] all = [.. texts.Select(text => (ReadOnlyMemory<byte>)text)];
        using var tokens = device.Run(all);
        Assert.Empty(tokens.Left);
        var (ids, offsets) = tokens.Download();
        var expected = new PackedTokens();
        cpu.Pack(all, expected, new EncodeOptions(AddSpecialTokens: false));
        for (var i = 0; i < texts.Count; i++)
        {
            if (!expected[i].SequenceEqual(ids.AsSpan(offsets[i]..offsets[i + 1])))
            {
                Assert.Fail($"Text {i}, '{Encoding.UTF8.GetString(texts[i])}': {string.Join(' ', expected[i].ToArray())} on the CPU, {string.Join(' ', ids[offsets[i]..offsets[i + 1]])} on the device.");
            }
        }

        Assert.Equal(ids.Length, offsets[^1]);
    }

    /// <summary>||found - reference|| / ||reference||; not a number passes no bound.</summary>
    public static double Error(float[] reference, float[] found) =>
        Math.Sqrt(reference.Zip(found).Sum(pair => Math.Pow((double)pair.First - pair.Second, 2)) / reference.Sum(value => (double)value * value));

    public static double Error((ushort[] Reference, ushort[] Found) pair) => Error(Bf16.ToSingles(pair.Reference), Bf16.ToSingles(pair.Found));

    /// <summary>Values of about the spread that activations have.</summary>
    public static float[] Floats(int seed, int count, float spread = 1)
    {
        var random = new Random(seed);
        var values = new float[count];
        for (var i = 0; i < count; i++) { values[i] = (float)((random.NextDouble() + random.NextDouble() + random.NextDouble() - 1.5) * 2) * spread; }

        return values;
    }

    public static ushort[] Halves(int seed, int count, float spread = 1) => Bf16.From(Floats(seed, count, spread));

    /// <summary>A stream on one accelerator, and the buffers that were made for the work.</summary>
    internal sealed class On(Accelerator accelerator) : IDisposable
    {
        private readonly List<MemoryBuffer> _made = [];

        public AcceleratorStream Stream { get; } = accelerator.CreateStream();

        public MemoryBuffer Up<T>(T[] values)
            where T : unmanaged
        {
            var buffer = accelerator.Allocate<T>(values, Stream);
            _made.Add(buffer);
            return buffer;
        }

        public MemoryBuffer New(long bytes)
        {
            var buffer = accelerator.Allocate(bytes);
            _made.Add(buffer);
            return buffer;
        }

        public void Dispose()
        {
            Stream.Synchronize();
            foreach (var buffer in _made) { buffer.Dispose(); }
            Stream.Dispose();
        }
    }
}
