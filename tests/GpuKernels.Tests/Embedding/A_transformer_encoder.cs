using System.Text.Json;
using Platform.GpuKernels.Embedding;
using Platform.GpuKernels.Embedding.Models;
using Platform.GpuKernels.Embedding.Numerics;

namespace Platform.GpuKernels.Tests.Embedding;

public sealed class A_transformer_encoder
{
    public static TheoryData<string, int> Models()
    {
        var data = new TheoryData<string, int>();
        foreach (var kernels in CpuKernels.All())
        {
            foreach (var model in (string[])["bert", "roberta", "distilbert", "mpnet"]) { data.Add(model, kernels.Lanes); }
        }

        return data;
    }

    [Theory]
    [MemberData(nameof(Models))]
    public void gives_the_hidden_states_that_onnx_runtime_gives(string model, int lanes)
    {
        using var directory = Write(model);
        using var encoder = Open(directory, lanes: lanes);
        foreach (var text in Golden(model))
        {
            var states = Encode(encoder, text.Ids).Single();
            foreach (var (token, expected) in text.Rows) { AssertClose(expected, states[token]); }

            AssertClose(text.Mean, [.. Enumerable.Range(0, text.Mean.Length).Select(i => (float)states.Average(state => (double)state[i]))]);
        }
    }

    [Theory]
    [InlineData(WeightPrecision.Float32)]
    [InlineData(WeightPrecision.BFloat16)]
    [InlineData(WeightPrecision.Int8)]
    public void gives_a_text_the_same_bits_whatever_it_is_batched_with(WeightPrecision precision)
    {
        using var directory = RandomModel.WriteBert();
        using var encoder = Open(directory, precision);
        var golden = Golden("bert");
        var texts = Enumerable.Range(0, 40).Select(i => golden[i % 4].Ids[..Math.Min(golden[i % 4].Ids.Length, 1 + (i * 2))]).ToArray();
        var together = Encode(encoder, texts);
        foreach (var (at, text) in texts.Index())
        {
            var alone = Encode(encoder, text).Single();
            Assert.Equal(alone.SelectMany(state => state).Select(BitConverter.SingleToInt32Bits), together[at].SelectMany(state => state).Select(BitConverter.SingleToInt32Bits));
        }
    }

    [Fact]
    public void reads_a_model_that_was_saved_with_a_head()
    {
        using var plain = RandomModel.WriteBert();
        using var headed = RandomModel.WriteBert(prefix: "bert.");
        using var encoder = Open(plain);
        using var other = Open(headed);
        Assert.Equal(Encode(encoder, [5, 6, 7]).Single(), Encode(other, [5, 6, 7]).Single());
    }

    [Theory]
    [InlineData("bert", WeightPrecision.BFloat16, 0.9995)]
    [InlineData("roberta", WeightPrecision.BFloat16, 0.9995)]
    [InlineData("mpnet", WeightPrecision.BFloat16, 0.9995)]
    [InlineData("bert", WeightPrecision.Int8, 0.998)]
    [InlineData("roberta", WeightPrecision.Int8, 0.998)]
    public void keeps_the_direction_of_vectors_with_smaller_weights(string model, WeightPrecision precision, double least)
    {
        using var directory = Write(model);
        using var exact = Open(directory);
        using var rounded = Open(directory, precision);
        foreach (var text in Golden(model))
        {
            var (expected, actual) = (Encode(exact, text.Ids).Single(), Encode(rounded, text.Ids).Single());
            foreach (var (token, state) in expected.Index()) { Assert.InRange(Cosine(state, actual[token]), least, 0.9999999); }

            Assert.InRange(Cosine(Mean(expected), Mean(actual)), least, 0.9999999);
        }
    }

    [Fact]
    public void holds_weights_in_a_half_and_in_a_quarter_of_the_memory()
    {
        using var directory = RandomModel.WriteBert();
        long[] bytes = [.. Enum.GetValues<WeightPrecision>().Select(precision =>
        {
            using var encoder = Open(directory, precision);
            return encoder.WeightBytes;
        })];
        Assert.InRange((double)bytes[1] / bytes[0], 0.5, 0.53);
        Assert.InRange((double)bytes[2] / bytes[0], 0.25, 0.3);
    }

    [Fact]
    public void refuses_what_lies_outside_of_the_model()
    {
        using var directory = RandomModel.WriteRoberta();
        using var encoder = Open(directory);
        Assert.Contains("512", Assert.Throws<ArgumentException>(() => Encode(encoder, [512])).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => Encode(encoder, [-1]));
        Assert.Throws<ArgumentException>(() => Encode(encoder, (int[])[]));
        Assert.Contains("1 to 80", Assert.Throws<ArgumentException>(() => Encode(encoder, new int[81])).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void stops_when_it_is_cancelled()
    {
        using var directory = RandomModel.WriteBert();
        using var encoder = Open(directory);
        using var cancelled = new CancellationTokenSource();
        cancelled.Cancel();
        Assert.ThrowsAny<OperationCanceledException>(() => Encode(encoder, cancelled.Token, [1, 2], [3]));
    }

    [Fact]
    public void names_a_tensor_that_is_missing_or_has_another_shape()
    {
        using var wide = RandomModel.WriteBert().Write("config.json", RandomModel.Bert.Replace("\"intermediate_size\": 256", "\"intermediate_size\": 128", StringComparison.Ordinal));
        Assert.Contains("[256, 64]", Assert.Throws<UnusableModelException>(() => Open(wide)).Message, StringComparison.Ordinal);
        using var deep = RandomModel.WriteBert().Write("config.json", RandomModel.Bert.Replace("\"num_hidden_layers\": 2", "\"num_hidden_layers\": 3", StringComparison.Ordinal));
        Assert.Contains("encoder.layer.2.", Assert.Throws<UnusableModelException>(() => Open(deep)).Message, StringComparison.Ordinal);
    }

    internal static TransformerEncoder Open(TemporaryModel directory, WeightPrecision precision = WeightPrecision.Float32, int? lanes = null) => new(
        EncoderConfig.Read(ModelJson.ReadObject(directory.Path, "config.json")!.Value),
        Safetensors.Open(directory.Path, "model.safetensors"),
        precision,
        lanes is null ? null : CpuKernels.All().Single(kernels => kernels.Lanes == lanes));

    /// <returns>[texts][tokens][hidden size]</returns>
    internal static float[][][] Encode(TransformerEncoder encoder, params int[][] texts) => Encode(encoder, CancellationToken.None, texts);

    private static unsafe float[][][] Encode(TransformerEncoder encoder, CancellationToken cancellation, params int[][] texts)
    {
        var starts = new int[texts.Length + 1];
        for (var i = 0; i < texts.Length; i++) { starts[i + 1] = starts[i] + texts[i].Length; }

        var result = new float[texts.Length][][];
        encoder.Encode([.. texts.SelectMany(text => text)], starts, 2, (text, states, tokens) =>
        {
            result[text] = new float[tokens][];
            for (var token = 0; token < tokens; token++) { result[text][token] = new ReadOnlySpan<float>(states + (token * encoder.Stride), encoder.Config.HiddenSize).ToArray(); }
        }, cancellation);
        return result;
    }

    internal static double Cosine(float[] left, float[] right) =>
        left.Zip(right, (a, b) => (double)a * b).Sum() / Math.Sqrt(left.Sum(a => (double)a * a) * right.Sum(b => (double)b * b));

    internal static float[] Mean(float[][] states) => [.. Enumerable.Range(0, states[0].Length).Select(i => states.Average(state => state[i]))];

    private static readonly Dictionary<string, Func<TemporaryModel>> Written = new()
    {
        ["bert"] = () => RandomModel.WriteBert(),
        ["roberta"] = RandomModel.WriteRoberta,
        ["distilbert"] = RandomModel.WriteDistilBert,
        ["mpnet"] = () => RandomModel.WriteMpNet(),
    };

    private static TemporaryModel Write(string model) => Written[model]();

    /// <summary>Two layers in 32 bits: both implementations round differently about a hundred times on the way.</summary>
    private static void AssertClose(float[] expected, float[] actual)
    {
        Assert.Equal(expected.Length, actual.Length);
        for (var i = 0; i < expected.Length; i++) { Assert.InRange(actual[i], expected[i] - 2e-5f, expected[i] + 2e-5f); }
    }

    private static GoldenText[] Golden(string model)
    {
        // Made by bench/embedding/peer.mjs with ONNX Runtime.
        using var stream = File.OpenRead(Path.Combine(AppContext.BaseDirectory, "Embedding", "Fixtures", "golden.json"));
        return JsonSerializer.Deserialize<Dictionary<string, GoldenText[]>>(stream, JsonSerializerOptions.Web)![model];
    }

    private sealed record GoldenText(int[] Ids, Dictionary<int, float[]> Rows, float[] Mean);
}
