using Platform.GpuKernels.Devices;
using Platform.GpuKernels.Embedding;
using Platform.GpuKernels.Embedding.Models;
using Platform.GpuKernels.Kernels;
using Platform.GpuKernels.Tests.Devices;
using Platform.GpuKernels.Tests.Embedding;

namespace Platform.GpuKernels.Tests.Kernels;

[Collection("devices")]
public class An_encoder_on_a_device
{
    /// <summary>What bf16 leaves of two layers (measured on PoCL: 0.99996).</summary>
    private const double Cosine = 0.9995;

    private static readonly string Bert = RandomModel.Bert.Replace("\"num_attention_heads\": 4", "\"num_attention_heads\": 2", StringComparison.Ordinal);
    private static readonly string Roberta = Bert.Replace("\"bert\"", "\"roberta\"", StringComparison.Ordinal).Replace("\"vocab_size\"", "\"pad_token_id\": 1, \"vocab_size\"", StringComparison.Ordinal);

    private static readonly string DistilBert = RandomModel.DistilBert.Replace("\"n_heads\": 4", "\"n_heads\": 2", StringComparison.Ordinal);

    public static TheoryData<DeviceKind> Kinds => [DeviceKind.Cpu, DeviceKind.OpenCl, DeviceKind.Cuda];

    [Theory, MemberData(nameof(Kinds))]
    public void gives_the_vectors_that_the_cpus_encoder_gives(DeviceKind kind)
    {
        var accelerator = Each.Of(kind);
        int[] lengths = [1, 3, 70, 64, 12];
        (Func<TemporaryModel>, PoolingMode)[] models =
        [
            (() => RandomModel.WriteBert().Write("config.json", Bert), PoolingMode.Mean),
            (() => RandomModel.WriteBert().Write("config.json", Roberta), PoolingMode.Cls),
            (() => RandomModel.WriteBert().Write("config.json", Bert), PoolingMode.LastToken),
            (() => RandomModel.WriteDistilBert().Write("config.json", DistilBert), PoolingMode.Mean),
            (() => RandomModel.WriteMpNet(64, 2, 256), PoolingMode.Mean),
        ];
        foreach (var (write, pooling) in models)
        {
            using var model = write();
            var (ids, starts) = Texts(lengths);
            var expected = OnCpu(model.Path, ids, starts, pooling);
            using var file = Safetensors.Open(model.Path, "model.safetensors");
            using var encoder = new DeviceEncoder(accelerator, Config(model.Path), file);
            var found = new float[lengths.Length * 64];
            encoder.Encode(ids, starts, DeviceEncoder.Pooling(pooling)!.Value, normalise: true, found);
            for (var i = 0; i < lengths.Length; i++)
            {
                var vector = found[(i * 64)..((i + 1) * 64)];
                Assert.InRange(Dot(vector, vector), 0.999, 1.001);
                Assert.InRange(Dot(expected[i], vector), Cosine, 1.001);
            }
        }
    }

    [Theory, MemberData(nameof(Same.Devices), MemberType = typeof(Same))]
    public void gives_the_vectors_that_the_cpus_encoder_gives_by_the_layers_for_hopper(DeviceKind kind)
    {
        var accelerator = Each.Of(kind);
        Assert.SkipWhen(kind == DeviceKind.Cuda && !accelerator.HasWarpgroups, $"{accelerator.Info.Name} has no warpgroups.");
        using var model = RandomModel.WriteWide();

        // As many as make a large batch there, and then a few more, which go by the other kernels.
        var some = accelerator.Info.ComputeUnits * Hopper.GroupRows / 3 / 60 + 1;
        var (ids, starts) = Texts([.. Enumerable.Repeat(60, Math.Min(some, 20)), 3]);
        Assert.SkipWhen(some > 20, "So many texts take too long on the CPU.");
        var expected = OnCpu(model.Path, ids, starts, PoolingMode.Mean);
        using var file = Safetensors.Open(model.Path, "model.safetensors");
        using var encoder = new DeviceEncoder(accelerator, Config(model.Path), file, warpgroups: true);
        var found = new float[expected.Length * Hopper.Width];
        encoder.Encode(ids, starts, RowPooling.Mean, normalise: true, found);
        for (var i = 0; i < expected.Length; i++) { Assert.InRange(Dot(expected[i], found[(i * Hopper.Width)..((i + 1) * Hopper.Width)]), Cosine, 1.001); }
    }

    [Theory, MemberData(nameof(Kinds))]
    public void gives_a_text_the_same_bits_in_any_batch(DeviceKind kind)
    {
        var accelerator = Each.Of(kind);
        using var model = RandomModel.WriteBert().Write("config.json", Bert);
        using var file = Safetensors.Open(model.Path, "model.safetensors");
        using var encoder = new DeviceEncoder(accelerator, Config(model.Path), file);
        var (ids, starts) = Texts([9, 30, 5]);
        var together = new float[3 * 64];
        encoder.Encode(ids, starts, RowPooling.Mean, normalise: true, together);
        for (var i = 0; i < 3; i++)
        {
            var alone = new float[64];
            encoder.Encode(ids, starts.AsSpan(i, 2), RowPooling.Mean, normalise: true, alone);
            Assert.Equal(together[(i * 64)..((i + 1) * 64)], alone);
        }
    }

    [Fact]
    public void refuses_what_it_was_not_given()
    {
        using var model = RandomModel.WriteBert().Write("config.json", Bert);
        using var file = Safetensors.Open(model.Path, "model.safetensors");
        using var encoder = new DeviceEncoder(Each.Of(DeviceKind.Cpu), Config(model.Path), file);
        var vectors = new float[64];
        Assert.Throws<ArgumentException>(() => encoder.Encode([5, 512], [0, 2], RowPooling.Mean, true, vectors));
        Assert.Throws<ArgumentException>(() => encoder.Encode([5, -1], [0, 2], RowPooling.Mean, true, vectors));
        Assert.Throws<ArgumentException>(() => encoder.Encode([5, 6], [0, 0], RowPooling.Mean, true, vectors));
        Assert.Throws<ArgumentException>(() => encoder.Encode([5, 6], [0, 3], RowPooling.Mean, true, vectors));
        Assert.Throws<ArgumentException>(() => encoder.Encode(new int[81], [0, 81], RowPooling.Mean, true, vectors));
        Assert.Throws<ArgumentException>(() => encoder.Encode([5, 6], [0, 1, 2], RowPooling.Mean, true, vectors));
    }

    [Fact]
    public void says_which_models_it_cannot_run()
    {
        using var narrow = RandomModel.WriteBert();
        using var odd = RandomModel.WriteRoberta();
        Assert.Contains("heads are 16 wide", DeviceEncoder.Refuse(Config(narrow.Path)), StringComparison.Ordinal);
        Assert.Contains("72", DeviceEncoder.Refuse(Config(odd.Path)), StringComparison.Ordinal);
    }

    [Theory, MemberData(nameof(Same.Devices), MemberType = typeof(Same))]
    public void is_replaced_by_the_cpus_in_the_batch_in_which_its_device_fails(DeviceKind kind)
    {
        var device = Each.Of(kind);
        using var model = RandomModel.WriteBert().Write("config.json", Bert);
        using var cpu = new TransformerEncoder(Config(model.Path), Safetensors.Open(model.Path, "model.safetensors"), WeightPrecision.Float32);
        var (ids, starts) = Texts([9, 30, 5]);
        var expected = OnCpu(model.Path, ids, starts, PoolingMode.Mean);

        // While the weights are loaded, in the first batch, in the middle of a later one, and never.
        var reached = new List<int>();
        foreach (var failing in new[] { 3, 90, 140, int.MaxValue })
        {
            var told = new List<DeviceSetAside>();
            using var encoder = new AcceleratedEncoder(cpu, device.Info, () => new FaultyAccelerator(device, failing, DeviceFailure.Lost), () => Safetensors.Open(model.Path, "model.safetensors"), told.Add);
            var onDevice = 0;
            for (var batch = 0; batch < 4; batch++)
            {
                var vectors = new float[3 * 64];
                encoder.Encode(ids, starts, PoolingMode.Mean, normalise: true, vectors, 1, TestContext.Current.CancellationToken);
                for (var i = 0; i < 3; i++) { Assert.InRange(Dot(expected[i], vectors[(i * 64)..((i + 1) * 64)]), Cosine, 1.001); }
                if (encoder.IsOnDevice) { onDevice++; }
            }

            Assert.Equal(failing == int.MaxValue ? 0 : 1, told.Count);
            reached.Add(onDevice);
        }

        Assert.Equal((0, 4), (reached[0], reached[^1]));
        Assert.Equal(reached.Order(), reached);
        Assert.InRange(reached[2], 1, 3);
    }

    [Theory, MemberData(nameof(Same.Devices), MemberType = typeof(Same))]
    public void is_not_used_where_it_computes_something_else_than_the_cpu(DeviceKind kind)
    {
        var device = Each.Of(kind);
        using var model = RandomModel.WriteBert().Write("config.json", Bert);
        using var other = new TemporaryModel();
        var weights = File.ReadAllBytes(Path.Combine(model.Path, "model.safetensors"));
        System.Runtime.InteropServices.MemoryMarshal.Cast<byte, float>(weights.AsSpan(^65_536..)).Reverse();
        File.WriteAllBytes(Path.Combine(other.Path, "model.safetensors"), weights);
        using var cpu = new TransformerEncoder(Config(model.Path), Safetensors.Open(model.Path, "model.safetensors"), WeightPrecision.Float32);
        var (ids, starts) = Texts([9, 30, 5]);
        var told = new List<DeviceSetAside>();
        using var encoder = new AcceleratedEncoder(cpu, device.Info, () => new FaultyAccelerator(device, int.MaxValue, DeviceFailure.Lost), () => Safetensors.Open(other.Path, "model.safetensors"), told.Add);
        var vectors = new float[3 * 64];
        encoder.Encode(ids, starts, PoolingMode.Mean, normalise: true, vectors, 1, TestContext.Current.CancellationToken);
        var expected = OnCpu(model.Path, ids, starts, PoolingMode.Mean);
        for (var i = 0; i < 3; i++) { Assert.InRange(Dot(expected[i], vectors[(i * 64)..((i + 1) * 64)]), 0.99999, 1.001); }
        var one = Assert.Single(told);
        Assert.Equal((device.Info, DeviceFailure.Wrong), (one.Device, one.Failure));
        Assert.Contains("computes something else than the CPU", one.Reason, StringComparison.Ordinal);
    }

    private static EncoderConfig Config(string directory) => EncoderConfig.Read(ModelJson.ReadObject(directory, EncoderConfig.FileName)!.Value);

    private static (int[] Ids, int[] Starts) Texts(int[] lengths)
    {
        var random = new Random(21);
        var starts = new int[lengths.Length + 1];
        for (var i = 0; i < lengths.Length; i++) { starts[i + 1] = starts[i] + lengths[i]; }

        return ([.. Enumerable.Range(0, starts[^1]).Select(_ => random.Next(512))], starts);
    }

    private static unsafe float[][] OnCpu(string directory, int[] ids, int[] starts, PoolingMode pooling)
    {
        using var encoder = new TransformerEncoder(Config(directory), Safetensors.Open(directory, "model.safetensors"), WeightPrecision.Float32);
        var vectors = new float[starts.Length - 1][];
        encoder.Encode(ids, starts, 1, (sequence, states, tokens) =>
        {
            vectors[sequence] = new float[Config(directory).HiddenSize];
            Pooling.Pool(pooling, states, encoder.Stride, tokens, vectors[sequence]);
            Pooling.Normalise(vectors[sequence]);
        }, TestContext.Current.CancellationToken);
        return vectors;
    }

    private static double Dot(float[] a, float[] b) => a.Zip(b).Sum(pair => (double)pair.First * pair.Second);
}
