using System.Diagnostics;
using System.Text;
using Platform.GpuKernels.Embedding;
using Platform.GpuKernels.Embedding.Models;

namespace Platform.Kernels;

/// <summary>A static embedding in potion-base-8M's shape (29,528 rows of 256, random) on one core, beside the plain loop over the same ids in the same run.</summary>
internal static class StaticPart
{
    private const int Rows = 29_528;
    private const int Dimension = 256;
    private const int Texts = 4_096;

    public static void Measure(TextWriter output)
    {
        var directory = Directory.CreateTempSubdirectory("static-").FullName;
        try
        {
            var random = new Random(3);
            using (var file = new BinaryWriter(File.Create(Path.Combine(directory, "model.safetensors"))))
            {
                var header = Encoding.UTF8.GetBytes($$$"""{"embeddings":{"dtype":"F32","shape":[{{{Rows}}},{{{Dimension}}}],"data_offsets":[0,{{{4L * Rows * Dimension}}}]}}""");
                file.Write((ulong)header.Length);
                file.Write(header);
                for (var i = 0; i < Rows * Dimension; i++) { file.Write(random.NextSingle() - 0.5f); }
            }

            using var weights = Safetensors.Open(directory, "model.safetensors");
            using var embedding = new StaticEmbedding(weights);
            output.WriteLine($"static: {Rows} rows of {Dimension}, texts of 20 to 200 tokens, one thread");

            // Words of a language are distributed as Zipf has it (the n-th is n times as rare as the first); equally likely tokens are the worst case.
            foreach (var (name, draw) in ((string, Func<int>)[])[("as Zipf has it", () => (int)Math.Pow(Rows, random.NextDouble()) - 1), ("equally likely", () => random.Next(Rows))])
            {
                int[][] texts = [.. Enumerable.Range(0, Texts).Select(_ => Enumerable.Range(0, random.Next(20, 201)).Select(_ => draw()).ToArray())];
                var tokens = texts.Sum(text => (long)text.Length);
                var result = new float[Dimension];
                var (ours, plain) = (Best(() => { foreach (var text in texts) { embedding.Embed(text, null, result); Pooling.Normalise(result); } }), Best(() => Plain(weights, texts, result)));
                output.WriteLine($"  tokens {name,-20}{tokens / ours / 1e6,8:F1} million tokens/s   {plain / ours:F1} times the plain loop");
            }
        }
        finally { Directory.Delete(directory, recursive: true); }
    }

    private static unsafe void Plain(Safetensors weights, int[][] texts, float[] result)
    {
        var rows = (float*)weights.Get("embeddings", Rows, Dimension).Bytes;
        foreach (var text in texts)
        {
            Array.Clear(result);
            foreach (var id in text)
            {
                for (var i = 0; i < Dimension; i++) { result[i] += rows[((long)id * Dimension) + i]; }
            }

            Pooling.Normalise(result);
        }
    }

    private static double Best(Action action)
    {
        var best = double.PositiveInfinity;
        for (var watch = Stopwatch.StartNew(); watch.ElapsedMilliseconds < 2_000;)
        {
            var start = Stopwatch.GetTimestamp();
            action();
            best = Math.Min(best, Stopwatch.GetElapsedTime(start).TotalSeconds);
        }

        return best;
    }
}
