using Platform.GpuKernels.Embedding;
using Platform.GpuKernels.Embedding.Models;

namespace Platform.GpuKernels.Tests.Embedding;

public sealed class A_static_embedding
{
    private static readonly (string, string, long[], byte[]) Matrix = ("embeddings", "F32", [3, 2], TemporaryModel.Floats(1, 2, 3, 4, 5, 6));

    [Fact]
    public void is_the_mean_of_its_tokens()
    {
        using var model = new TemporaryModel().WriteWeights(Matrix);
        using var embedding = Open(model);
        Assert.Equal((2, 3), (embedding.Dimension, embedding.Tokens));
        Assert.Equal([3, 4], Embed(embedding, [0, 2]));
        Assert.Equal([5, 6], Embed(embedding, [0, 2], left: 0));
        Assert.Equal([0, 0], Embed(embedding, []));
        Assert.Equal([0, 0], Embed(embedding, [1], left: 1));
        Assert.Equal([3, 4], Embed(embedding, [.. Enumerable.Repeat(0, 2_000), .. Enumerable.Repeat(2, 2_000)]));
    }

    [Fact]
    public void maps_tokens_to_rows_and_weighs_them()
    {
        using var model = new TemporaryModel().WriteWeights(Matrix, ("mapping", "I64", [4], [.. ((long[])[2, 0, 0, 1]).SelectMany(BitConverter.GetBytes)]), ("weights", "F64", [4], [.. ((double[])[1, 2, 0.5, 4]).SelectMany(BitConverter.GetBytes)]));
        using var embedding = Open(model);
        Assert.Equal(4, embedding.Tokens);
        Assert.Equal([(5 + 2 + 0.5f + 12) / 4, (6 + 4 + 1 + 16) / 4f], Embed(embedding, [0, 1, 2, 3]));
    }

    [Fact]
    public void refuses_ids_and_tensors_that_do_not_fit()
    {
        using var model = new TemporaryModel().WriteWeights(Matrix);
        using var embedding = Open(model);
        Assert.Throws<ArgumentException>(() => Embed(embedding, [3]));
        Assert.Throws<ArgumentException>(() => Embed(embedding, [-1]));
        AssertRefused("'embeddings'", ("other", "F32", [1, 1], TemporaryModel.Floats(1)));
        AssertRefused("[2]", ("embeddings", "F32", [2], TemporaryModel.Floats(1, 2)));
        AssertRefused("row 3 of 3", Matrix, ("mapping", "I32", [1], [3, 0, 0, 0]));
        AssertRefused("2 values for 3", Matrix, ("weights", "F32", [2], TemporaryModel.Floats(1, 2)));
        AssertRefused("whole numbers", Matrix, ("mapping", "F32", [1], TemporaryModel.Floats(1)));
    }

    private static void AssertRefused(string says, params (string, string, long[], byte[])[] tensors)
    {
        using var model = new TemporaryModel().WriteWeights(tensors);
        Assert.Contains(says, Assert.Throws<UnusableModelException>(() => Open(model)).Message, StringComparison.Ordinal);
    }

    private static StaticEmbedding Open(TemporaryModel model)
    {
        using var file = Safetensors.Open(model.Path, "model.safetensors");
        return new StaticEmbedding(file);
    }

    private static float[] Embed(StaticEmbedding embedding, int[] ids, int? left = null)
    {
        var result = new float[embedding.Dimension];
        embedding.Embed(ids, left, result);
        return result;
    }
}
