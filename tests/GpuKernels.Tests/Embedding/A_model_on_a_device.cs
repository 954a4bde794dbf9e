using Platform.GpuKernels.Devices;
using Platform.GpuKernels.Embedding;
using Platform.GpuKernels.Tests.Devices;
using Platform.GpuKernels.Tests.Kernels;

namespace Platform.GpuKernels.Tests.Embedding;

[Collection("devices")]
public sealed class A_model_on_a_device : IDisposable
{
    private static readonly string[] Texts = ["w5 w9 w400", "", "w9", "w7 w8 w9 w10 w11"];

    /// <summary>With heads that a device takes.</summary>
    private readonly TemporaryModel _directory = RandomModel.WriteWhole().Write("config.json", RandomModel.Bert.Replace("\"num_attention_heads\": 4", "\"num_attention_heads\": 2", StringComparison.Ordinal));

    [Theory, MemberData(nameof(Same.Devices), MemberType = typeof(Same))]
    public void gives_what_the_cpu_gives_but_for_rounding(DeviceKind kind)
    {
        var told = new List<DeviceSetAside>();
        using var model = EmbeddingModel.Load(_directory.Path, new EmbeddingModelOptions(Device: Each.Of(kind).Info, SetAside: told.Add));
        Assert.True(model.IsOnDevice);
        Compare(model, 0.9995);
        Assert.True(model.IsOnDevice);
        Assert.Empty(told);
    }

    [Fact]
    public void gives_the_cpus_vectors_and_says_so_once_where_the_device_cannot_be_opened()
    {
        var told = new List<DeviceSetAside>();
        var gone = new DeviceInfo(DeviceKind.OpenCl, 99, "a card that was taken out", "none", 0, 1, null, IsGpu: true);
        using var model = EmbeddingModel.Load(_directory.Path, new EmbeddingModelOptions(Device: gone, SetAside: told.Add));
        Compare(model, 0.999999);
        Compare(model, 0.999999);
        Assert.False(model.IsOnDevice);
        Assert.Equal(gone, Assert.Single(told).Device);
    }

    public void Dispose() => _directory.Dispose();

    private void Compare(EmbeddingModel model, double cosine)
    {
        using var cpu = EmbeddingModel.Load(_directory.Path);
        var expected = cpu.Embed(Texts, EmbeddingPurpose.Document, TestContext.Current.CancellationToken);
        var found = model.Embed(Texts, EmbeddingPurpose.Document, TestContext.Current.CancellationToken);
        for (var i = 0; i < Texts.Length; i++) { Assert.InRange(expected[i].Zip(found[i]).Sum(pair => (double)pair.First * pair.Second), cosine, 1.001); }
    }
}
