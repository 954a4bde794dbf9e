using Platform.GpuKernels.Search;
using Platform.GpuKernels.Search.Keywords;
using Platform.GpuKernels.Search.Segments;
using Platform.GpuKernels.Search.Vectors;

namespace Platform.GpuKernels.Tests.Search;

/// <summary>Vectors that are hard to tell apart, and the plain way to compare them.</summary>
internal static class VectorData
{
    public static float[] Gaussian(Random random, int dimensions, double scale = 1)
    {
        var vector = new float[dimensions];
        for (var i = 0; i < dimensions; i++) { vector[i] = (float)(scale * Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble())); }
        return vector;
    }

    /// <summary>Random ones, and in between duplicates, zeros, huge and tiny ones, single components, neighbours by one bit, and opposites.</summary>
    public static float[][] Hard(Random random, int count, int dimensions)
    {
        var vectors = new float[count][];
        for (var at = 0; at < count; at++)
        {
            var other = at == 0 ? Gaussian(random, dimensions) : vectors[random.Next(at)];
            vectors[at] = random.Next(10) switch
            {
                0 => [.. other],
                1 => new float[dimensions],
                2 => Gaussian(random, dimensions, 1e33),
                3 => Gaussian(random, dimensions, 1e-42),
                4 => [.. Enumerable.Range(0, dimensions).Select(i => i == at % dimensions ? 3e-20f : 0)],
                5 => [.. other.Select(component => MathF.BitIncrement(component) is var next && MathF.Abs(next) < 1e34f ? next : component)],
                6 => [.. other.Select(component => -component)],
                7 => [.. other.Select(component => MathF.Abs(component) < 1e33f ? component * 2 : component)],
                8 => [.. Enumerable.Range(0, dimensions).Select(_ => (float)random.Next(-2, 3))],
                _ => Gaussian(random, dimensions),
            };
        }

        return vectors;
    }

    public static Guid Id(int number) => new((uint)(number * 2654435761L), 0, 0, 0, 0, 0, 0, (byte)(number >> 24), (byte)(number >> 16), (byte)(number >> 8), (byte)number);

    public static Segment Segment(Similarity similarity, float[][] vectors, Func<int, Guid>? idOf = null) => SegmentBuilder.Build(
        [.. vectors.Select((vector, at) => new IndexDocument((idOf ?? Id)(at), "") { Vector = vector })],
        new Analyser(Stemming.None, foldAccents: true), new IndexSettings { Similarity = similarity, Dimensions = vectors[0].Length });

    /// <summary>Every vector compared in 64-bit floats, without the code that is tested.</summary>
    public static (Guid Id, double Score)[] BruteForce(Similarity similarity, float[][] vectors, float[] query, int hits, Func<int, Guid>? idOf = null, Func<int, bool>? allowed = null)
    {
        double Dot(float[] left, float[] right)
        {
            // The order of additions is part of what a score is: sixteen running sums, see ExactScore.
            var sums = new double[17];
            var whole = left.Length / 16 * 16;
            for (var i = 0; i < left.Length; i++) { sums[i < whole ? i % 16 : 16] += (double)left[i] * right[i]; }
            var eight = Enumerable.Range(0, 8).Select(i => sums[i] + sums[i + 8]).ToArray();
            var four = Enumerable.Range(0, 4).Select(i => eight[i] + eight[i + 4]).ToArray();
            return four[0] + four[2] + (four[1] + four[3]) + sums[16];
        }

        double Score(float[] vector)
        {
            var dot = Dot(query, vector);
            if (similarity == Similarity.DotProduct) { return dot; }
            var norms = Math.Sqrt(Dot(query, query)) * Math.Sqrt(Dot(vector, vector));
            return norms == 0 ? 0 : dot / norms;
        }

        return [.. vectors.Select((vector, at) => (At: at, Id: (idOf ?? Id)(at), Score: Score(vector)))
            .Where(entry => allowed?.Invoke(entry.At) ?? true)
            .OrderByDescending(entry => entry.Score).ThenBy(entry => entry.Id).Take(hits).Select(entry => (entry.Id, entry.Score))];
    }
}
