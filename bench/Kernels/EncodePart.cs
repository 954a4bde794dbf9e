using System.Diagnostics;
using System.Text;
using System.Text.Json.Nodes;
using Platform.GpuKernels.Embedding;
using Platform.GpuKernels.Embedding.Models;
using Platform.GpuKernels.Embedding.Numerics;

namespace Platform.Kernels;

/// <summary>
/// The encoder on one core in MiniLM-L6's shape (6 layers of 384, random weights), 128 tokens a text. With PLATFORM_ORT=DIR, where onnxruntime-node
/// is installed (see bench/embedding/peer.mjs), ONNX Runtime runs the same before and after it.
/// </summary>
internal static class EncodePart
{
    private const int Tokens = 128;
    private const int Texts = 2;

    /// <summary>Multiplications and additions of the linear layers: 12 h^2 weights a layer.</summary>
    private const double LinearOperations = 2.0 * 6 * 12 * 384 * 384 * Tokens;

    public static void Measure(TextWriter output)
    {
        var peer = double.PositiveInfinity;
        Peer(ref peer);
        var results = new List<(string Name, double Milliseconds, double Exact, double Mebibytes)>();
        var directory = Directory.CreateTempSubdirectory("encode-").FullName;
        try
        {
            Write(directory);
            foreach (var kernels in CpuKernels.All())
            {
                var exact = 0.0;
                foreach (var precision in Enum.GetValues<WeightPrecision>())
                {
                    using var encoder = new TransformerEncoder(EncoderConfig.Read(ModelJson.ReadObject(directory, "config.json")!.Value), Safetensors.Open(directory, "model.safetensors"), precision, kernels);
                    var milliseconds = Time(encoder);
                    if (precision == WeightPrecision.Float32) { exact = milliseconds; }

                    var path = precision == WeightPrecision.Int8 ? $", {ByteGemm.For(kernels.Lanes).Name}" : "";
                    results.Add(($"{kernels.Lanes * 32} bits, weights {precision}{path}", milliseconds, exact, encoder.WeightBytes / (1024.0 * 1024)));
                }
            }
        }
        finally { Directory.Delete(directory, recursive: true); }

        Peer(ref peer);
        output.WriteLine($"encode: 6 layers of 384, {Tokens} tokens a text, one thread");
        if (!double.IsInfinity(peer)) { output.WriteLine($"  {"ONNX Runtime 1.30.0, the faster of plain and fused graph",-60}{peer,8:F2} ms a text"); }
        foreach (var (name, milliseconds, exact, mebibytes) in results)
        {
            output.WriteLine($"  {name,-60}{milliseconds,8:F2} ms a text  {LinearOperations / milliseconds / 1e6,6:F1} GFLOP/s  {mebibytes,5:F1} MiB  {exact / milliseconds:F2} times Float32  {(double.IsInfinity(peer) ? "" : $"{peer / milliseconds:F2} times ONNX Runtime")}");
        }
    }

    private static unsafe double Time(TransformerEncoder encoder)
    {
        var random = new Random(1);
        int[] ids = [.. Enumerable.Range(0, Tokens * Texts).Select(_ => random.Next(encoder.Config.Vocabulary))];
        int[] starts = [.. Enumerable.Range(0, Texts + 1).Select(i => i * Tokens)];
        var best = double.PositiveInfinity;
        for (var watch = Stopwatch.StartNew(); watch.ElapsedMilliseconds < 3_000;)
        {
            var start = Stopwatch.GetTimestamp();
            encoder.Encode(ids, starts, 1, (_, _, _) => { }, CancellationToken.None);
            best = Math.Min(best, Stopwatch.GetElapsedTime(start).TotalMilliseconds / Texts);
        }

        return best;
    }

    private static void Peer(ref double best)
    {
        if (Environment.GetEnvironmentVariable("PLATFORM_ORT") is not { } folder) { return; }

        using var process = Process.Start(new ProcessStartInfo("node", ["bench/embedding/peer.mjs", folder, "time", $"{Tokens}", $"{Texts}"]) { RedirectStandardOutput = true })!;
        foreach (var line in process.StandardOutput.ReadToEnd().Split('\n', StringSplitOptions.RemoveEmptyEntries)) { best = Math.Min(best, double.Parse(line.Split(' ')[1])); }

        process.WaitForExit();
    }

    /// <summary>A model of this shape with random weights.</summary>
    internal static void Write(string directory)
    {
        File.WriteAllText(Path.Combine(directory, "config.json"), """{"model_type": "bert", "num_hidden_layers": 6, "hidden_size": 384, "num_attention_heads": 12, "intermediate_size": 1536, "vocab_size": 30522, "max_position_embeddings": 512, "type_vocab_size": 2}""");
        var header = new JsonObject();
        using var data = new MemoryStream();
        var random = new Random(2);
        void Add(string name, params long[] shape)
        {
            var start = data.Length;
            using var writer = new BinaryWriter(data, Encoding.UTF8, leaveOpen: true);
            for (var i = shape.Aggregate(1L, (product, dimension) => product * dimension); i > 0; i--) { writer.Write((random.NextSingle() - 0.5f) * 0.1f); }

            header[name] = new JsonObject { ["dtype"] = "F32", ["shape"] = new JsonArray([.. shape.Select(dimension => JsonValue.Create(dimension))]), ["data_offsets"] = new JsonArray(start, data.Length) };
        }

        void AddLinear(string name, int outputs, int inputs)
        {
            Add($"{name}.weight", outputs, inputs);
            Add($"{name}.bias", outputs);
        }

        void AddNorm(string name)
        {
            Add($"{name}.weight", 384);
            Add($"{name}.bias", 384);
        }

        Add("embeddings.word_embeddings.weight", 30522, 384);
        Add("embeddings.position_embeddings.weight", 512, 384);
        Add("embeddings.token_type_embeddings.weight", 2, 384);
        AddNorm("embeddings.LayerNorm");
        for (var layer = 0; layer < 6; layer++)
        {
            foreach (var part in (string[])["attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"]) { AddLinear($"encoder.layer.{layer}.{part}", 384, 384); }

            AddLinear($"encoder.layer.{layer}.intermediate.dense", 1536, 384);
            AddLinear($"encoder.layer.{layer}.output.dense", 384, 1536);
            AddNorm($"encoder.layer.{layer}.attention.output.LayerNorm");
            AddNorm($"encoder.layer.{layer}.output.LayerNorm");
        }

        using var file = File.Create(Path.Combine(directory, "model.safetensors"));
        var text = Encoding.UTF8.GetBytes(header.ToJsonString());
        file.Write(BitConverter.GetBytes((ulong)text.Length));
        file.Write(text);
        data.Position = 0;
        data.CopyTo(file);
    }
}
