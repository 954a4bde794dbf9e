using Platform.GpuKernels.Embedding;
using Platform.GpuKernels.Embedding.Models;

namespace Platform.GpuKernels.Tests.Embedding;

public sealed unsafe class Pooling_of_tokens
{
    [Theory]
    [InlineData("Mean", 2, 1)]
    [InlineData("Cls", 1, -1)]
    [InlineData("Max", 3, 6)]
    [InlineData("LastToken", 3, -2)]
    [InlineData("MeanSqrtLength", 6 / 1.7320508f, 3 / 1.7320508f)]
    [InlineData("WeightedMean", 14 / 6f, 5 / 6f)]
    public void gives_what_sentence_transformers_gives(string mode, float first, float second)
    {
        float[] states = [1, -1, 9, 2, 6, 9, 3, -2, 9];
        var result = new float[2];
        fixed (float* from = states) { Pooling.Pool(Enum.Parse<PoolingMode>(mode), from, 3, 3, result); }

        Assert.Equal(first, result[0], 1e-6f);
        Assert.Equal(second, result[1], 1e-6f);
    }

    [Fact]
    public void normalises_to_length_one_and_leaves_zeros()
    {
        float[] vector = [3, 4];
        Pooling.Normalise(vector);
        Assert.Equal([0.6f, 0.8f], vector);
        float[] nothing = [0, 0];
        Pooling.Normalise(nothing);
        Assert.Equal([0, 0], nothing);
        float[] tiny = [3e-30f, 4e-30f];
        Pooling.Normalise(tiny);
        Assert.Equal(0.6f, tiny[0], 1e-6f);
    }
}
